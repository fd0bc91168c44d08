"""The real program, in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remediation_lab import control
from tests.cli.processes import ROOT, Remediate, Started
from tests.support.preloaded_python import python


def settings(folder: Path) -> dict[str, str]:
    """Return an environment with state and home below a folder, and nothing of the user's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "XDG_", "REMEDIATION_"))}
    kept |= {"PYTHONPATH": str(ROOT), "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "COLUMNS": "100"}
    kept["REMEDIATION_LEASE_FOLDER"] = str(folder / "lease")  # tests that run at once are no rivals
    return kept


@contextmanager
def running(folder: Path, environment: dict[str, str]) -> Iterator[Remediate]:
    """Yield a function that runs ``remediate`` with these words in a folder; a lab that it started is stopped afterwards.

    It is a fork of a process that has loaded it; with `fresh`, or another `program`, it is started as its users start it.
    """

    def start(
        *words: str,
        cwd: Path | None = None,
        program: tuple[str, ...] = (),
        fresh: bool = False,
        timeout: float = 60,
        **variables: str,
    ) -> Started:
        given = {**environment, **variables}
        begin = [sys.executable] if fresh or program else python(given)
        return subprocess.run(
            [*begin, *(program or ("-m", "remediation.cli.main")), *words],
            cwd=cwd or folder,
            env=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=timeout,
        )

    try:
        yield start
    finally:
        control.stop(folder / "state" / "remediation" / "lab")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The settings of one test."""
    return settings(tmp_path)


@pytest.fixture
def remediate(tmp_path: Path, environment: dict[str, str]) -> Iterator[Remediate]:
    """The program in an empty folder."""
    with running(tmp_path, environment) as start:
        yield start
