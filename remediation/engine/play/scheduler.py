"""Drives the walks of many hosts, each at its own pace, and brings them together where they have to meet.

A segment of a walk, from one meeting to the next, runs in one thread of a pool; who waits for the others holds no thread.
So any number of forks will do, and a slow host holds back only those that wait for it at a meeting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from remediation.engine.play.control_flow import Barrier, LeaderResult, LeaderTurn, Walk
from remediation.engine.workers import AWAKE, Workers


def segment(walk: Walk, answer: Any) -> Barrier | LeaderResult | None:
    """Walk on to the next meeting, or to the end (None)."""
    try:
        return walk.send(answer)
    except StopIteration:
        return None


@dataclass
class Scheduler:
    """The walks of one wave; ``waiting`` are the hosts that have come to a meeting, by its path."""

    walks: Mapping[str, Walk]
    waiting: dict[str, str] = field(default_factory=dict)
    followers: dict[str, list[str]] = field(default_factory=dict)

    def run(self, forks: int) -> None:
        """Walk all to their ends; an exception of one ends the others at their next meeting, and is raised.

        One host has a thread of its own as well: the main thread is then free to take signals.
        """
        with Workers(min(forks, len(self.walks))) as pool:
            self._together(pool)

    def _together(self, pool: Workers) -> None:
        running: dict[Future[Barrier | LeaderResult | None], str] = {}
        ended: SimpleQueue[Future[Barrier | LeaderResult | None]] = SimpleQueue()  # to wait for any of n costs n each time

        def start(ready: Iterator[tuple[str, Any]] | list[tuple[str, Any]]) -> None:
            for name, answer in ready:
                future = pool.submit(segment, self.walks[name], answer)
                running[future] = name
                future.add_done_callback(ended.put)

        start([(name, None) for name in self.walks])
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
                start(self._meeting())
        if failure is not None:
            raise failure

    def _next(self, name: str, came_to: Barrier | LeaderResult | None) -> list[tuple[str, Any]]:
        """Return who walks on now that `name` came to a meeting, shared what it led to, or ended."""
        if isinstance(came_to, Barrier):
            self.waiting[name] = came_to.path
            return []
        followers = self.followers.pop(name, [])
        if isinstance(came_to, LeaderResult):
            return [(name, None), *((other, came_to.value) for other in followers)]
        for other in followers:  # the leader ended without a word: another one leads
            self.waiting[other] = self._left_at
        return []

    _left_at: str = ""

    def _meeting(self) -> list[tuple[str, Any]]:
        """Return who leads the meeting of the first host that waits; all who wait at the same task follow."""
        first = next((name for name in self.walks if name in self.waiting), None)
        if first is None:
            return []
        path = self._left_at = self.waiting[first]
        there = [name for name in self.walks if self.waiting.get(name) == path]
        for name in there:
            del self.waiting[name]
        self.followers[first] = there[1:]
        return [(first, LeaderTurn())]
