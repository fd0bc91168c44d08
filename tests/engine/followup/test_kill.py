"""``kill -9`` of a real controller process, then resume from what lies on disk."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remediation.engine.journal.history import runs
from remediation.engine.journal.journal import Journal
from tests.engine.killed_controller import NAMES, run, world

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("event", [2, 3, 6])
def test_a_killed_controller_is_resumed_to_the_same_end_and_repeats_nothing(tmp_path: Path, event: int, when: str) -> None:
    host, state = tmp_path / "host", tmp_path / "runs"
    host.mkdir()
    program = [sys.executable, "-m", "tests.engine.killed_controller", str(host), str(state), str(event), when]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (record,) = runs(state)
    assert record.end is None
    journal = Journal(record.folder)
    run(host, journal)
    journal.close()
    assert {name: content for name, content in world(host).texts.items()} == dict.fromkeys(NAMES, b"new")  # noqa: C416 - a Mapping class
    assert sorted((host / "writes").read_text().split("\n")[:-1]) == [f"write {name}" for name in NAMES]
