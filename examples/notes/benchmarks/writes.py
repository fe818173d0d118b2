"""Bursts of notes, at every commit."""

from sqlite_writes.asv import Burst


class Notes(Burst):
    """As many processes as workers, one note each, at one moment."""

    writer = "notes.store:writer"
