"""WinRM: our connections, bare pywinrm code that keeps a worker, and ansible-core's ``raw`` over ``winrm``, on the same server.

``python -m benchmarks.winrm [--repeat 5] [--hosts 8] [--calls 10]``; needs the extra ``bench`` for the Ansible column.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import ROOT, Contender, medians, once, program

FILE_SIZE = 20_000_000
STARTS = (0.0, 0.2, 0.5)
TRIPS = (0.0, 0.03, 0.1)
_CLIENTS = Path(__file__).with_name("clients")


class Hosts:
    """The server's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ports: list[int] = json.loads(self._line())

    def counts(self) -> dict[str, int]:
        """Return what was counted since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write("counts\n")
        self._process.stdin.flush()
        return dict(json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def hosts(number: int, start: float, trip: float = 0.0) -> Iterator[Hosts]:
    """Start so many hosts whose PowerShell takes `start` seconds to start, and which answer a message `trip` seconds later."""
    argv = [sys.executable, "-m", "benchmarks.winrm_hosts", str(number), str(start), str(trip)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Hosts(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def client(name: str, ports: list[int], calls: int, forks: int) -> Contender:
    """Return one of ours."""
    argv = [sys.executable, str(_CLIENTS / f"{name}.py"), json.dumps(ports), str(calls), str(forks)]
    return Contender(name, argv, lambda out: out.split()[:1] == [str(len(ports) * calls)])


def ansible(ports: list[int], calls: int, forks: int, folder: Path) -> Contender | None:
    """Return a playbook of so many raw tasks, None without ansible-core."""
    found = program("ansible-playbook")
    if found is None:
        return None
    variables = (
        "ansible_connection=winrm ansible_winrm_scheme=http ansible_winrm_transport=ntlm ansible_user=ops ansible_password=Pa55-word "
        "ansible_shell_type=powershell"
    )
    lines = [f"h{port} ansible_host=127.0.0.1 ansible_port={port} {variables}" for port in ports]
    (folder / "hosts").write_text("\n".join(["[all]", *lines, ""]), encoding="utf-8")
    tasks = "".join(f"    - name: call {number}\n      raw: hostname\n" for number in range(calls))
    (folder / "play.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}", encoding="utf-8")
    argv = [found, "-i", str(folder / "hosts"), "-f", str(forks), str(folder / "play.yml")]
    environment = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "False", "LC_ALL": "C.UTF-8"}
    return Contender("ansible", argv, lambda out: out.count(f"ok={calls} ") == len(ports), environment)


def race(number: int, calls: int, repeat: int, folder: Path) -> None:
    """Print the table of whole processes at several PowerShell start times."""
    print(f"\n{number} hosts x {calls} calls, forks {number}, medians of {repeat}, whole processes\n")
    print("| PowerShell start | ours | bare pywinrm | ansible raw | ours / bare | ansible / ours | processor: ours, ansible |")
    print("|---|---|---|---|---|---|---|")
    for start in STARTS:
        with hosts(number, start) as served:
            runners = [client("ours_winrm", served.ports, calls, number), client("bare_winrm", served.ports, calls, number)]
            peer = ansible(served.ports, calls, number, folder)
            found = medians([*runners, *([peer] if peer else [])], repeat)
        ours, bare, other = found["ours_winrm"], found["bare_winrm"], found.get("ansible")
        last = (f"{other.wall:.2f} s", f"{other.wall / ours.wall:.1f}") if other else ("not installed", "-")
        used = f"{ours.processor:.2f} s, {other.processor:.2f} s" if other else f"{ours.processor:.2f} s"
        print(
            f"| {start:g} s | {ours.wall:.2f} s | {bare.wall:.2f} s | {last[0]} | {ours.wall / bare.wall:.2f} | {last[1]} | {used} |",
            flush=True,
        )


def distance(number: int, calls: int, repeat: int) -> None:
    """Print what the network between costs."""
    print(f"\n{number} hosts x {calls} calls, forks {number}, PowerShell start 0.2 s, medians of {repeat}, whole processes\n")
    print("| network, per message | ours | bare pywinrm | ours / bare |\n|---|---|---|---|")
    for trip in TRIPS:
        with hosts(number, 0.2, trip) as served:
            found = medians([client(name, served.ports, calls, number) for name in ("ours_winrm", "bare_winrm")], repeat)
        ours, bare = found["ours_winrm"].wall, found["bare_winrm"].wall
        print(f"| {trip:g} s | {ours:.2f} s | {bare:.2f} s | {ours / bare:.2f} |", flush=True)


def requests(calls: int, folder: Path) -> None:
    """Print what one host saw of each."""
    print(f"\nHTTP requests of one host for {calls} calls\n")
    print("| | requests | Create | Command | shells left |")
    print("|---|---|---|---|---|")
    with hosts(1, 0.0) as served:
        runners = [client("ours_winrm", served.ports, calls, 1), client("bare_winrm", served.ports, calls, 1)]
        peer = ansible(served.ports, calls, 1, folder)
        for each in [*runners, *([peer] if peer else [])]:
            served.counts()
            once(each)
            seen = served.counts()
            print(
                f"| {each.name} | {seen['requests']} | {seen['Create']} | {seen['Command']} | {seen['shells_left']} |", flush=True
            )


def files(repeat: int, folder: Path) -> None:
    """Print what a file takes."""
    print(f"\nA file of {FILE_SIZE // 1_000_000} MB to one host, medians of {repeat}, whole processes\n")
    print("| ours | pypsrp's WinRS shell | ours / pypsrp |\n|---|---|---|")
    with hosts(1, 0.0) as served:
        runners = [
            Contender(
                name,
                [sys.executable, str(_CLIENTS / f"{name}.py"), str(served.ports[0]), str(FILE_SIZE), str(folder / name)],
                lambda out, path=folder / name: out.strip() == hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            for name in ("file_ours", "file_pypsrp")
        ]
        found = medians(runners, repeat)
    ours, other = found["file_ours"].wall, found["file_pypsrp"].wall
    print(f"| {ours:.2f} s | {other:.2f} s | {ours / other:.2f} |", flush=True)


def growth(calls: int) -> None:
    """Print how time and memory grow with hosts."""
    print(f"\n{calls} calls to each of more and more hosts, forks 10, PowerShell start 0 s\n")
    print("| hosts | seconds | peak memory |")
    print("|---|---|---|")
    for number in (10, 50, 100):
        with hosts(number, 0.0) as served:
            each = client("ours_winrm", served.ports, calls, 10)
            seconds = once(each).wall
            argv = [*each.argv, "memory"]
            done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)})
            print(f"| {number} | {seconds:.2f} | {int(done.stdout.split()[1]) / 1024:.0f} MB |", flush=True)


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--calls", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        requests(options.calls, Path(name))
        files(options.repeat, Path(name))
        race(options.hosts, options.calls, options.repeat, Path(name))
    distance(options.hosts, options.calls, options.repeat)
    growth(options.calls)


if __name__ == "__main__":
    main()
