"""Configures and restarts the Docker daemon of a Linux host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, StepCall, needs
from remediation.model.errors import CallFailed, HostError, NotApplicable
from remediation.model.facts import DaemonFacts
from remediation.steps.compose.environment import backup_of, digest
from remediation.steps.compose.text import unified_diff
from remediation.steps.contract import Step, param, step
from remediation.steps.docker.daemon_file import (
    changed_keys,
    conflicts,
    daemon_text,
    needs_restart,
    not_effective,
    parse_daemon_file,
    with_defaults,
)
from remediation.steps.run_info import run_started

RUNNING = "running"
_TAKEN_OVER = 20
"""How often to poll the engine for a reload of the file, which it does not announce."""


@dataclass(frozen=True, slots=True)
class DaemonConfiguration:
    """The daemon with its present and its wanted keys, what would keep it from starting, and the running containers.

    ``pending`` are keys of the file that the running engine does not use yet. ``live`` is whether containers survive a restart.
    """

    daemon: DaemonFacts
    keys: Mapping[str, Any]
    wanted: Mapping[str, Any]
    refused: str
    pending: tuple[str, ...]
    running: tuple[str, ...]
    live: bool


@step("docker_daemon.configured", risk=Risk.DISRUPTIVE, needs=needs(Need.ELEVATED), settle=60.0, deadline=300.0)
class DockerDaemonConfigured(Step[DaemonConfiguration]):
    """The Docker daemon's ``daemon.json`` has these keys, and the daemon uses them. Other keys are kept.

    The new file is validated with ``dockerd --validate`` and the daemon's own flags before it is written, and a key that is also
    given as a flag is refused. A reload is enough for runtimes, features and live-restore; other keys need a restart, after which the
    containers that ran before are started again.
    """

    set: dict[str, Any] = param("keys to add or change; mappings are merged", default={}, example={"live-restore": True})
    remove: tuple[str, ...] = param(
        "keys to remove; features.cdi removes one key of a mapping", default=(), example=["default-runtime"]
    )

    def observe(self, host: Reader) -> DaemonConfiguration:
        daemon = resolve_daemon(host)
        keys = parse_daemon_file(daemon, host.name)
        wanted = changed_keys(keys, self.set, self.remove)
        refused = ""
        if wanted != keys:
            twice = conflicts({name: value for name, value in wanted.items() if keys.get(name) != value}, daemon)
            refused = (
                f"{', '.join(twice)} is also given as a flag of dockerd"
                if twice
                else host.daemon.rejects(daemon, daemon_text(wanted))
            )
        engine = host.engine.facts()
        running = running_containers(host)
        ours = {name: wanted[name] for name in self.set if name in wanted}
        return DaemonConfiguration(
            daemon, keys, wanted, refused, tuple(not_effective(ours, engine)), running, engine.live_restore
        )

    def is_met(self, state: DaemonConfiguration) -> bool:
        return state.keys == state.wanted and not state.pending

    def plan(self, state: DaemonConfiguration) -> Iterator[Change]:
        """Write the file and let the daemon take it over, in one change: a file alone is a trap for the next start."""
        if self.is_met(state) or state.refused:
            return
        if state.keys == state.wanted:
            restart = any(not name.startswith(("runtimes", "live-restore", "default-runtime")) for name in state.pending)
            yield take_over(state.daemon, state.running, restart=restart, live=state.live)
            return
        before, after = state.daemon.text, daemon_text(state.wanted)
        names = [f"set {name}" for name in self.set if state.keys.get(name) != state.wanted.get(name)]
        names += [f"remove {name}" for name in self.remove if _has_key(state.keys, name)]
        backup = None if before is None else backup_of(state.daemon.config, before)
        kept = {"made": True} if backup is None else {"backup": backup}
        yield file_change(
            f"{', '.join(names)} in {state.daemon.config}", state.daemon, after, state.running, live=state.live,
            restart=needs_restart(state.keys, state.wanted), backup=backup,
            undo=StepCall("docker_daemon.restored", {"path": state.daemon.config, **kept, "expect": digest(after)}),
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        apply_take_over(host, change)

    def describe(self, state: DaemonConfiguration) -> str:
        if state.refused:
            return f"dockerd would not start with the new {state.daemon.config}: {state.refused}"
        if state.keys != state.wanted:
            return f"{state.daemon.config} lacks the keys or has others"
        if state.pending:
            return f"the running daemon does not use {', '.join(state.pending)} of {state.daemon.config} yet"
        return f"{state.daemon.config} and the running daemon agree"

    def advice(self, state: DaemonConfiguration) -> str:
        return f"correct {state.daemon.config}, or take the flag out of the unit: systemctl cat docker" if state.refused else ""

    def values(self, state: DaemonConfiguration) -> dict[str, Any]:
        return {"path": state.daemon.config, "keys": dict(state.keys), "flags": list(state.daemon.flags)}


@dataclass(frozen=True, slots=True)
class DaemonBackup:
    """The daemon, the content to restore (None: no file), whether that is known, and the running containers."""

    daemon: DaemonFacts
    saved: str | None
    known: bool
    running: tuple[str, ...]
    live: bool
    host: str


@step("docker_daemon.restored", risk=Risk.DISRUPTIVE, needs=needs(Need.ELEVATED), settle=60.0, deadline=300.0)
class DockerDaemonRestored(Step[DaemonBackup]):
    """``daemon.json`` has the content of its backup again, and the daemon uses it. A file that was edited since is left alone."""

    path: str = param("path of the file", example="/etc/docker/daemon.json")
    expect: str = param("SHA-256 of the content that the run wrote; a file with other content is left alone")
    backup: str | None = param("path of the backup", default=None, example="/etc/docker/daemon.json.1f3a77c0.bak")
    made: bool = param("the file was created by the run and is to be removed", default=False)

    def observe(self, host: Reader) -> DaemonBackup:
        daemon = resolve_daemon(host)
        content = host.files.read(self.backup) if self.backup is not None else None
        saved = None if content is None else content.decode("utf-8", errors="replace")
        return DaemonBackup(
            daemon, saved, self.made or saved is not None, running_containers(host), host.engine.facts().live_restore, host.name
        )

    def is_met(self, state: DaemonBackup) -> bool:
        return state.known and state.daemon.text == state.saved

    def plan(self, state: DaemonBackup) -> Iterator[Change]:
        if self.is_met(state) or not state.known or digest(state.daemon.text or "") != self.expect:
            return
        now, then = (parse_daemon_file(replace(state.daemon, text=text), state.host) for text in (state.daemon.text, state.saved))
        words = f"remove {self.path}" if state.saved is None else f"restore {self.path} from {self.backup}"
        yield file_change(
            words,
            state.daemon,
            state.saved,
            state.running,
            live=state.live,
            restart=needs_restart(now, then),
            backup=None,
            undo=None,
        )

    def apply(self, host: Writer, change: Change) -> None:
        apply_take_over(host, change)

    def describe(self, state: DaemonBackup) -> str:
        if not state.known:
            return f"{self.backup} does not exist"
        if self.is_met(state):
            return f"{self.path} is as before"
        if digest(state.daemon.text or "") != self.expect:
            return f"{self.path} was edited since, so it is left unchanged"
        return f"{self.path} still has the run's keys"


@dataclass(frozen=True, slots=True)
class DaemonRestart:
    """The daemon, when its process started, when the run began, and the running and the stopped containers of before."""

    daemon: DaemonFacts
    started: float | None
    since: float
    running: tuple[str, ...]
    live: bool

    @property
    def fresh(self) -> bool:
        """Whether the daemon was started during this run."""
        return self.started is not None and self.started >= self.since - 1.0


@step("docker.restarted", risk=Risk.DISRUPTIVE, needs=needs(Need.ELEVATED), settle=90.0, once_per_run=True, deadline=300.0)
class DockerRestarted(Step[DaemonRestart]):
    """The Docker daemon of a Linux host was restarted during this run, and the containers that ran before run again.

    After an installation of NVIDIA's container toolkit the daemon must be restarted once, because it looks for the toolkit's programs
    only when it starts. Without live-restore every container stops; those without a restart policy are started again by this step.
    """

    def observe(self, host: Reader) -> DaemonRestart:
        daemon = resolve_daemon(host)
        started = next((one.started for one in host.processes.list() if one.pid == daemon.pid), None)
        running = running_containers(host)
        return DaemonRestart(daemon, started, run_started(host), running, host.engine.facts().live_restore)

    def is_met(self, state: DaemonRestart) -> bool:
        return state.fresh

    def plan(self, state: DaemonRestart) -> Iterator[Change]:
        if not state.fresh:
            yield take_over(state.daemon, state.running, restart=True, live=state.live)

    def apply(self, host: Writer, change: Change) -> None:
        apply_take_over(host, change)

    def describe(self, state: DaemonRestart) -> str:
        return f"the Docker daemon was {'' if state.fresh else 'not '}restarted in this run"


def resolve_daemon(host: Reader) -> DaemonFacts:
    """Return the daemon of the target's engine. Raises `NotApplicable` where there is none on the host itself."""
    daemon = host.daemon.software().daemon
    if daemon is None:
        raise NotApplicable("does not apply, because no Docker daemon runs on this host", host=host.name)
    return daemon


