"""Starting and stopping a lab: two processes of its own, one state folder, found again by whoever comes later.

The world (machines) and the WinRM listeners run detached until `stop`, or until nobody has come for an hour. What the machines
have become lies in the state folder, so a later `start` meets them as they were left.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from remediation.lab import locks
from remediation.lab.wire import Client, Json, Refusal, write_private
from remediation.model.errors import CallFailed, UsageError

USER = "ops"
SCALE = 10.0
_LOCK_SECONDS = 60.0
_STOP_SECONDS = 10.0
_MOST_HOSTS = 250
_SERVICES = {"world": "world.json", "winrm": "winrm.json"}
_FIRST_NUMBER = 7
"""The first machine is laptop-07, as somebody's would be; the others follow."""


@dataclass(frozen=True, slots=True)
class LabHost:
    """How one host of a lab is reached."""

    name: str
    address: str
    port: int

    @property
    def endpoint(self) -> str:
        """The WinRM URL."""
        return f"http://{self.address}:{self.port}/wsman"


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that runs. ``scale``: seconds of a host's time in one of ours, for the engine's clock."""

    folder: Path
    hosts: tuple[LabHost, ...]
    user: str
    password: str
    scale: float
    started: bool = False

    def __repr__(self) -> str:
        return f"Lab({self.folder}, {len(self.hosts)} hosts, user {self.user}, password ***)"

    def host(self, name: str) -> LabHost:
        """Return one host; UsageError names those there are."""
        for each in self.hosts:
            if each.name == name:
                return each
        names = ", ".join(each.name for each in self.hosts)
        raise UsageError(f"the lab has no host {name}", next_step=f"its hosts are {names}")


def default_folder() -> Path:
    """Return where the lab's state lies unless said otherwise."""
    return platformdirs.user_state_path("remediation") / "lab"


def start(folder: Path | None = None, *, hosts: int = 1, powershell_start: float = 0.0, scale: float = SCALE) -> Lab:
    """Start the lab, or find it running; `hosts` is at least how many there shall be, `powershell_start` seconds a shell takes to start.

    A running lab with fewer hosts is started anew with more. Raises CallFailed when a process does not come up.
    """
    if not 1 <= hosts <= _MOST_HOSTS:
        raise UsageError(f"a lab has 1 to {_MOST_HOSTS} hosts, not {hosts}", next_step="say --hosts with such a number")
    place = folder or default_folder()
    with _alone(place):
        known = _read(place)
        wanted = {"powershell_start": powershell_start, "scale": scale}
        if known is None or len(known["hosts"]) < hosts or any(known.get(key) != value for key, value in wanted.items()):
            _stop(place)
            known = _described(place, known, hosts, wanted)
        missing = [name for name in _SERVICES if _ping(place, name) is None]
        _launch(place, known, missing)
        return _lab(place, known, started=bool(missing))


def find(folder: Path | None = None) -> Lab | None:
    """Return the lab if both its processes answer."""
    place = folder or default_folder()
    known = _read(place)
    if known is None or any(_ping(place, name) is None for name in _SERVICES):
        return None
    return _lab(place, known)


def stop(folder: Path | None = None) -> bool:
    """Stop the lab; tells whether one ran. The machines' state stays."""
    place = folder or default_folder()
    if not place.exists():
        return False
    with _alone(place):
        return _stop(place)


def reset(folder: Path | None = None) -> None:
    """Make all machines new with the default fault; starts nothing. Works on a stopped lab as well."""
    place = folder or default_folder()
    if _ping(place, "world") is not None:
        _call(place, "world", "reset")
    elif (place / "hosts").exists():
        with _alone(place):
            shutil.rmtree(place / "hosts")


def fault(host: str, name: str, folder: Path | None = None) -> None:
    """Make a machine new with a fault; UsageError when the lab does not run or knows no such host or fault."""
    place = folder or default_folder()
    if _ping(place, "world") is None:
        raise UsageError("the lab does not run", next_step="start it: remediate lab.start")
    try:
        _call(place, "world", "fault", host=host, name=name)
    except Refusal as refusal:
        raise UsageError(refusal.message, next_step=f"faults: {', '.join(faults())}") from refusal


def faults() -> tuple[str, ...]:
    """Return the names of the faults."""
    from remediation.lab.world.scenario import FAULTS  # noqa: PLC0415  # brings the whole machine model; only wanted when asked

    return tuple(FAULTS)


