"""Edits of text files: the change with its diff, its backup and its undo, and how it is applied."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from typing import Any

from remediation.facets.protocols import Writer
from remediation.model.change import Change, StepCall


def file_edit(
    summary: str, path: str, old: str | None, new: str, /, *, restore: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None, **more: Any,
) -> Change:  # fmt: skip
    """Return the change that gives a file the text `new`; `old` is None if there is no file.

    Its undo is ``file.restored``, with `restore` as further parameters. `data` is added to the change's data, and `more` are its other
    fields.
    """
    backup, origin = origin_of(path, old)
    undo = StepCall("file.restored", {"path": path, **origin, "expect": digest(new), **(restore or {})})
    return Change(
        summary, subject=path, diff=unified_diff(path, old or "", new), undo=undo,
        data={"text": new, "backup": backup, **(data or {})}, **more,
    )  # fmt: skip


def write_edit(host: Writer, change: Change) -> None:
    """Carry out a change of `file_edit`."""
    host.files.write(change.subject, change.data["text"].encode("utf-8"), backup=change.data["backup"])


def origin_of(path: str, before: str | None) -> tuple[str | None, dict[str, Any]]:
    """Return the backup path of a file (None without a file), and what an undo has to know of the file before the edit."""
    if before is None:
        return None, {"made": True}
    backup = f"{path}.{digest(before)[:8]}.bak"
    return backup, {"backup": backup}


def digest(text: str) -> str:
    """Return the SHA-256 of the UTF-8 text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def unified_diff(path: str, before: str, after: str) -> str:
    """Return a unified diff of a file."""
    # no context lines: they may contain secrets, and diffs are written to the journal
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="", n=0)
    return "\n".join(lines)
