"""Reports and commands of other distributions. `mypy` checks this file; nothing runs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remediation.model.event import Event
from remediation.model.plugin import Plugin, PluginCommand, option
from remediation.report.formats import ReportFormat


def right(events: Iterable[Event], /) -> str:
    """Return a text."""
    return "".join(event.kind for event in events)


def as_bytes(events: Iterable[Event], /) -> bytes:
    """A report is a text."""
    return b""


def of_one(event: Event, /) -> str:
    """A report is of all events."""
    return event.kind


formats: list[ReportFormat] = [right]
formats.append(as_bytes)  # type: ignore[arg-type]
formats.append(of_one)  # type: ignore[arg-type]


def assign(event: Event) -> None:
    """An event is frozen, and its data are read only."""
    event.host = "other"  # type: ignore[misc]
    event.data["text"] = ""  # type: ignore[index]


@dataclass
class Options:
    """The options of a command."""

    loud: bool = option("In capitals.", default=False)


def command(options: Options) -> int:
    """Return an exit code."""
    return int(options.loud)


def without_code(options: Options) -> None:
    """A command has an exit code."""


Plugin((PluginCommand("a", Options, command),))
Plugin((PluginCommand("a", Options, without_code),))  # type: ignore[arg-type]
Plugin(PluginCommand("a", Options, command))  # type: ignore[arg-type]
Plugin(start_hosts=command)  # type: ignore[arg-type]
