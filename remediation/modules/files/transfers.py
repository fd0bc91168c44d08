"""``fetch``, ``tempfile``, ``win_tempfile`` and ``assemble``: files from the host, temporary ones, and ones made of fragments."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import secrets
import string
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from remediation.connections.calls import Completed, Failed, FileContent, ReadFile, Run
from remediation.model.change import StepCall
from remediation.model.errors import UsageError
from remediation.model.outcome import Outcome
from remediation.modules.contract import Module, ModuleTask, UnfitError
from remediation.modules.files.attributes import backup_name, expand_path
from remediation.modules.files.copies import SingleFileModule
from remediation.modules.files.placing import STEP, Placement, as_action, place_file, sha1_of
from remediation.modules.files.stats import LARGEST
from remediation.modules.paths import base_name, joined_path, not_found
from remediation.modules.result import ActionResult, done_result, failed_result, skipped_result

_LETTERS = string.ascii_lowercase + string.digits + "_"
_BOTH = "src and dest are required"
_MISSING = "the remote file does not exist, not transferring, ignored"
_FOLDER = "remote file is a directory, fetch cannot work on directories"
_NAMES = 'cd "$1" || exit 1; for name in .* *; do [ -f "$name" ] && printf "%s\\0" "$name"; done; exit 0'
"""Prints the names of the files in a folder."""


class Fetch(Module):
    """Copy a file of the host to this machine."""

    invoked: ClassVar[bool] = False
    lacking: ClassVar[Mapping[str, str]] = {"src": _BOTH, "dest": _BOTH}

    src: str = Field(..., description="file on the host")
    dest: str = Field(
        ..., description="folder on this machine, in which HOST/PATH is written; with flat the file, or a folder with /"
    )
    flat: bool = Field(default=False, description="dest is the file itself")
    fail_on_missing: bool = Field(default=True, description="fail if the file does not exist")
    validate_checksum: bool = Field(default=True, description="accepted for compatibility; files arrive whole")

    def run(self, task: ModuleTask) -> ActionResult:
        """Read the file and write it here; check mode skips it."""
        if task.check():
            return skipped_result("check mode not (yet) supported for this module")
        source = expand_path(task, self.src)
        reply = task.read(ReadFile(source, limit=LARGEST, timeout=task.limit(300.0)))[0]
        if not isinstance(reply, FileContent) or reply.missing:
            return self._unread(source, reply)
        if reply.truncated:
            return failed_result(f"{source} is larger than {LARGEST // 1_000_000} MB", "copy it with scp")
        path = self._destination(source, task)
        if isinstance(path, ActionResult):
            return path
        sums: dict[str, Any] = {"md5sum": hashlib.md5(reply.content, usedforsecurity=False).hexdigest(), "dest": str(path)}
        checksum = sha1_of(reply.content)
        try:
            if path.is_file() and path.read_bytes() == reply.content:
                return done_result(changed=False, **sums, file=source, checksum=checksum)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(reply.content)
        except OSError as error:
            return failed_result(
                f"Failed to fetch the file. {path} cannot be written: {error.strerror}", msg="Failed to fetch the file."
            )
        return done_result(changed=True, **sums, remote_md5sum=None, checksum=checksum, remote_checksum=checksum)

    def _unread(self, source: str, reply: Any) -> ActionResult:
        """Return the result for a file that does not exist or cannot be read."""
        folder = isinstance(reply, Failed) and "not a regular file" in reply.message
        missing = not isinstance(reply, Failed) or reply.kind == "not-found"
        message = _FOLDER if folder else _MISSING if missing else f"unable to slurp file: {reply.message}"
        if self.fail_on_missing:
            return failed_result(message)
        if folder:
            return done_result(changed=False, msg=f"{message}, not transferring, ignored")
        return done_result(changed=False, file=source, msg=message)

    def _destination(self, source: str, task: ModuleTask) -> Path | ActionResult:
        """Return the path on this machine; the host's path cannot lead out of the folder."""
        base = Path(str(task.variables["playbook_dir"]))
        given, slash = Path(self.dest).expanduser(), self.dest.endswith("/")
        name = source.replace("\\", "/") if task.windows else source
        if not self.flat:
            folder = base / given / str(task.variables["inventory_hostname"])
            path = Path(os.path.normpath(f"{folder}/{name}"))
            if not path.is_relative_to(os.path.normpath(folder)):
                return failed_result(f"Detected directory traversal, expected to be contained in '{folder}' but got '{path}'")
            return path
        path = base / given
        if path.is_dir() and not slash:
            return failed_result(
                "dest is an existing directory, use a trailing slash if you want to fetch src into that directory"
            )
        if slash and (path := path / PurePosixPath(name).name).is_dir():
            problem = "is an existing directory, use another path that does not point to an existing directory"
            return failed_result(f"calculated dest '{path}' {problem}")
        return Path(os.path.normpath(path))


