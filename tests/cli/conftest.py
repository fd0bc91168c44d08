"""The real program, started as its users start it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediation.lab import control
from tests.cli.started import ROOT, Remediate, Started


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A state folder and a home of the test's own; nothing of the user's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "XDG_", "REMEDIATION_"))}
    kept |= {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "COLUMNS": "100"}
    kept["REMEDIATION_LEASE_FOLDER"] = str(tmp_path / "lease")  # tests that run at once are no rivals
    return kept


@pytest.fixture
def remediate(tmp_path: Path, environment: dict[str, str]) -> Iterator[Remediate]:
    """Run ``remediate`` with these words in an empty folder; a lab that it started is stopped afterwards."""

    def start(*words: str, cwd: Path | None = None, program: tuple[str, ...] = (), **variables: str) -> Started:
        command = [sys.executable, *(program or ("-m", "remediation.cli.program")), *words]
        folder = cwd or tmp_path
        return subprocess.run(
            command,
            cwd=folder,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )

    yield start
    control.stop(tmp_path / "state" / "remediation" / "lab")
