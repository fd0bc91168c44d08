"""Reads the user's files: regular files of limited size, as UTF-8 text."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MIB = 1024**2
LARGEST = 16 * MIB
"""Maximum size in bytes of a playbook, inventory, variable file, template or vault; handwritten files are far smaller."""

_HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
"""Paths of pipes that a shell passes as open descriptors (``-e @<(command)``)."""


def shipped_folder(kind: str) -> Path:
    """Return the package's folder of `kind` (``playbooks`` or ``inventory``)."""
    package = Path(__file__).parents[1]
    installed = package / "shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def read_text(path: Path, *, encoding: str = "utf-8", most: int = LARGEST) -> str:
    """Return the text of a file.

    Raises OSError with a message for a file that is too large or not regular, and UnicodeDecodeError.
    """
    return read_bytes(path, most).decode(encoding)


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Return the content of a file. Raises OSError with a message for a file that is too large or not regular."""
    kind = path.stat()
    if not stat.S_ISREG(kind.st_mode):
        handed_over = stat.S_ISFIFO(kind.st_mode) and str(path).startswith(_HANDED_OVER)
        if stat.S_ISDIR(kind.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not handed_over:
            raise OSError(errno.EINVAL, "not a regular file", str(path))
    if kind.st_size > most:
        raise _too_large(path, most)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise _too_large(path, most)
    return content


def _too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most // MIB} MiB", str(path))
