"""The program's standard output and error: the boundary at which text is made safe, whoever writes it.

Everything that is printed passes here, tracebacks as well: known secrets are masked, control characters spelled out. Only
rich's live display writes its own colours to the real stream (`unwrapped`); its texts are made safe before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from remediation.model.secrets.masking import Masker
from remediation.model.text.visible import visible


class SafeStream:
    """A text stream that shows no control character and no secret that `masker` knows."""

    def __init__(self, stream: TextIO, masker: Masker) -> None:
        self.stream = stream
        self.masker = masker

    def write(self, text: str) -> int:
        """Write a text; returns its length, as a stream does."""
        self.stream.write(visible(self.masker.known(text)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def install() -> None:
    """Make this process's output safe to its end."""
    masker = current_masker()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, SafeStream):  # a program may be started without one of them
            setattr(sys, name, cast("TextIO", SafeStream(stream, masker)))


@contextmanager
def safe_output() -> Iterator[None]:
    """Make the output safe for the time of one command."""
    before = sys.stdout, sys.stderr
    install()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def current_masker() -> Masker:
    """Return the masker of the command that is running; a new one where nothing is."""
    streams = (stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, SafeStream))
    return next((stream.masker for stream in streams), None) or Masker()


def unwrapped(stream: TextIO) -> TextIO:
    """Return the real stream behind a safe one, for who writes control sequences of the program's own."""
    return stream.stream if isinstance(stream, SafeStream) else stream
