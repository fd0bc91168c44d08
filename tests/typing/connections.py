"""Connections of other distributions. `mypy` checks this file; nothing runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from typing_extensions import assert_type

from remediation.connections.calls import Call, Completed, Connection, Failed, ReadFile, Reply, Run
from remediation.connections.factory import ConnectionFactory
from remediation.connections.program_connection import ProgramConnection
from remediation.connections.settings import ConnectionSettings
from remediation.connections.variables import ConnectionVariables


class FromScratch:
    """Satisfies the protocol without a base class."""

    platform = "posix"

    def __init__(self, settings: ConnectionSettings, note: Callable[[str], None], /) -> None:
        self.host, self.round_trips = settings.name, 0
        assert_type(ConnectionVariables(settings.name, settings.variables).text("name"), str | None)
        assert_type(settings.password, str | None)
        note("a note")

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return [Failed("error", f"{call.timeout:g} s") for call in calls]

    def close(self) -> None:
        pass


class ByPrograms(ProgramConnection):
    """Runs programs only."""

    def __init__(self, settings: ConnectionSettings, note: Callable[[str], None], /) -> None:
        super().__init__(settings.name)

    def run(self, call: Run) -> Reply:
        assert_type(call.argv, tuple[str, ...])
        return Completed(0, call.stdin, b"")


class WithoutRun(ProgramConnection):
    """A program connection runs programs."""


class WithoutClose:
    """A connection can be closed."""

    host, platform, round_trips = "", "posix", 0

    def __init__(self, settings: ConnectionSettings, note: Callable[[str], None], /) -> None: ...

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return []


def without_note(settings: ConnectionSettings, /) -> Connection:
    """A factory takes a function for notes."""
    return ByPrograms(settings, print)


factories: list[ConnectionFactory] = [FromScratch, ByPrograms]
factories.append(WithoutClose)  # type: ignore[arg-type]
factories.append(without_note)  # type: ignore[arg-type]
WithoutRun("box")  # type: ignore[abstract]
Run("ls -l")  # type: ignore[arg-type]
ReadFile("a").path = "b"  # type: ignore[misc]
Completed(0, "text", b"")  # type: ignore[arg-type]
