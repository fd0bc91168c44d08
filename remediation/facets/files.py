"""Files on the host, by paths as the host writes them."""

from __future__ import annotations

from remediation.connections.base import ReadFile, WriteFile
from remediation.facets.look import Look


class Files:
    """Reading."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None when there is no such file."""
        return self._look.content(ReadFile(path))


class FilesWriter(Files):
    """And replacing as a whole."""

    def write(self, path: str, content: bytes, *, backup: str | None = None) -> None:
        """Replace a file, keeping a copy at `backup` where given."""
        self._look.put(WriteFile(path, content, backup=backup))
