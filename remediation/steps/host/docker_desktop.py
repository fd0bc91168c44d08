"""Docker Desktop: a full restart, and the settings that concern the GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, StepCall, needs
from remediation.model.errors import Blocked, CallFailed, NotApplicable
from remediation.model.facts import Container, DockerDesktop
from remediation.steps.compose.stack import silence_of
from remediation.steps.contract import Step, param, step
from remediation.steps.run_info import is_since, run_started

RUNNING, STOPPED = "running", "stopped"
SETTINGS = ("Profile", "SettingsPath", "Settings", "AdminSettings")
"""The parts of the probe that read Docker Desktop's settings."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Docker Desktop, the start of the run, the running containers, and those that have stopped since the run began."""

    desktop: DockerDesktop
    since: float
    running: tuple[str, ...]
    lost: tuple[str, ...]
    silent: str = ""

    @property
    def fresh(self) -> bool:
        """Whether Docker Desktop was started during this run."""
        return self.desktop.started is not None and self.desktop.started >= self.since


@step("docker_desktop.restarted", risk=Risk.DISRUPTIVE, needs=needs(Need.DESKTOP), settle=60.0, once_per_run=True, deadline=600.0)
class DockerDesktopRestarted(Step[Restart]):
    """Docker Desktop was started during this run, the engine answers, and the containers that were running run again.

    The containers are stopped first, because Docker Desktop kills them when it exits. Docker Desktop is stopped and started in
    the session of the user at the desktop: a remote login cannot do that.
    """

    def observe(self, host: Reader) -> Restart:
        desktop = resolve_desktop(host)
        since = run_started(host)
        containers = host.engine.containers() if desktop.engine else ()
        running = tuple(one.name for one in containers if one.running)
        target = host.target().container
        silent = silence_of(host) if target is not None and target.value in running else ""
        return Restart(desktop, since, running, _lost(containers, since), silent)

    def is_met(self, state: Restart) -> bool:
        return state.fresh and state.desktop.engine and not state.lost and not state.silent

    def plan(self, state: Restart) -> Iterator[Change]:
        if self.is_met(state):
            return
        if not state.fresh:
            if state.running:
                yield _halt(state.running)
            if state.desktop.state != STOPPED:
                yield _stop(state.desktop)
            yield _start()
        # started, but the engine does not answer yet; `settle` limits the wait
        for name in (*(() if state.fresh else state.running), *state.lost):
            yield _restart_change(name)

    def apply(self, host: Writer, change: Change) -> None:
        apply_setting(host, change)

    def describe(self, state: Restart) -> str:
        parts = [f"Docker Desktop {state.desktop.version} is {state.desktop.state}"]
        parts.append("started in this run" if state.fresh else "not restarted in this run")
        if not state.desktop.engine:
            parts.append("its engine does not answer")
        if state.lost:
            parts.append(f"{', '.join(state.lost)} ran before and is not running")
        if state.silent:
            parts.append(state.silent)
        return "; ".join(parts)

    def values(self, state: Restart) -> dict[str, Any]:
        return {"state": state.desktop.state, "engine": state.desktop.engine, "version": state.desktop.version}


def _lost(containers: Iterable[Container], since: float) -> tuple[str, ...]:
    """Return the containers that stopped after the run began."""
    return tuple(one.name for one in containers if not one.running and is_since(one.finished_at, since))


@dataclass(frozen=True, slots=True)
class DesktopSettings:
    """Docker Desktop, the current values of the requested settings, and the containers that run or ran when the run began."""

    desktop: DockerDesktop
    now: Mapping[str, Any]
    running: tuple[str, ...]
    lost: tuple[str, ...]