def running_containers(host: Reader) -> tuple[str, ...]:
    """Return the names of the running containers, which a restart of the daemon stops."""
    return tuple(one.name for one in host.engine.containers() if one.status == RUNNING)


def take_over(daemon: DaemonFacts, running: Sequence[str], *, restart: bool, live: bool) -> Change:
    """Return the change that makes the daemon read its file: a reload, or a restart that names the containers which stop."""
    words = _restart_text(running, live=live) if restart else "reload the Docker daemon"
    risk = Risk.DISRUPTIVE if restart else Risk.SAFE
    return Change(
        words,
        subject=f"dockerd {daemon.config}",
        before=list(running),
        risk=risk,
        data={"restart": restart, "running": list(running)},
    )


def file_change(
    words: str, daemon: DaemonFacts, text: str | None, running: Sequence[str], *, restart: bool, live: bool, backup: str | None, undo: StepCall | None
) -> Change:  # fmt: skip
    """Return the change that writes (None: removes) the daemon's file and lets the daemon take it over."""
    how = _restart_text(running, live=live) if restart else "reload the Docker daemon"
    return Change(
        f"{words}, and {how}", subject=daemon.config, risk=Risk.DISRUPTIVE if restart else Risk.SAFE,
        diff=unified_diff(daemon.config, daemon.text or "", text or ""), undo=undo,
        data={"text": text, "backup": backup, "before": daemon.text, "restart": restart, "running": list(running)},
    )  # fmt: skip


