"""Parameters that all file modules have: mode, owner, backup names, and paths with ``~`` or variables."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from remediation.connections.calls import Completed, Run
from remediation.model.errors import UsageError
from remediation.modules.contract import Module, UnfitError
from remediation.steps.host.file_managed import mode_text

if TYPE_CHECKING:
    from remediation.model.facts import FileStatus
    from remediation.modules.contract import ModuleTask

_OCTAL = r"0?[0-7]{1,5}|0o[0-7]{1,4}"
_CLAUSE = re.compile(r"^([ugoa]*)([-+=][-+=rwxXstugo]*)$")
_ACTION = re.compile(r"([-+=])([rwxXstugo]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_POSIX_NAME = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class FileModule(Module):
    """A module that sets mode and owner of a file."""

    refused: ClassVar[tuple[str, ...]] = ("attributes", "selevel", "serole", "setype", "seuser")

    mode: Any = Field(None, description="mode: octal in quotes ('0644'), symbolic (u=rw,g=r) or preserve")
    owner: Any = Field(None, description="name or ID of the owner")
    group: Any = Field(None, description="name or ID of the group")
    unsafe_writes: bool = Field(default=False, description="accepted for compatibility; files are always replaced atomically")

    @field_validator("mode")
    @classmethod
    def _check_mode(cls, given: Any) -> Any:
        if given is not None and given != "preserve":
            try:
                parse_mode(given, 0, directory=False)
            except UsageError as error:
                ansible_message = "mode must be in octal or symbolic form"
                raise UnfitError(f"{str(given)!r} is not a mode; {error.next_step}", ansible_message) from None
        return given

    @field_validator("validate_with", check_fields=False)
    @classmethod
    def _check_command(cls, given: str | None) -> str | None:
        if given is not None and "%s" not in given:
            raise UnfitError(f"{given!r} must contain %s, the path of the new file", f"validate must contain %s: {given}")
        return given

    def attributes(self, status: FileStatus | None, *, directory: bool = False) -> dict[str, Any]:
        """Return mode, owner and group for the step ``file.managed``. Raises `UsageError`."""
        found: dict[str, Any] = {}
        if self.mode is not None and self.mode != "preserve":
            now = status.mode if status is not None and status.mode is not None else (0o755 if directory else 0o644)
            found["mode"] = parse_mode(self.mode, now, directory=directory)
        if self.owner is not None:
            found["owner"] = str(self.owner)
        if self.group is not None:
            found["group"] = str(self.group)
        return found


def parse_mode(given: Any, now: int, *, directory: bool) -> int:
    """Return a mode as a number: `given` is a number, octal text, or symbolic relative to `now`. Raises `UsageError`."""
    if isinstance(given, int) and not isinstance(given, bool):
        value = given
    elif re.fullmatch(_OCTAL, text := str(given).strip()):
        value = int(text.removeprefix("0o"), 8)
    else:
        value = _symbolic(text, now, directory=directory)
    if not 0 <= value <= 0o7777:
        raise UsageError(f"mode: {given!r} is not a mode", next_step="write it in quotes, as in '0644'")
    return value


def is_symbolic(given: Any) -> bool:
    """Return whether a mode is relative to the mode of each path, such as ``u=rwX``."""
    return isinstance(given, str) and not re.fullmatch(_OCTAL, given.strip())


def with_users(mode: str) -> str:
    """Return a symbolic mode in which each clause names its users: without them ``chmod`` regards the umask."""
    return ",".join(re.sub(r"^(?=[-+=])", "a", clause.strip()) for clause in mode.split(","))


def _symbolic(text: str, now: int, *, directory: bool) -> int:
    mode = now
    for clause in text.split(","):
        parts = _CLAUSE.match(clause.strip())
        if parts is None:
            raise UsageError(f"mode: {text!r} is not a mode", next_step="write it in quotes, as in '0644' or 'u=rw,g=r'")
        users = parts[1].replace("a", "ugo") or "ugo"
        for action, letters in _ACTION.findall(parts[2]):
            for user in dict.fromkeys(users):
                mode = _apply_letters(mode, user, action, letters, directory=directory)
    return mode


def _apply_letters(mode: int, user: str, action: str, letters: str, *, directory: bool) -> int:
    shift, bits, special = _SHIFTS[user], 0, 0
    for letter in letters:
        bits |= {"r": 4, "w": 2, "x": 1}.get(letter, 0)
        if letter == "X" and (directory or mode & 0o111):
            bits |= 1
        if letter in _SHIFTS:
            bits |= (mode >> _SHIFTS[letter]) & 7
        special |= 0o1000 if letter == "t" else {"u": 0o4000, "g": 0o2000}.get(user, 0) if letter == "s" else 0
    whole = bits << shift | special
    if action == "+":
        return mode | whole
    if action == "-":
        return mode & ~whole
    kept = {"u": 0o4000, "g": 0o2000, "o": 0o1000}[user]
    return mode & ~(7 << shift | kept) | whole


def attribute_text(name: str, value: Any) -> Any:
    """Return an attribute as Ansible's differences show it."""
    return mode_text(value) if name == "mode" and isinstance(value, int) else value


