"""The server's log: slog lines and llama.cpp's raw ones on stderr, gin's access lines on stdout (facts/ollama 2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from remediation_lab.ollama import golang
from remediation_lab.ports import LabClock

INFO, DEBUG, TRACE = 0, 1, 2
"""The OLLAMA_DEBUG value from which lines of a level show."""


@dataclass(frozen=True, slots=True)
class Line:
    """One slog line: `source` is file.go:NN; pairs keep their order, values are written as they are, quoted where slog would."""

    source: str
    message: str
    pairs: tuple[tuple[str, object], ...] = ()
    level: str = "INFO"


def line(source: str, message: str, level: str = "INFO", **pairs: object) -> Line:
    """Make a line; in a key two underscores become a space, and a single one at the end is dropped."""
    return Line(source, message, tuple((key.rstrip("_").replace("__", " "), of) for key, of in pairs.items()), level)


class Journal:
    """Writes lines to `sink(stream, text)` with the lab's time; hides what the debug level hides."""

    def __init__(self, sink: Callable[[str, str], None], clock: LabClock, debug: int) -> None:
        self._sink = sink
        self._clock = clock
        self._debug = debug

    def write(self, entry: Line | str) -> None:
        """Write one slog line, or a raw line of the runner."""
        if isinstance(entry, str):
            self._sink("stderr", entry)
            return
        if entry.level == "DEBUG" and self._debug < DEBUG:
            return
        pairs = "".join(f" {golang.quoted(key)}={golang.quoted(golang.value(of))}" for key, of in entry.pairs)
        time = golang.log_time(self._clock.now())
        self._sink("stderr", f"time={time} level={entry.level} source={entry.source} msg={golang.quoted(entry.message)}{pairs}")

    def early(self, source: str, text: str) -> None:
        """Write a line in the format that holds before the log handler is set (recordings, surprise 18)."""
        now = datetime.fromtimestamp(self._clock.now(), timezone.utc)
        self._sink("stderr", f"{now:%Y/%m/%d %H:%M:%S} {source}: {text}")

    def access(self, status: int, nanoseconds: int, method: str, path: str, client: str) -> None:
        """Write gin's line of one request."""
        now = datetime.fromtimestamp(self._clock.now(), timezone.utc)
        took = golang.duration(nanoseconds if nanoseconds < golang.MINUTE else nanoseconds // golang.SECOND * golang.SECOND)
        quoted = json.dumps(path)
        self._sink("stdout", f"[GIN] {now:%Y/%m/%d - %H:%M:%S} | {status:3d} | {took:>13} | {client:>15} | {method:<7}  {quoted}")
