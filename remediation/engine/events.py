"""Hands every event to all who listen, secrets masked, one at a time: the journal first, so that it is on disk."""

from __future__ import annotations

import dataclasses
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from remediation.engine.internal_errors import Crashed, unrecorded
from remediation.model.errors import RemediationError
from remediation.model.event import Event
from remediation.model.secrets.masking import Masker

_log = logging.getLogger(__name__)
_SAID = (
    "name",
    "step",
    "rung",
    "outcome",
    "state",
    "reason",
    "msg",
    "text",
    "applied",
    "error",
    "effect",
    "seconds",
    "exit_code",
)
"""Fields of an event that its log record shows."""


class Emitter:
    """The port ``emit``; called by the threads of all hosts.

    An exception in a sink costs that sink the event, and nobody anything else: it is told once on standard error. A
    `RemediationError` of a sink (the journal cannot be written) is raised.
    """

    def __init__(
        self, sinks: Sequence[Callable[[Event], None]], mask: Masker | None = None, crashed: Crashed = unrecorded
    ) -> None:  # fmt: skip
        self._sinks = tuple(sinks)
        self._mask = mask or Masker()
        self._crashed = crashed
        self._failed: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Tell one event; returns when every sink has taken it."""
        masked = dataclasses.replace(event, task=self._mask(event.task), data=self._mask(event.data))
        _log_event(masked)
        with self._lock:
            for number, sink in enumerate(self._sinks):
                try:
                    sink(masked)
                except RemediationError:
                    raise
                except Exception as error:
                    if not number:
                        raise  # what the journal could not take concerns the host that told it
                    self._tell(number, masked, error)

    def _tell(self, number: int, event: Event, error: Exception) -> None:
        sentence = self._crashed(event.host or "report", error)
        if number not in self._failed:
            self._failed.add(number)
            with suppress(OSError, ValueError):
                sys.stderr.write(f"a report leaves out an event of kind {event.kind}: {sentence}; the run goes on\n")


def _log_event(event: Event) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    change = event.data.get("change")
    said = {"change": change.get("summary")} if isinstance(change, Mapping) else {}
    said |= {name: event.data[name] for name in _SAID if isinstance(event.data.get(name), str | int | float)}
    text = ", ".join(
        f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}" for name, value in said.items() if value != ""
    )
    task = f" [{event.task}]" if event.task else ""
    # an event is censored and masked before it gets here
    _log.info("%s: %s%s %s", event.host or "run", event.kind, task, text, extra={"no_values": True})
