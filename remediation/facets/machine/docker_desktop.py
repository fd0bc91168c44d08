"""Docker Desktop: its state (from its processes and the engine), its settings file, and starting and stopping it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remediation.connections.calls import Probe, ReadFile
from remediation.facets.checked import checked
from remediation.facets.machine.files import HostFilesWriter
from remediation.facets.machine.rights import problems
from remediation.facets.machine.user_task import FAILED, NO_USER, REFUSED, RUNNING, task_of
from remediation.facets.snapshot import Snapshot
from remediation.model.clock import Clock
from remediation.model.errors import NO_ANSWER, Blocked, CallFailed, DeadlineExceeded
from remediation.model.facts import DockerDesktop, EngineFacts
from remediation.model.text.json_text import load_json

STATE_PROBE = Probe("desktop", timeout=45.0)
_START_SECONDS = 300.0
"""A healthy start takes less than a minute. Running longer without an engine is an unknown state."""
_POLITE = 120.0
_POLL = 2.0
_TASK = 60.0
"""Seconds that the scheduled task that starts it may wait to run."""
_BACKEND = "com.docker.backend"


def read_desktop(snapshot: Snapshot, engine: Callable[[], EngineFacts]) -> DockerDesktop | None:
    """Return Docker Desktop's state, or None if it is not installed. `engine` queries the engine and raises if it does not answer."""
    value = snapshot.probe(STATE_PROBE, "querying Docker Desktop")
    if not value["Installed"] and "Installed" not in problems(value):
        return None
    try:
        engine()
    except NO_ANSWER:
        return parse_desktop(value, answers=False)
    return parse_desktop(value, answers=True)


def parse_desktop(value: Mapping[str, Any], *, answers: bool) -> DockerDesktop:
    """Convert the ``desktop`` probe's answer."""
    refused = problems(value)
    if answers or value["Processes"]:
        refused.pop("Installed", None)  # a running program is installed
    started = [float(each["CreationDate"]) for each in value["Processes"] if program(each) == _BACKEND and each["CreationDate"]]
    return DockerDesktop(
        version=str(value["Version"] or ""),
        state=_unreported_state(answers=answers)
        if "Processes" in refused
        else _state(bool(value["Processes"]), started, float(value["Now"]), answers=answers),
        started=min(started, default=None),
        engine=answers,
        settings_path=str(value["SettingsPath"] or ""),
        settings=_settings(value["Settings"]),
        locked=locked_settings(value["AdminSettings"]),
        problems=refused,
    )


def _state(there: bool, started: Sequence[float], now: float, *, answers: bool) -> str:
    if answers and started:
        return "running"
    if not there:
        return "stopped"
    if not started:
        return "stopping"
    return "starting" if now - min(started) < _START_SECONDS else "unknown"


def _unreported_state(*, answers: bool) -> str:
    """Return the state if Windows does not report the processes."""
    return "running" if answers else "unknown"


def program(row: Mapping[str, Any]) -> str:
    """Return a process's name in lower case, without ``.exe``."""
    return str(row["Name"]).lower().removesuffix(".exe")


