"""A folder of a simulated machine, with the parts of `pathlib.Path` that a model store needs."""

from __future__ import annotations

import fnmatch
import ntpath
from collections.abc import Iterator
from dataclasses import dataclass

from remediation_lab.world.files import Files


@dataclass(frozen=True, slots=True)
class Modified:
    """The part of `os.stat_result` that is used."""

    st_mtime: float


@dataclass(frozen=True, slots=True, order=True)
class LabPath:
    """A path on a machine, as `pathlib.Path` is one on this computer."""

    path: str
    files: Files

    def __truediv__(self, name: str) -> LabPath:
        return LabPath(ntpath.join(self.path, *name.split("/")), self.files)

    @property
    def name(self) -> str:
        """The last part."""
        return ntpath.basename(self.path)

    @property
    def parent(self) -> LabPath:
        """The folder above."""
        return LabPath(ntpath.dirname(self.path), self.files)

    def glob(self, pattern: str) -> Iterator[LabPath]:
        """Yield the entries below that fit a pattern of one part per folder."""
        first, _, rest = pattern.partition("/")
        for name in self.files.names(self.path):
            if fnmatch.fnmatchcase(name, first):
                found = self / name
                yield from found.glob(rest) if rest else [found]

    def exists(self) -> bool:
        """Return whether there is such a file or folder."""
        return self.files.size(self.path) is not None or self.files.folder(self.path)

    def read_bytes(self) -> bytes:
        """Return a file's content; raises FileNotFoundError."""
        content = self.files.get(self.path)
        if content is None:
            raise FileNotFoundError(self.path)
        return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return a file's text; raises FileNotFoundError."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> int:
        """Create or replace a file."""
        self.files.put(self.path, content)
        return len(content)

    def stat(self) -> Modified:
        """Return when the file was changed."""
        return Modified(self.files.modified(self.path))

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there as soon as a file is in it."""

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete a file; raises FileNotFoundError."""
        if self.files.get(self.path) is None and not missing_ok:
            raise FileNotFoundError(self.path)
        self.files.remove(self.path)
