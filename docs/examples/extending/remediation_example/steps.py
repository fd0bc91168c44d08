"""Steps of this distribution. The registry finds every `Step` subclass that has a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.steps.contract import Step, param, step


@dataclass(frozen=True, slots=True)
class Flag:
    """What the file says, None where there is no file."""

    text: str | None


@step("maintenance.flagged", risk=Risk.SAFE, settle=5.0)
class MaintenanceFlagged(Step[Flag]):
    """A file says why the host is under maintenance; without a reason there is no such file."""

    path: str = param("the file", example="/etc/maintenance")
    reason: str | None = param("what it says", default=None, min_length=1, example="the GPU is being repaired")

    def observe(self, host: Reader) -> Flag:
        """Read the file."""
        content = host.files.read(self.path)
        return Flag(None if content is None else content.decode("utf-8", errors="replace").strip())

    def is_met(self, state: Flag) -> bool:
        """Compare it with the reason."""
        return state.text == self.reason

    def plan(self, state: Flag) -> Iterator[Change]:
        """Write or remove the file."""
        verb = "remove" if self.reason is None else "write"
        undo = StepCall(self.name, {"path": self.path, "reason": state.text})
        yield Change(f"{verb} {self.path}", subject=self.path, before=state.text, after=self.reason, undo=undo)

    def apply(self, host: Writer, change: Change) -> None:
        """Carry the change out. The next look verifies it."""
        if self.reason is None:
            host.files.remove(self.path)
        else:
            host.files.write(self.path, f"{self.reason}\n".encode())

    def describe(self, state: Flag) -> str:
        """Say what the file says."""
        return f"{self.path} says {state.text!r}" if state.text is not None else f"there is no {self.path}"

    def values(self, state: Flag) -> dict[str, Any]:
        """Register the reason."""
        return {"reason": state.text}