@step("docker_desktop.setting", risk=Risk.DISRUPTIVE, needs=needs(Need.DESKTOP), settle=60.0, once_per_run=True, deadline=600.0)
class DockerDesktopSetting(Step[DesktopSettings]):
    """Docker Desktop runs with these settings. Its file is edited only while it is stopped, because Docker Desktop overwrites it.

    The guide's "Use GPU for Docker Desktop" does not exist. Docker Desktop's settings-store.json has these related keys:
    ``disableHardwareAcceleration`` (draw its window without the GPU), ``openUIOnStartupDisabled`` (no window at start) and
    ``enableInference`` (Docker Model Runner, which competes with Ollama for the GPU). GPU support of containers is not a setting
    and is never disabled here.
    """

    set: dict[str, bool | int | str | None] = param(
        "settings by name, null restores the default", example={"openUIOnStartupDisabled": True}, min_length=1
    )

    def observe(self, host: Reader) -> DesktopSettings:
        desktop = resolve_desktop(host, *SETTINGS)
        locked = [name for name in self.set if name.lower() in {key.lower() for key in desktop.locked}]
        if locked:
            raise Blocked(
                f"{', '.join(locked)} of Docker Desktop on {host.name} is locked by an administrator",
                host=host.name, next_step="change it in admin-settings.json, or ask its administrator",
            )  # fmt: skip
        known = {key.lower(): value for key, value in desktop.settings.items()}
        now = {name: known.get(name.lower()) for name in self.set}
        containers = host.engine.containers() if desktop.engine else ()
        running = tuple(one.name for one in containers if one.running)
        return DesktopSettings(desktop, now, running, _lost(containers, run_started(host)))

    def is_met(self, state: DesktopSettings) -> bool:
        return not self._values_to_set(state) and state.desktop.engine and not state.lost

    def plan(self, state: DesktopSettings) -> Iterator[Change]:
        lacking = self._values_to_set(state)
        if lacking:
            if state.running:
                yield _halt(state.running)
            if state.desktop.state != STOPPED:
                yield _stop(state.desktop)
            words = ", ".join(f"{name}={_format_value(value)}" for name, value in lacking.items())
            yield Change(
                f"set {words} in {state.desktop.settings_path}", subject=state.desktop.settings_path, risk=Risk.SAFE,
                before={name: state.now[name] for name in lacking}, after=dict(lacking), needs=needs(),
                undo=StepCall("docker_desktop.setting", {"set": {name: state.now[name] for name in lacking}}),
                data={"action": "set", "settings": dict(lacking)},
            )  # fmt: skip
        if lacking or state.desktop.state == STOPPED:
            yield _start()
        for name in (*(state.running if lacking else ()), *state.lost):
            yield _restart_change(name)

    def apply(self, host: Writer, change: Change) -> None:
        if change.data["action"] == "set":
            host.desktop.set_docker(change.data["settings"])
        else:
            apply_setting(host, change)

    def describe(self, state: DesktopSettings) -> str:
        parts = [", ".join(f"{name} is {_format_value(value)}" for name, value in state.now.items())]
        if not state.desktop.engine:
            parts.append(f"Docker Desktop is {state.desktop.state}, its engine does not answer")
        return "; ".join(parts)

    def values(self, state: DesktopSettings) -> dict[str, Any]:
        return {"settings": dict(state.now)}

    def _values_to_set(self, state: DesktopSettings) -> dict[str, Any]:
        return {name: value for name, value in self.set.items() if state.now[name] != value}


def apply_setting(host: Writer, change: Change) -> None:
    """Stop or start containers and Docker Desktop, as the change says."""
    action = change.data["action"]
    if action == "halt":
        for name in change.data["containers"]:
            host.engine.stop(name)
    elif action == "stop":
        host.desktop.stop_docker()
    elif action == "start":
        host.desktop.start_docker()
    else:
        host.engine.start(change.subject)


def _halt(names: tuple[str, ...]) -> Change:
    return Change(
        f"stop {', '.join(names)} before Docker Desktop", subject="containers", needs=needs(),
        data={"action": "halt", "containers": list(names)},
    )  # fmt: skip


def _stop(desktop: DockerDesktop) -> Change:
    return Change("stop Docker Desktop", subject="stop", before=desktop.state, after=STOPPED, data={"action": "stop"})


def _start() -> Change:
    summary = "start Docker Desktop and wait for its engine"
    return Change(summary, subject="start", before=STOPPED, after=RUNNING, risk=Risk.SAFE, data={"action": "start"})


def _restart_change(name: str) -> Change:
    return Change(f"start {name} again", subject=name, risk=Risk.SAFE, needs=needs(), data={"action": "container"})


def _format_value(value: object) -> str:
    return "the default" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def resolve_desktop(host: Reader, *parts: str) -> DockerDesktop:
    """Return Docker Desktop. Raises `NotApplicable` if it is not installed, and `CallFailed` if Windows denies required information.

    Required are its installation and processes, and the further `parts`.
    """
    found = host.desktop.docker()
    if found is None:
        raise NotApplicable(f"does not apply, because Docker Desktop is not installed on {host.name}", host=host.name)
    for part in ("Installed", "Processes", *parts):
        if part in found.problems:
            known = {"Installed": "whether Docker Desktop is installed", "Processes": "whether Docker Desktop runs"}
            words = known.get(part, "the settings of Docker Desktop")
            raise CallFailed(
                f"cannot determine {words} on {host.name}: {found.problems[part]}", host=host.name,
                next_step="log in with an elevated account (docs/windows.md), or try again if a file was in use",
            )  # fmt: skip
    return found
