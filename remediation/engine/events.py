"""Passes every event, with secrets masked, to all sinks in order. The journal is first, so that the event is on disk."""

from __future__ import annotations

import dataclasses
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from remediation.engine.internal_errors import Crashed, crash_sentence
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
    """The ``emit`` port; called by the threads of all hosts.

    If a sink raises, it loses that event and the others still receive it; the first such error of a sink is written to
    standard error. A `RemediationError` of a sink (the journal cannot be written) is raised.
    """

    def __init__(
        self, sinks: Sequence[Callable[[Event], None]], mask: Masker | None = None, crashed: Crashed = crash_sentence
    ) -> None:  # fmt: skip
        self._sinks = tuple(sinks)
        self._mask = mask or Masker()
        self._crashed = crashed
        self._failed: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Pass one event to every sink."""
        masked = dataclasses.replace(event, task=self._mask(event.task), data=self._mask(event.data))
        _log_event(masked)
        with self._lock:
            for number, sink in enumerate(self._sinks):
                try:
                    sink(masked)
                except RemediationError:
                    raise
                except Exception as error:  # a report may be of another distribution
                    if not number:
                        raise  # the journal comes first: its errors belong to the host that sent the event
                    self._report(number, masked, error)

    def _report(self, number: int, event: Event, error: Exception) -> None:
        sentence = self._crashed(event.host or "report", error)
        if number not in self._failed:
            self._failed.add(number)
            with suppress(OSError, ValueError):
                sys.stderr.write(f"a report skips an event of kind {event.kind}: {sentence}; the run continues\n")


def _log_event(event: Event) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    change = event.data.get("change")
    values = {"change": change.get("summary")} if isinstance(change, Mapping) else {}
    values |= {name: event.data[name] for name in _SAID if isinstance(event.data.get(name), str | int | float)}
    text = ", ".join(
        f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items() if value != ""
    )
    task = f" [{event.task}]" if event.task else ""
    # an event is censored and masked before it gets here
    _log.info("%s: %s%s %s", event.host or "run", event.kind, task, text, extra={"no_values": True})
