"""Replays a recorded run in place of a host: equal calls get the recorded answers, in the recorded order.

Answers recorded after a change are not given before that change is requested here too. In check mode, the recording of a repair
therefore yields the diagnosis and plan that the repair started with.
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

    The last answer to a call is repeated, because a run may send a call more often than the recorded one did.
    """

    def __init__(self, host: str, path: Path, number: int = 1) -> None:
        self.host = host
        self.platform, taped = cassette.load_cassette(path, number)
        self.round_trips = 0
        self._path = path
        self._changes = 0
        """The number of recorded changes that this run has passed."""
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
        """Do nothing: there is no session."""

    def _answer(self, call: Call) -> Reply:
        answers = self._answers.get(cassette.key(call))
        if not answers:
            return Failed(
                "not-recorded",
                f"{self._path} has no answer to {' '.join(call.argv) if isinstance(call, Run) else name_of(call)}: the recorded run never sent that call",
            )
        times = list(answers)
        if call.writes:
            # use its next occurrence; from then on, the host is in the state after it
            time = times[min(bisect_left(times, self._changes), len(times) - 1)]
            self._changes = max(self._changes, time + 1)
        else:
            # use the answer after the last change, else the one before it, else the first one after it
            time = times[max(0, bisect_right(times, self._changes) - 1)]
        replies = answers[time]
        reply = replies.popleft() if len(replies) > 1 else replies[0]
        if isinstance(call, Http) and isinstance(reply, HttpReply):
            notify_listener(call, reply.body)
        return reply
