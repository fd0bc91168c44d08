"""``file`` and ``win_file``: files, folders and links on the host."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from remediation.connections.calls import Completed, Probe, Run
from remediation.model.change import StepCall
from remediation.model.facts import FileStatus
from remediation.model.outcome import Outcome, Result
from remediation.modules.contract import Module, ModuleTask, Program, UnfitError
from remediation.modules.files.attributes import (
    FileModule,
    attribute_difference,
    expand_path,
    is_symbolic,
    parse_mode,
    with_users,
)
from remediation.modules.files.placing import STEP, as_action, merged_results, parent_of
from remediation.modules.paths import base_name, is_absolute, joined_path
from remediation.modules.result import ActionResult, done_result, failed_result
from remediation.steps.host.file_managed import status_values
from remediation.templating.filters.common import to_datetime

_TIMES = "%Y%m%d%H%M.%S"
_MODES = 'find "$1" ! -type l -exec stat -c %f {} +'
"""Prints the type and mode, in hexadecimal digits, of everything in a folder."""

_DIFFERING = 'path=$1; shift; find "$path" \\( "$@" \\) -print -quit'
"""Finds one path below a folder whose owner or mode differs. Arguments: the folder, and the conditions of find."""


class FileState(FileModule):
    """A file, folder or link on the host is there as described, or is not."""

    aliases: ClassVar[Mapping[str, str]] = {"dest": "path", "name": "path"}

    refused: ClassVar[tuple[str, ...]] = (*FileModule.refused, "_diff_peek", "_original_basename")

    path: str = Field(..., description="the path")
    state: Literal["absent", "directory", "file", "hard", "link", "touch"] | None = Field(
        None, description="desired state; defaults to the current type, or file"
    )
    src: str | None = Field(None, description="where a link leads")
    recurse: bool = Field(default=False, description="set mode and owner of what is in the folder too")
    force: bool = Field(default=False, description="create a link whose target does not exist, or that replaces a file")
    follow: bool = Field(default=True, description="use the target of a link")
    access_time: str | None = Field(None, description="preserve, now, or a time of the host's clock, for state: touch")
    access_time_format: str = Field(_TIMES, description="form of access_time")
    modification_time: str | None = Field(None, description="preserve, now, or a time of the host's clock, for state: touch")
    modification_time_format: str = Field(_TIMES, description="form of modification_time")

    @model_validator(mode="after")
    def _check_recursion(self) -> FileState:
        if self.recurse and self.state not in {None, "directory"}:
            raise UnfitError("recurse requires state: directory", "recurse option requires state to be 'directory'")
        if self.src and self.state not in {"link", "hard"}:
            raise UnfitError("src requires state: link or hard", "src option requires state to be 'link' or 'hard'")
        return self

    def run(self, task: ModuleTask) -> ActionResult:
        """Make it so."""
        path, files = expand_path(task, self.path), task.reader().files
        status = files.status(path)
        if self.state in {"link", "hard", "absent"} or status is None or status.kind != "link" or not self.follow:
            now = status
        else:
            now = files.status(path, follow=True) or status
        state = self.state or ("directory" if self.recurse else (now.kind if now is not None and now.kind != "other" else "file"))
        if state == "touch":
            return self._touch(path, now, task)
        if problem := self._problem(path, state, now, task):
            return failed_result(problem, **self._refused_values(path, state, now))
        acted = self._reach(path, state, status if state in {"link", "hard", "absent"} else now, task)
        if self.state is None and status is not None and status.kind == "link" and now is not status and not acted.outcome.bad:
            shown = {**acted.values, **status_values(status), "dest": path, "src": status.target}
            acted = replace(acted, values={name: value for name, value in shown.items() if name != "path"})
        elif (
            self.state is None
            and now is not None
            and now.kind == "file"
            and now.details.get("nlink", 1) > 1
            and not acted.outcome.bad
        ):
            shown = {"dest": path, "src": None, **acted.values, "state": "hard"}  # as in Ansible, a file with several names
            acted = replace(acted, values={name: value for name, value in shown.items() if name != "path"})
        return acted

    def _refused_values(self, path: str, state: str, now: FileStatus | None) -> dict[str, Any]:
        """Return what Ansible returns with a refusal: of a link without a target nothing."""
        if state in {"link", "hard"} and self.src is None and not (self.force and now is not None):
            return {}
        if now is None:
            return {"path": path, **({"src": self.src} if state in {"link", "hard"} else {"state": "absent"})}
        return {"path": path, **status_values(now)}

    def _problem(self, path: str, state: str, now: FileStatus | None, task: ModuleTask) -> str:
        """Return why the state is refused, in Ansible's words."""
        kind = now.kind if now is not None else "absent"
        if state == "file" and kind != "file":
            return f"file ({path}) is {kind}, cannot continue"
        if state == "directory" and kind not in {"absent", "directory"}:
            return f"{path} already exists as a {kind}"
        if state == "link" and self.src is None and kind != "link":
            return "src is required for creating new symlinks"
        if state == "link" and not self.force:
            folder = path if kind == "directory" else parent_of(path, windows=task.windows)
            there = joined_path(folder, self.src, windows=task.windows) if self.src is not None else ""
            if there and task.reader().files.status(there, follow=True) is None:
                return f"src file does not exist, use 'force=yes' if you really want to create the link: {there}"
            if kind in {"file", "directory"}:
                return f"refusing to convert from {kind} to symlink for {path}"
        if state == "hard" and self.src is None:
            return "src is required for creating new hardlinks"
        return ""

    def _reach(self, path: str, state: str, now: FileStatus | None, task: ModuleTask) -> ActionResult:
        target = (self.src if self.src is not None else now.target if now else "") if state in {"link", "hard"} else None
        wanted = {} if state in {"absent", "link"} else self.attributes(now, directory=state == "directory")
        given = {"target": target} if target is not None else {}
        call = StepCall(STEP, {"path": path, "state": state, **given, **wanted, "risk_level": str(task.risk())})
        results = [task.reach(call)]
        if self.recurse and state == "directory" and not results[0].outcome.bad and not task.windows:
            acted = self._below(path, wanted, task)
            if acted is not None:
                results.append(acted)
        result = merged_results(results)
        name = "dest" if state in {"link", "hard"} else "path"
        values: dict[str, Any] = {name: path}
        if task.diff() and not (state == "absent" and result.outcome is Outcome.OK):
            values["diff"] = attribute_difference(path, state, now, wanted, created=not task.check())
        if target is not None:
            values["src"] = target
        if state == "absent":
            values |= results[0].values if result.outcome is Outcome.WOULD_CHANGE else {"state": "absent"}
        elif result.outcome is not Outcome.WOULD_CHANGE or now is not None:
            values |= {**results[0].values, **({"state": "hard"} if state == "hard" else {})}
        if state == "link" and result.outcome in {Outcome.OK, Outcome.CHANGED} and _leads_nowhere(path, task):
            values = {name: value for name, value in values.items() if name in {"dest", "diff", "src"}}
        return as_action(result, values)

    def _below(self, path: str, wanted: Mapping[str, Any], task: ModuleTask) -> Result | None:
        """Set mode and owner of everything in a folder, None if nothing differs."""
        tests: list[str] = []
        commands: list[list[str]] = []
        for name, test, changer in (("owner", "-user", "chown"), ("group", "-group", "chgrp")):
            if name in wanted:
                tests += [*(["-o"] if tests else []), "!", test, wanted[name]]
                commands.append([changer, "-R", wanted[name], path])
        relative = "mode" in wanted and is_symbolic(self.mode)
        if relative:
            commands.append(["chmod", "-R", with_users(self.mode), path])
        elif "mode" in wanted:
            mode = f"{wanted['mode']:04o}"
            tests += [*(["-o"] if tests else []), "!", "-perm", mode, "!", "-type", "l"]
            commands.append(["chmod", "-R", mode, path])
        if not (relative and self._modes_differ(path, task)) and not (tests and _any_differs(path, tests, task)):
            return None
        script = "set -e\n" + "\n".join(" ".join(f"'{word}'" for word in words) for words in commands)
        program = Program(("sh", "-c", script), None, f"set attributes below {path}")
        if task.check():
            task.foresee(program)
            return Result(Outcome.WOULD_CHANGE)
        acted = task.execute(program)
        return acted.step_result or Result(acted.outcome, acted.reason, next_step=acted.next_step)

    def _modes_differ(self, path: str, task: ModuleTask) -> bool:
        """Return whether a symbolic mode, which is relative to the mode of each path, changes anything in a folder."""
        reply = task.read(Run(("sh", "-c", _MODES, "find", path)))[0]
        words = reply.text.split() if isinstance(reply, Completed) else []
        modes = {int(word, 16) for word in words if re.fullmatch("[0-9a-f]{1,8}", word)}
        return any(
            parse_mode(self.mode, stat.S_IMODE(mode), directory=stat.S_ISDIR(mode)) != stat.S_IMODE(mode) for mode in modes
        )

    def _times(self, path: str, now: FileStatus | None, task: ModuleTask) -> list[list[str]] | str:
        """Return the commands that set the file's times, or why a time cannot be read."""
        commands: list[list[str]] = []
        given = (
            ("-a", "atime", self.access_time, self.access_time_format),
            ("-m", "mtime", self.modification_time, self.modification_time_format),
        )
        for option, name, text, form in given:
            if text == "preserve" or (text in {None, "now"} and now is None):
                continue
            if text in {None, "now"}:
                commands.append(["touch", option, "--", path])
                continue
            try:
                wanted = to_datetime(text, form)  # without a time zone: it is the host's, which `date` knows
            except ValueError as error:
                return f"Error while obtaining timestamp for time {text} using format {form}: {error}"
            reply = task.read(Run(("date", "-d", wanted.strftime("%Y-%m-%d %H:%M:%S"), "+%s")))[0]
            seconds = reply.text.strip() if isinstance(reply, Completed) and reply.rc == 0 else ""
            if now is None or not seconds or int(seconds) != int(float(now.details.get(name) or 0)):
                commands.append(["touch", option, "-t", wanted.strftime("%Y%m%d%H%M.%S"), "--", path])
        both = [["touch", "-a", "--", path], ["touch", "-m", "--", path]]
        return [["touch", "--", path]] if commands == both else commands

    def _touch(self, path: str, now: FileStatus | None, task: ModuleTask) -> ActionResult:
        """Create a file, or set its times, by default to now."""
        results: list[Result] = []
        folder = parent_of(path, windows=task.windows)
        if now is None and folder and not task.check() and task.reader().files.status(folder, follow=True) is None:
            return failed_result("Error, could not touch target.", "create its folder first: state: directory", path=path)
        commands = self._times(path, now, task)
        if isinstance(commands, str):
            return failed_result(commands)
        wanted = self.attributes(now)
        if now is None or wanted:
            kind = now.kind if now is not None else "file"
            content = {"content": ""} if now is None else {}
            call = StepCall(STEP, {"path": path, "state": kind, **content, **wanted, "risk_level": str(task.risk())})
            results.append(task.reach(call))
        for command in commands:
            if not (results and results[-1].outcome.bad):
                results.append(self._stamp(path, command, task))
        if now is None and task.check():
            return as_action(merged_results(results), {"dest": path})
        shown = {"diff": attribute_difference(path, "touch", now, wanted, created=not task.check())} if task.diff() else {}
        return as_action(merged_results(results), {"dest": path, **shown, **_observe_status(path, task, now)})

    def _stamp(self, path: str, command: Sequence[str], task: ModuleTask) -> Result:
        script = Probe("file", {"action": "touch", "path": path, "to": None}) if task.windows else None
        program = Program((*command,), None, f"touch {path}", script=script, outcome=_touch_result if script else None)
        if task.check():
            task.foresee(program)
            return Result(Outcome.WOULD_CHANGE)
        acted = task.execute(program)
        return acted.step_result or Result(acted.outcome, acted.reason, next_step=acted.next_step)


