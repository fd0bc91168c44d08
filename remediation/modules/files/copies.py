"""``copy``, ``template``, ``win_copy`` and ``win_template``: files of the playbook on the host."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from remediation.connections.calls import Completed, Run
from remediation.model.change import StepCall
from remediation.model.errors import UsageError
from remediation.model.files import read_text
from remediation.model.outcome import Outcome, Result
from remediation.modules.contract import ModuleTask, UnfitError
from remediation.modules.files.attributes import FileModule, attribute_difference, backup_name, expand_path
from remediation.modules.files.placing import (
    STEP,
    PlacedFile,
    Placement,
    as_action,
    merged_results,
    parent_of,
    place_file,
    sha1_of,
    text_diff,
)
from remediation.modules.paths import base_name, joined_path, not_found
from remediation.modules.result import ActionResult, done_result, failed_result
from remediation.steps.host.file_managed import status_values
from remediation.templating.yaml.secret import Secret, reveal

if TYPE_CHECKING:
    from remediation.model.facts import FileStatus


class SingleFileModule(FileModule):
    """A module that puts one file on the host."""

    dest: str = Field(..., description="path on the host; with a trailing slash, or a folder, the file is put into it")
    backup: bool = Field(default=False, description="keep a copy of a replaced file")
    force: bool = Field(default=True, description="replace a file with other content")
    follow: bool = Field(default=False, description="write to the target of a link, instead of replacing the link")
    validate_with: str | None = Field(
        None, alias="validate", description="command that checks the new file, with %s for its path"
    )

    def put(
        self, task: ModuleTask, content: bytes, name: str, source: str, *, secret: bool = False, mode: int | None = None
    ) -> ActionResult:
        """Put `content` at ``dest``; `name` is its file name in a folder, `mode` that of the source for ``preserve``."""
        files, windows = task.reader().files, task.windows
        dest = expand_path(task, self.dest)
        into = dest.endswith(("/", "\\") if windows else "/")
        path = joined_path(dest, name, windows=windows) if into else dest
        status = files.status(path, algorithm="sha1")
        if status is not None and status.kind in {"directory", "link"} and not into:
            inner = files.status(path, follow=True, algorithm="sha1")
            if inner is not None and inner.kind == "directory":
                if not name:
                    return failed_result("can not use content with a dir as dest")
                path = joined_path(path, name, windows=windows)
                status = files.status(path, algorithm="sha1")
        results: list[Result] = []
        if status is not None and status.kind == "link":
            if self.follow:
                path = str(status.details.get("lnk_source") or path)
                status = files.status(path, follow=True, algorithm="sha1")
            else:
                results.append(task.reach(StepCall(STEP, {"path": path, "state": "absent", "risk_level": str(task.risk())})))
                status = None
        if status is not None and not self.force:
            return done_result(changed=False, dest=path, src=source)
        if status is None and (problem := self._folder(task, path, content, into=into, results=results)) is not None:
            return problem
        return self._write_content(task, path, content, status, results, source=source, secret=secret, mode=mode)

    def _folder(self, task: ModuleTask, path: str, content: bytes, *, into: bool, results: list[Result]) -> ActionResult | None:
        """Create the file's folder if ``dest`` names it, and return why it cannot be used, None if it can."""
        folder = parent_of(path, windows=task.windows)
        if not folder or task.reader().files.status(folder, follow=True) is not None:
            return None
        if not into and not task.windows:
            sums: dict[str, Any] = {} if self.on_host else {"checksum": sha1_of(content), "diff": []}
            return None if task.check() else failed_result(f"Destination directory {folder} does not exist", **sums)
        call = StepCall(STEP, {"path": folder, "state": "directory", "risk_level": str(task.risk())})
        results.append(task.reach(call))
        return as_action(results[-1], {}) if results[-1].outcome.bad else None

    def _write_content(
        self, task: ModuleTask, path: str, content: bytes, status: FileStatus | None, results: list[Result], *,
        source: str, secret: bool, mode: int | None,
    ) -> ActionResult:  # fmt: skip
        attributes = self.attributes(status)
        if self.mode == "preserve" and mode is not None:
            attributes["mode"] = mode
        backup = backup_name(path, windows=task.windows) if self.backup else None
        placed = place_file(Placement(path, content, attributes, backup, self.validate_with, secret), task, status)
        if isinstance(placed, ActionResult):
            return placed
        result = merged_results([*results, placed.result])
        rewritten = status is None or status.checksum != sha1_of(content)
        values = self._values(path, content, placed, source, rewritten=rewritten or bool(results))
        if values and result.outcome is Outcome.WOULD_CHANGE:
            values |= status_values(status)
        if not self.on_host and (rewritten or task.diff() or not task.check()):
            after = _displayable_text(content) if rewritten and task.diff() and not secret else None
            values["diff"] = [] if after is None else [text_diff(path, placed, after, source or path)]
            if task.diff() and not rewritten:
                values["diff"] = attribute_difference(path, "file", status, attributes)
        if backup is not None and rewritten and placed.existed and result.outcome is Outcome.CHANGED:
            values["backup_file"] = backup
        return as_action(result, values)

    @property
    def on_host(self) -> bool:
        """Whether the content is a file of the host."""
        return False

    def _values(self, path: str, content: bytes, placed: PlacedFile, source: str, *, rewritten: bool) -> dict[str, Any]:
        if placed.result.outcome is Outcome.WOULD_CHANGE and (rewritten or self.on_host):
            return {}
        sums = {"md5sum": hashlib.md5(content, usedforsecurity=False).hexdigest(), "src": source}
        summed = sums if rewritten or self.on_host else {"path": path}
        return {"dest": path, "checksum": sha1_of(content), **summed, **placed.result.values}


