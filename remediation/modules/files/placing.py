"""Puts a file on a host for ``copy``, ``template``, ``lineinfile`` and the other modules that write files."""

from __future__ import annotations

import base64
import hashlib
import ntpath
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from remediation.connections.calls import Completed, Run
from remediation.model.change import StepCall
from remediation.model.outcome import Outcome, Result
from remediation.modules.result import ActionResult, failed_result

if TYPE_CHECKING:
    from remediation.model.facts import FileStatus
    from remediation.modules.contract import ModuleTask

STEP = "file.managed"
_VALIDATE = (
    'file=$(mktemp "${TMPDIR:-/tmp}/validate.XXXXXXXXXX") || exit 1; trap \'rm -f "$file"\' EXIT; cat >"$file" || exit 1\n'
    'for word; do shift; case $word in *%s*) word=${word%%%s*}$file${word#*%s} ;; esac; set -- "$@" "$word"; done\n'
    '"$@"'
)
"""Writes stdin to a temporary file and runs the arguments, with %s replaced by its path."""
_UNKNOWN = re.compile(
    r"chown: (?:invalid|unknown) (?P<kind>user|group):? ['\u2018]?(?P<user>[^:'\u2019\s]*)(?::(?P<group>[^'\u2019\s]*))?"
)


@dataclass(frozen=True, slots=True)
class Placement:
    """A file to put on a host: its path and content, and the attributes for the step ``file.managed``."""

    path: str
    content: bytes
    attributes: Mapping[str, Any] = field(default_factory=dict)
    backup: str | None = None
    validate: str | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """The result of the step, and the file's content before it (None: there was none, or it is large or no text)."""

    result: Result
    before: str | None
    existed: bool


def place_file(placement: Placement, task: ModuleTask, status: FileStatus | None) -> PlacedFile | ActionResult:
    """Write the file if it differs; `status` is what was at its path. Returns a failure if the validation refuses it."""
    old = (
        task.reader().files.read(placement.path)
        if status is not None and status.kind == "file" and status.size < 1_000_000
        else None
    )
    differs = status is None or status.checksum != sha1_of(placement.content)
    if differs and placement.validate is not None and (refused := _validate(placement, task)) is not None:
        return refused
    text = None if old is None else _decode(old)
    private = placement.secret or task.hidden() or (text is not None and task.masked(text) != text)
    call = StepCall(
        STEP,
        {
            "path": placement.path,
            **_content(placement.content),
            **placement.attributes,
            **({"backup": placement.backup} if placement.backup and status is not None else {}),
            "private": private,
            "risk_level": str(task.risk()),
        },
    )
    return PlacedFile(task.reach(call), "" if status is None else text, status is not None)


def _validate(placement: Placement, task: ModuleTask) -> ActionResult | None:
    """Return the failure of the validation command, None if it accepts the file."""
    words = shlex.split(placement.validate or "")
    reply = task.read(Run(("sh", "-c", _VALIDATE, "validate", *words), placement.content, timeout=task.limit(60.0)))[0]
    if isinstance(reply, Completed) and reply.rc == 0:
        return None
    if not isinstance(reply, Completed):
        return failed_result(f"failed to validate {placement.path}")
    output = {"stdout": reply.text, "stderr": reply.stderr.decode(errors="replace")}
    return failed_result(
        f"failed to validate: {(output['stderr'] or output['stdout']).strip()}",
        msg="failed to validate",
        exit_status=reply.rc,
        **output,
    )


def _content(content: bytes) -> dict[str, Any]:
    text = _decode(content)
    return {"content": base64.b64encode(content).decode(), "binary": True} if text is None else {"content": text}


def _decode(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def as_action(result: Result, values: Mapping[str, Any]) -> ActionResult:
    """Return the result of a module from that of a step."""
    if result.outcome.bad or result.outcome is Outcome.SKIPPED:
        return ActionResult(
            result.outcome, {"msg": _ansibles(result.reason)}, result.reason, result.next_step, step_result=result
        )
    return ActionResult(result.outcome, values, step_result=result)


def _ansibles(reason: str) -> str:
    """Return Ansible's message for a failure of ``chown`` (GNU's or BusyBox's) to find a user or group; other reasons stay."""
    unknown = _UNKNOWN.search(reason)
    if unknown is None:
        return reason
    kind, user, group = unknown["kind"], unknown["user"], unknown["group"]
    return (
        f"{'chown' if kind == 'user' else 'chgrp'} failed: failed to look up {kind} {group or user if kind == 'group' else user}"
    )


def merged_results(results: Sequence[Result]) -> Result:
    """Return one result for several steps of a task: the first bad one decides, else the first change."""
    if not results:
        return Result(Outcome.OK)
    decisive = next((each for each in results if each.outcome.bad), None)
    if decisive is None:
        decisive = next((each for each in results if each.outcome in {Outcome.CHANGED, Outcome.WOULD_CHANGE}), results[-1])
    return replace(decisive, changes=tuple(change for each in results for change in each.changes))


def text_diff(path: str, placed: PlacedFile, after: str, header: str = "") -> dict[str, Any]:
    """Return a difference in the form of Ansible's results."""
    header_before = {"before_header": path} if placed.existed else {}
    return {**header_before, "before": placed.before or "", "after_header": header or path, "after": after}


def parent_of(path: str, *, windows: bool) -> str:
    """Return the folder of a path."""
    return ntpath.dirname(path) if windows else posixpath.dirname(path)


def sha1_of(content: bytes) -> str:
    """Return the checksum that Ansible's modules return."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
