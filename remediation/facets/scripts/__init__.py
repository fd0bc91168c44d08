"""The probes: each file is sent to the host as it is and answers with JSON (``docs/worker-protocol.md``), or is a POSIX script."""

from __future__ import annotations

import functools
from pathlib import Path

from remediation.model.errors import UsageError

FOLDER = Path(__file__).parent


@functools.cache
def script(name: str) -> str:
    """Return the text of the probe `name` for PowerShell; raises `UsageError` for a name that is none."""
    return _text(f"{name}.ps1")


@functools.cache
def shell(name: str) -> str:
    """Return the text of the POSIX script `name`."""
    return _text(f"{name}.sh")


def _text(name: str) -> str:
    path = FOLDER / name
    if path.parent != FOLDER or not path.is_file():
        raise UsageError(f"there is no probe {name}", next_step=f"the probes are the files in {FOLDER}")
    return path.read_text(encoding="utf-8")
