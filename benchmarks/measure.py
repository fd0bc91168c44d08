"""Whole processes, alternating in one run, medians of several: ratios, because the machine's own speed cancels out."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SAMPLE = 0.1
_PARENT, _RESIDENT = 1, 21
"""Fields of ``/proc/PID/stat`` after the program's name: the parent, and resident pages."""
_PAGE = 4096
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
    memory: float = 0.0
    """Peak memory of the process and its descendants in MiB (resident sets added up, sampled); 0 where there is no ``/proc``."""


def once(contender: Contender) -> Cost:
    """Run it; raises where it did not do the work."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(contender.environment or {})}
    contender.before()
    before, began = _processor(), time.perf_counter()
    with subprocess.Popen(
        list(contender.argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process, _sampled(process.pid) as memory:  # fmt: skip
        output, errors = process.communicate()
    cost = Cost(time.perf_counter() - began, _processor() - before, max(memory))
    if process.returncode != 0 or not contender.right(output + errors):
        raise SystemExit(f"{contender.name} did not do its work:\n{output[-3000:]}\n{errors[-3000:]}")
    return cost


@contextmanager
def _sampled(process: int) -> Iterator[list[float]]:
    """Yield a list to which the memory of a process and its descendants is added in intervals."""
    found, end = [0.0], threading.Event()

    def sample() -> None:
        while not end.wait(_SAMPLE):
            found.append(_memory(process))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()


def _memory(process: int) -> float:
    """Return the resident memory of a process and its descendants in MiB."""
    pages: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # a process that ended meanwhile
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            number = int(path.parent.name)
            children.setdefault(int(fields[_PARENT]), []).append(number)
            pages[number] = int(fields[_RESIDENT])
    total, left = 0, [process]
    while left:
        one = left.pop()
        total += pages.get(one, 0)
        left += children.get(one, ())
    return total * _PAGE / 1024**2


def medians(contenders: Sequence[Contender], repeat: int) -> dict[str, Cost]:
    """Return each one's medians; they take turns, so that slow phases of the machine affect all."""
    costs: dict[str, list[Cost]] = {each.name: [] for each in contenders}
    for _ in range(repeat):
        for each in contenders:
            costs[each.name].append(once(each))
    return {
        name: Cost(*(statistics.median(getattr(each, part) for each in found) for part in ("wall", "processor", "memory")))
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
