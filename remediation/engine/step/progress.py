"""How far a change has come that takes long: a pull, as events of that change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediation.model.facts import PullProgress


class Pulling:
    """Takes the lines of a pull and tells few of them: each new word, and of each layer every percent once."""

    def __init__(self, tell: Callable[..., None], change: Mapping[str, Any]) -> None:
        self._tell, self._change = tell, change
        self._last: dict[str, int | None] = {}

    def __call__(self, line: PullProgress) -> None:
        """Take one line."""
        percent = 100 * line.completed // line.total if line.total and line.completed is not None else None
        if line.status in self._last and self._last[line.status] == percent:
            return
        self._last[line.status] = percent
        self._tell("change_progress", **self._change, status=line.status, completed=line.completed, total=line.total)
