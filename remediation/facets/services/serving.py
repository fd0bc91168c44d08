"""What serves Ollama on a host, and the systemd commands that restart it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from remediation.connections.addresses import address_of, listening_port
from remediation.connections.calls import Completed, Failed, Reply, Run, WriteFile
from remediation.connections.posix.files import entry_call
from remediation.facets.checked import checked
from remediation.facets.machine.processes import WindowsProcesses
from remediation.facets.scripts import shell
from remediation.facets.services.in_wsl import read_in_wsl
from remediation.facets.services.unit_files import unit_of
from remediation.facets.services.windows import change_windows, with_settings_of
from remediation.facets.snapshot import Snapshot, attempt
from remediation.model.errors import Blocked, CallFailed
from remediation.model.facts import (
    Container,
    Elsewhere,
    Manager,
    Process,
    ServerProcess,
    ServiceUnit,
    Serving,
    SourcedSetting,
    Target,
)
from remediation.model.facts.server import PODMAN
from remediation.model.text.digits import is_whole

SERVER_RUN = Run(("sh", "-c", shell("server")), timeout=20.0)
UNIT = "ollama.service"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SERVER, _APP = "ollama", "ollama app"
_SHELLS = frozenset({"cmd", "powershell", "pwsh"})
_SERVICE_HOSTS = frozenset({"services", "svchost", "nssm", "winsw", "shawl", "srvany"})
_RIGHTS = ("authentication required", "access denied", "not permitted", "permission denied")
"""Messages of systemd and polkit for a login without permission (systemd 219 to 257)."""
_ENGINES = {"libpod": PODMAN, "kubepods": "Kubernetes", "docker": "Docker", "containerd": "containerd"}
"""Engines by a part of the control groups of their containers."""
_BECOME = "run the task or its play as root: become: true"


@checked("services")
class HostServices:
    """Reads what serves the target: the container that the target names, else a native server."""

    def __init__(self, snapshot: Snapshot, target: Callable[[], Target], inspect: Callable[[str], Container | None]) -> None:
        self._snapshot, self._target, self._inspect = snapshot, target, inspect

    def serving(self) -> Serving:
        """Return what serves the model."""
        return self._snapshot.memoize("serving", self._find_serving)

    def _find_serving(self) -> Serving:
        target = self._target()
        if target.container is not None:
            return self._of_container(target, str(target.container.value))
        if self._snapshot.platform == "windows":
            return self._windows()
        return from_script(self._snapshot.run(SERVER_RUN, "reading what serves Ollama").text, _endpoint(self._snapshot))

    def _of_container(self, target: Target, name: str) -> Serving:
        found = self._inspect(name)
        given = found.environment if found is not None else {}
        settings = tuple(SourcedSetting(key, value, f"the container {name}", wins=True) for key, value in given.items())
        compose = target.project is not None and target.service is not None
        return Serving(Manager.COMPOSE if compose else Manager.CONTAINER, name, settings=settings)

    def _windows(self) -> Serving:
        found = from_processes(attempt(WindowsProcesses(self._snapshot).list) or ())
        if found.manager is Manager.NOTHING:
            return attempt(lambda: read_in_wsl(self._snapshot)) or found
        return attempt(lambda: with_settings_of(self._snapshot, found)) or found


@checked("services")
class HostServicesWriter(HostServices):
    """Adds reading unit files again and restarting a unit."""

    def reload_units(self, *, own: bool = False) -> None:
        """Let systemd read its unit files again (``daemon-reload``)."""
        self._systemctl("reading systemd's unit files again", "daemon-reload", own=own)

    def write_unit_file(self, path: str, content: bytes, *, backup: str | None = None, own: bool = False) -> None:
        """Write a drop-in or environment file of a unit, with its folder, and let systemd read its unit files again.

        All of it is one exchange: systemd reads nothing new if the file could not be written.
        """
        _, written, reloaded = self._snapshot.write_all(
            entry_call("make", posixpath.dirname(path)),
            WriteFile(path, content, backup=backup),
            _systemctl_call("daemon-reload", own=own),
        )
        if isinstance(written, Failed):
            self._snapshot.raise_for_file(written, path)
        self._check("reading systemd's unit files again", "", reloaded)

    def restart_unit(self, name: str, *, own: bool = False) -> None:
        """Restart a unit. Raises `CallFailed` with systemctl's message and the next step."""
        self._systemctl(
            f"restarting the service {name.removesuffix('.service')}", "restart", name.removesuffix(".service"), own=own
        )

    def restart_server(self) -> None:
        """Restart the native server the way it was started. Raises `Blocked` for a process that a user started by hand."""
        serving = self.serving()
        if serving.manager in {Manager.WINDOWS_APP, Manager.WINDOWS_SERVICE, Manager.WINDOWS_TASK}:
            self.change_windows(restart=True)
            return
        if serving.manager is Manager.WSL:
            raise Blocked(
                f"{serving.words} is restarted in its distribution", host=self._snapshot.host,
                next_step=f"wsl -d {serving.name} -u root -- systemctl restart {serving.guest_unit}, or the step wsl.restarted",
            )  # fmt: skip
        if serving.elsewhere is not None:
            raise Blocked(str(serving.elsewhere), host=self._snapshot.host, next_step=serving.elsewhere.next_step)
        if self._snapshot.platform == "windows" and serving.manager is Manager.NOTHING:
            raise Blocked("no Ollama server runs natively here", host=self._snapshot.host, next_step="start the Ollama app")
        if serving.manager is Manager.PROCESS and serving.process is not None:
            one = serving.process
            raise Blocked(
                f"{one.user} started the server by hand (process {one.pid}), so only that user can start it again",
                host=self._snapshot.host,
                next_step=f"stop it (kill {one.pid}) and start it again: ollama serve",
            )
        self.restart_unit(serving.name or UNIT, own=serving.unit is not None and serving.unit.own)

    def change_windows(
        self, *, values: Sequence[Mapping[str, Any]] = (), columns: Mapping[str, str] | None = None, restart: bool = False
    ) -> None:
        """Write settings of a native server on Windows, and restart it the way it was started."""
        serving = self.serving()
        self._snapshot.invalidate()
        change_windows(self._snapshot, serving, values=values, columns=columns, restart=restart)

    def _systemctl(self, what: str, *words: str, own: bool = False) -> None:
        self._check(what, words[1] if len(words) > 1 else "", self._snapshot.write(_systemctl_call(*words, own=own)))

    def _check(self, what: str, unit: str, reply: Reply) -> None:
        """Raise `CallFailed` with the message of systemctl and the next step if it refused."""
        if isinstance(reply, Failed):
            self._snapshot.raise_for(reply, what, next_step=_by_hand(unit) if reply.kind == "not-found" else "")
        if not isinstance(reply, Completed):
            raise self._snapshot.unexpected_reply(what, reply)
        if reply.rc != 0:
            lines = reply.stderr.decode("utf-8", errors="replace").split("\n")
            message = next((line.strip() for line in lines if line.strip()), f"systemctl exited with {reply.rc}").rstrip(".")
            raise CallFailed(
                f"{what} failed: {message}",
                host=self._snapshot.host,
                next_step=_cure(message, unit),
                status=reply.rc,
                output=message,
            )