def status(folder: Path | None = None) -> dict[str, Any] | None:
    """Return per host the fault put in, its time, its writes by kind, and what the WinRM server counted; None when stopped."""
    place = folder or default_folder()
    if find(place) is None:
        return None
    machines, counted = _call(place, "world", "status"), _call(place, "winrm", "counters")
    return {name: {**machine, "winrm": counted.get(name, {})} for name, machine in machines.items()}


def machine(host: str, folder: Path | None = None) -> Client:
    """Return a client of one machine of a running lab, for tests and experiments."""
    return Client((folder or default_folder()) / _SERVICES["world"], host=host)


def _call(place: Path, service: str, op: str, **fields: Json) -> Json:
    client = Client(place / _SERVICES[service])
    try:
        return client.call(op, **fields)
    finally:
        client.close()


def _ping(place: Path, service: str) -> Mapping[str, Any] | None:
    try:
        answer: Mapping[str, Any] = _call(place, service, "ping")
    except Refusal:
        return None
    return answer


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o700)
    try:
        with locks.held(place / "lock", timeout=_LOCK_SECONDS):
            yield
    except TimeoutError as error:
        raise CallFailed(
            f"another process is starting or stopping the lab in {place} and does not end", next_step="try again"
        ) from error


def _read(place: Path) -> dict[str, Any] | None:
    path = place / "lab.json"
    if not path.exists():
        return None
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        known["hosts"][0]["name"], known["user"], known["scale"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CallFailed(
            f"{path} is not what a lab wrote", next_step=f"delete {place}; its machines are only simulated"
        ) from error
    return dict(known)


def _described(place: Path, known: Mapping[str, Any] | None, count: int, wanted: Mapping[str, Any]) -> dict[str, Any]:
    there = list(known["hosts"]) if known else []
    for number in range(len(there), max(count, len(there))):
        address = _address(number)
        there.append({"name": f"laptop-{number + _FIRST_NUMBER:02d}", "address": address, "port": _free_port(address)})
    description = {"hosts": there, "user": USER, **wanted}
    if not (place / "users").exists():
        # upper case LAB: the domain that the machines say they are in; the bare name is what most people type
        password = secrets.token_urlsafe(18).replace(":", "")
        write_private(place / "users", f":{USER}:{password}\nLAB:{USER}:{password}\n")
    write_private(place / "lab.json", json.dumps(description, indent=2) + "\n")
    return description


def _address(number: int) -> str:
    """Return a loopback address of its own for each host where the system has more than one."""
    address = f"127.0.{77 + number // 200}.{1 + number % 200}"
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return "127.0.0.1"
    return address


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _lab(place: Path, known: Mapping[str, Any], *, started: bool = False) -> Lab:
    line = (place / "users").read_text(encoding="utf-8").splitlines()[0]
    password = line.split(":", 2)[2]
    hosts = tuple(LabHost(each["name"], each["address"], each["port"]) for each in known["hosts"])
    return Lab(place, hosts, known["user"], password, known["scale"], started)


def _launch(place: Path, known: Mapping[str, Any], services: list[str]) -> None:
    commands = {
        "world": [
            str(place),
            "--scale",
            str(known["scale"]),
            *(word for host in known["hosts"] for word in ("--host", host["name"])),
        ],
        "winrm": [str(place)],
    }
    running = [(name, _detached(place, name, commands[name])) for name in services]
    for name, process in running:
        assert process.stdout is not None  # noqa: S101  # it was opened as a pipe
        said = process.stdout.readline()
        process.stdout.close()
        if said.strip() != b"ready":
            process.wait()
            text = (place / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip()
            last = text.splitlines()[-1] if text else f"exit code {process.returncode}"
            raise CallFailed(
                f"the lab's {name} process did not start: {last}",
                next_step=f"see {place / f'{name}.log'}; remediate lab.stop ends the rest",
            )
        process.returncode = 0  # it goes on by itself: this process will not wait for it


def _detached(place: Path, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    package = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])}
    flags: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    with (place / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"remediation.lab.{name}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=place, env=environment, **flags,
        )  # fmt: skip


def _stop(place: Path) -> bool:
    running = [(name, pid["pid"]) for name in _SERVICES if (pid := _ping(place, name)) is not None]
    for name, _ in running:
        with suppress(Refusal):  # it ended by itself meanwhile
            _call(place, name, "stop")
    deadline = time.monotonic() + _STOP_SECONDS
    for name, pid in running:
        while (place / _SERVICES[name]).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if (place / _SERVICES[name]).exists():
            raise CallFailed(f"the lab's {name} process (PID {pid}) does not end", next_step="end that process by hand")
    return bool(running)
