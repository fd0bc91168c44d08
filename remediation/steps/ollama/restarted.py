"""Restarts the Ollama server, to show which part of a repair survives a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.errors import CallFailed, DeadlineExceeded, HostError, NotApplicable
from remediation.model.facts import Manager
from remediation.model.text.timestamps import parse_timestamp
from remediation.steps.compose.stack import silence_of
from remediation.steps.contract import Step, param, step
from remediation.steps.run_info import run_started

_SYSTEMD = 1
_GRAIN = 1.0
"""Start times of processes derive from the boot time, which Linux reports in whole seconds, rounded down."""


@dataclass(frozen=True, slots=True)
class Server:
    """A container or native service, the start of the run and of the server, and why it does not answer (or "").

    ``by_hand`` means that the container is not defined in a Compose file: its environment exists only in the container.
    ``keep_alive`` is the value in that environment.
    """

    name: str
    since: float
    started: float | None
    silent: str
    by_hand: bool = False
    keep_alive: str = ""

    @property
    def fresh(self) -> bool:
        """Whether the server was started during this run."""
        return self.started is not None and self.started >= self.since


@step("ollama.restarted", risk=Risk.DISRUPTIVE, settle=60.0, once_per_run=True, deadline=180.0)
class OllamaRestarted(Step[Server]):
    """Ollama's container or service was restarted during this run and answers.

    The container is kept, with its original environment. Loaded models are lost. Ollama's desktop app on Windows and a server
    that a user started by hand are not restarted.
    """

    hanging: bool = param("restart only a server that accepts connections but does not answer", default=False)

    def observe(self, host: Reader) -> Server:
        seen = self._server(host)
        if self.hanging and not seen.fresh and not _hangs(host):
            why = seen.silent or "the server answers"
            raise NotApplicable(f"does not apply, because the server does not hang: {why}", host=host.name)
        return seen

    def _server(self, host: Reader) -> Server:
        since, found = run_started(host), host.target().container
        if found is None:
            serving = host.services.serving()
            if serving.elsewhere is not None:
                raise CallFailed(str(serving.elsewhere), host=host.name, next_step=serving.elsewhere.next_step)
            pid = serving.process.pid if serving.process is not None else None
            words = serving.words if serving.manager is not Manager.NOTHING else "the service ollama"
            return Server(words, since, _process_start(host, pid), silence_of(host))
        container = host.engine.inspect(str(found.value))
        if container is None:
            raise CallFailed(f"container {found.value} does not exist", host=host.name, next_step="bring the stack up (stack.up)")
        started = parse_timestamp(container.started_at) if container.running else None
        return Server(
            f"the container {container.name}", since, started, silence_of(host), by_hand=container.service is None,
            keep_alive=container.environment.get("OLLAMA_KEEP_ALIVE", ""),
        )  # fmt: skip

    def is_met(self, state: Server) -> bool:
        return state.fresh and not state.silent

    def plan(self, state: Server) -> Iterator[Change]:
        """Restart once. A restarted server that is still silent is starting up."""
        if not state.fresh:
            yield Change(
                f"restart {state.name}: loaded models are lost until the next request", subject=state.name, before=state.started
            )

    def apply(self, host: Writer, change: Change) -> None:
        host.ollama.restart()

    def describe(self, state: Server) -> str:
        when = "was restarted in this run" if state.fresh else "was not restarted in this run"
        hand = "; it was started manually, so a new container would not have its environment" if state.by_hand else ""
        return f"{state.name} {when}{f', {state.silent}' if state.silent else ''}{hand}"

    def values(self, state: Server) -> dict[str, Any]:
        """Register whether its settings exist only in the container, and its keep_alive."""
        return {"by_hand": state.by_hand, "keep_alive": state.keep_alive}


def _hangs(host: Reader) -> bool:
    try:
        host.ollama.version()
    except DeadlineExceeded:
        return True
    except CallFailed:
        pass
    return False


def _process_start(host: Reader, pid: int | None) -> float | None:
    """Return the latest possible start time of the native server: that of the oldest process of its program.

    Runners are excluded: those of a killed server survive it as children of systemd. A Linux host also sees the processes of
    containers; a service started by systemd is a direct child of systemd.
    """
    try:
        found = [one for one in host.processes.list() if one.program == "ollama" and not one.runner]
    except HostError:
        return None
    own = [one for one in found if one.pid == pid]
    started = min((one.started for one in own or [one for one in found if one.parent == _SYSTEMD] or found), default=None)
    return started if started is None else started + _GRAIN
