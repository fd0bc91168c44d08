"""A file that was edited, put back as its backup has it; one that was made, taken away again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import model_validator

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, Container
from remediation.steps.compose.env_file import dotenv_path, settings_of
from remediation.steps.compose.environment import digest
from remediation.steps.compose.stack import containers_of
from remediation.steps.compose.text import beside, unified
from remediation.steps.contract import Step, param, step
from remediation.steps.resolve import project_of, wanted_project


@dataclass(frozen=True, slots=True)
class Restorable:
    """A file and its backup with what they say, None where there is none.

    Of a file that a run ``made``, ``backup`` is where what it says is kept once it is gone. ``due`` are the services whose container got what the file says or said after the edit: to be recreated once it is restored.
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
        """Whether it is known what the file is to say."""
        return self.made or self.saved is not None


@step("file.restored", settle=60.0)
class FileRestored(Step[Restorable]):
    """A file that was edited says again what its backup says, and one that was made is gone; somebody else's edit is left alone.

    Without a path, the project's file with the newest backup. What the edit said is kept beside the file.
    """

    path: str | None = param(
        "which file; the project's with the newest backup by default", default=None, example="docker-compose.gpu.yml"
    )
    backup: str | None = param("its backup; the newest by default", default=None, example="docker-compose.gpu.yml.1f3a77c0.bak")
    expect: str | None = param("sha256 of what it says now; anything else is somebody's own edit", default=None)
    service: str | None = param("the Compose service that it defines, recreated where its container got the edit", default=None)
    readers: bool = param(
        "whether it is an .env file, so that every service that got a value of the edit is recreated", default=False
    )
    made: bool = param("whether a run made the file, which has no backup and is to go; needs path and expect", default=False)

    @model_validator(mode="after")
    def _made(self) -> FileRestored:
        if self.made and (self.path is None or self.expect is None or self.backup is not None):
            msg = "made needs path and expect, and no backup"
            raise ValueError(msg)
        return self

    def look(self, host: Reader) -> Restorable:
        """Read both."""
        path, backup = self.path, self.backup
        if self.made and path is not None:
            found = Restorable(path, _kept(path, self.expect or ""), host.files.read(path), None, made=True)
        else:
            if path is None or backup is None:
                path, backup = _newest(host, path)
            found = Restorable(path, backup, host.files.read(path), host.files.read(backup))
        return replace(found, due=self._due(host, found)) if self.service is not None or self.readers else found

    def _due(self, host: Reader, found: Restorable) -> tuple[str, ...]:
        project = wanted_project(host) if self.service is not None else project_of(host.target())
        if project is None:
            return ()  # a file of settings that belongs to no Compose project
        names = (self.service,) if self.service is not None else self._readers(host, project, found)
        # a container that agrees with the edited file differs from the restored one, and the other way round
        stale = set(host.compose.stale(project)) if names else set()
        return tuple(name for name in names if name is not None and (name in stale) == found.same)

    def _readers(self, host: Reader, project: ComposeProject, found: Restorable) -> tuple[str, ...]:
        """Return the services whose container holds a value that the edit brought in."""
        edited = host.files.read(_kept(found.path, self.expect or "")) if found.same else found.now
        old, new = (settings_of((part or b"").decode("utf-8", errors="replace")) for part in (found.saved, edited))
        values = [value for name, value in new.items() if value and old.get(name) != value]
        members = containers_of(host.engine.containers(), project)
        return tuple(sorted(name for name, one in members.items() if any(value in _holds(one) for value in values)))

    def met(self, seen: Restorable) -> bool:
        """Whether they say the same."""
        return seen.possible and seen.same and not seen.due

    def plan(self, seen: Restorable) -> Iterator[Change]:
        """Put the backup in place; what is there now is kept under a name that is no backup's."""
        if self.met(seen) or not seen.possible or self._foreign(seen):
            return
        if not seen.same:
            before, after = ((part or b"").decode("utf-8", errors="replace") for part in (seen.now, seen.saved))
            kept = _kept(seen.path, digest(before))
            yield Change(
                f"remove {seen.path}, which the run made" if seen.made else f"restore {seen.path} from {seen.backup}", subject=seen.path, diff=unified(seen.path, before, after), risk=Risk.SAFE,
                undo=StepCall("file.restored", {"path": seen.path, "backup": kept, "expect": digest(after)}),
                data={"kept": kept, "backup": None if seen.made else seen.backup},
            )  # fmt: skip
        for name in seen.due:
            yield Change(f"recreate {name}", subject=name, risk=Risk.DISRUPTIVE, data={"up": name})

    def apply(self, host: Writer, change: Change) -> None:
        """Write what the backup holds, take the file away, or recreate the service."""
        if "up" in change.data:
            host.compose.up(wanted_project(host), [change.data["up"]], deps=False)
            return
        if change.data["backup"] is None:
            host.files.remove(change.data["kept"])  # of an earlier undo that said the same: nothing is renamed over it
            host.files.rename(change.subject, change.data["kept"])
            return
        content = host.files.read(change.data["backup"])
        if content is None:
            raise CallFailed(f"{change.data['backup']} is gone", host=host.name, next_step=f"restore {change.subject} by hand")
        host.files.write(change.subject, content, backup=change.data["kept"])

    def describe(self, seen: Restorable) -> str:
        """Say why it is not restored where it is not."""
        if not seen.possible:
            return f"{seen.backup} is not there"
        if self._foreign(seen):
            own = "; take out by hand what the run wrote" if seen.made else ""
            return f"{seen.path} was edited by somebody else since, so it is left as it is{own}"
        if seen.due and seen.same:
            return f"{', '.join(seen.due)} still runs with what the edit said"
        if seen.made:
            return f"{seen.path} is {'gone again' if seen.same else 'still there'}"
        return f"{seen.path} says {'the same as' if self.met(seen) else 'something else than'} {seen.backup}"

    def _foreign(self, seen: Restorable) -> bool:
        if seen.same:
            return False
        return self.expect is not None and seen.now is not None and hashlib.sha256(seen.now).hexdigest() != self.expect


def _kept(path: str, edited: str) -> str:
    """Return where what the edit said is kept once it is undone; no backup's name. `edited` is the digest of it."""
    return f"{path}.{edited[:8]}.undone"


def _holds(container: Container) -> str:
    """Return what a container was made with, as far as Compose fills values in."""
    return "\n".join((container.image, *container.environment.values(), *map(str, container.raw.get("Args") or ())))


def _newest(host: Reader, path: str | None) -> tuple[str, str]:
    """Return the file with the newest backup, and that backup; raises `CallFailed` where there is none."""
    if path is not None:
        paths: tuple[str, ...] = (path,)
    else:
        project = wanted_project(host)
        paths = (*project.files, dotenv_path(project))
    found: list[tuple[float, str, str]] = []
    for one in paths:
        name = one.replace("\\", "/").rsplit("/", 1)[-1]
        found += [
            (entry.modified, one, beside(one, entry.name))
            for entry in host.files.list(beside(one, ".")) or ()
            if entry.name.startswith(f"{name}.") and entry.name.endswith(".bak") and not entry.folder
        ]
    if not found:
        raise CallFailed(f"no backup lies beside {' or '.join(paths)}", host=host.name, next_step="nothing is to be rolled back")
    _, newest, backup = max(found)
    return newest, backup
