"""Starts and stops a lab: two detached processes with one state folder, which later commands find.

The world (machines) and the WinRM listeners run detached until `stop`, or until no client has connected for an hour. The state of the
machines is kept in the state folder, so a later `start` finds them as they were.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from remediation.model.errors import CallFailed, UsageError
from remediation_lab import locks, processes
from remediation_lab.free_ports import free_port
from remediation_lab.powershell import interpreter
from remediation_lab.wire import Client, Refusal, write_private

USER = "ops"
SCALE = 10.0
DOCKER_DESKTOP = "docker-desktop"
_DEFAULTS = {"world": DOCKER_DESKTOP}
_LOCK_SECONDS = 60.0
_MOST_HOSTS = 250
_CODE = {".py", ".psm1", ".cs"}
_FIRST_NUMBER = 7
"""The first machine of the first world is laptop-07; the others have consecutive names."""
NAMES = {"docker-desktop": "laptop", "native-windows": "desktop", "wsl": "wsl", "linux": "gpu"}
"""The worlds, and what their hosts are called."""


@dataclass(frozen=True, slots=True)
class LabHost:
    """How one host of a lab is reached."""

    name: str
    address: str
    port: int
    tls: str = ""
    """The kind of its certificate where it speaks HTTPS (winrm/certificates.py)."""

    world: str = DOCKER_DESKTOP

    @property
    def endpoint(self) -> str:
        """The WinRM URL, or the address of its sshd."""
        if self.world == processes.LINUX:
            return f"ssh://{self.address}:{self.port}"
        return f"http{'s' if self.tls else ''}://{self.address}:{self.port}/wsman"


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that runs. ``scale``: seconds of a host's time in one of ours, for the engine's clock."""

    folder: Path
    hosts: tuple[LabHost, ...]
    user: str
    password: str
    scale: float
    started: bool = False
    powershell: str = ""
    """The real PowerShell that its shells run; empty for the stand-in."""
    world: str = DOCKER_DESKTOP
    """The kind of its hosts."""

    @property
    def authority(self) -> Path:
        """The file with the certificate authority to trust, where hosts speak HTTPS."""
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        """The file with the user's own certificate and key, where hosts speak HTTPS."""
        return self.folder / "user.pem"

    def __repr__(self) -> str:
        return f"Lab({self.folder}, {len(self.hosts)} hosts, user {self.user}, password ***)"

    def variables(self, host: LabHost) -> dict[str, Any]:
        """Return how an inventory reaches a host."""
        if self.world == processes.LINUX:
            from remediation_lab.linux import sshd  # other worlds need no OpenSSH

            found = processes.ping(self.folder, processes.LINUX) or {}
            more = {"endpoint": found.get("endpoint"), "docker_host": f"unix://{self.folder}/no-docker.sock"}
            return sshd.at(self.folder / "hosts" / host.name / "sshd", host.port).variables(**more)
        return {
            "ansible_host": host.address,
            "ansible_port": host.port,
            "ansible_winrm_scheme": "http",
            "ansible_user": self.user,
            "ansible_password": self.password,
            "lab_scale": self.scale,
        }

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


