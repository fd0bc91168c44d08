"""Hands every event to all who listen, secrets masked, one at a time: the journal first, so that it is on disk."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence

from remediation.engine.masking import Masker
from remediation.model.event import Event


class Emitter:
    """The port ``emit``; called by the threads of all hosts."""

    def __init__(self, sinks: Sequence[Callable[[Event], None]], mask: Masker | None = None) -> None:
        self._sinks = tuple(sinks)
        self._mask = mask or Masker()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Tell one event; returns when every sink has taken it."""
        masked = dataclasses.replace(event, task=self._mask(event.task), data=self._mask(event.data))
        with self._lock:
            for sink in self._sinks:
                sink(masked)
