"""A Compose project stopped, and started in an order that leaves the GPU to the model first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.units import MIB, human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import NO_ANSWER
from remediation.model.facts import ComposeProject
from remediation.steps.compose.environment import wanted_service
from remediation.steps.compose.stack import RUNNING, containers_of, silence
from remediation.steps.contract import Step, param, step
from remediation.steps.model.loaded import LOAD_TIMEOUT
from remediation.steps.resolve import runner_of, wanted_model, wanted_project

_ROUNDS = 10
_STILL = 32 * MIB


@dataclass(frozen=True, slots=True)
class Stopped:
    """A project, its containers that run, those that are there, and the free VRAM (None without a GPU)."""

    project: ComposeProject
    running: tuple[str, ...]
    there: tuple[str, ...]
    free: int | None


@step("stack.stopped", risk=Risk.DISRUPTIVE, settle=20.0, deadline=300.0)
class StackStopped(Step[Stopped]):
    """No container of the project runs, and the VRAM that they held has come back.

    It waits until the card's free memory no longer moves, not for a number of seconds. Volumes are never touched: there is no
    ``-v`` here (facts/ollama 7.10).
    """

    services: tuple[str, ...] = param("which services; all by default", default=(), example=["api"])
    remove: bool = param("whether containers and networks are removed as well (down)", default=False)

    def look(self, host: Reader) -> Stopped:
        """Read the project's containers and the card."""
        project = wanted_project(host)
        containers = containers_of(host.engine.containers(), project)
        chosen = {name: item for name, item in containers.items() if not self.services or name in self.services}
        running = tuple(name for name, item in chosen.items() if item.status == RUNNING)
        return Stopped(project, running, tuple(chosen), _free(host))

    def met(self, seen: Stopped) -> bool:
        """Whether none runs (none is there)."""
        return not (seen.there if self.remove else seen.running)

    def plan(self, seen: Stopped) -> Iterator[Change]:
        """Stop them in one call."""
        names = seen.there if self.remove else seen.running
        if names:
            yield Change(
                f"{'take down' if self.remove else 'stop'} {', '.join(names)} ({seen.project.name}); volumes stay",
                subject=seen.project.name, before=list(names), after=[],
                undo=StepCall("stack.up", {"services": list(seen.running)} if seen.running else {}),
                data={"services": list(names)},
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        """Stop them, and wait until the card's free memory stands still."""
        project, names = wanted_project(host), change.data["services"]
        if not self.remove:
            host.compose.stop(project, names)
        elif self.services:
            host.compose.remove(project, names)
        else:
            host.compose.down(project)
        _settle(host)

    def describe(self, seen: Stopped) -> str:
        """Say what runs and what is free."""
        free = f"; {human(seen.free)} of VRAM free" if seen.free is not None else ""
        return f"{', '.join(seen.running) or 'nothing'} of {seen.project.name} runs{free}"

    def measured_effect(self, change: Change, before: Stopped, after: Stopped) -> str:
        """Say how much VRAM came back."""
        if before.free is None or after.free is None:
            return ""
        return f"{human(max(0, after.free - before.free))} of VRAM came back"

    def values(self, seen: Stopped) -> dict[str, Any]:
        """Register what runs and what is free."""
        return {"running": list(seen.running), "free": seen.free}


@dataclass(frozen=True, slots=True)
class StartOrder:
    """A project: the service of Ollama, whether it answers and holds the model, and the services that do not run."""

    project: ComposeProject
    service: str
    model: str
    down: tuple[str, ...]
    silent: str
    loaded: bool


@step("stack.ordered_start", settle=90.0, deadline=900.0)
class StackOrderedStart(Step[StartOrder]):
    """The project runs, and the model was loaded before anything else of it could take the GPU.

    Ollama's service first, then the model, then the rest. It waits for the model to be loaded, not for a log line.
    """

    model: str | None = param("which model; the target's by default", default=None, example="mistral:7b-instruct-q4_K_M")

    def look(self, host: Reader) -> StartOrder:
        """Read what runs, and whether the model is loaded."""
        project = wanted_project(host)
        services = host.compose.config(project).get("services") or {}
        service = wanted_service(host, services, None)
        containers = containers_of(host.engine.containers(), project)
        down = tuple(name for name in services if name not in containers or containers[name].status != RUNNING)
        silent = "" if service in down else silence(host, [service])
        model = wanted_model(self.model, host)
        loaded = service not in down and not silent and runner_of(model, host.ollama.running()) is not None
        return StartOrder(project, service, model, down, silent, loaded)

    def met(self, seen: StartOrder) -> bool:
        """Whether all run and the model is loaded."""
        return not seen.down and seen.loaded

    def plan(self, seen: StartOrder) -> Iterator[Change]:
        """Start Ollama, load the model, start the rest."""
        if self.met(seen) or seen.silent:
            return  # one that was just started does not answer at once
        if seen.service in seen.down:
            yield self._start(seen, [seen.service])
        if not seen.loaded:
            undo = StepCall("model.unloaded", {"model": seen.model})
            yield Change(f"load {seen.model}", subject=seen.model, data={"action": "load"}, undo=undo)
        rest = [name for name in seen.down if name != seen.service]
        if rest:
            yield self._start(seen, rest)

    def _start(self, seen: StartOrder, names: list[str]) -> Change:
        undo = StepCall("stack.stopped", {"services": names})
        data = {"action": "up", "services": names, "deps": seen.service not in names}
        return Change(f"start {', '.join(names)} ({seen.project.name})", subject=",".join(names), undo=undo, data=data)

    def apply(self, host: Writer, change: Change) -> None:
        """Start services, or preload."""
        if change.data["action"] == "load":
            host.ollama.load(change.subject, options={}, timeout=LOAD_TIMEOUT)
        else:
            host.compose.up(wanted_project(host), change.data["services"], deps=change.data["deps"])

    def describe(self, seen: StartOrder) -> str:
        """Say what is missing."""
        parts = [f"{', '.join(seen.down)} does not run"] if seen.down else []
        parts += [seen.silent] if seen.silent else []
        parts += [f"{seen.model} is {'' if seen.loaded else 'not '}loaded"]
        return "; ".join(parts)

    def values(self, seen: StartOrder) -> dict[str, Any]:
        """Register what is missing."""
        return {"down": list(seen.down), "loaded": seen.loaded}


def _free(host: Reader) -> int | None:
    try:
        return host.gpu.use().free
    except NO_ANSWER:
        return None


def _settle(host: Writer) -> None:
    """Return once three readings in a row show the same free memory, or after half a minute."""
    for _round in range(_ROUNDS):
        try:
            used = [sample.used for sample in host.gpu.sample(seconds=3.0, every=1.0) if sample.used is not None]
        except NO_ANSWER:
            return  # no card to wait for
        if not used or max(used) - min(used) < _STILL:
            return
