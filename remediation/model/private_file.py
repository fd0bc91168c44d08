"""Atomic file writes; private files are readable only by their owner."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 600 regardless of the umask. Raises `OSError`."""
    write_atomically(path, text, mode=0o600)


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Write `content` to `path` atomically. `mode` is subject to the umask. Raises `OSError`.

    The file is created next to `path` with its final mode and renamed, so that readers never see a partial file and a
    symbolic link at `path` is replaced, not followed. Other kinds of files (``/dev/stdout``, a pipe) are written to directly.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(_encoded(content))
        return
    with _temporary_file(path, _encoded(content), mode) as temporary:
        temporary.replace(path)


def create_private(path: Path, text: str) -> None:
    """Create `path` with mode 600. Of several writers the first one creates it. Raises `FileExistsError` and other `OSError`."""
    with _temporary_file(path, _encoded(text), 0o600) as temporary:
        os.link(temporary, path)  # unlike a rename, it replaces nothing


@contextmanager
def _temporary_file(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Yield a new file with the content next to `path`; remove it at the end if it is still there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _encoded(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
