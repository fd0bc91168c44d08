"""Files that are written as a whole or not at all; private ones may be read by their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, readable and writable by its owner alone whatever the umask; raises `OSError`."""
    write_whole(path, text, mode=0o600)


def write_whole(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write `text` to `path`; raises `OSError`. `mode` is what the umask leaves of it.

    The file is created beside `path` with its final mode and renamed, so that no reader sees half of it and a link that
    lies at `path` is replaced, not followed. What is no regular file (``/dev/stdout``, a pipe) is written to as it is.
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
