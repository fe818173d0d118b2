"""The two ways in which a command ends without an answer, and the words for what the system refuses.

Knows no option and prints nothing.
"""

from __future__ import annotations

import errno

# The statuses of the command. 130 is what shells have for Ctrl-C.
ANSWERED, COULD_NOT_MEASURE, WRONG_USAGE, THRESHOLD_PASSED, INTERRUPTED = 0, 1, 2, 3, 130

INSTALL = "pip install 'sqlite-writes[cli]'"


class WrongUsage(Exception):  # noqa: N818 it is no defect
    """What was asked for does not exist or does not fit; the message says what to do."""


class CouldNotMeasure(Exception):  # noqa: N818 the same
    """Something outside is in the way; the message says what to do."""


_REMEDIES = {
    errno.EACCES: "choose a folder that you can write with --directory",
    errno.EPERM: "choose a folder that you can write with --directory",
    errno.EROFS: "choose a folder that can be written with --directory",
    errno.ENOSPC: "free some space, or choose another disk with --directory",
    errno.EDQUOT: "free some space, or choose another disk with --directory",
    errno.EAGAIN: "or try fewer processes",
    errno.EMFILE: "",
    errno.ENFILE: "",
    errno.ENOMEM: "or try fewer processes",
}

# What a message of SQLite's, or of ours, is answered with.
_REMEDIES_BY_WORDS = {
    "file is not a database": "give the path of a SQLite file, or remove what is there",
    "database is locked": "somebody else holds it locked; end them, and try again",
    "readonly database": "choose a folder that you can write with --directory",
    "database or disk is full": "free some space, or choose another disk with --directory",
    "disk I/O error": "look whether the disk is full, or broken; --directory chooses another",
    "no such table": "make it first, or before each burst with --prepare",
    "unable to open database file": "look whether its folder is there and can be written",
}


def in_words(error: BaseException) -> str:
    """Return one line that says what is in the way and what to do."""
    words = " ".join(str(error).split()) or type(error).__name__
    remedy = ""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            words = _words_of(cause) if cause is error or str(cause) == str(error) else words
            remedy = _REMEDIES.get(cause.errno, "")
            break
        cause = cause.__cause__
    if not remedy:
        remedy = next((remedy for part, remedy in _REMEDIES_BY_WORDS.items() if part in words), "")
    return f"{words}: {remedy}" if remedy and remedy not in words else words


def _words_of(error: OSError) -> str:
    """Return the error without its number: people read the words."""
    words = " ".join(str(error.strerror or error).split())
    return f"{words}: {error.filename!r}" if error.filename is not None else words
