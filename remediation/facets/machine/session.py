"""The login and the desktop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from remediation.connections.calls import Probe, Run
from remediation.facets.checked import checked
from remediation.facets.machine.docker_desktop import Desktop, DesktopControl
from remediation.facets.machine.rights import problems
from remediation.facets.machine.user_task import task_of
from remediation.facets.snapshot import Snapshot
from remediation.model.clock import Clock
from remediation.model.errors import Blocked
from remediation.model.facts import DockerDesktop, EngineFacts, SessionFacts

SESSION_PROBE = Probe("session", timeout=30.0)
USER_RUN = Run(("id", "-un"), timeout=15.0)
NUMBER_RUN = Run(("id", "-u"), timeout=15.0)


@checked("desktop")
class WindowsDesktop:
    """By the ``session`` probe. A network logon has no credential store (facts/windows 2), whoever logs in."""

    def __init__(self, look: Snapshot, engine: Callable[[], EngineFacts], *, remote: bool) -> None:
        self._snapshot, self._engine, self._remote = look, engine, remote

    def session(self) -> SessionFacts:
        """Return what this login may do and who sits at the desktop."""
        return session_from_probe(self._snapshot.probe(SESSION_PROBE, "asking for the session"), remote=self._remote)

    def docker(self) -> DockerDesktop | None:
        """Return Docker Desktop as it is."""
        return Desktop(self._snapshot, self._engine).read()


@checked("desktop")
class WindowsDesktopWriter(WindowsDesktop):
    """And messages, and Docker Desktop stopped, started and set."""

    def __init__(self, look: Snapshot, engine: Callable[[], EngineFacts], clock: Clock, *, remote: bool) -> None:
        super().__init__(look, engine, remote=remote)
        self._control = DesktopControl(look, clock, engine)
        self.unshown = ""

    def notify(self, message: str, *, seconds: float) -> bool:
        """Show a message to whoever sits at the desktop; return whether it could be shown, else `unshown` says why not."""
        call = Probe("notify", {"message": message, "seconds": round(seconds)}, timeout=60.0, writes=True)
        value = self._snapshot.probe(call, "telling whoever sits at the desktop")
        self.unshown = "" if value["shown"] else self._why_unshown(value)
        return bool(value["shown"])

    def _why_unshown(self, value: Mapping[str, Any]) -> str:
        if "task" not in value:
            return "Windows does not say who sits at the desktop"
        error = task_of(value).refusal("it failed", self._snapshot.host)
        return "" if error is None else error.message.partition(": ")[2]

    def stop_docker(self, *, timeout: float = 180.0) -> None:
        """Stop Docker Desktop completely."""
        self._control.stop(timeout=timeout)

    def start_docker(self, *, timeout: float = 300.0) -> None:
        """Start Docker Desktop and wait until the engine answers."""
        self._control.start(timeout=timeout)

    def set_docker(self, settings: Mapping[str, Any]) -> str:
        """Write settings into Docker Desktop's file and return the backup's path."""
        return self._control.set(settings)


@checked("desktop")
class PosixDesktop:
    """A login on Linux: closing programs and starting the engine need no desktop there."""

    def __init__(self, look: Snapshot) -> None:
        self._snapshot = look

    def session(self) -> SessionFacts:
        """Return what this login may do."""
        user, number = self._snapshot.ask(USER_RUN, NUMBER_RUN)
        name = self._snapshot.ended(user, "asking for the login").text.strip()
        return SessionFacts(user=name, elevated=self._snapshot.ended(number, "asking for the login").text.strip() == "0")

    def docker(self) -> DockerDesktop | None:
        """Know of none: Docker Desktop for Linux runs the engine in a machine of its own, which sees no GPU."""
        return None


@checked("desktop")
class PosixDesktopWriter(PosixDesktop):
    """No message reaches a desktop from a login on Linux, and there is no Docker Desktop to be handled."""

    def notify(self, message: str, *, seconds: float) -> bool:
        """Show nothing."""
        return False

    def stop_docker(self, *, timeout: float = 180.0) -> None:
        """Refuse."""
        raise self._none()

    def start_docker(self, *, timeout: float = 300.0) -> None:
        """Refuse."""
        raise self._none()

    def set_docker(self, settings: Mapping[str, Any]) -> str:
        """Refuse."""
        raise self._none()

    def _none(self) -> Blocked:
        return Blocked(
            "there is no Docker Desktop on this host",
            host=self._snapshot.host,
            next_step="the engine is a service here: systemctl",
        )


def session_from_probe(value: Mapping[str, Any], *, remote: bool) -> SessionFacts:
    """Return what the ``session`` probe says."""
    return SessionFacts(
        user=str(value["User"] or "this login"),
        elevated=bool(value["Elevated"]),
        desktop_user=value["DesktopUser"],
        language_mode=str(value["LanguageMode"]),
        shell_version=str(value["PSVersion"]),
        wsl=None,
        credential_store=False if remote else None,
        problems=problems(value),
    )
