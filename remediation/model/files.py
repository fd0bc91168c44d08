"""Reads the user's files: regular files of limited size, as UTF-8 text."""

from __future__ import annotations

import errno
import os
import secrets
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


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 600 regardless of the umask. Raises `OSError`."""
    write_whole(path, text, mode=0o600)


def write_whole(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write `text` to `path` atomically. `mode` is subject to the umask. Raises `OSError`.

    The file is created next to `path` with its final mode and renamed, so that readers never see a partial file and a
    symbolic link at `path` is replaced, not followed. Other kinds of files (``/dev/stdout``, a pipe) are written to directly.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
