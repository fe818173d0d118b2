"""What each recorded call does to a disk, and which rows were acknowledged by then. Knows no SQLite."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from .disk import Change, Disk, Renaming, StoredFile
from .recording import is_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .recording import Call, Recording

_ACKNOWLEDGED = b"acknowledged "
_SYNCS = ("fsync", "fdatasync")


def moments(recording: Recording) -> Iterator[Player]:
    """Play the recording, and stop wherever what a power loss leaves has changed."""
    player = Player(recording)
    for call in recording.calls:
        if player.enter(call) if call.is_entered else player.leave(call):
            yield player


class Player:
    """The disk, and the rows acknowledged so far."""

    def __init__(self, recording: Recording) -> None:
        self.folder = os.path.dirname(recording.main)
        self.disk = Disk(recording.contents)
        self.acknowledged: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._changes: dict[str, list[Change]] = {}
        self._names: dict[str, list[Renaming]] = {}
        self._positions: dict[tuple[str, str], int] = {}

    def enter(self, call: Call) -> bool:
        """Return whether what a power loss leaves may be another from now on."""
        if call.name == "write" and call.texts and call.texts[0].startswith(_ACKNOWLEDGED):
            said = call.texts[0].decode().splitlines()
            self.acknowledged |= {words.partition(" ")[2] for words in said}
            return True
        if call.name in _SYNCS and call.path == self.folder:
            self._names[call.process] = self.disk.unsure_names(self.folder)
        file = self._file(call)
        if file is None:
            return False
        if call.name in _SYNCS:
            self._changes[call.process] = [change for change in file.changes if change.done]
        elif call.name in ("write", "pwrite64", "ftruncate", "truncate"):
            data = None if "truncate" in call.name else call.texts[0]
            start = self._positions.get(call.descriptor, 0) if call.name == "write" else call.last_number
            change = Change(start, data)
            file.changes.append(change)
            self._changes[call.process] = [change]
            return True
        return False

    def leave(self, call: Call) -> bool:
        """The same, where the call has ended."""
        begun, names = self._changes.pop(call.process, []), self._names.pop(call.process, [])
        if call.result < 0 and call.name not in _SYNCS:
            if begun:
                raise NotImplementedError(f"a {call.name} that fails")
            return False
        if call.name in _SYNCS and call.path == self.folder:
            if call.result == 0:
                self.disk.sync_names(names)
            return True
        if call.name == "openat":
            self._positions[call.descriptor] = 0
        if call.name == "openat" or call.name.startswith(("unlink", "rename")):
            return self._rename(call)
        file = self._file(call)
        if file is None:
            return False
        if call.name == "lseek":
            self._positions[call.descriptor] = call.result
        elif call.name in _SYNCS:
            self.counts["syncs" if call.result == 0 else "failed syncs"] += 1
            (file.sync if call.result == 0 else file.forget)(begun)
            return True
        for change in begun:
            change.done = True
            if change.data is not None and call.result != len(change.data):
                raise NotImplementedError(f"a {call.name} that ends early")
            if call.name == "write":
                self._positions[call.descriptor] = change.start + call.result
        return False

    def _rename(self, call: Call) -> bool:
        paths = call.named
        if not paths or not all(os.path.dirname(path) == self.folder and is_kept(path) for path in paths):
            return False
        there = self.disk.files
        if call.name == "openat":
            if "O_TRUNC" in call.arguments and paths[0] in there:
                raise NotImplementedError("a file that is emptied as it is opened")
            if "O_CREAT" not in call.arguments or paths[0] in there:
                return False
            self.disk.rename({paths[0]: StoredFile()})
        elif call.name.startswith("unlink"):
            self.disk.rename({paths[0]: None})
        else:
            self.disk.rename({paths[1]: there[paths[0]], paths[0]: None})
        return True

    def _file(self, call: Call) -> StoredFile | None:
        """The file that the call's descriptor is of, or its path, unless it is none of the database's."""
        path = call.named[0] if call.name == "truncate" else call.path
        return self.disk.files.get(path) if path else None
