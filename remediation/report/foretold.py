"""What a run in check mode would come to on one host, and what of it could not be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediation.model.text.words import plural
from remediation.report.text import Line, labelled


def foretold(changes: Sequence[Mapping[str, Any]], predicted: str) -> list[Line]:
    """Return the lines; `changes` as in ``change_planned`` events, in the order of their numbers."""
    if not changes:
        return [labelled("would", "change nothing")]
    risks = [str(change.get("risk") or "safe") for change in changes]
    counts = ", ".join(f"{risks.count(risk)} {risk}" for risk in dict.fromkeys(risks))
    aim = f", predicted {predicted}" if predicted else ""
    lines = [labelled("would", f"change {plural(len(changes), 'thing')} ({counts}){aim}; stops as soon as the goal is met")]
    for_good = [str(number) for number, change in enumerate(changes, 1) if not change.get("undo")]
    if for_good:
        which = "none of it" if len(for_good) == len(changes) else f"all but {', '.join(for_good)}"
        lines.append(labelled("undo", f"remediate undo could take back {which}"))
    return lines
