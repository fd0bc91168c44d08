"""A recorded run in the place of a host: the same questions get the same answers, in the order in which they were given."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path

from remediation.connections import cassette
from remediation.connections.base import Call, Failed, Http, Probe, Reply, Run


class ReplayConnection:
    """See `remediation.connections.base.Connection`.

    The last answer to a question is given again as often as it is asked: a run may look oftener than the recorded one did.
    """

    def __init__(self, host: str, path: Path, number: int = 1) -> None:
        self.host = host
        self.platform, taped = cassette.load(path, number)
        self.round_trips = 0
        self._path = path
        self._answers: dict[str, deque[Reply]] = defaultdict(deque)
        for each in taped:
            self._answers[cassette.key(each.call)].append(each.reply)

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Answer from the cassette."""
        self.round_trips += 1
        return [self._answer(call) for call in calls]

    def close(self) -> None:
        """Do nothing: no session was opened."""

    def _answer(self, call: Call) -> Reply:
        answers = self._answers.get(cassette.key(call))
        if not answers:
            return Failed("error", f"{self._path} holds no answer to {_name(call)}: the recorded run never asked that")
        return answers.popleft() if len(answers) > 1 else answers[0]


def _name(call: Call) -> str:
    if isinstance(call, Run):
        return " ".join(call.argv)
    if isinstance(call, Probe):
        return f"the probe {call.name}"
    return f"{call.method} {call.url}" if isinstance(call, Http) else call.path
