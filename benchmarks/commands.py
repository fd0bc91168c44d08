"""Many hosts of this machine with several commands each, compared with ansible-core and as many forks.

``python -m benchmarks.commands [--hosts 1000] [--commands 10] [--forks 50] [--repeat 3]`` (extra: bench).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Contender, medians, program

_PROGRAM = (sys.executable, "-m", "remediation.cli.main")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--commands", type=int, default=10)
    parser.add_argument("--forks", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        book, inventory = folder / "commands.yml", folder / "hosts.yml"
        inventory.write_text(
            f'all: {{ vars: {{ ansible_connection: local, ansible_python_interpreter: {sys.executable} }}, hosts: {{ "h[1:{options.hosts}]": }} }}\n',
            encoding="utf-8",
        )
        rows = "".join(f"    - name: command {number}\n      command: echo {number}\n" for number in range(options.commands))
        book.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{rows}", encoding="utf-8")
        state = {"XDG_STATE_HOME": str(folder), "ANSIBLE_HOME": str(folder)}
        last = f"command {options.commands - 1}"
        forks = ("--forks", str(options.forks))
        ours = [*_PROGRAM, "play", str(book), "--inventory", str(inventory), *forks, "--json"]
        contenders = [Contender("ours", ours, lambda said: last in said, state)]
        ansible = program("ansible-playbook")
        if ansible is not None:
            theirs = [ansible, "-i", str(inventory), *forks, str(book)]
            contenders.append(Contender("ansible-core", theirs, lambda said: last in said, state))
        costs = medians(contenders, options.repeat)
        print(
            f"{options.hosts} local hosts, {options.commands} commands each, {options.forks} forks, medians of {options.repeat}\n"
        )
        print("| | seconds | as a multiple of ours | of processors | as a multiple of ours | memory |\n|---|---|---|---|---|---|")
        for each, cost in costs.items():
            own = costs["ours"]
            print(
                f"| {each} | {cost.wall:.2f} | {cost.wall / own.wall:.1f} | {cost.processor:.2f} | {cost.processor / own.processor:.1f} | {cost.memory:.0f} MiB |"
            )


if __name__ == "__main__":
    main()
