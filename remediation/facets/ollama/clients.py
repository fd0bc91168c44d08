"""Clients of the Ollama server: logged requests, connections to its port, and mounted configuration files of applications.

This information is optional. Where a host cannot provide it, the result is empty.
"""

from __future__ import annotations

import ntpath
import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from remediation.connections.calls import Completed, Run
from remediation.facets.checked import checked
from remediation.facets.ollama import request_log
from remediation.facets.ollama.service_log import LINES, ServiceLog
from remediation.facets.snapshot import Snapshot, attempt
from remediation.model.facts import Container, Process, Target

_PORT = 11434
_SWITCH = "OLLAMA_DEBUG_LOG_REQUESTS"
_OFF = frozenset({"", "0", "f", "false"})
_MOST = request_log.MOST
_CONFIGURATION = re.compile(
    r"\.(?:json|ya?ml|toml|ini|env|conf|cfg|config|properties|py|js|ts)$|(?:^|[\\/])(?:\.env|Modelfile)$", re.IGNORECASE
)
_TCP = re.compile(r"^\s*TCP\s+(\S+):(\d+)\s+(\S+):(\d+)\s+ESTABLISHED\s+(\d+)", re.IGNORECASE)
_SS = re.compile(r"^\d+\s+\d+\s+(\S+):(\d+)\s+(\S+):(\d+)(?:\s+users:\(\(\"([^\"]+)\",pid=(\d+))?")

# extracts the model and layer fields of a request but not its prompt; written by v0.18.3 and newer
_FIND = (
    "find", "/tmp",  # noqa: S108 - the server writes them there
    "-maxdepth", "2", "-path", "*ollama-request-logs-*", "-type", "f", "-size", "-1024k",
    "-exec", "grep", "-HoE", request_log.FRAGMENT, "{}", "+",
)  # fmt: skip


def connections_call(windows: bool, port: int = _PORT) -> Run:
    """Return the command that lists connections and their programs."""
    if windows:
        return Run(("netstat", "-ano", "-p", "TCP"), timeout=20.0)
    return Run(("ss", "-Htnp", "state", "established", f"( sport = :{port} or dport = :{port} )"), timeout=20.0)


def requests_call(container: Container | None, environment: Mapping[str, str]) -> Run | None:
    """Return the command that reads logged requests, or None if request logging is off."""
    if container is None or container.environment.get(_SWITCH, "").strip().lower() in _OFF:
        return None
    return Run(("docker", "exec", container.name, *_FIND), timeout=20.0, env=environment)


def native_requests(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the request bodies named in a native server's log. Returns nothing if there is no log."""
    log = attempt(lambda: ServiceLog(snapshot).read(tail=LINES)) or ""
    return request_log.named_bodies(log, windows=snapshot.platform == "windows")


def mounted_configuration(containers: Sequence[Container]) -> tuple[str, ...]:
    """Return the host paths of configuration files that are bind-mounted into `containers`."""
    paths = []
    for container in containers:
        mounts = container.raw.get("Mounts")
        for mount in mounts if isinstance(mounts, list) else ():
            source = mount.get("Source") if isinstance(mount, Mapping) and mount.get("Type") == "bind" else None
            if isinstance(source, str) and _CONFIGURATION.search(source):
                paths.append(source)
    return tuple(dict.fromkeys(paths))[:_MOST]


@checked("callers")
class Callers:
    """Reads the clients of the target's server."""

    def __init__(
        self,
        snapshot: Snapshot,
        target: Callable[[], Target],
        container: Callable[[str], Container | None],
        running: Callable[[], Sequence[Process]],
        environment: Mapping[str, str],
    ) -> None:
        self._snapshot, self._target, self._container, self._running = snapshot, target, container, running
        self._environment = dict(environment)

    def requests(self) -> Sequence[tuple[str, str]]:
        """Return (path, model and layer fields) of each logged request.

        Raises `CallFailed` if a native server's log names requests but this login may read none of them.
        """
        named = self._target().container
        if named is None:
            return request_log.read_requests(self._snapshot, native_requests(self._snapshot))
        call = requests_call(self._container(str(named.value)), self._environment)
        reply = self._snapshot.fetch(call)[0] if call is not None else None
        return request_log.parse_matches(reply.text) if isinstance(reply, Completed) else ()

    def connections(self) -> Sequence[str]:
        """Return a description of each client connected to the server's port."""
        windows = self._snapshot.platform == "windows"
        endpoint = self._target().endpoint
        port = (urlsplit(str(endpoint.value)).port if endpoint is not None else None) or _PORT
        reply = self._snapshot.fetch(connections_call(windows, port))[0]
        if not isinstance(reply, Completed) or reply.rc != 0:
            return ()
        if not windows:
            return from_ss(reply.text, port)
        names = {each.pid: each.name for each in attempt(self._running) or ()}
        return from_netstat(reply.text, port, names)


def from_netstat(text: str, port: int, names: Mapping[int, str]) -> tuple[str, ...]:
    """Return the clients in ``netstat -ano`` output: rows whose remote port is the server's."""
    rows = [match for line in text.splitlines() if (match := _TCP.match(line)) and int(match[4]) == port]
    found = (f"{ntpath.basename(names.get(int(each[5]), 'a program'))} (pid {each[5]}) from {each[1]}:{each[2]}" for each in rows)
    return tuple(dict.fromkeys(found))


def from_ss(text: str, port: int) -> tuple[str, ...]:
    """Return the clients in ``ss -Htnp`` output. Remote clients appear only at the server's end."""
    rows = [match for line in text.splitlines() if (match := _SS.match(line.strip()))]
    here = [f"{each[5] or 'a program'} (pid {each[6] or '?'}) from {each[1]}:{each[2]}" for each in rows if int(each[4]) == port]
    local = {(each[1], each[2]) for each in rows if int(each[4]) == port}
    away = [
        f"a client at {each[3]}"
        for each in rows
        if int(each[2]) == port and int(each[4]) != port and (each[3], each[4]) not in local
    ]
    return tuple(dict.fromkeys([*here, *away]))
