"""Whole processes, alternating in one run, medians of several: ratios, because the machine's own speed cancels out."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LAB = """\
lab: {{ hosts: {hosts} }}
gpu:
  hosts:
{names}
  vars:
    ansible_connection: winrm
    ansible_winrm_transport: ntlm
    model: "mistral:7b-instruct-q4_K_M"
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A command line, and how its output proves that it did the work."""

    name: str
    argv: Sequence[str]
    right: Callable[[str], bool]
    environment: Mapping[str, str] | None = None
    before: Callable[[], None] = lambda: None
    """Makes each run begin like the first; not counted."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took: seconds on the wall, and of processors (its own and its children's; 0 if the system does not count them)."""

    wall: float
    processor: float


def once(contender: Contender) -> Cost:
    """Run it; raises where it did not do the work."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(contender.environment or {})}
    contender.before()
    before, began = _processor(), time.perf_counter()
    done = subprocess.run(list(contender.argv), capture_output=True, text=True, env=environment, check=False)
    cost = Cost(time.perf_counter() - began, _processor() - before)
    if done.returncode != 0 or not contender.right(done.stdout + done.stderr):
        raise SystemExit(f"{contender.name} did not do its work:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return cost


def medians(contenders: Sequence[Contender], repeat: int) -> dict[str, Cost]:
    """Return each one's medians; they take turns, so that slow phases of the machine affect all."""
    costs: dict[str, list[Cost]] = {each.name: [] for each in contenders}
    for _ in range(repeat):
        for each in contenders:
            costs[each.name].append(once(each))
    return {
        name: Cost(statistics.median(each.wall for each in found), statistics.median(each.processor for each in found))
        for name, found in costs.items()
    }


def _processor() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def program(name: str) -> str | None:
    """Return a program from this Python's folder, or from PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def lab_inventory(hosts: Sequence[str], more: str = "") -> str:
    """Return the inventory of a running lab's hosts; `more` are lines of further variables."""
    return _LAB.format(hosts=len(hosts), names="\n".join(f"    {name}:" for name in hosts)) + more
