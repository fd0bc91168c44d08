"""What a step may know besides the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remediation.model.change import Change


@dataclass(frozen=True, slots=True)
class LookContext:
    """The run as a step sees it (`remediation.steps.run_info`).

    ``run_started`` is the start of the run by the host's clock, set for ``once_per_run`` steps. ``pending`` are the changes that check
    mode has predicted so far on this host.
    """

    run_started: float | None = None
    pending: tuple[Change, ...] = ()


NO_CONTEXT = LookContext()
"""The context of a reader that belongs to no step."""
