"""A file, folder or link as it should be: content, target, mode and owner."""

from __future__ import annotations

import base64
import hashlib
import ntpath
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.facts import FileStatus
from remediation.steps.contract import Step, param, step
from remediation.steps.file_edit import unified_diff
from remediation.steps.run_info import pending

KEPT = 65_536
"""Largest content in bytes that a run's journal keeps for undo; a larger file gets a copy next to it."""


@dataclass(frozen=True, slots=True)
class ManagedPath:
    """What is at the path, its content if it is a small file, and the parent folders that are missing, outermost first.

    ``linked`` is the inode of the file that a hard link should lead to.
    """

    status: FileStatus | None
    content: bytes | None = None
    missing: tuple[str, ...] = ()
    linked: int | None = None


@step("file.managed", settle=5.0)
class FileManaged(Step[ManagedPath]):
    """A path holds a file with this content, a folder, a link, or nothing, with this mode and owner.

    Ansible's file modules use this step. What is not given is left as it is. An undo restores content, mode and owner as they were, and
    leaves a file alone that was edited since.
    """

    path: str = param("the path", example="/etc/docker/daemon.json", min_length=1)
    state: Literal["file", "directory", "link", "hard", "absent"] = param("desired state", default="file")
    content: str | None = param("content of the file; without it, the file must exist", default=None, example="{}\n")
    binary: bool = param("content is base64", default=False)
    target: str | None = param("where a link leads", default=None)
    mode: int | None = param("mode as a number (0o644 is 420); POSIX hosts only", default=None, ge=0, le=0o7777)
    owner: str | None = param("name or ID of the owner; POSIX hosts only", default=None)
    group: str | None = param("name or ID of the group; POSIX hosts only", default=None)
    backup: str | None = param("keep a copy of a replaced file at this path", default=None)
    expect: str | None = param("SHA-1 of the expected content; a file with other content is left alone", default=None)
    sha1: str | None = param("SHA-1 that the content must have", default=None)
    only_empty: bool = param("remove a folder only if it is empty", default=False)
    private: bool = param("show no content, and keep none in the journal", default=False)
    risk_level: Literal["observe", "safe", "disruptive", "destructive"] = param("risk of the changes", default="safe")

    @model_validator(mode="after")
    def _fits(self) -> FileManaged:
        if self.state in {"link", "hard"} and self.target is None:
            msg = f"state {self.state} requires target"
            raise ValueError(msg)
        if self.content is not None and self.state != "file":
            msg = "content is only for files"
            raise ValueError(msg)
        return self

    @property
    def _bytes(self) -> bytes | None:
        if self.content is None:
            return None
        return base64.b64decode(self.content) if self.binary else self.content.encode()

    def observe(self, host: Reader) -> ManagedPath:
        """Read what is at the path; a link is followed unless the state is a link or nothing."""
        follow = self.state in {"file", "directory"}
        status = host.files.status(self.path, follow=follow, algorithm="sha1" if self._compares else None)
        content = host.files.read(self.path) if status is not None and status.kind == "file" and status.size <= KEPT else None
        planned = {data.get("folder") for data in pending(host)}  # by earlier tasks, in check mode
        missing = (
            tuple(each for each in _missing_folders(host, self.path) if each not in planned)
            if status is None and self.state == "directory"
            else ()
        )
        other = host.files.status(self.target, follow=True) if self.state == "hard" and self.target is not None else None
        return ManagedPath(status, content, missing, other.inode if other is not None else None)

    @property
    def _compares(self) -> bool:
        return self.content is not None or self.expect is not None

    def is_met(self, state: ManagedPath) -> bool:
        status = state.status
        if status is None or self.state == "absent":
            return status is None and self.state == "absent"
        return self._right_kind(state) and self._same(status) and not self._attributes(status)

    def _right_kind(self, state: ManagedPath) -> bool:
        status = state.status
        if status is None:
            return False
        if self.state == "link":
            return status.kind == "link" and status.target == self.target
        if self.state == "hard":
            return status.kind == "file" and status.inode is not None and status.inode == state.linked
        return status.kind == self.state

    def _same(self, status: FileStatus) -> bool:
        content = self._bytes
        return content is None or status.checksum == _sha1(content)

    def _attributes(self, status: FileStatus) -> dict[str, Any]:
        """Return the attributes that differ, with their present values."""
        found: dict[str, Any] = {}
        if self.state in {"link", "absent"}:
            return found
        if self.mode is not None and status.mode != self.mode:
            found["mode"] = status.mode
        if self.owner is not None and self.owner not in {status.owner, str(status.uid)}:
            found["owner"] = status.owner
        if self.group is not None and self.group not in {status.group, str(status.gid)}:
            found["group"] = status.group
        return found

    def plan(self, state: ManagedPath) -> Iterator[Change]:
        if self.is_met(state) or self._problem(state):
            return
        status, risk = state.status, Risk.parse(self.risk_level)
        if self.state == "absent":
            if status is not None:
                yield Change(
                    f"remove {self.path}",
                    subject=self.path,
                    risk=risk,
                    before=status.kind,
                    undo=self._undo_removal(state),
                    diff=self._diff(state, b""),
                )
            return
        if self.state == "directory" and status is None:
            for folder in state.missing:
                undo = StepCall(self.name, {"path": folder, "state": "absent", "only_empty": True})
                yield Change(
                    f"create folder {folder}", subject=folder, risk=risk, after="directory", undo=undo, data={"folder": folder}
                )
            return
        if self.state in {"link", "hard"} and not self._right_kind(state):
            before = status.target or status.kind if status is not None else None
            yield Change(
                f"link {self.path} to {self.target}",
                subject=self.path,
                risk=risk,
                before=before,
                after=self.target,
                undo=self._undo_link(state),
            )
            return
        if status is None or not self._same(status):
            yield self._write(state, risk)
        if status is not None and (differ := self._attributes(status)):
            words = ", ".join(f"{name} {_value_text(name, getattr(self, name))}" for name in differ)
            undo = StepCall(self.name, {"path": self.path, "state": self.state if self.state != "hard" else "file", **differ})
            after = {name: getattr(self, name) for name in differ}
            yield Change(
                f"set {words} of {self.path}",
                subject=self.path,
                risk=risk,
                before=differ,
                after=after,
                undo=undo,
                data={"attributes": True},
            )

    def _write(self, state: ManagedPath, risk: Risk) -> Change:
        content = self._bytes or b""
        if state.status is None:
            undo = StepCall(self.name, {"path": self.path, "state": "absent", "expect": _sha1(content)})
            return Change(f"create {self.path}", subject=self.path, risk=risk, undo=undo, diff=self._diff(state, content))
        backup = self.backup
        if backup is None and (self.private or _text(state.content) is None):
            backup = f"{self.path}.{(state.status.checksum or '')[:8]}.bak"
        if backup is not None:
            undo = StepCall("file.restored", {"path": self.path, "backup": backup, "expect": hashlib.sha256(content).hexdigest()})
        else:
            undo = StepCall(self.name, {"path": self.path, "expect": _sha1(content), **_to_journal(state)})
        diff = self._diff(state, content)
        return Change(f"write {self.path}", subject=self.path, risk=risk, undo=undo, diff=diff, data={"backup": backup})

    def _diff(self, state: ManagedPath, content: bytes) -> str:
        before, after = _text(state.content) if state.status is not None else "", _text(content)
        if self.private or before is None or after is None or (state.status is not None and state.status.kind != "file"):
            return ""
        return unified_diff(self.path, before, after)

    def _undo_removal(self, state: ManagedPath) -> StepCall | None:
        status = state.status
        if status is None or status.kind == "other":
            return None
        if status.kind == "link":
            return StepCall(self.name, {"path": self.path, "state": "link", "target": status.target})
        attributes = {
            name: value for name, value in (("mode", status.mode), ("owner", status.owner), ("group", status.group)) if value
        }
        if status.kind == "directory":
            return StepCall(self.name, {"path": self.path, "state": "directory", **attributes}) if self.only_empty else None
        if self.private or _text(state.content) is None:
            return None
        return StepCall(self.name, {"path": self.path, **_to_journal(state), **attributes})

    def _undo_link(self, state: ManagedPath) -> StepCall | None:
        return StepCall(self.name, {"path": self.path, "state": "absent"}) if state.status is None else self._undo_removal(state)

    def apply(self, host: Writer, change: Change) -> None:
        files = host.files
        if self.state == "absent":
            if change.before == "directory":
                files.remove_folder(self.path, empty=self.only_empty)
            else:
                files.remove(self.path)
        elif self.state == "directory" and "folder" in change.data:
            files.create_folder(change.data["folder"])
            self._set(host, change.data["folder"])
        elif self.state in {"link", "hard"} and not change.data:
            files.link(self.path, self.target or "", hard=self.state == "hard")
        elif change.data.get("attributes"):
            self._set(host, self.path)
        else:
            new = "backup" not in change.data
            if new and self.mode is not None and self.mode & 0o044 != 0o044:  # unreadable for other users until the mode is set
                files.write(self.path, b"")
                self._set(host, self.path)
            files.write(self.path, self._bytes or b"", backup=change.data.get("backup"))
            if new:
                self._set(host, self.path)

    def _set(self, host: Writer, path: str) -> None:
        if (self.mode, self.owner, self.group) != (None, None, None):
            host.files.set_attributes(path, mode=self.mode, owner=self.owner, group=self.group)

    def describe(self, state: ManagedPath) -> str:
        if problem := self._problem(state):
            return problem
        if state.status is None:
            return f"there is no {self.path}"
        if self.is_met(state):
            return f"{self.path} is as it should be"
        return f"{self.path} is a {state.status.kind}" if not self._right_kind(state) else f"{self.path} differs"

    def _problem(self, state: ManagedPath) -> str:
        """Return why the state cannot be reached, "" if it can."""
        status = state.status
        if self.sha1 is not None and self._bytes is not None and _sha1(self._bytes) != self.sha1:
            return f"the earlier content of {self.path} held a secret, which the journal does not keep: restore it by hand"
        if (
            self.expect is not None
            and status is not None
            and status.checksum not in {self.expect, None if self._bytes is None else _sha1(self._bytes)}
        ):
            return f"{self.path} was edited since, so it is left unchanged"
        if self.state in {"file", "directory"} and status is not None and status.kind != self.state:
            return f"{self.path} is a {status.kind}"
        if self.state == "file" and status is None and self.content is None:
            return f"there is no {self.path}"
        if self.state == "hard" and state.linked is None:
            return f"there is no {self.target}"
        if self.state in {"link", "hard"} and status is not None and status.kind == "directory":
            return f"{self.path} is a directory"
        return ""

    def values(self, state: ManagedPath) -> dict[str, Any]:
        return status_values(state.status)


