"""SSH: our connections and our program, pyinfra, and ansible-core's ``raw`` and ``command``, on the same real sshd.

``python -m benchmarks.ssh [--repeat 5] [--hosts 8] [--calls 10]``; needs openssh-server, and the extra ``bench`` for the others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Contender, medians, program
from tests.connections.sshd import Sshd, sshd

_CLIENTS = Path(__file__).with_name("clients")


def addresses(number: int) -> list[str]:
    """Return so many names for this machine's loopback."""
    return [f"127.0.2.{each}" for each in range(1, number + 1)]


def ours(server: Sshd, hosts: list[str], calls: int) -> Contender:
    """Return our client."""
    argv = [
        sys.executable,
        str(_CLIENTS / "ours_ssh.py"),
        json.dumps(hosts),
        str(calls),
        str(len(hosts)),
        json.dumps(server.variables()),
    ]
    return Contender("ours", argv, lambda out: out.split() == [str(len(hosts) * calls)])


def play(server: Sshd, hosts: list[str], calls: int, folder: Path) -> Contender:
    """Return our whole program: a playbook of so many ``command`` tasks, journal and reports as always."""
    inventory = {"all": {"hosts": {host: {**server.variables(), "ansible_host": host} for host in hosts}}}
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    playbook = _playbook(folder / "ours.yml", "command", calls)
    argv = [
        sys.executable,
        "-m",
        "remediation.cli.main",
        "play",
        str(playbook),
        "-i",
        str(folder / "hosts.json"),
        "--forks",
        str(len(hosts)),
    ]
    environment = {"XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)}

    def right(out: str) -> bool:
        results = [line for line in out.splitlines() if '"task_result"' in line and '"stdout": "hello"' in line]
        return len(results) == len(hosts) * calls

    return Contender("remediate play", [*argv, "--json"], right, environment)


def _playbook(path: Path, action: str, calls: int) -> Path:
    tasks = "".join(f"    - name: call {number}\n      {action}: echo hello\n" for number in range(calls))
    path.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}", encoding="utf-8")
    return path


def ansible(server: Sshd, hosts: list[str], calls: int, folder: Path, action: str) -> Contender | None:
    """Return a playbook of so many tasks with Ansible's defaults (ControlPersist, no pipelining), None without ansible-core.

    ``command`` is how a program is run there: a module is copied and started by the host's Python. ``raw`` is the least that it can do.
    Each run opens new connections, as the others do: the sockets of the run before are out of its way.
    """
    found = program("ansible-playbook")
    if found is None:
        return None
    shared = (
        f"ansible_connection=ssh ansible_port={server.port} ansible_user={server.user} ansible_ssh_private_key_file={server.key} "
        f"ansible_python_interpreter={sys.executable} "
        f"ansible_ssh_common_args='-o UserKnownHostsFile={server.known_hosts} -F none'"
    )
    (folder / "hosts").write_text("\n".join(["[all]", *(f"{host} {shared}" for host in hosts), ""]), encoding="utf-8")
    playbook = _playbook(folder / f"{action}.yml", action, calls)
    sockets = folder / "cp"
    environment = {"ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8", "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets), "HOME": str(folder)}
    argv = [found, "-i", str(folder / "hosts"), "-f", str(len(hosts)), str(playbook)]

    def anew() -> None:
        for socket in sockets.glob("*"):
            subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any"], capture_output=True, check=False)

    return Contender(f"ansible, {action}", argv, lambda out: out.count(f"ok={calls} ") == len(hosts), environment, anew)


def pyinfra(server: Sshd, hosts: list[str], calls: int, folder: Path) -> Contender | None:
    """Return a deploy of so many shell operations, None without pyinfra."""
    found = os.environ.get("REMEDIATION_PYINFRA") or program("pyinfra")
    if found is None:
        return None
    shared = {
        "ssh_port": server.port, "ssh_user": server.user, "ssh_key": str(server.key), "ssh_known_hosts_file": str(server.known_hosts),
        "ssh_strict_host_key_checking": "yes", "ssh_allow_agent": False,
    }  # fmt: skip
    (folder / "inventory.py").write_text(f"hosts = [(each, {shared!r}) for each in {hosts!r}]\n", encoding="utf-8")
    text = "from pyinfra.operations import server\n" + "".join(
        f"server.shell(name='call {number}', commands=['echo hello'])\n" for number in range(calls)
    )
    (folder / "deploy.py").write_text(text, encoding="utf-8")
    argv = [found, "-y", str(folder / "inventory.py"), str(folder / "deploy.py")]
    return Contender("pyinfra", argv, lambda out: out.count("] Success") == len(hosts) * calls, {"HOME": str(folder)})


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--without", action="append", default=[], help="leave a contender out; may be repeated")
    options = parser.parse_args()
    hosts = addresses(options.hosts)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with sshd(folder / "sshd", *(f"ListenAddress {each}" for each in hosts)) as server:
            key = server.known_hosts.read_text(encoding="utf-8").split(maxsplit=1)[1]
            server.known_hosts.write_text("".join(f"[{each}]:{server.port} {key}" for each in hosts), encoding="utf-8")
            found = [ours(server, hosts, options.calls)]
            found.append(play(server, hosts, options.calls, folder))
            peers = [pyinfra(server, hosts, options.calls, folder)]
            peers += [ansible(server, hosts, options.calls, folder, action) for action in ("raw", "command")]
            found += [peer for peer in peers if peer]
            found = [each for each in found if each.name not in options.without]
            times = medians(found, options.repeat)
    print(f"\n{options.hosts} hosts x {options.calls} commands on a real sshd, medians of {options.repeat}, whole processes\n")
    print("| | seconds | as a multiple of ours | of processors | as a multiple of ours |\n|---|---|---|---|---|")
    for name, cost in times.items():
        base = times["ours"]
        ratios = f"{cost.wall / base.wall:.1f} | {cost.processor:.2f} | {cost.processor / base.processor:.1f}"
        print(f"| {name} | {cost.wall:.2f} | {ratios} |")


if __name__ == "__main__":
    main()
