"""Small steps on the facets, to show what the engine makes of any step; and a context to run them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from remediation.engine.context import HostMemory, Policy, Ports, StepContext
from remediation.engine.events import Emitter
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, StepCall, needs
from remediation.model.errors import NotApplicable
from remediation.model.event import Event
from remediation.model.facts import Container, Process, Runner
from remediation.model.finding import Diagnosis
from remediation.steps.contract import Step, param, step
from remediation.steps.run_info import run_started
from tests.engine.event_contract import faults
from tests.engine.fakes.host import LAYERS, WEIGHTS, FakeAccess, World


@step("sample.file", settle=10.0)
class FileSays(Step[str | None]):
    """A file holds a text."""

    path: str = param("which file")
    text: str = param("what it holds")

    def observe(self, host: Reader) -> str | None:
        content = host.files.read(self.path)
        return None if content is None else content.decode()

    def is_met(self, state: str | None) -> bool:
        return state == self.text

    def plan(self, state: str | None) -> Iterator[Change]:
        if state != self.text:
            undo = None if state is None else StepCall("sample.file", {"path": self.path, "text": state})
            yield Change(f"write {self.path}", subject=self.path, before=state, after=self.text, undo=undo)

    def apply(self, host: Writer, change: Change) -> None:
        host.files.write(change.subject, self.text.encode())

    def describe(self, state: str | None) -> str:
        return f"{self.path} holds {state!r}, wanted {self.text!r}"

    def measured_effect(self, change: Change, before: str | None, after: str | None) -> str:
        return f"held {before!r}, holds {after!r}"

    def values(self, state: str | None) -> dict[str, Any]:
        return {"text": state}


@step("sample.closed", risk=Risk.DISRUPTIVE, settle=5.0)
class ProgramsClosed(Step[Sequence[Process]]):
    """No program of these names runs."""

    names: tuple[str, ...] = param("which programs")

    def observe(self, host: Reader) -> Sequence[Process]:
        return [process for process in host.processes.list() if process.program in self.names]

    def is_met(self, state: Sequence[Process]) -> bool:
        return not state

    def plan(self, state: Sequence[Process]) -> Iterator[Change]:
        for process in state:
            windows = process.has_window
            yield Change(
                f"close {process.name}", subject=process.key, before=process.vram, after=0,
                needs=needs(Need.DESKTOP) if windows else needs(), asks=f"closes a window of {process.name}" if windows else "",
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        pid, _, started = change.subject.partition("@")
        host.processes.close(int(pid), float(started), grace=1.0)

    def describe(self, state: Sequence[Process]) -> str:
        return f"{len(state)} of them run"


@step("sample.preloaded")
class Preloaded(Step[Sequence[Runner]]):
    """A model is loaded."""

    model: str = param("which model")

    def observe(self, host: Reader) -> Sequence[Runner]:
        return [runner for runner in host.ollama.running() if runner.model == self.model]

    def is_met(self, state: Sequence[Runner]) -> bool:
        return bool(state)

    def plan(self, state: Sequence[Runner]) -> Iterator[Change]:
        if not state:
            yield Change(f"load {self.model}", subject=self.model)

    def apply(self, host: Writer, change: Change) -> None:
        host.ollama.load(change.subject, options={})


@step("sample.whole")
class WholeOnGpu(Step[Runner | None]):
    """The whole model is in dedicated memory; unknown while it is not loaded."""

    model: str = param("which model")

    def observe(self, host: Reader) -> Runner | None:
        return next((runner for runner in host.ollama.running() if runner.model == self.model), None)

    def is_met(self, state: Runner | None) -> bool | None:
        return None if state is None else state.size_vram == state.size

    def plan(self, state: Runner | None) -> Iterator[Change]:
        return iter(())

    def probe_step(self, state: Runner | None) -> StepCall | None:
        return StepCall("sample.preloaded", {"model": self.model}) if state is None else None

    def describe(self, state: Runner | None) -> str:
        return "not loaded" if state is None else f"{state.size_vram} of {state.size} bytes on the GPU"

    def values(self, state: Runner | None) -> dict[str, Any]:
        return {} if state is None else {"layers": [state.size_vram, state.size]}

    def reached_by(self, foreseen: Mapping[str, Any]) -> bool | None:
        layers, total = foreseen["predicted"]
        return bool(layers == total)


@step("sample.reloaded")
class Reloaded(Step[Runner | None]):
    """The model is reloaded, with as many layers as fit."""

    model: str = param("which model")
    predicts: tuple[int, int] | None = param("the layers that it foresees", default=None)

    def observe(self, host: Reader) -> Runner | None:
        return next((runner for runner in host.ollama.running() if runner.model == self.model), None)

    def is_met(self, state: Runner | None) -> bool:
        return state is not None and state.size_vram == state.size

    def values(self, state: Runner | None) -> dict[str, Any]:
        return {"predicted": list(self.predicts)} if self.predicts else {}

    def plan(self, state: Runner | None) -> Iterator[Change]:
        if state is not None:
            yield Change(f"unload {self.model}", subject=self.model)
        yield Change(f"load {self.model}", subject=self.model)

    def apply(self, host: Writer, change: Change) -> None:
        if change.summary.startswith("unload"):
            host.ollama.unload(change.subject)
        else:
            host.ollama.load(change.subject, options={})


@step("sample.fitted")
class Fitted(Step[tuple[Runner | None, int]]):
    """The model is loaded with as many layers as fit now; freed memory is used only after another load."""

    model: str = param("which model")

    def observe(self, host: Reader) -> tuple[Runner | None, int]:
        runner = next((runner for runner in host.ollama.running() if runner.model == self.model), None)
        room = host.gpu.use().free + (runner.size_vram if runner else 0)
        return runner, min(LAYERS, room // (WEIGHTS // LAYERS))

    def is_met(self, state: tuple[Runner | None, int]) -> bool:
        runner, fits = state
        return runner is not None and runner.size_vram >= (WEIGHTS if fits == LAYERS else fits * (WEIGHTS // LAYERS))

    def plan(self, state: tuple[Runner | None, int]) -> Iterator[Change]:
        if state[0] is not None:
            yield Change(f"unload {self.model}", subject=self.model)
        yield Change(f"load {self.model}", subject=self.model)

    def apply(self, host: Writer, change: Change) -> None:
        if change.summary.startswith("unload"):
            host.ollama.unload(change.subject)
        else:
            host.ollama.load(change.subject, options={})


@step("sample.restarted", risk=Risk.DISRUPTIVE, once_per_run=True)
class Restarted(Step[tuple[Container, float]]):
    """A container was started after this run began."""

    container: str = param("which container")

    def observe(self, host: Reader) -> tuple[Container, float]:
        found = host.engine.inspect(self.container)
        assert found is not None
        return found, run_started(host)

    def is_met(self, state: tuple[Container, float]) -> bool:
        found, since = state
        return datetime.fromisoformat(found.started_at.replace("Z", "+00:00")).timestamp() >= since

    def plan(self, state: tuple[Container, float]) -> Iterator[Change]:
        if not self.is_met(state):
            yield Change(f"restart {self.container}", subject=self.container)

    def apply(self, host: Writer, change: Change) -> None:
        host.engine.restart(change.subject)


@step("sample.deleted", risk=Risk.DESTRUCTIVE)
class ModelDeleted(Step[bool]):
    """A model's runner is gone (in place of a change that deletes data)."""

    model: str = param("which model")

    def observe(self, host: Reader) -> bool:
        return any(runner.model == self.model for runner in host.ollama.running())

    def is_met(self, state: bool) -> bool:
        return not state

    def plan(self, state: bool) -> Iterator[Change]:
        if state:
            yield Change(f"delete {self.model}", subject=self.model)

    def apply(self, host: Writer, change: Change) -> None:
        host.ollama.unload(change.subject)


