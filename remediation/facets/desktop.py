"""The login and the desktop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.connections.base import Probe, Run
from remediation.facets.look import Look
from remediation.model.facts import SessionFacts

SESSION_PROBE = Probe("session", timeout=30.0)
USER_RUN = Run(("id", "-un"), timeout=15.0)
NUMBER_RUN = Run(("id", "-u"), timeout=15.0)


class WindowsDesktop:
    """By the ``session`` probe. A network logon has no credential store (facts/windows 2), whoever logs in."""

    def __init__(self, look: Look, *, remote: bool) -> None:
        self._look, self._remote = look, remote

    def session(self) -> SessionFacts:
        """Return what this login may do and who sits at the desktop."""
        return from_probe(self._look.probe(SESSION_PROBE, "asking for the session"), remote=self._remote)


class PosixDesktop:
    """A login on Linux: closing programs and starting the engine need no desktop there."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def session(self) -> SessionFacts:
        """Return what this login may do."""
        user, number = self._look.ask(USER_RUN, NUMBER_RUN)
        name = self._look.ended(user, "asking for the login").text.strip()
        return SessionFacts(user=name, elevated=self._look.ended(number, "asking for the login").text.strip() == "0")


def from_probe(value: Mapping[str, Any], *, remote: bool) -> SessionFacts:
    """Return what the ``session`` probe says."""
    return SessionFacts(
        user=str(value["User"]),
        elevated=bool(value["Elevated"]),
        desktop_user=value["DesktopUser"],
        language_mode=str(value["LanguageMode"]),
        shell_version=str(value["PSVersion"]),
        wsl=None,
        credential_store=False if remote else None,
    )