def _restart_text(running: Sequence[str], *, live: bool) -> str:
    stops = "containers keep running (live-restore)" if live else f"stops and starts {', '.join(running) or 'no container'}"
    return f"restart the Docker daemon ({stops})"


def apply_take_over(host: Writer, change: Change) -> None:
    """Write the file, if the change has one, and reload or restart the daemon. Containers that ran are started again.

    If the daemon does not come up with the new file, the old one is restored and the daemon is started with it.
    """
    daemon = resolve_daemon(host)
    if "text" in change.data:
        _put(host, change.subject, change.data["text"], change.data["backup"])
    if not change.data["restart"]:
        _reload(host, daemon, change)
        return
    try:
        host.daemon.restart(daemon)
    except HostError as error:
        if "text" not in change.data:
            raise
        _put(host, change.subject, change.data["before"], None)
        host.daemon.restart(daemon)
        _start(host, change.data["running"])
        raise CallFailed(
            f"{error.message}; {change.subject} is as before, and the daemon runs with it",
            host=host.name,
            next_step=error.next_step,
        ) from error
    _start(host, change.data["running"])


def _reload(host: Writer, daemon: DaemonFacts, change: Change) -> None:
    """Reload the daemon. Removed keys are first set to their defaults, because a reload ignores a key that is not in the file."""
    text = change.data.get("text")
    if "text" in change.data:
        before, after = (parse_daemon_file(replace(daemon, text=one), host.name) for one in (change.data["before"], text))
        default = with_defaults(before, after)
        if default != after:
            _put(host, change.subject, daemon_text(default), None)
            host.daemon.reload(daemon)
            for _ in range(_TAKEN_OVER):
                if not not_effective(default, host.engine.facts()):
                    break
            _put(host, change.subject, text, None)
    host.daemon.reload(daemon)


def _put(host: Writer, path: str, text: str | None, backup: str | None) -> None:
    if text is None:
        host.files.remove(path)
    else:
        host.files.write(path, text.encode(), backup=backup)


def _start(host: Writer, names: Sequence[str]) -> None:
    for name in names:
        host.engine.start(name)


def _has_key(keys: Mapping[str, Any], name: str) -> bool:
    outer, dot, inner = name.partition(".")
    value = keys.get(outer)
    return outer in keys and (not dot or (isinstance(value, Mapping) and inner in value))
