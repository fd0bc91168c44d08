"""Who asks the Ollama server: requests that it wrote down, connections to its port, configuration that applications mount.

Nothing here is needed to look at a host; where a host cannot tell, it is as if there were nothing.
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

# what a request says of its model and of layers, and no word of its prompt (facts/ollama 1.3: v0.18.3 and newer)
_FIND = (
    "find", "/tmp",  # noqa: S108 - where the server writes them
    "-maxdepth", "2", "-path", "*ollama-request-logs-*", "-type", "f", "-size", "-1024k",
    "-exec", "grep", "-HoE", request_log.FRAGMENT, "{}", "+",
)  # fmt: skip


def connections_call(windows: bool, port: int = _PORT) -> Run:
    """Return the command that lists connections with their programs."""
    if windows:
        return Run(("netstat", "-ano", "-p", "TCP"), timeout=20.0)
    return Run(("ss", "-Htnp", "state", "established", f"( sport = :{port} or dport = :{port} )"), timeout=20.0)


def requests_call(container: Container | None, environment: Mapping[str, str]) -> Run | None:
    """Return the command that finds what the server wrote of its requests; None where it was not told to write."""
    if container is None or container.environment.get(_SWITCH, "").strip().lower() in _OFF:
        return None
    return Run(("docker", "exec", container.name, *_FIND), timeout=20.0, env=environment)


def native_requests(look: Snapshot) -> tuple[str, ...]:
    """Return the bodies that a native server wrote, as its log names them; nothing where there is no log."""
    log = attempt(lambda: ServiceLog(look).read(tail=LINES)) or ""
    return request_log.named(log, windows=look.platform == "windows")


def mounted_configuration(containers: Sequence[Container]) -> tuple[str, ...]:
    """Return the files of configuration that are bound into `containers`, as the host names them."""
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
    """Who asks the server of the target."""

    def __init__(
        self,
        look: Snapshot,
        target: Callable[[], Target],
        container: Callable[[str], Container | None],
        running: Callable[[], Sequence[Process]],
        environment: Mapping[str, str],
    ) -> None:
        self._snapshot, self._target, self._container, self._running = look, target, container, running
        self._environment = dict(environment)

    def requests(self) -> Sequence[tuple[str, str]]:
        """Return (path, what is said of model and layers) of each request that the server wrote down.

        Raises `CallFailed` where the log of a native server names some and this login may read none of them.
        """
        named = self._target().container
        if named is None:
            return request_log.read_requests(self._snapshot, native_requests(self._snapshot))
        call = requests_call(self._container(str(named.value)), self._environment)
        reply = self._snapshot.ask(call)[0] if call is not None else None
        return request_log.written(reply.text) if isinstance(reply, Completed) else ()

    def connections(self) -> Sequence[str]:
        """Return who holds a connection to the server's port, one phrase each."""
        windows = self._snapshot.platform == "windows"
        endpoint = self._target().endpoint
        port = (urlsplit(str(endpoint.value)).port if endpoint is not None else None) or _PORT
        reply = self._snapshot.ask(connections_call(windows, port))[0]
        if not isinstance(reply, Completed) or reply.rc != 0:
            return ()
        if not windows:
            return from_ss(reply.text, port)
        names = {each.pid: each.name for each in attempt(self._running) or ()}
        return from_netstat(reply.text, port, names)


def from_netstat(text: str, port: int, names: Mapping[int, str]) -> tuple[str, ...]:
    """Return the clients among ``netstat -ano`` lines: whose remote port is the server's."""
    rows = [match for line in text.splitlines() if (match := _TCP.match(line)) and int(match[4]) == port]
    found = (f"{ntpath.basename(names.get(int(each[5]), 'a program'))} (pid {each[5]}) from {each[1]}:{each[2]}" for each in rows)
    return tuple(dict.fromkeys(found))


def from_ss(text: str, port: int) -> tuple[str, ...]:
    """Return the clients among ``ss -Htnp`` lines; one from elsewhere is seen from the server's end alone."""
    rows = [match for line in text.splitlines() if (match := _SS.match(line.strip()))]
    here = [f"{each[5] or 'a program'} (pid {each[6] or '?'}) from {each[1]}:{each[2]}" for each in rows if int(each[4]) == port]
    local = {(each[1], each[2]) for each in rows if int(each[4]) == port}
    away = [
        f"somebody at {each[3]}"
        for each in rows
        if int(each[2]) == port and int(each[4]) != port and (each[3], each[4]) not in local
    ]
    return tuple(dict.fromkeys([*here, *away]))
