"""The program's standard output and error, sanitized for every writer.

All output passes here, tracebacks included: known secrets are masked and control characters escaped. Only rich's live display
writes its own colours to the real stream (`unwrap_stream`); its texts are sanitized beforehand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from remediation.model.secrets.masking import Masker
from remediation.model.text.visible import visible


class SafeStream:
    """A text stream that shows no control characters and no secrets known to `masker`."""

    def __init__(self, stream: TextIO, masker: Masker) -> None:
        self.stream = stream
        self.masker = masker

    def write(self, text: str) -> int:
        """Write a text; return its length, as streams do."""
        self.stream.write(visible(self.masker.mask_known(text)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def install() -> None:
    """Sanitize this process's output until it exits."""
    masker = current_masker()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, SafeStream):  # a process may start without standard streams
            setattr(sys, name, cast("TextIO", SafeStream(stream, masker)))


@contextmanager
def safe_output() -> Iterator[None]:
    """Sanitize the output during one command."""
    before = sys.stdout, sys.stderr
    install()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def current_masker() -> Masker:
    """Return the masker of the running command; a new one if no command is running."""
    streams = (stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, SafeStream))
    return next((stream.masker for stream in streams), None) or Masker()


def unwrap_stream(stream: TextIO) -> TextIO:
    """Return the real stream behind a sanitized one, for the program's own control sequences."""
    return stream.stream if isinstance(stream, SafeStream) else stream
