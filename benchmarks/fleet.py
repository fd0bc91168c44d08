"""A fleet of the lab's hosts, repaired in one run: each host's result, the cost for the controller, whether a host that hangs costs others.

``python -m benchmarks.fleet [--hosts 200] [--forks 50] [--repeat 1]``. The lab runs in separate processes; processor time and
memory are those of the ``remediate`` process alone (getrusage). The hosts have the faults of `MIXED` in turn. Runs come in pairs: in the
second of a pair the last host accepts connections and never answers. Each run has a new lab, independent of earlier runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT, lab_inventory
from remediation_lab import control

MIXED = (
    "vram-occupied", "num-gpu-1", "llm-library-cuda", "healthy", "num-gpu-1-model", "not-loaded", "other-model", "no-gpu-request",
    "num-gpu-1-0.32", "visible-devices",
)  # fmt: skip
"""Faults that a rung cures without a last resort, a host with nothing to do, and one whose model is not loaded."""
HANGS = "hangs"
_KIB = 1024
_MORE = """\
    max_risk: disruptive
    close_programs: true
    warn_seconds: 0
"""


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took: seconds on the wall until its end and until the last host but the one that hangs, of processors, and MiB."""

    wall: float
    others: float
    processor: float
    memory: float
    outcomes: Mapping[str, Counter[str]]


def repaired(inventory: Path, faults: Mapping[str, str], forks: int, state: Path) -> Took:
    """Run ``fix-offload`` on all hosts and return what it took."""
    words = ["-m", "remediation.cli.main", "fix-offload", "--inventory", str(inventory), "--forks", str(forks), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(state)}
    began, others = time.perf_counter(), 0.0
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as run:
        assert run.stdout is not None  # a pipe was asked for
        for line in run.stdout:
            event = json.loads(line)
            if event["event"] == "host_end":
                fault = faults[event["host"]]
                outcomes[fault][event["outcome"]] += 1
                others = others if fault == HANGS else time.perf_counter() - began
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if sum(map(len, outcomes.values())) == 0:
        raise SystemExit(f"no host came to an end; the run ended with {run.returncode}")
    return Took(time.perf_counter() - began, others, used.ru_utime + used.ru_stime, used.ru_maxrss / _KIB, outcomes)


def main() -> None:
    """Print the table of both runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--forks", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    answering, one_hangs = [], []
    for _ in range(options.repeat):
        answering.append(_measured(options.hosts, options.forks, hanging=False))
        one_hangs.append(_measured(options.hosts, options.forks, hanging=True))
    _told(answering, one_hangs, options.hosts, options.forks)


def _measured(hosts: int, forks: int, *, hanging: bool) -> Took:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        place = state / "remediation" / "lab"
        lab = control.start(place, hosts=hosts)
        try:
            inventory = state / "fleet.yml"
            names = [host.name for host in lab.hosts]
            inventory.write_text(lab_inventory(names, _MORE), encoding="utf-8")
            *working, last = names
            faults = {name: MIXED[index % len(MIXED)] for index, name in enumerate(working)}
            for name, fault in faults.items():
                control.fault(name, fault, place)
            if hanging:
                control.wire(last, "silent", place, times=1000, seconds=3600)
            return repaired(inventory, {**faults, last: HANGS if hanging else "healthy"}, forks, state)
        finally:
            control.stop(place)


def _told(answering: Sequence[Took], one_hangs: Sequence[Took], hosts: int, forks: int) -> None:
    print(f"{hosts} hosts, {forks} forks, mixed faults\n")
    print("| | all answer | one hangs |\n|---|---|---|")
    for text, value in (
        ("seconds until the last host that answers was done", lambda run: f"{run.others:.0f}"),
        ("seconds until the end", lambda run: f"{run.wall:.0f}"),
        ("the controller's processor, seconds per host", lambda run: f"{run.processor / hosts:.2f}"),
        ("the controller's memory at most, MiB", lambda run: f"{run.memory:.0f}"),
    ):
        print(f"| {text} | {' | '.join(', '.join(map(value, runs)) for runs in (answering, one_hangs))} |")
    print("\n| fault | came to, in the runs in which one hangs |\n|---|---|")
    ended: dict[str, Counter[str]] = defaultdict(Counter)
    for run in one_hangs:
        for fault, outcomes in run.outcomes.items():
            ended[fault] += outcomes
    for fault in sorted(ended):
        print(f"| {fault} | {', '.join(f'{number} {outcome}' for outcome, number in ended[fault].items())} |")


if __name__ == "__main__":
    main()
