"""A program that takes long, by the worker protocol: started apart, asked again and again, and stopped when its time is over."""

from __future__ import annotations

from remediation.connections import wire
from remediation.connections.base import Completed, Failed, Reply, Run
from remediation.connections.bounded import Gathered
from remediation.connections.slices import Ask
from remediation.model.clock import Clock
from remediation.model.limits import LimitExceeded

_POLL = 20.0


def run(ask: Ask, call: Run, clock: Clock) -> Reply:
    """Run a program to its end; raises `LimitExceeded` for one that writes too much."""
    deadline = clock.monotonic() + call.timeout
    started = ask([wire.run(call) | {"op": "start", "timeout": wire.DETACHED}], [call], wire.LONGEST)[0]
    if (problem := wire.failed(started)) is not None:
        return problem
    job, out, err = started["job"], Gathered("stdout", finish=call.writes), Gathered("stderr", finish=call.writes)
    while True:
        left = deadline - clock.monotonic()
        poll = {"op": "poll", "job": job, "wait": max(0.0, min(_POLL, left))}
        # what was said until a lost poll is lost with it: so a poll is never repeated, and a write stays a write
        said = ask([poll], [call], _POLL, again=False)[0]
        if (problem := wire.failed(said)) is not None:
            return problem
        try:
            out.take(wire.content(said, "stdout"))
            err.take(wire.content(said, "stderr"))
        except LimitExceeded:
            ask([{"op": "stop", "job": job}], [call], wire.LONGEST, again=False)
            raise
        if said.get("done") or left <= 0:
            break
    ask([{"op": "stop", "job": job}], [call], wire.LONGEST, again=False)
    if not said.get("done"):
        return Failed("timeout", f"{call.argv[0]} did not end in {call.timeout:g} s and was told to stop")
    return Completed(int(said["rc"]) & wire.UNSIGNED, out.content(), err.content())
