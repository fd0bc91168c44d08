"""Thread pools for work on hosts. Their threads never keep the program from exiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self


T = TypeVar("T")
Item = TypeVar("Item")

HASTE = 1.0
"""Seconds for returning leases when the program ends at once; a lease that is not returned expires."""
PARTING = 4.0
"""Seconds for closing hosts when the program ends at once.

A slow host needs some for a login, and only this ends its programs.
"""
CLOSING = 32
"""How many hosts are closed in parallel, so that one that does not answer does not delay the others."""
AWAKE = 0.2
"""Seconds after which the waiting main thread wakes up to handle signals; required on Windows."""


class Workers:
    """A pool of daemon threads.

    `concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter exits, so a second Ctrl-C would wait for
    the slowest host. These threads are joined only by a ``with`` block that ends without an exception.
    """

    def __init__(self, most: int, name: str = "host") -> None:
        self._most = max(1, most)
        self._name = name
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for _thread in self._threads:
            self._jobs.put(None)
        if kind is None:
            for thread in self._threads:
                thread.join()

    def abandon(self) -> None:
        """Stop the threads after their current job without joining them."""
        for _thread in self._threads:
            self._jobs.put(None)
        self._threads = []

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Run `work` in one of the threads."""
        future: Future[T] = Future()
        self._jobs.put((future, lambda: work(*arguments)))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
            thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            del job
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - re-raised by the reader of the future
                future.set_exception(error)
            del future, work  # free what they refer to while this thread waits for the next job
            self._idle.release()


def finish(work: Iterable[Callable[[], object]], patience: float | None = None) -> None:
    """Run final work for many hosts in parallel; jobs that take longer than `patience` seconds are left to their threads.

    After an interrupt, `PARTING` seconds remain for the rest.
    """
    jobs = list(work)
    with Workers(min(CLOSING, len(jobs)), "closing") as pool:
        pending = [pool.submit(job) for job in jobs]
        try:
            _await(pending, patience)
        except KeyboardInterrupt:
            _await(pending, PARTING)
            raise
        if not all(future.done() for future in pending):
            pool.abandon()


def _await(futures: Sequence[Future[Any]], patience: float | None) -> None:
    """Wait until all futures are done or `patience` seconds have passed; wakes up to handle signals."""
    until = None if patience is None else time.monotonic() + patience
    while pending := [future for future in futures if not future.done()]:
        left = AWAKE if until is None else min(AWAKE, until - time.monotonic())
        if left <= 0:
            return
        wait(pending, timeout=left)


def gather(work: Callable[[Item], T], items: Iterable[Item], most: int) -> Sequence[T]:
    """Return the results of `work` for each item, in order, with at most `most` at a time. An exception is raised at the end."""
    with Workers(most) as workers:
        futures = [workers.submit(work, item) for item in items]
        pending: set[Future[T]] = set(futures)
        while pending:
            _, pending = wait(pending, timeout=AWAKE, return_when=FIRST_COMPLETED)
        return [future.result() for future in futures]
