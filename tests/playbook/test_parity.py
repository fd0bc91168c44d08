"""The recorded cases of a real ansible-core, where they are at hand (``REMEDIATION_CORPUS``): the same, case for case."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.preloaded_python import python

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(900)]

LEAST = 0.93


def test_at_least_so_many_cases_do_what_ansible_did(tmp_path: Path) -> None:
    corpus = os.environ.get("REMEDIATION_CORPUS")
    if not corpus:
        pytest.skip("REMEDIATION_CORPUS names no folder")
    cases = Path(corpus) / "parity"
    command = tmp_path / "play"
    start = shlex.join([*python(os.environ), "-m", "tests.playbook.play_runner"])
    command.write_text(f'#!/bin/sh\nPYTHONPATH={Path(__file__).parents[2]} exec {start} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    program = [sys.executable, str(cases / "compare"), str(cases), "--command", str(command), "--min", str(LEAST), "--jobs", "2"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