def _systemctl_call(*words: str, own: bool) -> Run:
    """Return the call of systemctl, for the login's user manager if `own`."""
    return Run(("systemctl", *(("--user",) if own else ()), *words), timeout=90.0, writes=True)


def _by_hand(unit: str) -> str:
    return f"systemd has no unit {unit} here: restart Ollama the way it was started" if unit else "systemd does not run here"


def _cure(message: str, unit: str) -> str:
    lower = message.lower()
    if any(each in lower for each in _RIGHTS):
        return _BECOME
    if f"{unit}.service not found" in lower or "not been booted with systemd" in lower:
        return _by_hand(unit)
    return f"systemctl status {unit}; journalctl -u {unit} -n 50"


def read_serving(snapshot: Snapshot, *, anywhere: bool = False) -> Serving:
    """Return what serves Ollama natively on a POSIX host, or `Manager.NOTHING` if that cannot be read.

    A server at another port than the addressed one counts only with `anywhere`.
    """
    reply = snapshot.fetch(SERVER_RUN)[0] if snapshot.platform == "posix" else None
    endpoint = "" if anywhere else _endpoint(snapshot)
    return from_script(reply.text, endpoint) if isinstance(reply, Completed) else Serving(Manager.NOTHING)


def addressed_port(endpoint: str) -> int | None:
    """Return the port of an endpoint on the host's loopback. A gateway elsewhere may lead to a server at any port: None."""
    try:
        found = address_of(endpoint)
    except ValueError:
        return None
    return found.port if found.host in _LOOPBACK and not found.secure else None


