"""Repairs on the lab that are ended by a signal at a random event, each followed at once by a plain run."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from remediation.engine.journal.history import runs
from tests.cli.processes import Remediate

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")

SEED = 20_250_611
FAULTS = ("vram-occupied", "num-gpu-1", "llm-library-cuda", "visible-devices")
SIGNALS = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT")
LAB = ("--inventory", "lab")
SAMPLE = 4


def _cases() -> list[object]:
    """Return 40 kills: a fault, a signal, and after how many events it comes; the first ones are all kinds of signals."""
    draw = random.Random(SEED)
    cases = [(FAULTS[draw.randrange(len(FAULTS))], SIGNALS[number % 4], draw.randint(2, 26)) for number in range(40)]
    return [
        pytest.param(case, id=f"{number}-{case[0]}-{case[1]}-{case[2]}", marks=[pytest.mark.every] if number >= SAMPLE else [])
        for number, case in enumerate(cases)
    ]


def _writes(remediate: Remediate) -> Counter[str]:
    """Return what was written to the machine, without what every run writes: the lease, and a few tokens for the figures."""
    status = json.loads(remediate("lab.status", "--json").stdout)["laptop-07"]["writes"]
    return Counter({kind: count for kind, count in status.items() if "lease" not in kind and "generate" not in kind})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", _cases())
def test_a_run_that_is_ended_by_a_signal_does_not_block_the_next_one_and_nothing_is_done_twice(
    remediate: Remediate, environment: dict[str, str], tmp_path: Path, case: tuple[str, str, int]
) -> None:
    fault, number, events = case
    remediate("lab.start")
    assert remediate("lab.fault", "laptop-07", fault).returncode == 0
    undisturbed = remediate("fix-offload", *LAB)
    assert undisturbed.returncode == 0, undisturbed.stdout
    once = _writes(remediate)
    remediate("lab.fault", "laptop-07", fault)

    command = [sys.executable, "-m", "remediation.cli.main", "fix-offload", *LAB, "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _line in range(events):
        if not process.stdout.readline():
            break
    process.send_signal(signal.Signals[number])
    _, said = process.communicate(timeout=100)
    killed = runs(tmp_path / "state" / "remediation" / "runs")[0]
    if process.returncode == 130:
        assert killed.end is not None, said
    elif process.returncode != 0:
        assert process.returncode == -signal.SIGKILL, said
    again = remediate("fix-offload", *LAB)  # ends within the 60 s that a run is given
    assert again.returncode == 0, f"killed after {[event.kind for event in killed.events]}\n{again.stdout}{again.stderr}"
    print(f"\n{number} after {len(killed.events)} events ({killed.events[-1].kind}): {again.stdout.splitlines()[-1]}"
          f"{' | took over' if 'took over' in again.stdout else ''}{' | waited' if 'waiting until' in again.stdout else ''}")  # fmt: skip
    assert [kind for kind, count in _writes(remediate).items() if count > once[kind]] == [], again.stdout
