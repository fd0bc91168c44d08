"""Long-running programs through the worker protocol: start, poll until the end, and send stdin in chunks.

A program that ends within a few seconds needs a single exchange: the start request waits for its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.connections.bounded import Gathered
from remediation.connections.calls import Completed, Failed, Reply, Run
from remediation.connections.worker import protocol
from remediation.connections.worker.chunks import SendRequest, cut
from remediation.model.clock import Clock
from remediation.model.limits import LimitExceeded

AT_ONCE = 5.0
"""Seconds that a start request waits for the program's end."""
_POLL = 20.0


def run_detached(ask: SendRequest, call: Run, clock: Clock) -> Reply:
    """Run a program to its end. Raises `LimitExceeded` if it writes too much."""
    deadline = clock.monotonic() + call.timeout
    output = _Output(call)
    first, *rest = cut(call.stdin)
    wait = 0.0 if rest else min(AT_ONCE, call.timeout)
    request = protocol.run_request(call, first) | {
        "op": "start", "timeout": protocol.DETACHED, "wait": wait, "more": bool(rest), "last": wait == call.timeout,
    }  # fmt: skip
    said = ask([request], [call], protocol.LONGEST + wait)[0]
    while True:
        if (problem := protocol.failed_reply(said)) is not None:
            return problem
        try:
            output.take(said)
        except LimitExceeded:
            if not said.get("done"):
                ask([{"op": "stop", "job": said["job"]}], [call], protocol.LONGEST, again=False)
            raise
        if said.get("done"):
            return output.completed(int(said["rc"]))
        if request["last"]:
            return Failed("timeout", f"{call.argv[0]} did not end within {call.timeout:g} s and was stopped")
        left = deadline - clock.monotonic()
        request = {"op": "poll", "job": said["job"], "wait": max(0.0, min(_POLL, left)), "last": left <= _POLL}
        if rest:
            # such a poll returns as soon as the chunk is accepted
            request |= {"stdin": protocol.encoded(rest[0]), "more": len(rest) > 1, "last": left <= 0}
        # output up to a lost poll is lost with it, so polls are never repeated
        said = {"job": said["job"], **ask([request], [call], _POLL, again=False)[0]}
        if rest and said.get("fed"):
            del rest[0]


class _Output:
    """The output of a program so far."""

    def __init__(self, call: Run) -> None:
        self._streams = {name: Gathered(name, finish=call.writes) for name in ("stdout", "stderr")}

    def take(self, said: Mapping[str, Any]) -> None:
        """Add new output. Raises `LimitExceeded`."""
        for name, gathered in self._streams.items():
            gathered.take(protocol.content(said, name))
        if (over := self._streams.get(str(said.get("over")))) is not None:
            over.overflow()

    def completed(self, code: int) -> Completed:
        """Return the program's result. Raises `LimitExceeded`."""
        out, err = (each.content() for each in self._streams.values())
        return Completed(code & protocol.UNSIGNED, out, err)
