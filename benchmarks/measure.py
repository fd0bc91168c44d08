"""Whole processes, one beside the other in one run, medians of several: ratios, for the machine's own speed cancels out."""

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


@dataclass(frozen=True, slots=True)
class Contender:
    """A command line, and how its output proves that it did the work."""

    name: str
    argv: Sequence[str]
    right: Callable[[str], bool]
    environment: Mapping[str, str] | None = None


def once(contender: Contender) -> float:
    """Return the seconds of one run; raises where it did not do the work."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(contender.environment or {})}
    began = time.perf_counter()
    done = subprocess.run(list(contender.argv), capture_output=True, text=True, env=environment, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != 0 or not contender.right(done.stdout + done.stderr):
        raise SystemExit(f"{contender.name} did not do its work:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return seconds


def medians(contenders: Sequence[Contender], repeat: int) -> dict[str, float]:
    """Return each one's median; they take turns, so that a slow moment of the machine meets all."""
    times: dict[str, list[float]] = {each.name: [] for each in contenders}
    for _ in range(repeat):
        for each in contenders:
            times[each.name].append(once(each))
    return {name: statistics.median(measured) for name, measured in times.items()}


def program(name: str) -> str | None:
    """Return a program beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)