def _endpoint(snapshot: Snapshot) -> str:
    return str(snapshot.hints.get("endpoint") or "")


def from_script(text: str, endpoint: str = "") -> Serving:
    """Parse the output of ``server.sh``. Of several native servers, return the one at the port of `endpoint`.

    A server that is known to listen at another port is never returned. It is ``elsewhere`` if there is no other one.
    """
    lines = [line.partition(" ")[::2] for line in text.splitlines()]
    processes = tuple(_processes(lines))
    native = [one for one in processes if not one.contained]
    units = tuple(_units(lines))
    wsl = ("wsl", "yes") in lines
    port = addressed_port(endpoint)
    other = {one.pid: known for one in native if port is not None and (known := _own_port(one)) is not None and known != port}
    candidates = [one for one in native if one.pid not in other]
    if port is not None and native and not candidates and not any(_is_stopped_at(one, port) for one in units):
        first = native[0]
        elsewhere = Elsewhere(port, other[first.pid], f"the process {first.pid} of {first.user}")
        return Serving(Manager.NOTHING, others=tuple(native), wsl=wsl, elsewhere=elsewhere)
    listening = next((one for one in candidates if port is not None and _port_of(one, units) == port), None)
    started = [listening] if listening is not None else candidates
    unit = _choose_unit(units, started)
    # the main process of a unit may be a shell that started the server
    process = next((one for one in started if unit is not None and (unit.pid == one.pid or unit.name == one.unit)), None)
    if process is None and started:
        process, unit = started[0], None  # the unit is stopped, and something else started the server
    others = tuple(one for one in native if one is not process)
    if unit is not None:
        return Serving(Manager.SYSTEMD, unit.name, process, unit, others, wsl=wsl, settings=unit.settings)
    if process is None:
        return Serving(Manager.NOTHING, wsl=wsl, contained=next((one for one in processes if one.contained), None))
    given = process.environment or {}
    settings = tuple(SourcedSetting(name, value, "the environment of the process", wins=True) for name, value in given.items())
    return Serving(Manager.PROCESS, process=process, others=others, wsl=wsl, settings=settings)


def _is_stopped_at(unit: ServiceUnit, port: int) -> bool:
    """Whether a unit would serve at the port, and does not run: it is the server that is missing there."""
    return (
        not unit.pid
        and not unit.masked
        and unit.state != "active"
        and listening_port(unit.environment.get("OLLAMA_HOST", "")) == port
    )


def _own_port(process: ServerProcess) -> int | None:
    """Return the port of a process by its environment, None if that cannot be read."""
    return None if process.environment is None else listening_port(process.environment.get("OLLAMA_HOST", ""))


def _port_of(process: ServerProcess, units: Sequence[ServiceUnit]) -> int | None:
    """Return the port of a process, by its own environment, else by what its unit declares now; None if neither says it."""
    unit = next((one for one in units if process.pid == one.pid or process.unit == one.name), None)
    named = unit.environment.get("OLLAMA_HOST") if unit is not None else None
    return _own_port(process) or (listening_port(named) if named else None)


