"""Runs the walks of many hosts, each at its own pace, and synchronizes them at barriers.

A segment of a walk, from one barrier to the next, runs in one thread of a pool; a waiting host occupies no thread. Any number
of forks therefore works, and a slow host delays only the hosts that wait for it at a barrier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from remediation.engine.play.control_flow import Barrier, CommonBarrier, LeaderResult, LeaderTurn, Walk
from remediation.engine.workers import AWAKE, Workers

Stop: TypeAlias = Barrier | LeaderResult | None
"""Where a segment of a walk stopped: at a barrier, with a result for the others, or at its end."""

Submit: TypeAlias = Callable[[str, Any], "Future[Stop]"]
"""Starts the next segment of a host's walk, which receives the answer to its barrier."""


def segment(walk: Walk, answer: Any) -> Stop:
    """Run a walk to its next barrier, or to its end (None)."""
    try:
        return walk.send(answer)
    except StopIteration:
        return None


@dataclass
class Scheduler:
    """The walks of one wave by host; ``waiting`` maps the waiting hosts to their barriers."""

    names: Sequence[str]
    waiting: dict[str, Barrier] = field(default_factory=dict)
    followers: dict[str, list[str]] = field(default_factory=dict)

    def run(self, submit: Submit) -> None:
        """Run all walks to their ends. An exception in one ends the others at their next barrier and is raised."""
        running: dict[Future[Stop], str] = {}
        ended: SimpleQueue[Future[Stop]] = SimpleQueue()  # waiting for any of n futures costs n each time

        def start(ready: Iterator[tuple[str, Any]] | list[tuple[str, Any]]) -> None:
            for name, answer in ready:
                future = submit(name, answer)
                running[future] = name
                future.add_done_callback(ended.put)

        start([(name, None) for name in self.names])
        failure: BaseException | None = None
        while running:
            try:
                future = ended.get(timeout=AWAKE)
            except Empty:
                continue
            name = running.pop(future)
            error = future.exception()
            failure = failure or error
            if failure is None:
                start(self._next(name, future.result()))
            if not running and failure is None:
                start(self._barrier_hosts())
        if failure is not None:
            raise failure

    def _next(self, name: str, stop: Stop) -> list[tuple[str, Any]]:
        """Return the walks that can continue now that `name` reached a barrier, shared its result, or ended."""
        if isinstance(stop, Barrier):
            self.waiting[name] = stop
            return []
        followers = self.followers.pop(name, [])
        if isinstance(stop, LeaderResult):
            return [(name, None), *((other, stop.value) for other in followers)]
        for other in followers:  # the leader ended without a result: another host leads
            self.waiting[other] = self._left_at
        return []

    _left_at: Barrier = field(default_factory=lambda: Barrier(""))

    def _barrier_hosts(self) -> list[tuple[str, Any]]:
        """Return the leader of the first waiting host's barrier; the other hosts at that task follow. At a meeting, return all of them."""
        first = next((name for name in self.names if name in self.waiting), None)
        if first is None:
            return []
        barrier = self._left_at = self.waiting[first]
        there = [name for name in self.names if self.waiting.get(name) == barrier]
        for name in there:
            del self.waiting[name]
        if isinstance(barrier, CommonBarrier):
            return [(name, None) for name in there]
        self.followers[first] = there[1:]
        return [(first, LeaderTurn())]


def run_walks(walks: Mapping[str, Walk], forks: int) -> None:
    """Run walks in threads of this process, at most `forks` at a time.

    A single host runs in a thread too, so that the main thread can handle signals.
    """
    with Workers(min(forks, len(walks))) as pool:
        Scheduler(tuple(walks)).run(lambda name, answer: pool.submit(segment, walks[name], answer))
