"""The formats of ``--report FILE``, by the file's suffix: the built-in ones, and those of other distributions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from remediation.model.event import Event
from remediation.model.extensions import extension_names, load_extension
from remediation.model.text.visible import visible_json

REPORTS = "remediation.reports"
"""The entry-point group of formats in other distributions. An entry point's name is a suffix without its dot (``md``), and it names a
`ReportFormat`. A built-in format comes before one of the same name."""


class ReportFormat(Protocol):
    """Writes a run as a text. Events are masked (``docs/events.md``); a run that was cut off has no ``run_end``."""

    def __call__(self, events: Iterable[Event], /) -> str:
        """Return the text of the file."""


def _html(events: Iterable[Event], /) -> str:
    from remediation.report.html import html

    return html(events)


def _junit(events: Iterable[Event], /) -> str:
    from remediation.report.junit import junit

    return junit(events)


def _json(events: Iterable[Event], /) -> str:
    return "".join(f"{visible_json(event.to_json())}\n" for event in events)


_BUILT_IN: Mapping[str, ReportFormat] = {".html": _html, ".json": _json, ".jsonl": _json, ".xml": _junit}


def report_format(suffix: str) -> ReportFormat | None:
    """Return the format of a suffix such as ``.html``, None for one that nothing writes; raises `UsageError` for a broken extension."""
    built_in = _BUILT_IN.get(suffix.lower())
    if built_in is not None:
        return built_in
    name = suffix.lower().removeprefix(".")
    found: ReportFormat | None = load_extension(REPORTS, name) if name in extension_names(REPORTS) else None
    return found


def suffixes() -> tuple[str, ...]:
    """Return the suffixes of all formats."""
    return (*_BUILT_IN, *(f".{name}" for name in extension_names(REPORTS) if f".{name}" not in _BUILT_IN))