class Copy(SingleFileModule):
    """Put a file or folder of the playbook, or a text, on the host."""

    lacking: ClassVar[Mapping[str, str]] = {"dest": "dest is required"}

    src: str | None = Field(None, description="file or folder, searched for in files/")
    content: Any = Field(None, description="content of the file; mappings and lists are written as JSON")
    remote_src: bool = Field(default=False, description="src is a file on the host")
    directory_mode: Any = Field(None, description="mode of folders that are created for a folder")
    checksum: str | None = Field(None, description="SHA-1 that the file must have")
    decrypt: bool = Field(default=True, description="accepted for compatibility; vaulted files are not decrypted here")
    local_follow: bool = Field(default=True, description="follow links in src")

    @model_validator(mode="after")
    def _check_source(self) -> Copy:
        if (self.src is None) == (self.content is None):
            ansible_message = "src (or content) is required" if self.src is None else "src and content are mutually exclusive"
            raise UnfitError("expected either src or content", ansible_message)
        return self

    def run(self, task: ModuleTask) -> ActionResult:
        """Put the file on the host."""
        if self.content is not None:
            if self.dest.endswith("/"):
                return failed_result("can not use content with a dir as dest")
            secret = isinstance(self.content, Secret)
            value = reveal(self.content)
            text = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
            return self.put(task, text.encode(), "", "", secret=secret)
        if self.remote_src:
            return self._on_host(task, expand_path(task, self.src or ""))
        source = _source(self.src or "", task)
        if source.is_dir():
            return self._tree(task, source)
        content = source.read_bytes()
        if self.checksum is not None and sha1_of(content) != self.checksum:
            return failed_result("Copied file does not match the expected checksum. Transfer failed.", checksum=sha1_of(content))
        return self.put(task, content, source.name, str(source), mode=stat.S_IMODE(source.stat().st_mode))

    @property
    def on_host(self) -> bool:
        """Whether the content is a file of the host."""
        return self.remote_src

    def _on_host(self, task: ModuleTask, source: str) -> ActionResult:
        files = task.reader().files
        status = files.status(source, follow=True)
        if status is None:
            return failed_result(f"Source {source} not found")
        if status.kind == "directory" and not task.windows:
            return self._folder_on_host(task, source.rstrip("/") or "/", into=source.endswith("/"))
        if status.kind != "file":
            raise UsageError(
                f"copy: {source} is a {status.kind}: with remote_src only files are copied", next_step="use command: cp -a"
            )
        content = files.read(source) or b""
        if len(content) < status.size:
            raise UsageError(f"copy: {source} is larger than 4 MB", next_step="use command: cp -a")
        return self.put(task, content, base_name(source, windows=task.windows), source, mode=status.mode)

    def _folder_on_host(self, task: ModuleTask, source: str, *, into: bool) -> ActionResult:
        """Copy a folder of the host: with a trailing slash in `src` its content, else the folder too."""
        files = task.reader().files
        dest = expand_path(task, self.dest).rstrip("/")
        results: list[Result] = []
        if not into:
            if files.status(dest, follow=True) is None:  # it gets no mode of the source
                results.append(task.reach(StepCall(STEP, {"path": dest, "state": "directory", "risk_level": str(task.risk())})))
            dest = joined_path(dest, base_name(source, windows=False), windows=False)
        reply = task.read(Run(("find", source, "(", "-type", "d", "-o", "-type", "f", ")", "-print0")))[0]
        if not isinstance(reply, Completed) or reply.rc != 0:
            return failed_result(f"the folder {source} cannot be read", "check the login's rights to it")
        for name in sorted(filter(None, reply.stdout.decode(errors="surrogateescape").split("\0"))):
            status, to = files.status(name), f"{dest}{name.removeprefix(source)}"
            if status is None:
                continue
            if status.kind == "directory":
                mode = self.directory_mode if self.directory_mode is not None else status.mode
                call = StepCall(STEP, {"path": to, "state": "directory", "mode": mode, "risk_level": str(task.risk())})
                results.append(task.reach(call))
            else:
                inner = self.model_copy(update={"src": name, "dest": to, "mode": self.mode or status.mode})
                acted = inner._on_host(task, name)  # noqa: SLF001 - the same class
                if acted.step_result is None:
                    return acted
                results.append(acted.step_result)
            if results[-1].outcome.bad:
                break
        merged = merged_results(results)
        values = {} if merged.outcome is Outcome.WOULD_CHANGE else {"checksum": None, "md5sum": None, **results[0].values}
        return as_action(merged, {"dest": expand_path(task, self.dest), "src": self.src, **values})

    def _tree(self, task: ModuleTask, source: Path) -> ActionResult:
        """Copy a folder: with a trailing slash its content, else the folder too."""
        dest = expand_path(task, self.dest).rstrip("/\\" if task.windows else "/")
        base = source if (self.src or "").endswith("/") else source.parent
        results: list[Result] = []
        copied: list[ActionResult] = []
        for path in _walk(source, follow=self.local_follow):
            name = joined_path(
                dest, str(path.relative_to(base)).replace("/", "\\" if task.windows else "/"), windows=task.windows
            )
            if path.is_dir():
                mode = {} if self.directory_mode is None else {"mode": self.directory_mode}
                wanted = self.model_copy(update={"mode": mode.get("mode")}).attributes(None, directory=True)
                results.append(
                    task.reach(StepCall(STEP, {"path": name, "state": "directory", **wanted, "risk_level": str(task.risk())}))
                )
            else:
                inner = self.model_copy(update={"dest": name})
                acted = inner.put(task, path.read_bytes(), path.name, str(path), mode=stat.S_IMODE(path.stat().st_mode))
                copied.append(acted)
                if acted.step_result is None:
                    if acted.outcome.bad:
                        return acted
                    continue
                results.append(acted.step_result)
            if results[-1].outcome.bad:
                break
        values = {"dest": f"{dest}/", "src": f"{source}{'/' if (self.src or '').endswith('/') else ''}"}
        if len(copied) == 1:  # as in Ansible, the result of a single file is that of the task
            values |= copied[0].values
        return as_action(merged_results(results), values)


