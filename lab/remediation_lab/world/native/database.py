"""The settings database of the Windows app: a real SQLite file with the columns that a server's environment comes from (facts/native 1.3)."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

_MADE = """
CREATE TABLE settings (
    id INTEGER PRIMARY KEY CHECK (id = 1), schema_version INTEGER, device_id TEXT, has_completed_first_run BOOLEAN, expose BOOLEAN, browser BOOLEAN,
    models TEXT, agent BOOLEAN, tools BOOLEAN, working_dir TEXT, context_length INTEGER
);
CREATE TABLE chats (id TEXT PRIMARY KEY, title TEXT);
CREATE TABLE messages (id INTEGER PRIMARY KEY, chat_id TEXT, role TEXT, content TEXT);
CREATE TABLE attachments (id INTEGER PRIMARY KEY, message_id INTEGER, filename TEXT, data BLOB);
INSERT INTO chats VALUES ('c1', 'a private talk');
INSERT INTO messages VALUES (1, 'c1', 'user', 'private');
INSERT INTO settings (id, device_id, working_dir) VALUES (1, '6d1f', '');
"""
"""The tables of the chats are there because no program may read them."""
_CHANGED = """
UPDATE settings SET schema_version = :schema_version, has_completed_first_run = :has_completed_first_run, expose = :expose, browser = :browser,
    models = :models, agent = :agent, tools = :tools, context_length = :context_length WHERE id = 1
"""
_DEFAULTS = {"has_completed_first_run": 1, "expose": 0, "browser": 0, "models": "", "agent": 0, "tools": 0}
_SCHEMAS = ((33, 18), (20, 16), (17, 14), (16, 13), (12, 12))
"""The number of the schema by the minor version of the release that began with it."""


def new(version: str, **values: object) -> bytes:
    """Return the database that a release makes at its first start, with these values in its row."""
    minor = int(version.split(".")[1])
    schema = next((number for since, number in _SCHEMAS if minor >= since), 12)
    row = {**_DEFAULTS, "schema_version": schema, "context_length": 0 if schema > 13 else 4096, **values}

    def made(database: sqlite3.Connection) -> None:
        database.executescript(_MADE)
        database.execute(_CHANGED, row)

    return _changed(b"", made)


def settings(content: bytes) -> dict[str, Any]:
    """Return the row of settings."""
    found: dict[str, Any] = {}

    def read(database: sqlite3.Connection) -> None:
        database.row_factory = sqlite3.Row
        row = database.execute("SELECT * FROM settings WHERE id = 1").fetchone()
        found.update(dict(row) if row is not None else {})

    _changed(content, read)
    return found


def updated(content: bytes, values: Mapping[str, object]) -> bytes:
    """Return the database with other values in its row."""
    row = {**settings(content), **values}
    return _changed(content, lambda each: each.execute(_CHANGED, row))


def environment(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that the app writes over its own before it starts the server."""
    given = {}
    if row.get("expose"):
        given["OLLAMA_HOST"] = "0.0.0.0"  # what the app writes; nothing is bound here
    if row.get("browser"):
        given["OLLAMA_ORIGINS"] = "*"
    if row.get("models"):
        given["OLLAMA_MODELS"] = str(row["models"])
    if int(row.get("context_length") or 0) > 0:
        given["OLLAMA_CONTEXT_LENGTH"] = str(row["context_length"])
    return given


def _changed(content: bytes, change: Callable[[sqlite3.Connection], object]) -> bytes:
    """Change the database in a temporary file: `deserialize` came with Python 3.11."""
    with tempfile.TemporaryDirectory(prefix="remediation-lab-") as folder:
        path = Path(folder) / "db.sqlite"
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as database, database:
            change(database)
        return path.read_bytes()
