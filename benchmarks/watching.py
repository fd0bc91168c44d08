"""What ``watch`` and ``monitor`` cost the controller while the hosts are healthy: processor time per host and check.

``python -m benchmarks.watching [--hosts 40] [--every 8] [--rounds 6]``. The lab's hosts run in separate processes; the processor time is
that of the ``remediate`` process alone, read between two rounds, so the start and the first checks, which read whole logs, do not count.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import ROOT, lab_inventory
from remediation_lab import control

COMMANDS = (("watch", "--metrics", "127.0.0.1:19105"), ("watch",), ("monitor", "--json"))
FIRST = 2
"""Rounds that are not counted: the connections open, and whole logs are read."""


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, its own and the system's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rounds_of(words: Sequence[str], inventory: Path, state: Path, every: float, rounds: int) -> list[float]:
    """Return the processor seconds of each round of a command."""
    line = [sys.executable, "-m", "remediation.cli.main", *words, "--inventory", str(inventory), "--every", f"{every:g}s"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(state)}
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, env=environment, cwd=ROOT) as process:
        try:
            time.sleep(every * (FIRST + 0.5))
            readings = [processor_seconds(process.pid)]
            for _ in range(rounds):
                time.sleep(every)
                readings.append(processor_seconds(process.pid))
        finally:
            process.send_signal(signal.SIGINT)
    return [later - earlier for earlier, later in itertools.pairwise(readings)]


def main() -> None:
    """Print a table: a command, and what it takes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--hosts", type=int, default=40)
    parser.add_argument("--every", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        place = state / "remediation" / "lab"
        lab = control.start(place, hosts=options.hosts)
        try:
            names = [host.name for host in lab.hosts]
            for name in names:
                control.fault(name, "healthy", place)
            inventory = state / "fleet.yml"
            inventory.write_text(lab_inventory(names), encoding="utf-8")
            print("| command | ms of processor per host and round: median | least | most |\n|---|---|---|---|")
            for words in COMMANDS:
                took = [
                    seconds * 1000 / len(names) for seconds in rounds_of(words, inventory, state, options.every, options.rounds)
                ]
                print(f"| {' '.join(words)} | {statistics.median(took):.1f} | {min(took):.1f} | {max(took):.1f} |", flush=True)
        finally:
            control.stop(place)


if __name__ == "__main__":
    main()
