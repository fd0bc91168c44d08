"""A fleet of replayed hosts on the workers of a Dask cluster: processor time and memory of controller, scheduler and workers.

``python -m benchmarks.distributed [--hosts 300] [--workers 0 1 2 4] [--wait 0 0.05] [--forks 100] [--command verify]``. Each host is
the recording of one of the lab's. ``--wait`` are the seconds of network per exchange. 0 workers is a run without a cluster.
The cluster is a scheduler and workers on loopback with TLS. All processes share this machine's cores, so a speed-up above their number
cannot show in seconds; processor time per worker shows how the work is divided.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measure import ROOT
from remediation_lab import control
from tests.support.dask_workers import LoopbackCluster, tls_settings

_MIB = 1024 * 1024
_INVENTORY = """\
gpu:
  hosts:
{names}
  vars:
    ansible_connection: replay
    ansible_replay_file: {tape}
    ansible_shell_type: powershell
    model: "mistral:7b-instruct-q4_K_M"
    max_risk: disruptive
"""


COMMANDS: Mapping[str, Sequence[str]] = {"verify": ("play", "verify"), "fix-offload": ("fix-offload", "--check")}


@dataclass(frozen=True, slots=True)
class Took:
    """One run: seconds on the wall, processor seconds of each kind of process, and MiB of memory at most (workers: at the end)."""

    wall: float
    controller: float
    scheduler: float
    workers: tuple[float, ...]
    controller_memory: float
    worker_memory: tuple[float, ...]
    journal: int
    outcomes: Mapping[str, int]


def recorded(folder: Path, command: Sequence[str]) -> Path:
    """Record the command on one host of the lab."""
    state = folder / "state"
    place = state / "remediation" / "lab"
    control.start(place, hosts=1)
    try:
        tape = folder / "tape.json"
        words = [*command, "--inventory", "lab", "--record", str(tape), "--json"]
        subprocess.run([sys.executable, "-m", "remediation.cli.main", *words], env=_environment(state), cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # fmt: skip
    finally:
        control.stop(place)
    return tape


def _environment(state: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(state), **(more or {})}


def measured(folder: Path, inventory: Path, workers: int, forks: int, wait: float, what: str) -> Took:
    """Run ``fix-offload --check`` on all hosts with so many workers."""
    settings = tls_settings(folder)
    if not workers:
        return _run(inventory, folder, None, settings, forks, what)
    with LoopbackCluster(folder / "cluster", settings) as cluster:
        for number in range(workers):
            cluster.start(f"w{number}", preload=(str(ROOT / "benchmarks" / "slow_replay.py"),), REPLAY_WAIT=str(wait))
        return _run(inventory, folder, cluster, settings, forks, what)


def _run(
    inventory: Path, folder: Path, cluster: LoopbackCluster | None, settings: Mapping[str, str], forks: int, what: str
) -> Took:
    words = [*COMMANDS[what], "--inventory", str(inventory), "--forks", str(forks), "--json"]
    processes = [psutil.Process(each.pid) for each in (cluster.scheduler, *cluster.workers.values()) if each] if cluster else []
    words += ["--executor", cluster.address] if cluster else []
    before = [_processor(each) for each in processes]
    outcomes: Counter[str] = Counter()
    began = time.perf_counter()
    command = [sys.executable, "-m", "remediation.cli.main", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=_environment(folder / "runs", settings), cwd=ROOT
    ) as run:
        assert run.stdout is not None  # a pipe was asked for
        for line in run.stdout:
            event = json.loads(line)
            if event["event"] == "host_end":
                outcomes[event["outcome"]] += 1
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    spent = [_processor(each) - start for each, start in zip(processes, before, strict=True)]
    memory = tuple(each.memory_info().rss / _MIB for each in processes[1:])
    journal = sum(path.stat().st_size for path in (folder / "runs").rglob("events.jsonl"))
    scheduler, *own = spent or [0.0]
    return Took(wall, used.ru_utime + used.ru_stime, scheduler, tuple(own), used.ru_maxrss / 1024, memory, journal, outcomes)


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Print a row for each number of workers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description=__doc__)
    parser.add_argument("--hosts", type=int, default=300)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--wait", type=float, nargs="+", default=[0.0, 0.05])
    parser.add_argument("--forks", type=int, default=100)
    parser.add_argument("--command", choices=list(COMMANDS), default="verify")
    options = parser.parse_args()
    print("| wait | workers | seconds | controller, ms per host | scheduler | workers, ms per host | busiest worker, s "
          "| controller MiB | a worker, MiB | journal, KiB per host | outcomes |\n|---|---|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tape = recorded(folder, COMMANDS[options.command])
        inventory = folder / "fleet.yml"
        names = "\n".join(f"    host-{number:05}:" for number in range(options.hosts))
        inventory.write_text(_INVENTORY.format(names=names, tape=tape), encoding="utf-8")
        for wait in options.wait:
            for workers in options.workers:
                if wait and not workers:
                    continue  # only workers load the delay
                own = folder / f"{wait}-{workers}"
                own.mkdir()
                took = measured(own, inventory, workers, options.forks, wait, options.command)
                per_host = 1000 / options.hosts
                print(
                    f"| {wait:g} | {workers} | {took.wall:.1f} | {took.controller * per_host:.1f} | {took.scheduler * per_host:.1f} "
                    f"| {sum(took.workers) * per_host:.1f} | {max(took.workers, default=0.0):.1f} | {took.controller_memory:.0f} "
                    f"| {max(took.worker_memory, default=0.0):.0f} | {took.journal / 1024 / options.hosts:.1f} "
                    f"| {', '.join(f'{count} {outcome}' for outcome, count in took.outcomes.items())} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