def from_processes(running: Sequence[Process]) -> Serving:
    """Return what serves Ollama on a Windows host, by the parent of the server's process.

    The app restarts its server within a second, with the app's own environment and settings; services and tasks have theirs.
    """
    by_pid = {one.pid: one for one in running}
    servers = [
        one for one in running if one.program == _SERVER and not one.is_runner and _parent_of(one, by_pid, _SERVER) is None
    ]
    app = next((one for one in running if one.program == _APP), None)
    chosen = next((one for one in servers if _parent_of(one, by_pid, _APP) is not None), None) or next(iter(servers), None)
    if chosen is None:
        return Serving(Manager.WINDOWS_APP if app is not None else Manager.NOTHING)
    others = tuple(_server_process(one) for one in servers if one is not chosen)
    parent = by_pid.get(chosen.parent or 0)
    above = by_pid.get(parent.parent or 0) if parent is not None and parent.program in _SHELLS else None
    if above is not None and above.program in _SERVICE_HOSTS:
        parent = above  # a shell in between redirects the server's output
    if parent is None or parent.started > chosen.started:
        manager, name = (Manager.WINDOWS_APP if app is not None else Manager.PROCESS), ""
    elif parent.program == _APP:
        manager, name = Manager.WINDOWS_APP, ""
    elif chosen.service or parent.service or parent.program in _SERVICE_HOSTS:
        task = parent.program == "svchost"
        name = chosen.service or ("" if task else parent.service or "")
        manager = Manager.WINDOWS_TASK if task and not chosen.service else Manager.WINDOWS_SERVICE
    else:
        manager, name = Manager.PROCESS, ""
    return Serving(manager, name, _server_process(chosen), others=others)


def _parent_of(process: Process, by_pid: Mapping[int, Process], program: str) -> Process | None:
    """Return the parent if it is `program` and started first: a runner is a child of its server."""
    parent = by_pid.get(process.parent or 0)
    return parent if parent is not None and parent.program == program and parent.started <= process.started else None


def _server_process(process: Process) -> ServerProcess:
    return ServerProcess(process.pid, process.owner or "an unknown user", process.path or "")


def _choose_unit(units: Sequence[ServiceUnit], running: Sequence[ServerProcess]) -> ServiceUnit | None:
    """Return the unit whose process runs, else the unit that is named like Ollama's."""
    pids = {one.pid for one in running}
    by_pid = next((one for one in units if one.pid in pids), None)
    return by_pid or next((one for one in units if one.name == UNIT), None) or next(iter(units), None)


def _processes(lines: Sequence[tuple[str, str]]) -> Iterator[ServerProcess]:
    facts: dict[str, dict[str, str]] = {}
    environments: dict[str, dict[str, str]] = {}
    for kind, rest in lines:
        pid, _, value = rest.partition(" ")
        if kind == "server":
            facts[pid] = {"server": value}
        elif kind in {"group", "of", "own", "log"} and pid in facts:
            facts[pid][kind] = value
        elif kind == "readable" and pid in facts:
            environments[pid] = {}
        elif kind == "env" and pid in environments:
            name, _, one = value.partition("=")
            environments[pid][name] = one
    for pid, found in facts.items():
        if is_whole(pid):
            user, _, path = found["server"].partition(" ")
            group = found.get("group", "")
            engine = next((name for word, name in _ENGINES.items() if word in group), "")
            yield ServerProcess(
                int(pid), user, path.removesuffix(" (deleted)"), found.get("of", found.get("own", "")), found.get("log", ""),
                environments.get(pid), engine, "own" in found,
            )  # fmt: skip


def _units(lines: Sequence[tuple[str, str]]) -> Iterator[ServiceUnit]:
    blocks: list[dict[str, Any]] = []
    for kind, rest in lines:
        if kind == "unit":
            blocks.append({"name": rest, "show": {}, "cat": [], "files": {}, "given": []})
        elif blocks and kind == "given":
            blocks[-1]["given"].append(rest.partition("=")[::2])
        elif blocks and kind == "show":
            name, _, value = rest.partition("=")
            blocks[-1]["show"][name] = value
        elif blocks and kind == "cat":
            blocks[-1]["cat"].append(rest)
        elif blocks and kind == "envfile":
            blocks[-1]["files"][rest] = []
        elif blocks and kind == "line" and blocks[-1]["files"]:
            list(blocks[-1]["files"].values())[-1].append(rest)
    for block in blocks:
        unit = unit_of(block)
        if unit is not None:
            yield unit
