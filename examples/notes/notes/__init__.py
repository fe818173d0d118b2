"""Keeps notes, each with a number of its own, for any number of processes."""
