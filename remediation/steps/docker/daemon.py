"""Configures and restarts the Docker daemon of a Linux host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, StepCall, needs
from remediation.model.errors import CallFailed, HostError, NotApplicable
from remediation.model.facts import DaemonFacts, EngineFacts
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
from remediation.steps.file_edit import digest, origin_of, unified_diff
from remediation.steps.run_info import run_started

_TAKEN_OVER = 20
"""How often to poll the engine for a reload of the file, which it does not announce."""


@dataclass(frozen=True, slots=True)
class DockerDaemon:
    """The daemon of a Linux host, its engine, and the running containers, which a restart stops without live-restore."""

    host: str
    facts: DaemonFacts
    engine: EngineFacts
    running: tuple[str, ...]

    @property
    def path(self) -> str:
        """The path of its file."""
        return self.facts.config

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of its file. Raises `CallFailed` if that is not a JSON object."""
        return self.parse(self.facts.text)

    def parse(self, text: str | None) -> dict[str, Any]:
        """Return the keys in a text of its file. Raises `CallFailed` if that is not a JSON object."""
        return parse_daemon_file(replace(self.facts, text=text), self.host)

    def refusal(self, host: Reader, wanted: Mapping[str, Any], named: Mapping[str, Any]) -> str:
        """Return why it would not start with the keys `wanted`, of which `named` are new, or ""."""
        twice = conflicts(named, self.facts)
        if twice:
            return f"{', '.join(twice)} is also given as a flag of dockerd"
        return host.daemon.rejects(self.facts, daemon_text(wanted))

    def take_over(self, *, restart: bool, words: str = "", **data: Any) -> Change:
        """Return the change that makes it read its file: a reload, or a restart that names the containers which stop.

        With `words`, the change does something else before, for which `data` has what it needs.
        """
        how = "reload the Docker daemon"
        if restart:
            stops = f"stops and starts {', '.join(self.running) or 'no container'}"
            how = f"restart the Docker daemon ({'containers keep running (live-restore)' if self.engine.live_restore else stops})"
        return Change(
            f"{words}, and {how}" if words else how, subject=self.path if words else f"dockerd {self.path}",
            before=None if words else list(self.running), risk=Risk.DISRUPTIVE if restart else Risk.SAFE,
            data={**data, "restart": restart, "running": list(self.running)},
        )  # fmt: skip

    def write(
        self, words: str, text: str | None, *, restart: bool, backup: str | None = None, undo: StepCall | None = None
    ) -> Change:
        """Return the change that writes (None: removes) its file and lets it take the file over."""
        before = self.facts.text
        change = self.take_over(restart=restart, words=words, text=text, backup=backup, before=before)
        return replace(change, diff=unified_diff(self.path, before or "", text or ""), undo=undo)

    def edit(self, words: str, wanted: Mapping[str, Any], *, restart: bool) -> Change:
        """Return the change that gives its file the keys `wanted`, with a backup."""
        after = daemon_text(wanted)
        backup, origin = origin_of(self.path, self.facts.text)
        undo = StepCall("docker_daemon.restored", {"path": self.path, **origin, "expect": digest(after)})
        return self.write(f"{words} in {self.path}", after, restart=restart, backup=backup, undo=undo)


def resolve_daemon(host: Reader) -> DaemonFacts:
    """Return the daemon of the target's engine. Raises `NotApplicable` where there is none on the host itself."""
    daemon = host.daemon.software().daemon
    if daemon is None:
        raise NotApplicable("does not apply, because no Docker daemon runs on this host", host=host.name)
    return daemon


def read_daemon(host: Reader) -> DockerDaemon:
    """Return the daemon of the target's engine with its containers. Raises `NotApplicable` as `resolve_daemon`."""
    daemon = resolve_daemon(host)
    running = tuple(one.name for one in host.engine.containers() if one.running)
    return DockerDaemon(host.name, daemon, host.engine.facts(), running)