class Tempfile(Module):
    """Create a temporary file or folder that only the login can read."""

    state: Literal["file", "directory"] = Field("file", description="what to create")
    path: str | None = Field(None, description="folder in which it is created; defaults to the host's temporary folder")
    prefix: str = Field("ansible.", description="begin of the name")
    suffix: str = Field("", description="end of the name")

    @field_validator("prefix", "suffix")
    @classmethod
    def _check_name(cls, given: str, info: Any) -> str:
        if "/" in given:
            ansible_message = f"{info.field_name} must be a valid file name component, got {given!r}"
            raise UnfitError("a name cannot contain /", ansible_message)
        return given

    def run(self, task: ModuleTask) -> ActionResult:
        """Create it under a new name; check mode skips it."""
        if task.check():
            return skipped_result("remote module (tempfile) does not support check mode")
        folder = self._folder(task)
        status = task.reader().files.status(folder, follow=True)
        name = f"{self.prefix}{''.join(secrets.choice(_LETTERS) for _ in range(8))}{self.suffix}"
        path = joined_path(folder, name, windows=task.windows)
        if status is None or status.kind != "directory":
            return failed_result(f"[Errno 2] No such file or directory: {path!r}")
        rights = {} if task.windows else {"mode": 0o700 if self.state == "directory" else 0o600}
        content = {"content": ""} if self.state == "file" else {}
        call = StepCall(STEP, {"path": path, "state": self.state, **content, **rights, "risk_level": str(task.risk())})
        result = task.reach(call)
        return as_action(result, {"path": path, **({"state": self.state} if task.windows else result.values)})

    def _folder(self, task: ModuleTask) -> str:
        given = self.path
        if given is None and not task.windows:
            reply = task.read(Run(("sh", "-c", 'printf %s "${TMPDIR:-/tmp}"')))[0]
            given = reply.text if isinstance(reply, Completed) and reply.text else "/tmp"  # noqa: S108 - the host's, not this machine's
        return expand_path(task, given if given is not None else "%TEMP%").rstrip("/" if not task.windows else "\\")


class WinTempfile(Tempfile):
    """Create a temporary file or folder on a Windows host."""


