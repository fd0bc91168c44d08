"""A playbook of many ``debug`` tasks on one host, compared with ansible-core, and how long a run takes until its first task.

``python -m benchmarks.playbook [--tasks 1000] [--repeat 5]`` (extra: bench).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import ROOT, Contender, medians, program

_INVENTORY = "all: { hosts: { here: { ansible_connection: local } } }\n"
_PROGRAM = (sys.executable, "-m", "remediation.cli.main")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.playbook", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        book, short, inventory = folder / "many.yml", folder / "one.yml", folder / "hosts.yml"
        inventory.write_text(_INVENTORY, encoding="utf-8")
        for path, tasks in ((book, options.tasks), (short, 1)):
            rows = "".join(f"    - debug: {{ msg: 'task {number}' }}\n" for number in range(tasks))
            path.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{rows}", encoding="utf-8")
        last = f"task {options.tasks - 1}"
        state = {"XDG_STATE_HOME": str(folder), "ANSIBLE_HOME": str(folder)}
        contenders = [
            Contender(
                "ours", [*_PROGRAM, "play", str(book), "--inventory", str(inventory), "--json"], lambda said: last in said, state
            )
        ]
        ansible = program("ansible-playbook")
        if ansible is not None:
            contenders.append(
                Contender("ansible-core", [ansible, "-i", str(inventory), str(book)], lambda said: last in said, state)
            )
        costs = medians(contenders, options.repeat)
        print(f"{options.tasks} debug tasks on one host, medians of {options.repeat}, whole processes\n")
        print("| | seconds | as a multiple of ours | of processors |\n|---|---|---|---|")
        for each, cost in costs.items():
            print(f"| {each} | {cost.wall:.2f} | {cost.wall / costs['ours'].wall:.1f} | {cost.processor:.2f} |")
        first = statistics.median(until_first_task(short, inventory, {**os.environ, **state}) for _ in range(options.repeat))
        print(f"\nFrom the start of the process to the first task on one host: {first:.2f} s")


def until_first_task(book: Path, inventory: Path, environment: dict[str, str]) -> float:
    """Return the seconds from starting the process to its first ``task_start``."""
    began = time.time()
    words = [*_PROGRAM, "play", str(book), "--inventory", str(inventory), "--json"]
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, env=environment).stdout
    return next(event["time"] for event in map(json.loads, said.splitlines()) if event["event"] == "task_start") - began


if __name__ == "__main__":
    main()
