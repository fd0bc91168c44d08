"""The PowerShell that these tests run: REMEDIATION_POWERSHELL, else powershell.exe, else pwsh. Needs nothing but this package."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "remediation"


def found() -> str | None:
    """Return the program, None where there is none."""
    named = os.environ.get("REMEDIATION_POWERSHELL")
    return named or shutil.which("powershell.exe") or shutil.which("pwsh")


def program() -> str:
    """Return the program, or skip: no registry that CI reaches carries one, so not even CI=true makes that a failure."""
    there = found()
    return there if there is not None else _none()


def _none() -> NoReturn:
    pytest.skip("no PowerShell on this machine: set REMEDIATION_POWERSHELL, or put powershell.exe or pwsh on PATH")


def texts() -> list[Path]:
    """Return every PowerShell file that is shipped."""
    return sorted(SCRIPTS.rglob("*.ps1"))