def start(
    folder: Path | None = None, *, hosts: int = 1, powershell_start: float = 0.0, scale: float = SCALE, tls: str = "", powershell: str | None = None, world: str | None = None,
) -> Lab:  # fmt: skip
    """Start the lab, or find it running; `hosts` is at least how many there shall be, `powershell_start` seconds a shell takes to start.

    `powershell` is the program of a real PowerShell 7, which the WinRM server then starts instead of the stand-in; an empty text
    is the stand-in, None what the lab ran last.

    `world` is the kind of its hosts; None is the one that the lab had last. Each world keeps its own machines.

    With `tls` its listeners speak HTTPS with such a certificate (winrm/certificates.py: good, wrong-name, expired, ...).

    A running lab with fewer hosts, or of another version, is restarted. Raises CallFailed when a process does not come up.
    """
    if not 1 <= hosts <= _MOST_HOSTS:
        raise UsageError(f"a lab has 1 to {_MOST_HOSTS} hosts, not {hosts}", next_step="say --hosts with such a number")
    if world is not None and world not in NAMES:
        raise UsageError(f"the lab has no world {world!r}", next_step=f"choose one of {', '.join(NAMES)}")
    place = folder or default_folder()
    with _alone(place):
        known = _read(place)
        wanted: dict[str, Any] = {"powershell_start": powershell_start, "scale": scale, "tls": tls, "code": _stamp()}
        wanted["powershell"] = (known or {}).get("powershell", "") if powershell is None else _interpreter(powershell)
        wanted["world"] = world or _world(known)
        if wanted["world"] == processes.LINUX and sys.platform != "linux":
            raise UsageError(
                "a Linux host of the lab is this machine, and this machine runs no Linux", next_step="choose another world"
            )
        if wanted["world"] == processes.LINUX and hosts > 1:
            raise UsageError(
                "a lab of Linux hosts has one host, whose processes are this machine's", next_step="leave out --hosts"
            )
        if (
            known is None
            or len(known["hosts"]) < hosts
            or any(known.get(key, _DEFAULTS.get(key, "")) != value for key, value in wanted.items())
        ):
            processes.stop(place)
            known = _described(place, known, hosts, wanted)
        missing = [name for name in processes.needed(wanted["world"]) if processes.ping(place, name) is None]
        processes.launch(place, known, missing)
        return _lab(place, known, started=bool(missing))


def _interpreter(program: str) -> str:
    """Return the whole path of a PowerShell that was named, ready for use; raises UsageError."""
    if not program:
        return ""
    found = shutil.which(program)
    if found is None:
        raise UsageError(f"there is no program {program}", next_step="name PowerShell 7 with its path: --powershell PATH")
    whole = str(Path(found).absolute())
    reason = interpreter.prepare(whole)
    if reason:
        raise UsageError(reason, next_step="name PowerShell 7 with its path: --powershell PATH")
    return whole


def find(folder: Path | None = None) -> Lab | None:
    """Return the lab if both its processes answer."""
    place = folder or default_folder()
    known = _read(place)
    if known is None or any(processes.ping(place, name) is None for name in processes.needed(_world(known))):
        return None
    return _lab(place, known)


def stop(folder: Path | None = None) -> bool:
    """Stop the lab; tells whether one ran. The machines' state stays."""
    place = folder or default_folder()
    if not place.exists():
        return False
    with _alone(place):
        return processes.stop(place)


def reset(folder: Path | None = None) -> None:
    """Make all machines new with the default fault; starts nothing. Works on a stopped lab as well."""
    place = folder or default_folder()
    if processes.ping(place, _machines(place)) is not None:
        processes.call(place, _machines(place), "reset")
    elif (place / "hosts").exists():
        with _alone(place):
            shutil.rmtree(place / "hosts")


def fault(host: str, name: str, folder: Path | None = None) -> None:
    """Make a machine new with a fault; UsageError when the lab does not run or knows no such host or fault."""
    place = folder or default_folder()
    if processes.ping(place, _machines(place)) is None:
        raise UsageError("the lab does not run", next_step="start it: remediate lab.start")
    try:
        processes.call(place, _machines(place), "fault", host=host, name=name)
    except Refusal as refusal:
        raise UsageError(refusal.message, next_step=f"faults: {', '.join(faults(lab_world(place)))}") from refusal


def wire(  # a fault of the wire has these parts, given by name
    host: str | None, kind: str, folder: Path | None = None, *, message: str = "any", nth: int = 1, times: int = 1, **more: float
) -> None:
    """Let a fault strike the `nth` WinRM message of a kind from now on, at one host or all; `more`: seconds, size.

    Kinds and messages are those of winrm/faults.py; `status` counts what struck as ``wire KIND``. Raises UsageError.
    """
    place = folder or default_folder()
    one = {"kind": kind, "message": message, "nth": nth, "times": times, **more}
    try:
        processes.call(place, "winrm", "wire", host=host, faults=[one])
    except Refusal as refusal:
        raise UsageError(refusal.message, next_step="start the lab first: remediate lab.start") from refusal


def unwire(host: str | None = None, folder: Path | None = None) -> None:
    """Take all faults of the wire out of one host or of all."""
    processes.call(folder or default_folder(), "winrm", "unwire", host=host)


def faults(world: str = DOCKER_DESKTOP) -> tuple[str, ...]:
    """Return the names of the faults of a world."""
    if world == processes.LINUX:
        from remediation_lab.linux.faults import FAULTS

        return tuple(FAULTS)
    from remediation_lab.scenarios.worlds import WORLDS  # brings the whole machine model, which few callers need

    return tuple(WORLDS[world].faults)


