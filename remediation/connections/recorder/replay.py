"""A recorded run in the place of a host: the same questions get the same answers, in the order in which they were given.

What the host said after a change is not said before that change is asked for here too. So the recording of a repair gives, in
check mode, the diagnosis and the plan that the repair began with.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path

from remediation.connections.calls import Call, Failed, Http, HttpReply, Reply, Run, name_of, notify_listener
from remediation.connections.recorder import cassette


class ReplayConnection:
    """See `remediation.connections.calls.Connection`.

    The last answer to a question is given again as often as it is asked: a run may look oftener than the recorded one did.
    """

    def __init__(self, host: str, path: Path, number: int = 1) -> None:
        self.host = host
        self.platform, taped = cassette.load_cassette(path, number)
        self.round_trips = 0
        self._path = path
        self._changes = 0
        """Up to which of the recorded changes this run has come."""
        self._answers: dict[str, dict[int, deque[Reply]]] = defaultdict(dict)
        changes = 0
        for each in taped:
            self._answers[cassette.key(each.call)].setdefault(changes, deque()).append(each.reply)
            changes += each.call.writes

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Answer from the cassette."""
        self.round_trips += 1
        return [self._answer(call) for call in calls]

    def close(self) -> None:
        """Do nothing: no session was opened."""

    def _answer(self, call: Call) -> Reply:
        answers = self._answers.get(cassette.key(call))
        if not answers:
            return Failed(
                "not-recorded",
                f"{self._path} holds no answer to {' '.join(call.argv) if isinstance(call, Run) else name_of(call)}: the recorded run never asked that",
            )
        times = list(answers)
        if call.writes:
            # the next time that it was done; from then on the host is as it was after it
            time = times[min(bisect_left(times, self._changes), len(times) - 1)]
            self._changes = max(self._changes, time + 1)
        else:
            # since the last change, else before it; what was first asked later has to do
            time = times[max(0, bisect_right(times, self._changes) - 1)]
        replies = answers[time]
        reply = replies.popleft() if len(replies) > 1 else replies[0]
        if isinstance(call, Http) and isinstance(reply, HttpReply):
            notify_listener(call, reply.body)
        return reply