_BOTH = "src and dest are required"


class Template(SingleFileModule):
    """Evaluate a template of the playbook, and put the result on the host."""

    newline: ClassVar[str] = "\n"
    lacking: ClassVar[Mapping[str, str]] = {"src": _BOTH, "dest": _BOTH}

    src: str = Field(..., description="template, searched for in templates/")
    newline_sequence: str | None = Field(None, description="line ends of the result: \\n, \\r or \\r\\n")
    block_start_string: str = Field("{%", description="start of a block")
    block_end_string: str = Field("%}", description="end of a block")
    variable_start_string: str = Field("{{", description="start of an expression")
    variable_end_string: str = Field("}}", description="end of an expression")
    comment_start_string: str = Field("{#", description="start of a comment")
    comment_end_string: str = Field("#}", description="end of a comment")
    trim_blocks: bool = Field(default=True, description="remove the newline after a block")
    lstrip_blocks: bool = Field(default=False, description="remove spaces before a block")
    output_encoding: str = Field("utf-8", description="encoding of the result")

    def run(self, task: ModuleTask) -> ActionResult:
        """Evaluate the template and put it on the host."""
        source = task.find(self.src, "templates")
        if source is None:
            raise not_found(task, self.src, "templates")
        ends = {"\\n": "\n", "\\r": "\r", "\\r\\n": "\r\n"}
        newline = self.newline if self.newline_sequence is None else ends.get(self.newline_sequence, self.newline_sequence)
        if newline not in {"\n", "\r", "\r\n"}:
            reason = "newline_sequence needs to be one of: \\n, \\r or \\r\\n"
            return failed_result(reason, msg="newline_sequence needs to be one of: \n, \r or")  # as in Ansible
        names = "block_start_string block_end_string variable_start_string variable_end_string comment_start_string comment_end_string"
        settings = {name: getattr(self, name) for name in (*names.split(), "trim_blocks", "lstrip_blocks")}
        value = task.template(source, read_text(source), name=self.src, destination=self.dest, **settings)
        text = str(reveal(value)) if value is not None else ""
        text = text.replace("\r\n", "\n").replace("\n", newline)
        try:
            content = text.encode(self.output_encoding or "utf-8")
        except (LookupError, UnicodeEncodeError) as error:
            raise UsageError(f"template: output_encoding: {error}") from None
        return self.put(
            task, content, source.name, str(source), secret=isinstance(value, Secret), mode=stat.S_IMODE(source.stat().st_mode)
        )


class WinCopy(Copy):
    """Put a file or folder of the playbook, or a text, on a Windows host."""


class WinTemplate(Template):
    """Evaluate a template of the playbook, and put the result on a Windows host, with Windows line ends."""

    newline: ClassVar[str] = "\r\n"


def _source(name: str, task: ModuleTask) -> Path:
    found = task.find(name.rstrip("/"), "files")
    if found is None:
        raise not_found(task, name, "files", "Unexpected AnsibleActionFail error: ")
    return found


def _walk(folder: Path, *, follow: bool) -> Iterator[Path]:
    """Yield a folder, and what is in it, folders before their content."""
    for root, names, files in os.walk(folder, followlinks=follow):
        names.sort()
        yield Path(root)
        yield from (Path(root) / name for name in sorted(files))


def _displayable_text(content: bytes) -> str | None:
    if b"\0" in content or len(content) > 104_448:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
