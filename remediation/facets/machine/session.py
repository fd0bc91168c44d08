"""The login and the desktop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from remediation.connections.calls import Probe, Run
from remediation.facets.checked import SnapshotReader, checked
from remediation.facets.machine.docker_desktop import DesktopControl, read_desktop
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
    """Uses the ``session`` probe. A network logon has no access to the credential store (Microsoft: logon types)."""

    def __init__(self, snapshot: Snapshot, engine: Callable[[], EngineFacts], *, remote: bool) -> None:
        self._snapshot, self._engine, self._remote = snapshot, engine, remote

    def session(self) -> SessionFacts:
        """Return the login's rights and the desktop user."""
        return session_from_probe(self._snapshot.probe(SESSION_PROBE, "querying the session"), remote=self._remote)

    def docker(self) -> DockerDesktop | None:
        """Return the state of Docker Desktop."""
        return read_desktop(self._snapshot, self._engine)


@checked("desktop")
class WindowsDesktopWriter(WindowsDesktop, DesktopControl):
    """Adds messages, and stopping, starting and configuring Docker Desktop."""

    def __init__(self, snapshot: Snapshot, engine: Callable[[], EngineFacts], clock: Clock, *, remote: bool) -> None:
        super().__init__(snapshot, engine, remote=remote)
        self._clock = clock
        self.unshown = ""

    def notify(self, message: str, *, seconds: float) -> bool:
        """Show a message to the desktop user. Returns whether it was shown; otherwise `unshown` has the reason."""
        call = Probe("notify", {"message": message, "seconds": round(seconds)}, timeout=60.0, writes=True)
        value = self._snapshot.probe(call, "notifying the desktop user")
        self.unshown = "" if value["shown"] else self._why_unshown(value)
        return bool(value["shown"])

    def _why_unshown(self, value: Mapping[str, Any]) -> str:
        if "task" not in value:
            return "Windows does not report the desktop user"
        error = task_of(value).refusal("it failed", self._snapshot.host)
        return "" if error is None else error.message.partition(": ")[2]


@checked("desktop")
class PosixDesktop(SnapshotReader):
    """A login on Linux. Closing programs and starting the engine need no desktop there."""

    def session(self) -> SessionFacts:
        """Return the login's rights."""
        user, number = self._snapshot.fetch(USER_RUN, NUMBER_RUN)
        name = self._snapshot.completed(user, "querying the login").text.strip()
        return SessionFacts(user=name, elevated=self._snapshot.completed(number, "querying the login").text.strip() == "0")

    def docker(self) -> DockerDesktop | None:
        """Return None: Docker Desktop for Linux runs the engine in a virtual machine without a GPU."""
        return None


@checked("desktop")
class PosixDesktopWriter(PosixDesktop):
    """A login on Linux cannot show messages on a desktop and has no Docker Desktop."""

    def notify(self, message: str, *, seconds: float) -> bool:
        """Return False without showing anything."""
        return False

    def stop_docker(self, *, timeout: float = 180.0) -> None:
        """Raise `Blocked`."""
        raise self._none()

    def start_docker(self, *, timeout: float = 300.0) -> None:
        """Raise `Blocked`."""
        raise self._none()

    def set_docker(self, settings: Mapping[str, Any]) -> str:
        """Raise `Blocked`."""
        raise self._none()

    def _none(self) -> Blocked:
        return Blocked(
            "there is no Docker Desktop on this host",
            host=self._snapshot.host,
            next_step="manage the engine with systemctl",
        )


def session_from_probe(value: Mapping[str, Any], *, remote: bool) -> SessionFacts:
    """Convert the ``session`` probe's answer."""
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
