"""A step is typed by what its `look` returns. `mypy` checks this file; nothing runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from typing_extensions import assert_type

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.facts import GpuUse, Process
from remediation.steps.contract import Step, param, step


@step("typed.right", risk=Risk.DISRUPTIVE)
class Right(Step[GpuUse]):
    """Uses each part of the contract."""

    want: int = param("bytes", example=1)
    names: tuple[str, ...] = param("programs", default=())

    def observe(self, host: Reader) -> GpuUse:
        assert_type(host.processes.list(), Sequence[Process])
        assert_type(host.files.read("a"), bytes | None)
        return host.gpu.use()

    def is_met(self, state: GpuUse) -> bool | None:
        return state.free >= self.want

    def plan(self, state: GpuUse) -> Iterator[Change]:
        yield Change("close a", subject="a", undo=StepCall("typed.right", {"want": 1}))

    def apply(self, host: Writer, change: Change) -> None:
        host.files.write("a", b"text")

    def describe(self, state: GpuUse) -> str:
        return str(state.free)


assert_type(Right(want=1).want, int)
assert_type(Right.risk, Risk)
Right(wnat=1)  # type: ignore[call-arg]
Right(want=1).observe(object())  # type: ignore[arg-type]


class WritesWhileLooking(Step[str]):
    """A reader has nothing that writes."""

    def observe(self, host: Reader) -> str:
        host.files.write("a", b"text")  # type: ignore[attr-defined]
        host.processes.close(1, 1.0)  # type: ignore[attr-defined]
        return ""

    def is_met(self, state: str) -> bool:
        return bool(state)

    def plan(self, state: str) -> Iterator[Change]:
        yield "close a"  # type: ignore[misc]


class JudgesSomethingElse(Step[str]):
    """What is judged is what was state."""

    def observe(self, host: Reader) -> GpuUse:  # type: ignore[override]
        return host.gpu.use()

    def is_met(self, state: int) -> bool:  # type: ignore[override]
        return bool(state)

    def plan(self, state: str) -> list[str]:  # type: ignore[override]
        return []


class WithoutPlan(Step[str]):
    """A step has a plan."""

    def observe(self, host: Reader) -> str:
        return host.name

    def is_met(self, state: str) -> bool:
        return True


WithoutPlan()  # type: ignore[abstract]
step("typed.wrong", risk="disruptive")  # type: ignore[arg-type]
Change("close a", undo="typed.right")  # type: ignore[arg-type]