def lab_world(folder: Path | None = None) -> str:
    """Return the world that a lab has, or had last."""
    return _world(_read(folder or default_folder()))


def host_names(folder: Path | None = None) -> tuple[str, ...]:
    """Return the hosts that a lab has, or had last."""
    return tuple(host["name"] for host in (_read(folder or default_folder()) or {}).get("hosts", ()))


def _world(known: Mapping[str, Any] | None) -> str:
    return str((known or {}).get("world", DOCKER_DESKTOP))


def _machines(place: Path) -> str:
    """Return the service that has the machines."""
    return processes.needed(lab_world(place))[0]


def status(folder: Path | None = None) -> dict[str, Any] | None:
    """Return per host the fault put in, its time, its writes by kind, and what the WinRM server counted; None when stopped."""
    place = folder or default_folder()
    if find(place) is None:
        return None
    machines: dict[str, Any] = processes.call(place, _machines(place), "status")
    counted = processes.call(place, "winrm", "counters") if "winrm" in processes.needed(lab_world(place)) else {}
    return {name: {**machine, "winrm": counted.get(name, {})} for name, machine in machines.items()}


def machine(host: str, folder: Path | None = None) -> Client:
    """Return a client of one machine of a running lab, for tests and experiments."""
    return Client((folder or default_folder()) / processes.SERVICES["world"], host=host)


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
    same = known is not None and _world(known) == wanted["world"]
    there = list(known["hosts"]) if known is not None and same else []
    for number in range(len(there), max(count, len(there))):
        address = "127.0.0.1" if wanted["world"] == processes.LINUX else _address(number)
        there.append(
            {"name": f"{NAMES[wanted['world']]}-{number + _FIRST_NUMBER:02d}", "address": address, "port": free_port(address)}
        )
    there = [{**each, "tls": wanted["tls"]} for each in there]
    description = {"hosts": there, "user": USER, **wanted}
    if wanted["tls"]:
        _certificates(place, there, wanted["tls"])
    if not (place / "users").exists():
        # upper case LAB: the domain that the machines say they are in; the bare name is what most people type
        password = secrets.token_urlsafe(18).replace(":", "")
        write_private(place / "users", f":{USER}:{password}\nLAB:{USER}:{password}\n")
    write_private(place / "lab.json", json.dumps(description, indent=2) + "\n")
    return description


def _stamp() -> str:
    """Return a hash of the lab's code: processes that an older version started do not know what this one expects of them."""
    newest = max(path.stat().st_mtime_ns for path in Path(__file__).parent.rglob("*.*") if path.suffix in _CODE)
    return f"{newest:x}"


def _certificates(place: Path, hosts: list[dict[str, Any]], kind: str) -> None:
    from remediation_lab.winrm import certificates  # loads cryptography; only for a lab that speaks HTTPS

    if kind not in certificates.KINDS:
        raise UsageError(f"no kind of certificate {kind!r}", next_step=f"choose one of {', '.join(certificates.KINDS)}")
    authority = certificates.Authority.made("Lab CA")
    certificates.save(place / "ca.pem", authority.pem())
    certificates.save(place / "user.pem", authority.issue(USER, [], client=True))
    for host in hosts:
        pem = certificates.listener(authority, kind, [host["address"], host["name"], "localhost"])
        certificates.save(place / f"{host['name']}.pem", pem)


def _address(number: int) -> str:
    """Return a separate loopback address for each host where the system has more than one."""
    address = f"127.0.{77 + number // 200}.{1 + number % 200}"
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return "127.0.0.1"
    return address


def _lab(place: Path, known: Mapping[str, Any], *, started: bool = False) -> Lab:
    line = (place / "users").read_text(encoding="utf-8").splitlines()[0]
    password = line.split(":", 2)[2]
    hosts = tuple(
        LabHost(each["name"], each["address"], each["port"], each.get("tls", ""), _world(known)) for each in known["hosts"]
    )
    return Lab(
        place,
        hosts,
        known["user"],
        password,
        known["scale"],
        started,
        known.get("powershell", ""),
        known.get("world", DOCKER_DESKTOP),
    )
