"""The result of a `fix-offload` run: the rungs that were tried, the next step, and the messages about deleting data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LADDER = "All layers on the GPU"


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one run, from its events."""

    code: int
    events: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, code: int, lines: Iterable[str]) -> Ended:
        """Return the end of a run with the exit code `code` and its ``--json`` lines."""
        return cls(code, tuple(json.loads(line) for line in lines))

    def kinds(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the events of one kind."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def ladder(self) -> Mapping[str, Any]:
        """The ladder's result."""
        return next(event for event in reversed(self.kinds("task_result")) if event["task"] == LADDER)

    @property
    def rungs(self) -> list[str]:
        """The rungs that were tried."""
        return [event["rung"] for event in self.kinds("rung_start")]

    @property
    def steps(self) -> list[str]:
        """The steps that changed something, in order."""
        return list(dict.fromkeys(event["step"] for event in self.kinds("change_end") if event["applied"]))

    @property
    def summary(self) -> str:
        """What was found, tried and changed, and what failed, a line each: for the message of a failed assertion."""
        lines = [f"exit code {self.code}"]
        for event in self.events:
            match event:
                case {"event": "findings", "diagnosis": diagnosis}:
                    causes = [(cause["cause"], cause.get("confidence")) for cause in diagnosis.get("findings", ())]
                    lines.append(f"findings: {causes}")
                case {"event": "rung_start", "rung": rung}:
                    lines.append(f"rung: {rung} ({event.get('reason')})")
                case {"event": "rung_end", "outcome": outcome}:
                    lines.append(f"  ended: {outcome} ({event.get('reason')})")
                case {"event": "change_end", "step": step}:
                    lines.append(f"  {step}: applied={event['applied']} {event.get('error') or event.get('effect')}")
                case {"event": "note", "text": text}:
                    lines.append(f"  note: {text}")
                case {"event": "task_result", "task": task, "outcome": outcome}:
                    lines.append(f"task {task}: {outcome} ({event.get('reason')}); next: {event.get('next_step')}")
                case _:
                    pass
        return "\n".join(lines)

    @property
    def next_step(self) -> str:
        """What a person should do now."""
        return str(self.ladder.get("next_step") or "")

    @property
    def deletes(self) -> bool:
        """Whether deleting data was done, planned or offered."""
        changes = [event["change"] for event in (*self.kinds("change_planned"), *self.kinds("change_start"))]
        offered = "yes-destroy" in self.next_step or "Make the volume" in self.next_step
        return offered or any(change["risk"] == "destructive" for change in changes)
