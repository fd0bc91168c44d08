"""The step contract: a desired state with typed parameters (``docs/extending.md``).

The engine calls `Step.observe`, `Step.is_met` and `Step.plan`, applies **one** change, and observes again until the state is met or
`Step.settle` seconds have passed. Check mode, diff mode and verification need no code in the step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, StepCall
from remediation.model.finding import RuledOut

State = TypeVar("State")
StepClass = TypeVar("StepClass", bound="type[Step[Any]]")


class Step(BaseModel, ABC, Generic[State]):
    """One desired state. Parameters are pydantic fields declared with `param`; unknown names are rejected.

    Class attributes: ``name`` (``noun.state``); ``risk`` and ``needs`` of its changes unless a change states its own; ``settle``
    (seconds a change may take to become visible); ``once_per_run`` (a state such as "restarted", measured from the start of the
    run); ``deadline`` (seconds for one change, all calls together); ``in_container`` (the state is one of the container that runs
    Ollama: a ladder does not consider the step where there is none).

    For `observe`, ``host.context`` has the start of the run if the step is ``once_per_run`` (Unix time by the host's clock), and in check
    mode the changes predicted by earlier steps on the host; see `remediation.steps.run_info`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    name: ClassVar[str] = ""
    risk: ClassVar[Risk] = Risk.SAFE
    needs: ClassVar[frozenset[Need]] = frozenset()
    settle: ClassVar[float] = 10.0
    once_per_run: ClassVar[bool] = False
    deadline: ClassVar[float] = 600.0
    in_container: ClassVar[bool] = False

    @abstractmethod
    def observe(self, host: Reader) -> State:
        """Read what the state depends on. Must not write."""

    @abstractmethod
    def is_met(self, state: State) -> bool | None:
        """Return whether the state is reached, or None if the observation does not show it (see `probe_step`)."""

    @abstractmethod
    def plan(self, state: State) -> Iterator[Change]:
        """Yield the changes in order. Pure: depends only on `state` and the parameters."""

    def apply(self, host: Writer, change: Change) -> None:
        """Carry out one change. Only this method writes; steps that only check need not override it."""
        msg = f"{self.name} plans no changes, so it cannot apply {change.summary!r}"
        raise AssertionError(msg)

    def describe(self, state: State) -> str:
        """Describe the observation relative to the desired state ("1/33 layers on the GPU, wanted 33/33")."""
        return ""

    def probe_step(self, state: State) -> StepCall | None:
        """Return a safe step whose change makes an unknown state known (a preload), or None."""
        return None

    def advice(self, state: State) -> str:
        """Return the manual action to take if the state is not met and this step cannot reach it, or ""."""
        return ""

    def confirm(self, host: Writer, state: State) -> str:
        """Verify a met state in a way that no observation can. Returns what contradicts it, or ""."""
        return ""

    def rules_out(self, state: State) -> Iterable[RuledOut]:
        """Return the causes that a met state excludes, each with the evidence."""
        return ()

    def reached_by(self, foreseen: Mapping[str, Any]) -> bool | None:
        """Return whether the predicted `values` of another step would meet this state, or None if they do not show it."""
        return None

    def measured_effect(self, change: Change, before: State, after: State) -> str:
        """Return the measured effect of a change ("predicted +2.3 GiB, measured +2.2 GiB")."""
        return ""

    def values(self, state: State) -> dict[str, Any]:
        """Return JSON values for ``register`` (``layers``, ...). A ladder's dry run shows ``predicted``."""
        return {}


class CheckStep(Step[State]):
    """Base of steps that only check."""

    def plan(self, state: State) -> Iterator[Change]:
        """Plan nothing."""
        return iter(())


def param(description: str, *, default: Any = ..., example: Any = None, **limits: Any) -> Any:
    """Declare a step parameter: its description, default (required if omitted), example and pydantic constraints."""
    extra: dict[str, Any] = {"json_schema_extra": {"example": example}} if example is not None else {}
    return Field(default, description=description, **extra, **limits)


def step(
    name: str,
    *,
    risk: Risk = Risk.SAFE,
    needs: frozenset[Need] = frozenset(),
    settle: float = 10.0,
    once_per_run: bool = False,
    deadline: float = 600.0,
    in_container: bool = False,
) -> Callable[[StepClass], StepClass]:
    """Set a step class's name and class attributes. The entry-point group ``remediation.steps`` registers the class."""

    def mark(cls: StepClass) -> StepClass:
        cls.name = name
        cls.risk = risk
        cls.needs = needs
        cls.settle = settle
        cls.once_per_run = once_per_run
        cls.deadline = deadline
        cls.in_container = in_container
        return cls

    return mark
