"""The step contract: a desired state with typed parameters (``docs/extending.md``).

The engine looks, asks `Step.met`, plans, applies **one** change, and looks again until the state is met, within
`Step.settle` seconds. Check mode, diff and verification follow from that and cost a step's author nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, StepCall
from remediation.model.finding import RuledOut

Seen = TypeVar("Seen")
StepClass = TypeVar("StepClass", bound="type[Step[Any]]")


class Step(BaseModel, ABC, Generic[Seen]):
    """One desired state. Parameters are pydantic fields made with `param`; unknown names are refused.

    Class attributes: ``name`` (``noun.state``), ``risk`` of its changes unless a change says otherwise, ``needs``
    likewise, ``settle`` (seconds the state may take to show after a change), ``once_per_run`` (a state such as
    "restarted", measured from the start of the run), ``deadline`` (seconds for one change, all calls together).

    The engine adds to what `look` finds in ``host.variables``: ``run_started`` for a ``once_per_run`` step (seconds since
    the epoch by the host's own clock), and in check mode ``pending_changes``, the changes predicted before this step on the
    host (as in ``docs/events.md``), for a state that hangs on them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    name: ClassVar[str] = ""
    risk: ClassVar[Risk] = Risk.SAFE
    needs: ClassVar[frozenset[Need]] = frozenset()
    settle: ClassVar[float] = 10.0
    once_per_run: ClassVar[bool] = False
    deadline: ClassVar[float] = 600.0

    @abstractmethod
    def look(self, host: Reader) -> Seen:
        """Read what the state depends on. Writes nothing."""

    @abstractmethod
    def met(self, seen: Seen) -> bool | None:
        """Return whether the state is reached; None when what was seen cannot tell (see `probe_step`)."""

    @abstractmethod
    def plan(self, seen: Seen) -> Iterator[Change]:
        """Yield what would be done, in order. Pure: depends on `seen` and the parameters alone."""

    def apply(self, host: Writer, change: Change) -> None:
        """Carry out one change; the only place that writes. Steps that only look need not override it."""
        msg = f"{self.name} plans no changes and so applies none, not {change.summary!r}"
        raise AssertionError(msg)

    def describe(self, seen: Seen) -> str:
        """Return in one sentence how what was seen relates to the state ("1/33 layers on the GPU, wanted 33/33")."""
        return ""

    def probe_step(self, seen: Seen) -> StepCall | None:
        """Return the safe step that makes an unknown state known (a preload), or None."""
        return None

    def advice(self, seen: Seen) -> str:
        """Return what a person has to do where the state is not met and the step itself cannot reach it, or ""."""
        return ""

    def confirm(self, host: Writer, seen: Seen) -> str:
        """Ask for the proof that no look can give, once the state is met; return what contradicts it, or ""."""
        return ""

    def rules_out(self, seen: Seen) -> Iterable[RuledOut]:
        """Return the causes that a met state excludes, each with what was observed."""
        return ()

    def reached_by(self, foreseen: Mapping[str, Any]) -> bool | None:
        """Return whether the `values` that another step foresees would meet this state; None where they do not tell."""
        return None

    def measured_effect(self, change: Change, before: Seen, after: Seen) -> str:
        """Return what the change measurably did ("predicted +2.3 GiB, measured +2.2 GiB")."""
        return ""

    def values(self, seen: Seen) -> dict[str, Any]:
        """Return JSON values for ``register`` (``layers``, ...); ``predicted`` is shown where a ladder is rehearsed."""
        return {}


def param(description: str, *, default: Any = ..., example: Any = None, **limits: Any) -> Any:
    """Declare a step's parameter: what it is, its default (required without one), an example, pydantic's limits."""
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
) -> Callable[[StepClass], StepClass]:
    """Name a step class and set its class attributes; it is found through the entry-point group ``remediation.steps``."""

    def mark(cls: StepClass) -> StepClass:
        cls.name = name
        cls.risk = risk
        cls.needs = needs
        cls.settle = settle
        cls.once_per_run = once_per_run
        cls.deadline = deadline
        return cls

    return mark
