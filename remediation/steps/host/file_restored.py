"""Restores an edited file from its backup, and removes a file that a run created."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import model_validator

from remediation.facets.protocols import Reader, Writer
from remediation.facets.target import dotenv_of
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, Container
from remediation.model.text.dotenv import dotenv_settings
from remediation.steps.compose.stack import containers_of
from remediation.steps.compose.text import sibling_path
from remediation.steps.contract import Step, param, step
from remediation.steps.file_edit import digest, unified_diff
from remediation.steps.ollama.reconfigured import differing_settings
from remediation.steps.resolve import project_of, resolve_project


@dataclass(frozen=True, slots=True)
class Restorable:
    """A file and its backup, with their contents (None: does not exist).

    For a file that a run created (``made``), ``backup`` is where its content is kept after removal. ``due`` are the services to
    recreate after the restore, because their container was created from the edited file.
    """

    path: str
    backup: str
    now: bytes | None
    saved: bytes | None
    due: tuple[str, ...] = ()
    made: bool = False

    @property
    def same(self) -> bool:
        """Whether the file is restored."""
        return self.now == self.saved

    @property
    def possible(self) -> bool:
        """Whether the content to restore is known."""
        return self.made or self.saved is not None


@step("file.restored", settle=60.0)
class FileRestored(Step[Restorable]):
    """An edited file has the content of its backup again, and a file created by a run is removed. Other edits are kept.

    Without a path, the project's file with the newest backup is restored. The replaced content is kept next to the file.
    """

    path: str | None = param(
        "path of the file; defaults to the project's file with the newest backup", default=None, example="docker-compose.gpu.yml"
    )
    backup: str | None = param(
        "path of the backup; defaults to the newest", default=None, example="docker-compose.gpu.yml.1f3a77c0.bak"
    )
    expect: str | None = param("SHA-256 of the expected content; a file with other content is left alone", default=None)
    service: str | None = param(
        "the Compose service that the file defines; recreated if its container uses the edit", default=None
    )
    readers: bool = param("the file is an .env file: recreate every service that uses a value of the edit", default=False)
    unit: str | None = param(
        "the systemd unit that the file configures; reloaded, and restarted if it runs with the edit", default=None
    )
    made: bool = param("the file was created by a run and is to be removed; requires path and expect", default=False)

    @model_validator(mode="after")
    def _check_fields(self) -> FileRestored:
        if self.made and (self.path is None or self.expect is None or self.backup is not None):
            msg = "made requires path and expect, and excludes backup"
            raise ValueError(msg)
        return self

    def observe(self, host: Reader) -> Restorable:
        path, backup = self.path, self.backup
        if self.made and path is not None:
            found = Restorable(path, _undone_path(path, self.expect or ""), host.files.read(path), None, made=True)
        else:
            if path is None or backup is None:
                path, backup = _newest(host, path)
            found = Restorable(path, backup, host.files.read(path), host.files.read(backup))
        if self.unit is not None:
            return replace(found, due=_due_unit(host, self.unit, edited=not found.same))
        return replace(found, due=self._due(host, found)) if self.service is not None or self.readers else found

    def _due(self, host: Reader, found: Restorable) -> tuple[str, ...]:
        project = resolve_project(host) if self.service is not None else project_of(host.target())
        if project is None:
            return ()  # a settings file outside any Compose project
        names = (self.service,) if self.service is not None else self._readers(host, project, found)
        # a container that matches the edited file differs from the restored one, and vice versa
        stale = set(host.compose.stale(project)) if names else set()
        return tuple(name for name in names if name is not None and (name in stale) == found.same)

    def _readers(self, host: Reader, project: ComposeProject, found: Restorable) -> tuple[str, ...]:
        """Return the services whose container has a value that the edit introduced."""
        edited = host.files.read(_undone_path(found.path, self.expect or "")) if found.same else found.now
        old, new = (dotenv_settings((part or b"").decode("utf-8", errors="replace")) for part in (found.saved, edited))
        values = [value for name, value in new.items() if value and old.get(name) != value]
        members = containers_of(host.engine.containers(), project)
        return tuple(sorted(name for name, one in members.items() if any(value in _holds(one) for value in values)))

    def is_met(self, state: Restorable) -> bool:
        return state.possible and state.same and not state.due

    def plan(self, state: Restorable) -> Iterator[Change]:
        """Restore the backup. The current content is kept under a name that does not match a backup."""
        if self.is_met(state) or not state.possible or self._foreign(state):
            return
        if not state.same:
            before, after = ((part or b"").decode("utf-8", errors="replace") for part in (state.now, state.saved))
            kept = _undone_path(state.path, digest(before))
            yield Change(
                f"remove {state.path}, which the run created" if state.made else f"restore {state.path} from {state.backup}", subject=state.path, diff=unified_diff(state.path, before, after), risk=Risk.SAFE,
                undo=StepCall("file.restored", {"path": state.path, "backup": kept, "expect": digest(after)}),
                data={"kept": kept, "backup": None if state.made else state.backup},
            )  # fmt: skip
        for name in state.due:
            words, data = ("restart", {"restart": name}) if self.unit is not None else ("recreate", {"up": name})
            yield Change(f"{words} {name}", subject=name, risk=Risk.DISRUPTIVE, data=data)

    def apply(self, host: Writer, change: Change) -> None:
        if "up" in change.data:
            host.compose.up(resolve_project(host), [change.data["up"]], deps=False)
            return
        if "restart" in change.data:
            host.services.restart_unit(change.data["restart"])
            return
        self._restore(host, change)
        if self.unit is not None:
            host.services.reload_units()

    def _restore(self, host: Writer, change: Change) -> None:
        if change.data["backup"] is None:
            host.files.remove(
                change.data["kept"]
            )  # left by an earlier undo with the same content; a rename must not overwrite a file
            host.files.rename(change.subject, change.data["kept"])
            return
        content = host.files.read(change.data["backup"])
        if content is None:
            raise CallFailed(f"{change.data['backup']} is gone", host=host.name, next_step=f"restore {change.subject} by hand")
        host.files.write(change.subject, content, backup=change.data["kept"])

    def describe(self, state: Restorable) -> str:
        if not state.possible:
            return f"{state.backup} does not exist"
        if self._foreign(state):
            own = "; remove the run's settings by hand" if state.made else ""
            return f"{state.path} was edited since, so it is left unchanged{own}"
        if state.due and state.same:
            return f"{', '.join(state.due)} still runs with the edited settings"
        if state.made:
            return f"{state.path} is {'removed' if state.same else 'still present'}"
        return f"{state.path} {'equals' if self.is_met(state) else 'differs from'} {state.backup}"

    def _foreign(self, state: Restorable) -> bool:
        if state.same:
            return False
        return self.expect is not None and state.now is not None and hashlib.sha256(state.now).hexdigest() != self.expect


def _due_unit(host: Reader, unit: str, *, edited: bool) -> tuple[str, ...]:
    """Return the unit if its process runs with the edit: with other settings than its files have after the restoration."""
    serving = host.services.serving()
    if serving.unit is None or serving.unit.name != unit:
        return ()
    # as long as the edit is in place, the process that was restarted with it has the same settings as the files
    stale = bool(differing_settings(serving, serving.unit.environment))
    return (unit,) if stale != edited or serving.unit.needs_reload else ()


def _undone_path(path: str, edited: str) -> str:
    """Return where undone content is kept. The name does not match a backup; `edited` is the content's digest."""
    return f"{path}.{edited[:8]}.undone"


def _holds(container: Container) -> str:
    """Return the container's image, environment and arguments: the places where Compose interpolates values."""
    return "\n".join((container.image, *container.environment.values(), *map(str, container.raw.get("Args") or ())))


def _newest(host: Reader, path: str | None) -> tuple[str, str]:
    """Return the file with the newest backup, and that backup. Raises `CallFailed` if there is none."""
    if path is not None:
        paths: tuple[str, ...] = (path,)
    else:
        project = resolve_project(host)
        paths = (*project.files, dotenv_of(project))
    found: list[tuple[float, str, str]] = []
    for one in paths:
        name = one.replace("\\", "/").rsplit("/", 1)[-1]
        found += [
            (entry.modified, one, sibling_path(one, entry.name))
            for entry in host.files.list(sibling_path(one, ".")) or ()
            if entry.name.startswith(f"{name}.") and entry.name.endswith(".bak") and not entry.folder
        ]
    if not found:
        raise CallFailed(
            f"no backup found next to {' or '.join(paths)}",
            host=host.name,
            next_step="name the backup's path, or edit the file by hand",
        )
    _, newest, backup = max(found)
    return newest, backup
