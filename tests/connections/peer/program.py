"""The programs that the server starts: their output waits, and they end with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def descendants(top: int) -> list[int]:
    """Return the processes below one, by what /proc says of parents."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text("latin-1").rpartition(")")[2].split()[1])
    found, waiting = [], [top]
    while waiting:
        parent = waiting.pop()
        children = [number for number, its in parents.items() if its == parent]
        found += children
        waiting += children
    return found


class Program:
    """A started program and its output, which waits for Receive."""

    def __init__(self, words: Sequence[str], environment: dict[str, str]) -> None:
        self.changed = threading.Condition()
        self.waiting: list[tuple[str, bytes]] = []
        self.process = subprocess.Popen(
            list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, bufsize=0,
            start_new_session=True,
        )  # fmt: skip
        self.open = 2
        for name in ("stdout", "stderr"):
            threading.Thread(target=self._pump, args=(name,), daemon=True).start()

    def _pump(self, name: str) -> None:
        pipe = getattr(self.process, name)
        with pipe:
            while content := pipe.read(65536):
                with self.changed:
                    self.waiting.append((name, content))
                    self.changed.notify_all()
        if self.open == 1:
            self.process.wait()
        with self.changed:
            self.open -= 1
            self.changed.notify_all()

    def end(self) -> None:
        """End it with all it started, as the job object of a real shell does."""
        for number in (*descendants(self.process.pid), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()