@step("sample.absent")
class Absent(Step[None]):
    """Something that hosts of this kind do not have."""

    def observe(self, host: Reader) -> None:
        raise NotApplicable("no such thing on this kind of host", host=host.name)

    def is_met(self, state: None) -> bool:
        return False

    def plan(self, state: None) -> Iterator[Change]:
        return iter(())


TOYS: Mapping[str, type[Step[Any]]] = {
    cls.name: cls for cls in (Absent, FileSays, ProgramsClosed, Preloaded, WholeOnGpu, Reloaded, Fitted, Restarted, ModelDeleted)
}


@dataclass
class Scripted:
    """A prompt with prepared answers; keeps the questions."""

    answers: list[bool] = field(default_factory=list)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    available: bool = True

    def confirm(self, question: str, details: Sequence[str] = ()) -> bool:
        self.asked.append((question, tuple(details)))
        return self.answers.pop(0)

    def confirm_typed(self, question: str, wanted: str) -> bool:
        self.asked.append((question, (wanted,)))
        return self.answers.pop(0)


@dataclass
class RecordedEvents:
    """The events of a run."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        assert not faults(event), faults(event)
        self.events.append(event)

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [event.data for event in self.events if event.kind == kind]

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@dataclass
class Bench:
    """A host and a context; `context` makes one with the given limits."""

    world: World = field(default_factory=World)
    recorded: RecordedEvents = field(default_factory=RecordedEvents)
    prompt: Scripted = field(default_factory=Scripted)
    memory: HostMemory = field(default_factory=HostMemory)
    steps: Mapping[str, type[Step[Any]]] = field(default_factory=lambda: TOYS)
    diagnose: Callable[[Reader], Diagnosis] = lambda _host: Diagnosis()
    cancelled: Callable[[], bool] = lambda: False

    def context(self, *, timeout: float | None = None, path: str = "0.0", **policy: Any) -> StepContext:
        limits = Policy(**{"run_started": self.world.clock.start, "warn_seconds": 0.0, **policy})
        ports = Ports(
            emit=Emitter([self.recorded]), clock=self.world.clock, prompt=self.prompt, diagnose=self.diagnose,
            cancelled=self.cancelled, steps=lambda: self.steps,
        )  # fmt: skip
        access = FakeAccess(self.world, check=limits.check)
        return StepContext("laptop-07", access, limits, ports, self.memory, "play", "task", path, timeout)
