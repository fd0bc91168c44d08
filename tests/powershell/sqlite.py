"""SQLite under the name that Windows gives it, for the settings database of the Ollama app: the real library of this machine."""

from __future__ import annotations

import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.powershell.windows import Windows
from tests.support.requirements import missing

_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
# the columns that all releases of the app have (ollama app/store/database.go, v0.12.10 to v0.33.0)
TABLE = """CREATE TABLE settings (id INTEGER PRIMARY KEY CHECK (id = 1), device_id TEXT NOT NULL DEFAULT '', expose BOOLEAN NOT NULL DEFAULT 0,
browser BOOLEAN NOT NULL DEFAULT 0, models TEXT NOT NULL DEFAULT '', context_length INTEGER NOT NULL DEFAULT 4096,
schema_version INTEGER NOT NULL DEFAULT 12);
CREATE TABLE chats (id TEXT PRIMARY KEY, title TEXT);
INSERT INTO chats VALUES ('1', 'a secret conversation');
INSERT INTO settings (id, device_id, context_length, models) VALUES (1, 'my-device', 32768, 'D:\\modèles');"""


@contextmanager
def with_sqlite(root: Path) -> Iterator[Windows]:
    """Start a host whose programs find SQLite."""
    named = ctypes.util.find_library("sqlite3")
    if named is None:
        missing("no SQLite library: install libsqlite3-0")
    folder = root / "library"
    folder.mkdir()
    place = next((Path(each, named) for each in _FOLDERS if Path(each, named).exists()), Path(named))
    (folder / "winsqlite3.dll").symlink_to(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_LIBRARY_PATH", str(folder))
        windows = Windows(root / "windows")
        windows.answer("session")  # started while the library is found
    try:
        yield windows
    finally:
        windows.close()
