"""The files of a simulated host, by their Windows paths; the worker's read and write calls."""

from __future__ import annotations

import base64
import hashlib
import ntpath
import threading
from collections.abc import Callable
from typing import Any

from remediation_lab.wire import Refusal
from remediation_lab.world.rights import closed, may_open
from remediation_lab.world.state import State, normal

PART = ".rp"


def part_of(path: str) -> str:
    """Return where the slices of a file wait for the last one, as the real worker names it."""
    folder, name = ntpath.split(path)
    return ntpath.join(folder, PART + hashlib.sha256(name.lower().encode()).hexdigest()[:8])


_KEEPER = "~folder"
"""A file that keeps an empty folder there: in the lab a folder exists while a file lies below it."""


class Files:
    """Files and their folders; a folder exists while a file lies below it."""

    def __init__(self, state: State, lock: threading.RLock, now: Callable[[], float]) -> None:
        self._state, self._lock, self._now = state, lock, now
        self._open: dict[str, bytearray] = {}
        """Files that a program is writing, until they are closed by a move: they do not go to disk with the machine."""

    def get(self, path: str) -> bytes | None:
        """Return a file's bytes, None when there is no such file."""
        with self._lock:
            if normal(path) in self._open:
                return bytes(self._open[normal(path)])
            entry = self._state.files.get(normal(path))
            return None if entry is None else base64.b64decode(entry["content"])

    def put(self, path: str, content: bytes) -> None:
        """Create or replace a file."""
        with self._lock:
            self._open.pop(normal(path), None)
            known = self._state.files.get(normal(path), {})
            self._state.files[normal(path)] = {
                "path": known.get("path", ntpath.normpath(path)),
                "content": base64.b64encode(content).decode(),
                "modified": self._now(),
            }

    def remove(self, path: str) -> None:
        """Delete a file; nothing happens when there is none."""
        with self._lock:
            self._open.pop(normal(path), None)
            self._state.files.pop(normal(path), None)

    def folder(self, path: str) -> bool:
        """Return whether there is such a folder."""
        with self._lock:
            head = normal(path).rstrip("\\") + "\\"
            return any(each.startswith(head) for each in self._state.files) or normal(path) in {"c:\\", "c:\\users\\ops"}

    def make_folder(self, path: str) -> bool:
        """Make a folder and those above it; return False where it exists already."""
        with self._lock:
            if self.folder(path):
                return False
            self.put(ntpath.join(path, _KEEPER), b"")
            return True

    def remove_folder(self, path: str) -> bool:
        """Delete a folder with all below it; return False where there is none."""
        with self._lock:
            head = normal(path).rstrip("\\") + "\\"
            inside = [each for each in self._state.files if each.startswith(head)]
            for each in inside:
                del self._state.files[each]
            for each in [each for each in self._open if each.startswith(head)]:
                del self._open[each]
            return bool(inside)

    @staticmethod
    def is_part(path: str) -> bool:
        """Return whether the worker is writing a file under this name."""
        return ntpath.basename(path).startswith(PART)

    def size(self, path: str) -> int | None:
        """Return a file's size, None where there is no such file."""
        with self._lock:
            known = self._open.get(normal(path))
            if known is not None:
                return len(known)
            entry = self._state.files.get(normal(path))
            if entry is None:
                return None
            text = str(entry["content"])
            return len(text) // 4 * 3 - text[-2:].count("=")

    def modified(self, path: str) -> float:
        """Return when a file, or the last one in a folder, was changed."""
        with self._lock:
            return self._modified(path) if normal(path) not in self._open else self._now()

    def part(self, path: str, offset: int, count: int) -> bytes:
        """Return a part of a file; raises Refusal where there is none."""
        with self._lock:
            known = self._open.get(normal(path))
            if known is not None:
                return bytes(known[offset : offset + count])
            entry = self._state.files.get(normal(path))
            if entry is None:
                raise Refusal("no-file", f"Could not find file '{path}'.")
            # four letters hold three bytes: only the part is decoded
            first = offset // 3
            text = entry["content"][first * 4 : ((offset + count) // 3 + 1) * 4]
            return base64.b64decode(text)[offset - first * 3 :][:count]

    def write_part(self, path: str, offset: int, content: bytes) -> None:
        """Write a part of a file; one that is no part of the worker's goes to disk with the machine."""
        with self._lock:
            if normal(path) not in self._open:
                self._open[normal(path)] = bytearray(self.get(path) or b"")
            self._open[normal(path)][offset : offset + len(content)] = content
            self._settle(path)

    def cut(self, path: str, size: int) -> None:
        """Give a file a size."""
        with self._lock:
            self.write_part(path, 0, b"")
            whole = bytearray(self.get(path) or b"")
            self._open[normal(path)] = whole[:size].ljust(size, b"\0")
            self._settle(path)

    def _settle(self, path: str) -> None:
        if not self.is_part(path):
            self.put(path, bytes(self._open[normal(path)]))

    def move(self, path: str, to: str) -> None:
        """Give a file or a folder another name; the time of a file stays."""
        with self._lock:
            content = self.get(path)
            if content is not None:
                modified = self._state.files.get(normal(path), {}).get("modified", self._now())
                self.remove(path)
                self.put(to, content)
                self._state.files[normal(to)]["modified"] = modified
                return
            head = normal(path).rstrip("\\") + "\\"
            for key in [each for each in self._state.files if each.startswith(head)]:
                entry = self._state.files.pop(key)
                below = entry["path"][len(head) :]
                self._state.files[normal(ntpath.join(to, below))] = {**entry, "path": ntpath.join(ntpath.normpath(to), below)}

    def entries(self, path: str) -> list[tuple[str, int, bool, float]]:
        """Return name, size, whether it is a folder, and the time of its last change of everything in a folder."""
        with self._lock:
            found = []
            for name in self.names(path):
                whole = ntpath.join(path, name)
                content = self.get(whole)
                found.append((name, 0 if content is None else len(content), content is None, self._modified(whole)))
            return found

    def _modified(self, path: str) -> float:
        key = normal(path)
        inside = (each for name, each in self._state.files.items() if name == key or name.startswith(key + "\\"))
        return max((float(each.get("modified", self._state.booted)) for each in inside), default=self._state.booted)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, those of folders too."""
        with self._lock:
            head = normal(path).rstrip("\\") + "\\"
            inside = [entry["path"][len(head) :] for key, entry in self._state.files.items() if key.startswith(head)]
            return sorted({name.split("\\")[0] for name in inside})

    def holds(self, path: str) -> bool:
        """Return whether a folder holds anything but what keeps it there."""
        return any(name != _KEEPER for name in self.names(path))

    def read(self, path: str, *, offset: int, limit: int, tail: bool) -> dict[str, Any]:
        """Answer the worker's `read`."""
        may_open(self._state, path)
        size = self.size(path)
        if size is None and self.folder(path):
            raise Refusal("denied", f"Access to the path '{path}' is denied.")  # as .NET says of a folder
        if size is None:
            return {"missing": True}
        start = max(0, size - limit) if tail else max(0, offset)
        return {"size": size, "offset": start, "content": base64.b64encode(self.part(path, start, limit)).decode()}

    def write(  # the call's fields, always given by name
        self, path: str, *, offset: int, content: bytes, last: bool, sha256: str, backup: str | None
    ) -> dict[str, Any]:
        """Answer the worker's `write`: slices go to a temporary file, and the last one moves it into place."""
        with self._lock:
            if closed(self._state, path):
                raise Refusal("denied", f"Access to the path '{part_of(path)}' is denied.")
            if not self.folder(ntpath.dirname(ntpath.normpath(path))):
                raise Refusal("not-found", f"Could not find a part of the path '{part_of(path)}'.")
            part = part_of(path)
            before = b"" if offset == 0 else (self.get(part) or b"")
            if offset and not before:
                raise Refusal("no-part", f"the first slices of {path} are not here any more")
            if len(before) != offset:
                self.remove(part)
                raise Refusal("error", f"{path}: {len(before)} bytes have come, the next slice starts at {offset}")
            whole = before + content
            if not last:
                self.put(part, whole)
                return {"size": len(whole)}
            if hashlib.sha256(whole).hexdigest() != sha256.lower():
                self.remove(part)
                raise Refusal("error", f"SHA-256 of {part} is not what was announced; {path} is untouched")
            old = self.get(path)
            self.remove(part)
            self._may_replace(path)
            if backup and old is not None:
                if not self.folder(ntpath.dirname(ntpath.normpath(backup))):
                    raise Refusal("not-found", f"Could not find a part of the path '{backup}'.")
                self._may_replace(backup)
                self.put(backup, old)
            self.put(path, whole)
            self._state.wrote(f"file {ntpath.basename(path)}")
            return {"size": len(whole)}

    def _may_replace(self, path: str) -> None:
        """Raise Refusal where a file cannot replace the existing entry."""
        may_open(self._state, path)
        if self.get(path) is None and self.folder(path):
            raise Refusal("error", "Cannot create a file when that file already exists.")