def changed_attributes(
    now: FileStatus | None, wanted: Mapping[str, Any], *, directory: bool = False
) -> dict[str, dict[str, Any]]:
    """Return mode and owner before and after, as Ansible's differences show them; a new path had the mode it is created with."""
    before: dict[str, Any] = {"mode": 0o755 if directory else 0o644}
    if now is not None:
        before = {name: getattr(now, name) for name in ("mode", "owner", "group")}
    differ = [name for name in before if name in wanted and before[name] != wanted[name] and not _is_id(now, name, wanted[name])]
    return {
        when: {name: attribute_text(name, values[name]) for name in differ}
        for when, values in (("before", before), ("after", wanted))
    }


def _is_id(now: FileStatus | None, name: str, wanted: Any) -> bool:
    """Return whether an owner or group is named by its ID."""
    return now is not None and name != "mode" and str(now.uid if name == "owner" else now.gid) == wanted


def attribute_difference(
    path: str, state: str, now: FileStatus | None, wanted: Mapping[str, Any], *, created: bool = True
) -> dict[str, Any]:
    """Return the difference of a path's type, mode and owner in the form of Ansible's results.

    A path that check mode has not `created` has no mode that could differ.
    """
    changed = changed_attributes(now, wanted if created or now is not None else {}, directory=state == "directory")
    before: dict[str, Any] = {"path": path, **changed["before"]}
    after: dict[str, Any] = {"path": path, **changed["after"]}
    kind = now.kind if now is not None else "absent"
    if kind != state and not (state == "hard" and kind == "file"):
        before["state"], after["state"] = kind, state
    return {"before": before, "after": after}


def backup_name(path: str, *, windows: bool) -> str:
    """Return the name that Ansible gives a backup."""
    if windows:
        return f"{path}.{os.getpid()}.{time.strftime('%Y%m%d-%H%M%S')}.bak"
    return f"{path}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"


def expand_path(task: ModuleTask, path: str) -> str:
    """Return a path with ``~`` and variables of the host's environment replaced."""
    if task.windows:
        return _program_output(task, ("cmd.exe", "/d", "/c", "echo", path)).strip() if "%" in path else path
    if not path.startswith("~") and "$" not in path:
        return path
    known = _environment(_program_output(task, ("env",)))
    user, slash, rest = path.partition("/")
    if user == "~":
        path = known.get("HOME", user) + slash + rest
    elif user.startswith("~"):
        fields = _program_output(task, ("getent", "passwd", user[1:])).split(":")
        path = (fields[5] if len(fields) > 5 else user) + slash + rest
    return _POSIX_NAME.sub(lambda match: known.get(match[1] or match[2], match[0]), path)


def _program_output(task: ModuleTask, argv: tuple[str, ...]) -> str:
    reply = task.read(Run(argv))[0]
    return reply.text if isinstance(reply, Completed) and reply.rc == 0 else ""


def _environment(text: str) -> Mapping[str, str]:
    return {name: value for name, equals, value in (line.partition("=") for line in text.splitlines()) if equals}