def mode_text(mode: int) -> str:
    """Return a mode as Ansible's file modules show it: a zero and at least three digits."""
    return f"0{mode:03o}"


def status_values(status: FileStatus | None) -> dict[str, Any]:
    """Return mode, owner and size of a path as Ansible's file modules return them."""
    if status is None:
        return {"state": "absent"}
    owned = {"uid": status.uid, "gid": status.gid, "owner": status.owner, "group": status.group}
    mode = {} if status.mode is None else {**owned, "mode": mode_text(status.mode)}
    kind = "hard" if status.kind == "file" and status.details.get("nlink", 1) > 1 else status.kind  # as Ansible names it
    return {"state": kind, "size": status.size, **mode}


def _to_journal(state: ManagedPath) -> Mapping[str, Any]:
    content = state.content or b""
    return {"content": content.decode(), "sha1": _sha1(content)}


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _text(content: bytes | None) -> str | None:
    """Return content as text, None if it is unknown, too large, or no text."""
    if content is None or len(content) > KEPT or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _value_text(name: str, value: Any) -> str:
    return f"{value:04o}" if name == "mode" else str(value)


def _missing_folders(host: Reader, path: str) -> Iterator[str]:
    """Yield the folders of a path that do not exist, outermost first."""
    up = ntpath.dirname if "\\" in path or path[1:2] == ":" else posixpath.dirname
    found: list[str] = []
    each = path.rstrip("/\\") or path
    while each and host.files.status(each, follow=True) is None:
        found.append(each)
        above = up(each)
        if above == each:
            break
        each = above
    yield from reversed(found)
