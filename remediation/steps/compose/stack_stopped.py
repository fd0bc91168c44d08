"""Stops a Compose project, and starts it in an order that gives the model the GPU first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.units import MIB, human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import NO_ANSWER
from remediation.model.facts import ComposeProject
from remediation.steps.compose.environment import resolve_service
from remediation.steps.compose.stack import containers_of, silence
from remediation.steps.contract import Step, param, step
from remediation.steps.model.loaded import LOAD_TIMEOUT
from remediation.steps.resolve import resolve_model, resolve_project, runner_of

_ROUNDS = 10
_STILL = 32 * MIB


@dataclass(frozen=True, slots=True)
class StoppedStackState:
    """A project, its running and existing containers, and the free VRAM (None without a GPU)."""

    project: ComposeProject
    running: tuple[str, ...]
    there: tuple[str, ...]
    free: int | None


@step("stack.stopped", risk=Risk.DISRUPTIVE, settle=20.0, deadline=300.0, in_container=True)
class StackStopped(Step[StoppedStackState]):
    """No container of the project is running, and the VRAM they used has been released.

    Waits until the free memory of the card is stable instead of for a fixed time. Volumes are never removed.
    """

    services: tuple[str, ...] = param("service names; defaults to all", default=(), example=["api"])
    remove: bool = param("also remove containers and networks (down)", default=False)

    def observe(self, host: Reader) -> StoppedStackState:
        project = resolve_project(host)
        containers = containers_of(host.engine.containers(), project)
        chosen = {name: item for name, item in containers.items() if not self.services or name in self.services}
        running = tuple(name for name, item in chosen.items() if item.running)
        return StoppedStackState(project, running, tuple(chosen), _free(host))

    def is_met(self, state: StoppedStackState) -> bool:
        return not (state.there if self.remove else state.running)

    def plan(self, state: StoppedStackState) -> Iterator[Change]:
        names = state.there if self.remove else state.running
        if names:
            yield Change(
                f"{'take down' if self.remove else 'stop'} {', '.join(names)} ({state.project.name}); volumes stay",
                subject=state.project.name, before=list(names), after=[],
                undo=StepCall("stack.up", {"services": list(state.running)} if state.running else {}),
                data={"services": list(names)},
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        """Stop the containers, then wait until the card's free memory is stable."""
        project, names = resolve_project(host), change.data["services"]
        if not self.remove:
            host.compose.stop(project, names)
        elif self.services:
            host.compose.remove(project, names)
        else:
            host.compose.down(project)
        _settle(host)

    def describe(self, state: StoppedStackState) -> str:
        free = f"; {human(state.free)} of VRAM free" if state.free is not None else ""
        return f"{', '.join(state.running) or 'nothing'} of {state.project.name} is running{free}"

    def measured_effect(self, change: Change, before: StoppedStackState, after: StoppedStackState) -> str:
        if before.free is None or after.free is None:
            return ""
        return f"{human(max(0, after.free - before.free))} of VRAM released"

    def values(self, state: StoppedStackState) -> dict[str, Any]:
        return {"running": list(state.running), "free": state.free}


@dataclass(frozen=True, slots=True)
class StartOrder:
    """A project: Ollama's service, whether it answers and holds the model, and the services that are not running."""

    project: ComposeProject
    service: str
    model: str
    down: tuple[str, ...]
    silent: str
    loaded: bool


@step("stack.ordered_start", settle=90.0, deadline=900.0, in_container=True)
class StackOrderedStart(Step[StartOrder]):
    """The project runs, and the model was loaded before any other service could use the GPU.

    Starts Ollama's service, loads the model, then starts the other services. Waits for the model to be loaded, not for a log line.
    """

    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")

    def observe(self, host: Reader) -> StartOrder:
        project = resolve_project(host)
        services = host.compose.config(project).get("services") or {}
        service = resolve_service(host, services, None)
        containers = containers_of(host.engine.containers(), project)
        down = tuple(name for name in services if name not in containers or not containers[name].running)
        silent = "" if service in down else silence(host, [service])
        model = resolve_model(self.model, host)
        loaded = service not in down and not silent and runner_of(model, host.ollama.running()) is not None
        return StartOrder(project, service, model, down, silent, loaded)

    def is_met(self, state: StartOrder) -> bool:
        return not state.down and state.loaded

    def plan(self, state: StartOrder) -> Iterator[Change]:
        if self.is_met(state) or state.silent:
            return  # it takes time to answer after a start
        if state.service in state.down:
            yield self._start(state, [state.service])
        if not state.loaded:
            undo = StepCall("model.unloaded", {"model": state.model})
            yield Change(f"load {state.model}", subject=state.model, data={"action": "load"}, undo=undo)
        rest = [name for name in state.down if name != state.service]
        if rest:
            yield self._start(state, rest)

    def _start(self, state: StartOrder, names: list[str]) -> Change:
        undo = StepCall("stack.stopped", {"services": names})
        data = {"action": "up", "services": names, "deps": state.service not in names}
        return Change(f"start {', '.join(names)} ({state.project.name})", subject=",".join(names), undo=undo, data=data)

    def apply(self, host: Writer, change: Change) -> None:
        if change.data["action"] == "load":
            host.ollama.load(change.subject, options={}, timeout=LOAD_TIMEOUT)
        else:
            host.compose.up(resolve_project(host), change.data["services"], deps=change.data["deps"])

    def describe(self, state: StartOrder) -> str:
        parts = [f"{', '.join(state.down)} is not running"] if state.down else []
        parts += [state.silent] if state.silent else []
        parts += [f"{state.model} is {'' if state.loaded else 'not '}loaded"]
        return "; ".join(parts)

    def values(self, state: StartOrder) -> dict[str, Any]:
        return {"down": list(state.down), "loaded": state.loaded}


def _free(host: Reader) -> int | None:
    try:
        return host.gpu.use().free
    except NO_ANSWER:
        return None


def _settle(host: Writer) -> None:
    """Return after three equal readings of the free memory, or after half a minute."""
    for _round in range(_ROUNDS):
        try:
            used = [sample.used for sample in host.gpu.sample(seconds=3.0, every=1.0) if sample.used is not None]
        except NO_ANSWER:
            return  # no GPU
        if not used or max(used) - min(used) < _STILL:
            return
