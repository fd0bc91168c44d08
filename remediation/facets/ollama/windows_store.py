"""The model store of a native Ollama server on Windows: a folder in the desktop user's profile."""

from __future__ import annotations

import ntpath
import re
from collections.abc import Mapping

from remediation.connections.calls import Run
from remediation.facets.checked import checked
from remediation.facets.machine.docker_desktop import STATE_PROBE
from remediation.facets.machine.files import HostFilesWriter
from remediation.facets.machine.rights import problems
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed

_HASH = re.compile(r"^[0-9a-f]{64}$", re.MULTILINE)


def folder(snapshot: Snapshot) -> str:
    """Return the folder of the desktop user's models."""
    value = snapshot.probe(STATE_PROBE, "reading the desktop user's profile")
    config = value["WslConfigPath"]
    if not config:
        why = problems(value).get("Profile")
        raise CallFailed("the desktop user's profile was not found" + (f": {why}" if why else ""), host=snapshot.host)
    return ntpath.join(ntpath.dirname(str(config)), ".ollama", "models")


@checked("windows_store")
class OnWindows:
    """See `remediation.facets.ollama.model_store.BlobStore`."""

    def __init__(self, snapshot: Snapshot, where: str) -> None:
        self._snapshot, self._where = snapshot, where
        self._files = HostFilesWriter(snapshot)

    def read(self, path: str) -> bytes | None:
        """Return a file's content."""
        return self._files.read(self._path(path))

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Return the sizes of a folder's files."""
        return {each.name: each.size for each in self._files.list(self._path(folder)) or () if not each.folder}

    def digest(self, path: str, *, timeout: float) -> str:
        """Return the SHA-256 of a file. certutil's messages are localized, but the hash is on a separate line."""
        call = Run(("certutil.exe", "-hashfile", self._path(path), "SHA256"), timeout=timeout)
        text = self._snapshot.run(call, f"hashing {path}").text.lower().replace(" ", "")
        match = _HASH.search(text.replace("\r", ""))
        if match is None:
            raise CallFailed(f"hashing {path} failed: certutil printed no hash", host=self._snapshot.host)
        return f"sha256:{match[0]}"

    def move(self, path: str, to: str) -> None:
        """Move a file, replacing `to`."""
        self._files.create_folder(ntpath.dirname(self._path(to)))
        self._files.remove(self._path(to))
        self._files.rename(self._path(path), self._path(to))

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._files.remove(self._path(path))

    def _path(self, path: str) -> str:
        return ntpath.join(self._where, *path.split("/"))
