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

    def get(self, path: str) -> bytes | None:
        """Return a file's bytes, None when there is no such file."""
        with self._lock:
            entry = self._state.files.get(normal(path))
            return None if entry is None else base64.b64decode(entry["content"])

    def put(self, path: str, content: bytes) -> None:
        """Create or replace a file."""
        with self._lock:
            known = self._state.files.get(normal(path), {})
            self._state.files[normal(path)] = {
                "path": known.get("path", ntpath.normpath(path)),
                "content": base64.b64encode(content).decode(),
                "modified": self._now(),
            }

    def remove(self, path: str) -> None:
        """Delete a file; nothing happens when there is none."""
        with self._lock:
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
            return bool(inside)

    def entries(self, path: str) -> list[tuple[str, int, bool, float]]:
        """Return name, size, whether it is a folder, and the time of its last change of everything in a folder."""
        with self._lock:
            found = []
            for name in self.names(path):
                whole = ntpath.join(path, name)
                content = self.get(whole)
                found.append((name, 0 if content is None else len(content), content is None, self.modified(whole)))
            return found

    def modified(self, path: str) -> float:
        """Return the time of the last change of a file, or of anything in a folder."""
        key = normal(path)
        inside = (each for name, each in self._state.files.items() if name == key or name.startswith(key + "\\"))
        return max((float(each.get("modified", self._state.booted)) for each in inside), default=self._state.booted)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, those of folders too."""
        with self._lock:
            head = normal(path).rstrip("\\") + "\\"
            inside = [entry["path"][len(head) :] for key, entry in self._state.files.items() if key.startswith(head)]
            return sorted({name.split("\\")[0] for name in inside})

    def read(self, path: str, *, offset: int, limit: int, tail: bool) -> dict[str, Any]:
        """Answer the worker's `read`."""
        may_open(self._state, path)
        content = self.get(path)
        if content is None and self.folder(path):
            raise Refusal("denied", f"Access to the path '{path}' is denied.")  # as .NET says of a folder
        if content is None:
            return {"missing": True}
        start = max(0, len(content) - limit) if tail else max(0, offset)
        return {"size": len(content), "offset": start, "content": base64.b64encode(content[start : start + limit]).decode()}

    def write(  # the call's fields, always given by name
        self, path: str, *, offset: int, content: bytes, last: bool, sha256: str, backup: str | None
    ) -> dict[str, Any]:
        """Answer the worker's `write`: slices go to a temporary file, and the last one moves it into place."""
        with self._lock:
            if not self.folder(ntpath.dirname(ntpath.normpath(path))):
                raise Refusal("not-found", f"there is no folder {ntpath.dirname(ntpath.normpath(path))} for {path}")
            if closed(self._state, path):
                raise Refusal("denied", f"Access to the path '{path}' is denied.")
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
                    raise Refusal("not-found", f"{path}: Could not find a part of the path '{backup}'.")
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
