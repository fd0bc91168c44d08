"""The session of a command on a worker: one host, with the variables that the controller sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from remediation.cli.context import Session
from remediation.inventory.inventory import Inventory

if TYPE_CHECKING:
    from remediation.model.secrets.masking import Masker


@dataclasses.dataclass(frozen=True, slots=True)
class SentSession(Session):
    """A session without an inventory. ``notes`` are the connection's remarks, for the controller to print."""

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    notes: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, values: Mapping[str, Any], masker: Masker) -> SentSession:
        """Return the session of one host."""
        return cls(Inventory({}, (), {}, {}), {}, None, masker, (), values=values)

    def variables(self, host: str) -> dict[str, Any]:
        """Return the variables that the controller sent."""
        return dict(self.values)

    def warn(self, text: str) -> None:
        """Keep a note of the connection."""
        if self.looks.is_new(text):
            self.notes.append(text)