def _leads_nowhere(path: str, task: ModuleTask) -> bool:
    target = task.reader().files.status(path, follow=True)
    return target is None or target.kind == "link"


def _any_differs(path: str, tests: Sequence[str], task: ModuleTask) -> bool:
    reply = task.read(Run(("sh", "-c", _DIFFERING, "find", path, *tests)))[0]
    return isinstance(reply, Completed) and bool(reply.text.strip())


def _touch_result(value: Mapping[str, Any]) -> ActionResult:
    return done_result(changed=True) if value["Done"] else failed_result(str(value["Problem"]))


def _observe_status(path: str, task: ModuleTask, now: FileStatus | None) -> dict[str, Any]:
    status = now if task.check() else task.reader().files.status(path, follow=True)
    return status_values(status) if status is not None else {}


class WinFile(Module):
    """A file or folder on a Windows host is there, or is not."""

    aliases: ClassVar[Mapping[str, str]] = {"dest": "path", "name": "path"}

    path: str = Field(..., description="the path")
    state: Literal["absent", "directory", "file", "touch"] | None = Field(None, description="desired state")
    access_time: str | None = Field(None, description="preserve or now")
    modification_time: str | None = Field(None, description="preserve or now")

    def run(self, task: ModuleTask) -> ActionResult:
        """Make it so."""
        path = expand_path(task, self.path)
        status = task.reader().files.status(path, follow=self.state != "absent")
        state = self.state or ("file" if base_name(path, windows=True) and not path.endswith(("\\", "/")) else "directory")
        if self.state is None and status is not None:
            return done_result(changed=False)
        if state == "directory" and status is not None and status.kind != "directory":
            return failed_result(f"path {path} is not a directory")
        if state == "file" and (status is None or status.kind == "directory"):
            return failed_result(f"path {path} will not be created" if status is None else f"path {path} is not a file")
        if not is_absolute(path, windows=True):
            return failed_result(f"path {path} is not absolute")
        if state == "touch":
            given = {"path": path, "state": "touch", "access_time": self.access_time, "modification_time": self.modification_time}
            return FileState.model_validate({name: value for name, value in given.items() if value is not None}).run(task)
        if state == "file":
            return done_result(changed=False)
        return as_action(
            task.reach(StepCall(STEP, {"path": path.rstrip("\\/"), "state": state, "risk_level": str(task.risk())})), {}
        )