@dataclass(frozen=True, slots=True)
class DaemonConfiguration:
    """The daemon with its present and its wanted keys, and what would keep it from starting.

    ``pending`` are keys of the file that the running engine does not use yet.
    """

    daemon: DockerDaemon
    keys: Mapping[str, Any]
    wanted: Mapping[str, Any]
    refused: str
    pending: tuple[str, ...]


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
        daemon = read_daemon(host)
        keys = daemon.keys
        wanted = changed_keys(keys, self.set, self.remove)
        changed = {name: value for name, value in wanted.items() if keys.get(name) != value}
        refused = daemon.refusal(host, wanted, changed) if wanted != keys else ""
        ours = {name: wanted[name] for name in self.set if name in wanted}
        return DaemonConfiguration(daemon, keys, wanted, refused, tuple(not_effective(ours, daemon.engine)))

    def is_met(self, state: DaemonConfiguration) -> bool:
        return state.keys == state.wanted and not state.pending

    def plan(self, state: DaemonConfiguration) -> Iterator[Change]:
        """Write the file and let the daemon take it over, in one change: a file alone is a trap for the next start."""
        if self.is_met(state) or state.refused:
            return
        if state.keys == state.wanted:
            reloaded = ("runtimes", "live-restore", "default-runtime")
            yield state.daemon.take_over(restart=any(not name.startswith(reloaded) for name in state.pending))
            return
        names = [f"set {name}" for name in self.set if state.keys.get(name) != state.wanted.get(name)]
        names += [f"remove {name}" for name in self.remove if _has_key(state.keys, name)]
        yield state.daemon.edit(", ".join(names), state.wanted, restart=needs_restart(state.keys, state.wanted))

    def apply(self, host: Writer, change: Change) -> None:
        apply_take_over(host, change)

    def describe(self, state: DaemonConfiguration) -> str:
        path = state.daemon.path
        if state.refused:
            return f"dockerd would not start with the new {path}: {state.refused}"
        if state.keys != state.wanted:
            return f"{path} lacks the keys or has others"
        if state.pending:
            return f"the running daemon does not use {', '.join(state.pending)} of {path} yet"
        return f"{path} and the running daemon agree"

    def advice(self, state: DaemonConfiguration) -> str:
        return f"correct {state.daemon.path}, or take the flag out of the unit: systemctl cat docker" if state.refused else ""

    def values(self, state: DaemonConfiguration) -> dict[str, Any]:
        return {"path": state.daemon.path, "keys": dict(state.keys), "flags": list(state.daemon.facts.flags)}


@dataclass(frozen=True, slots=True)
class DaemonBackup:
    """The daemon, the content to restore (None: no file), and whether that is known."""

    daemon: DockerDaemon
    saved: str | None
    known: bool


@step("docker_daemon.restored", risk=Risk.DISRUPTIVE, needs=needs(Need.ELEVATED), settle=60.0, deadline=300.0)
class DockerDaemonRestored(Step[DaemonBackup]):
    """``daemon.json`` has the content of its backup again, and the daemon uses it. A file that was edited since is left alone."""

    path: str = param("path of the file", example="/etc/docker/daemon.json")
    expect: str = param("SHA-256 of the content that the run wrote; a file with other content is left alone")
    backup: str | None = param("path of the backup", default=None, example="/etc/docker/daemon.json.1f3a77c0.bak")
    made: bool = param("the file was created by the run and is to be removed", default=False)

    def observe(self, host: Reader) -> DaemonBackup:
        daemon = read_daemon(host)
        content = host.files.read(self.backup) if self.backup is not None else None
        saved = None if content is None else content.decode("utf-8", errors="replace")
        return DaemonBackup(daemon, saved, self.made or saved is not None)

    def is_met(self, state: DaemonBackup) -> bool:
        return state.known and state.daemon.facts.text == state.saved

    def plan(self, state: DaemonBackup) -> Iterator[Change]:
        if self.is_met(state) or not state.known or self._is_edited(state):
            return
        words = f"remove {self.path}" if state.saved is None else f"restore {self.path} from {self.backup}"
        restart = needs_restart(state.daemon.keys, state.daemon.parse(state.saved))
        yield state.daemon.write(words, state.saved, restart=restart)

    def apply(self, host: Writer, change: Change) -> None:
        apply_take_over(host, change)

    def describe(self, state: DaemonBackup) -> str:
        if not state.known:
            return f"{self.backup} does not exist"
        if self.is_met(state):
            return f"{self.path} is as before"
        return (
            f"{self.path} was edited since, so it is left unchanged"
            if self._is_edited(state)
            else f"{self.path} still has the run's keys"
        )

    def _is_edited(self, state: DaemonBackup) -> bool:
        return digest(state.daemon.facts.text or "") != self.expect


@dataclass(frozen=True, slots=True)
class DaemonRestart:
    """The daemon, when its process started, and when the run began."""

    daemon: DockerDaemon
    started: float | None
    since: float

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
        daemon = read_daemon(host)
        started = next((one.started for one in host.processes.list() if one.pid == daemon.facts.pid), None)
        return DaemonRestart(daemon, started, run_started(host))

    def is_met(self, state: DaemonRestart) -> bool:
        return state.fresh

    def plan(self, state: DaemonRestart) -> Iterator[Change]:
        if not state.fresh:
            yield state.daemon.take_over(restart=True)

    def apply(self, host: Writer, change: Change) -> None:
        apply_take_over(host, change)

    def describe(self, state: DaemonRestart) -> str:
        return f"the Docker daemon was {'' if state.fresh else 'not '}restarted in this run"


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
