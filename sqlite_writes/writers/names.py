"""Find a writer by what a caller gives: the name of settings or of a library, ``package.module:name``, an object."""

from __future__ import annotations

import re

from sqlite_writes.settings import SETTINGS, Settings

from .libraries import LIBRARIES
from .ours import Ours
from .writer import Named, Writer, check_parts

AnyWriter = str | Settings | Writer

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def resolve_writer(writer: AnyWriter) -> Writer:
    """Return the writer that is meant; ``ValueError`` for a name that is none, ``WriterError`` for what lacks a part.

    A name of settings or ``Settings`` is a writer of ours, a name in ``LIBRARIES`` a ready-made one. What is named
    ``package.module:name`` is imported only in the processes that use it.
    """
    if isinstance(writer, Settings):
        return Ours(writer)
    if not isinstance(writer, str):
        found: Writer = check_parts(writer, repr(writer))
        return found
    if writer in SETTINGS:
        return Ours(SETTINGS[writer])
    if writer in LIBRARIES:
        return Named(LIBRARIES[writer].writer, LIBRARIES[writer].distribution)
    if is_path(writer):
        return Named(writer)
    raise ValueError(f"writer {writer!r} is no package.module:name, nor one of {', '.join([*SETTINGS, *LIBRARIES])}")


def is_path(name: str) -> bool:
    """Say whether that could be a ``package.module:name``."""
    return _PATH.fullmatch(name) is not None