def _settings(text: str | None) -> dict[str, Any]:
    try:
        value = load_json((text or "{}").lstrip("\ufeff"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def locked_settings(text: str | None) -> tuple[str, ...]:
    """Return the settings locked by an administrator."""
    return tuple(sorted(name for name, each in _settings(text).items() if isinstance(each, dict) and each.get("locked") is True))


def changed_settings(text: str, settings: Mapping[str, Any]) -> str:
    """Return a settings file's text with `settings` applied. None removes a key; the spelling of existing keys is kept."""
    value = _settings(text)
    spelled = {name.lower(): name for name in value}
    for name, wanted in settings.items():
        key = spelled.get(name.lower(), name)
        if wanted is None:
            value.pop(key, None)
        else:
            value[key] = wanted
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@checked("docker_desktop")
class DesktopControl:
    """Starts, stops and configures Docker Desktop in the session of the user at the desktop."""

    _snapshot: Snapshot
    _clock: Clock
    _engine: Callable[[], EngineFacts]

    def stop_docker(self, *, timeout: float = 180.0) -> None:
        """Stop Docker Desktop completely: first with its own command, limited in time, then by killing its processes."""
        until = self._clock.monotonic() + timeout
        reason = ""
        if self._processes():
            done = self._act("stop", seconds=round(min(_POLITE, timeout)))
            # do not wait if its own command could not be started
            requested = task_of(done).outcome not in {NO_USER, REFUSED, FAILED}
            self._has_ended(min(until, self._clock.monotonic() + (_POLITE if requested else 0.0)))
        if self._processes():
            reason = str(self._act("kill")["problem"] or "")
        if not self._has_ended(until):
            left = ", ".join(sorted({program(each) for each in self._processes()}))
            raise DeadlineExceeded(
                f"Docker Desktop did not stop within {timeout:.0f} s: still running: {left}" + (f" ({reason})" if reason else ""),
                host=self._snapshot.host,
                next_step="end them in the task manager, or log off the desktop user",
            )

    def start_docker(self, *, timeout: float = 300.0) -> None:
        """Start Docker Desktop and wait until the engine answers twice in a row. Also waits for a start in progress."""
        until = self._clock.monotonic() + timeout
        done = self._act("start", seconds=round(min(_TASK, timeout)))
        task = task_of(done)
        refusal = task.refusal("Docker Desktop could not be started in the session of its user", self._snapshot.host)
        if refusal is not None:
            raise refusal
        if not done["done"] and task.outcome != RUNNING:
            raise CallFailed(f"Docker Desktop could not be started: {done['problem']}", host=self._snapshot.host)
        under_way = f" (its scheduled task {task.state})" if task.outcome == RUNNING else ""
        times = 0
        while times < 2:
            self._snapshot.invalidate()
            try:
                self._engine()
                times += 1
            except NO_ANSWER:
                times = 0
                if self._clock.monotonic() >= until:
                    raise DeadlineExceeded(
                        f"Docker Desktop was started, but its engine did not answer within {timeout:.0f} s{under_way}",
                        host=self._snapshot.host,
                        next_step="check the desktop: Docker Desktop may be waiting for user input",
                    ) from None
            self._clock.sleep(_POLL)

    def set_docker(self, settings: Mapping[str, Any]) -> str:
        """Write settings to its file and return the path of the backup."""
        self._snapshot.invalidate()
        value = self._snapshot.probe(STATE_PROBE, "querying Docker Desktop")
        if self._running_processes(value):
            raise Blocked(
                "Docker Desktop is running and would overwrite its settings",
                host=self._snapshot.host,
                next_step="stop Docker Desktop first",
            )
        path = str(value["SettingsPath"] or "")
        if not path:
            refused = problems(value)
            why = refused.get("SettingsPath") or refused.get("Profile")
            raise CallFailed(
                "Docker Desktop's settings file was not found" + (f": {why}" if why else ""), host=self._snapshot.host
            )
        before = self._snapshot.content(ReadFile(path)) or b"{}"
        backup = f"{path}.{int(self._clock.now())}.bak"
        text = changed_settings(before.decode("utf-8-sig", errors="replace"), settings)
        HostFilesWriter(self._snapshot).write(path, text.encode("utf-8"), backup=backup)
        return backup

    def _processes(self) -> Sequence[Mapping[str, Any]]:
        self._snapshot.invalidate()
        return self._running_processes(self._snapshot.probe(STATE_PROBE, "querying Docker Desktop"))

    def _running_processes(self, value: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return Docker Desktop's processes. Raises if Windows does not report them, because it may be running."""
        reason = problems(value).get("Processes")
        if reason is not None:
            raise CallFailed(
                f"cannot determine whether Docker Desktop is running: {reason}", host=self._snapshot.host,
                next_step="log in with an elevated account (docs/windows.md)",
            )  # fmt: skip
        found: Sequence[Mapping[str, Any]] = value["Processes"]
        return found

    def _has_ended(self, until: float) -> bool:
        while self._processes():
            if self._clock.monotonic() >= until:
                return False
            self._clock.sleep(_POLL)
        return True

    def _act(self, action: str, *, seconds: int = 0) -> Mapping[str, Any]:
        call = Probe("docker-desktop", {"action": action, "seconds": seconds}, timeout=45.0 + seconds, writes=True)
        found: Mapping[str, Any] = self._snapshot.probe(call, f"Docker Desktop: {action}")
        return found