class Assemble(SingleFileModule):
    """Put a file on the host that consists of the files of a folder, in the order of their names."""

    lacking: ClassVar[Mapping[str, str]] = {"src": _BOTH, "dest": _BOTH}

    src: str = Field(..., description="folder with the fragments")
    remote_src: bool = Field(default=True, description="src is a folder of the host, not of the playbook")
    delimiter: str | None = Field(None, description="text between the fragments")
    regexp: str | None = Field(None, description="regular expression of the names to use")
    ignore_hidden: bool = Field(default=False, description="leave out names that begin with a dot")
    decrypt: bool = Field(default=True, description="accepted for compatibility; vaulted files are not decrypted here")

    @field_validator("regexp")
    @classmethod
    def _check_pattern(cls, given: str | None) -> str | None:
        try:
            re.compile(given or "")
        except re.error as error:
            raise UnfitError(f"is not a regular expression: {error}", f'Invalid Regexp ({error}) in "{given}"') from None
        return given

    def run(self, task: ModuleTask) -> ActionResult:
        """Read the fragments and put them together."""
        if not self.remote_src:
            return self._of_playbook(task)
        folder = expand_path(task, self.src)
        status = task.reader().files.status(folder, follow=True)
        if status is None or status.kind != "directory":
            return failed_result(f"Source ({folder}) {'does not exist' if status is None else 'is not a directory'}")
        content = self._join_fragments(dict(self._of_host(folder, task)))
        dest = expand_path(task, self.dest)
        status = task.reader().files.status(dest, follow=True, algorithm="sha1")
        attributes = self.attributes(status)
        backup = backup_name(dest, windows=task.windows) if self.backup and status is not None else None
        placed = place_file(Placement(dest, content, attributes, backup, self.validate_with), task, status)
        if isinstance(placed, ActionResult):
            failure = placed.values
            msg = f"failed to validate: rc:{failure.get('exit_status')} error:{failure.get('stderr')}"
            return failed_result(msg, src=folder, dest=dest) if "exit_status" in failure else placed
        differs = status is None or status.checksum != sha1_of(content)
        values = {
            "src": folder, "dest": dest, "checksum": sha1_of(content),
            "md5sum": hashlib.md5(content, usedforsecurity=False).hexdigest(), "msg": "OK",
            **({} if placed.result.outcome is Outcome.WOULD_CHANGE else placed.result.values),
            **({"backup_file": backup} if backup is not None and differs else {}),
        }  # fmt: skip
        return as_action(placed.result, values)

    def _of_playbook(self, task: ModuleTask) -> ActionResult:
        found = task.find(self.src.rstrip("/"), "files")
        if found is None:
            raise not_found(task, self.src, "files")
        if not found.is_dir():
            return failed_result(f"Source ({found}) is not a directory")
        fragments = {each.name: each.read_bytes() for each in found.iterdir() if each.is_file()}
        acted = self.put(task, self._join_fragments(fragments), "", str(found))
        shown = acted.values.get("diff")
        return replace(acted, values={**acted.values, "diff": shown[0]}) if isinstance(shown, list) and shown else acted

    def _of_host(self, folder: str, task: ModuleTask) -> Iterator[tuple[str, bytes]]:
        """Yield the files of a folder with their content. Raises `UsageError` for one that cannot be read."""
        if task.windows:
            names = [each.name for each in task.reader().files.list(folder) or () if not each.folder]
        else:
            reply = task.read(Run(("sh", "-c", _NAMES, "names", folder)))[0]
            names = [name for name in reply.text.split("\0") if name] if isinstance(reply, Completed) else []
        chosen = [name for name in names if self._is_fragment(name)]
        calls = [ReadFile(joined_path(folder, name, windows=task.windows), limit=LARGEST) for name in chosen]
        for name, reply in zip(chosen, task.read(*calls) if calls else (), strict=True):
            if not isinstance(reply, FileContent) or reply.missing or reply.truncated:
                raise UsageError(f"assemble: {base_name(name, windows=task.windows)} in {folder} cannot be read")
            yield name, reply.content

    def _is_fragment(self, name: str) -> bool:
        return not (self.ignore_hidden and name.startswith(".")) and (self.regexp is None or bool(re.search(self.regexp, name)))

    def _join_fragments(self, fragments: Mapping[str, bytes]) -> bytes:
        """Return the fragments with the delimiter between them, each on separate lines."""
        between = b"" if not self.delimiter else codecs.escape_decode(self.delimiter.encode())[0]
        if between and not between.endswith(b"\n"):
            between += b"\n"
        whole = b""
        for number, name in enumerate(sorted(filter(self._is_fragment, fragments))):
            if number:
                whole += (b"" if whole.endswith(b"\n") or not whole else b"\n") + between
            whole += fragments[name]
        return whole
