"""Files on the host. Paths have the host's notation."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.connections.calls import Failed, Probe, ReadFile, Reply, Run, WriteFile
from remediation.connections.posix.files import entry_call
from remediation.facets.checked import SnapshotReader, checked
from remediation.facets.machine.file_status import posix_status, windows_status
from remediation.facets.machine.rights import problems
from remediation.facets.scripts import shell
from remediation.model.errors import CallFailed
from remediation.model.facts import DiskSpace, FileEntry, FileStatus

_NO_FOLDER = 2
_KIB = 1024
_HASHING = 300.0
_RIGHTS = "check the login's rights to the folder"


@checked("files")
class HostFiles(SnapshotReader):
    """Reads files: with the ``folder`` probe on Windows, with ``stat`` and ``df`` elsewhere."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None if it does not exist."""
        return self._snapshot.content(ReadFile(path))

    def list(self, path: str) -> Sequence[FileEntry] | None:
        """Return a folder's entries, or None if it does not exist."""
        if self._windows:
            value = self._snapshot.probe(Probe("folder", {"path": path}), f"listing {path}")
            entries, reason = value["Entries"], problems(value).get("Entries")
            if reason:
                raise CallFailed(f"listing {path} failed: {reason}", host=self._snapshot.host, next_step=_RIGHTS)
            return None if entries is None else tuple(
                FileEntry(str(each["Name"]), int(each["Length"]), float(each["LastWriteTime"]), folder=bool(each["Folder"]))
                for each in entries
            )  # fmt: skip
        done = self._snapshot.run(Run(("sh", "-c", shell("folder"), "folder", path)), f"listing {path}", codes=(0, _NO_FOLDER))
        return None if done.rc == _NO_FOLDER else entries_of(done.text)

    def status(
        self, path: str, *, follow: bool = False, algorithm: str | None = None, details: bool = False
    ) -> FileStatus | None:
        """Return what is at a path, or None if there is nothing."""
        what = f"reading the status of {path}"
        if self._windows:
            value = self._snapshot.probe(
                Probe("status", {"path": path, "follow": follow, "algorithm": algorithm}, _HASHING), what
            )
            reason = problems(value).get("Exists") or problems(value).get("Sum")
            if reason:
                raise CallFailed(f"{what} failed: {reason}", host=self._snapshot.host, next_step=_RIGHTS)
            return windows_status(value) if value["Exists"] else None
        words = ("follow" if follow else "", f"{algorithm}sum" if algorithm else "", "details" if details else "")
        call = Run(("sh", "-c", shell("status"), "status", path, *words), timeout=_HASHING if algorithm else 30.0)
        done = self._snapshot.run(call, what, codes=(0, _NO_FOLDER), next_step=_RIGHTS)
        return None if done.rc == _NO_FOLDER else posix_status(path, done.text)

    def space(self, path: str) -> DiskSpace:
        """Return the disk space of the file system that contains `path`."""
        if self._windows:
            what = f"reading the disk space at {path}"
            value = self._snapshot.probe(Probe("folder", {"path": path, "entries": False}), what)
            if value["Total"] is None or value["Free"] is None:
                reason = problems(value).get("Total")
                message = f"{what} failed: {reason}" if reason else f"{path} is not on any drive of this host"
                raise CallFailed(message, host=self._snapshot.host)
            return DiskSpace(int(value["Total"]), int(value["Free"]))
        done = self._snapshot.run(Run(("sh", "-c", shell("space"), "space", path)), f"reading the disk space at {path}")
        row = done.text.strip().splitlines()[-1].split()
        return DiskSpace(int(row[1]) * _KIB, int(row[3]) * _KIB)

    @property
    def _windows(self) -> bool:
        return self._snapshot.platform == "windows"


@checked("files")
class HostFilesWriter(HostFiles):
    """Adds writing, renaming and removing files."""

    def write(self, path: str, content: bytes, *, backup: str | None = None) -> None:
        """Replace a file, with a copy of the old one at `backup` if given. Missing parent folders are created."""
        call = WriteFile(path, content, backup=backup)
        reply = self._snapshot.write(call)
        if isinstance(reply, Failed) and reply.kind == "not-found":
            reply = self._write_below_new(call)
        if isinstance(reply, Failed):
            self._snapshot.raise_for_file(reply, path)

    def _write_below_new(self, call: WriteFile) -> Reply:
        """Create the parent folder of a file and write it."""
        folder = parent(call.path)
        make = _file_probe("make", folder) if self._windows else entry_call("make", folder)
        return self._snapshot.write_all(make, call)[-1]

    def rename(self, path: str, to: str) -> None:
        """Rename a file. Raises `CallFailed` if it does not exist or `to` does."""
        self._change(f"renaming {path} to {to}", "rename", "move", path, to)

    def remove(self, path: str) -> None:
        """Remove a file, if it exists."""
        self._change(f"removing {path}", "remove", "remove", path)

    def remove_folder(self, path: str, *, empty: bool = False) -> None:
        """Remove a folder with its content."""
        self._change(f"removing {path}", "remove-empty" if empty else "remove-folder", "empty" if empty else "tree", path)

    def create_folder(self, path: str) -> None:
        """Create a folder and its parents, unless it exists."""
        self._change(f"creating {path}", "make", "make", path)

    def set_attributes(self, path: str, *, mode: int | None = None, owner: str | None = None, group: str | None = None) -> None:
        """Set mode and owner of a file or folder."""
        if self._windows:
            raise CallFailed(f"{path} has no mode on Windows", host=self._snapshot.host, next_step="remove mode, owner and group")
        if owner is not None or group is not None:
            whom = f"{owner or ''}{f':{group}' if group is not None else ''}"
            self._snapshot.run(entry_call("owner", path, whom), f"changing the owner of {path}", next_step=_RIGHTS)
        if mode is not None:  # after the owner: changing it clears set-user-ID bits
            self._snapshot.run(entry_call("mode", path, f"{mode:04o}"), f"changing the mode of {path}", next_step=_RIGHTS)

    def link(self, path: str, target: str, *, hard: bool = False) -> None:
        """Create a link."""
        what = f"linking {path} to {target}"
        if self._windows:
            raise CallFailed(
                f"{what}: links are not created on Windows", host=self._snapshot.host, next_step="use win_shell: New-Item"
            )
        self._snapshot.run(entry_call("hard" if hard else "link", path, target), what)

    def _change(self, what: str, action: str, verb: str, *paths: str) -> None:
        """Change an entry: by the `action` of the probe ``file``, or by the `verb` of `entry_call`."""
        if not self._windows:
            self._snapshot.run(entry_call(verb, *paths), what)
            return
        value = self._snapshot.probe(_file_probe(action, *paths), what)
        if not value["Done"]:
            raise CallFailed(f"{what} failed: {value['Problem']}", host=self._snapshot.host)


def _file_probe(action: str, path: str, to: str | None = None) -> Probe:
    return Probe("file", {"action": action, "path": path, "to": to}, writes=True)


def entries_of(text: str) -> tuple[FileEntry, ...]:
    """Parse the output of ``folder.sh``."""
    found = []
    for line in text.splitlines():
        head, bar, name = line.partition("|")
        parts = head.split(None, 2)
        if bar and len(parts) == 3:
            found.append(FileEntry(name, int(parts[0]), float(parts[1]), folder=parts[2] == "directory"))
    return tuple(found)


def parent(path: str) -> str:
    """Return the parent folder of a Windows or POSIX path."""
    cut = max(path.rfind("/"), path.rfind("\\"))
    return path[:cut] if cut > 0 else path[: cut + 1]
