"""``lineinfile``, ``blockinfile`` and ``replace``: edits of a text file on the host."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from remediation.model.errors import UsageError
from remediation.model.facts import FileStatus
from remediation.model.outcome import Outcome
from remediation.modules.contract import ModuleTask, UnfitError
from remediation.modules.files.attributes import FileModule, backup_name, changed_attributes, expand_path
from remediation.modules.files.placing import PlacedFile, Placement, as_action, place_file, text_diff
from remediation.modules.result import ActionResult, done_result, failed_result

_MOST = 4_000_000
_EVERY = (
    "which will match every line in the file. "
    "This may have unintended consequences, such as replacing the last line in the file rather than appending."
)
_CARET = " If this is desired, use '^' to match every line in the file and avoid this warning."
_NEW = 0o644
"""Mode of a new file without ``mode``."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The new content, and what the module says of it."""

    content: bytes
    msg: str
    values: dict[str, Any] = field(default_factory=dict)


class FileEdit(FileModule):
    """A module that edits a text file."""

    aliases: ClassVar[Mapping[str, str]] = {"dest": "path", "destfile": "path", "name": "path"}

    path: str = Field(..., description="path of the file")
    backup: bool = Field(default=False, description="keep a copy of the file")
    create: bool = Field(default=False, description="create a file that does not exist")
    validate_with: str | None = Field(
        None, alias="validate", description="command that checks the new file, with %s for its path"
    )

    @field_validator("regexp", "after", "before", "insertafter", "insertbefore", check_fields=False)
    @classmethod
    def _check_pattern(cls, given: str | None) -> str | None:
        try:
            re.compile(given or "")
        except re.error as error:
            raise UnfitError(f"is not a regular expression: {error}", f"Task failed: Module failed: {error}") from None
        return given

    @abstractmethod
    def edit(self, content: bytes | None) -> Edit | ActionResult:
        """Return the file's new content, or the result where there is nothing to edit."""

    def missing_file_result(self, path: str) -> ActionResult | None:
        """Return the result for a file that does not exist, None if it is created."""
        return None if self.create else failed_result(f"Destination {path} does not exist !", rc=257)

    def run(self, task: ModuleTask) -> ActionResult:
        """Edit the file."""
        path, files = expand_path(task, self.path), task.reader().files
        status = files.status(path, follow=True, algorithm="sha1")
        if status is not None and status.kind == "directory":
            return failed_result(f"Path {path} is a directory !", rc=256)
        if status is None and (missing := self.missing_file_result(path)) is not None:
            return missing
        if status is not None and status.size > _MOST:
            return failed_result(f"{path} is larger than {_MOST // 1_000_000} MB", "edit it with command")
        content = files.read(path) if status is not None else None
        edit = self.edit(content)
        if isinstance(edit, ActionResult):
            return edit
        changed = edit.content != (content or b"") or (content is None and bool(edit.msg))
        backup = backup_name(path, windows=task.windows) if self.backup and content is not None else None
        attributes = self.attributes(status)
        placed = place_file(
            Placement(path, edit.content, attributes, backup, self.validate_with), task, status
        )  # fmt: skip
        if isinstance(placed, ActionResult):
            error = placed.values.get("stderr", "")
            word = f"failed to validate: rc:{placed.values.get('exit_status')} error:{error}"
            return replace(placed, values={"msg": word} if "exit_status" in placed.values else placed.values)
        values: dict[str, Any] = {
            "msg": edit.msg,
            **edit.values,
            **self.backup_values(backup if changed and not task.check() else None),
        }
        if placed.result.outcome is not Outcome.OK and not changed:
            values["msg"] = "ownership, perms or SE linux context changed"
        elif changed and (
            any("set " in change.summary for change in placed.result.changes)
            if placed.existed
            else attributes.get("mode", _NEW) != _NEW
        ):
            values["msg"] += " and ownership, perms or SE linux context changed"
        self.show(task, values, placed, edit, path, attributes, status)
        return as_action(placed.result, values)

    def show(
        self, task: ModuleTask, values: dict[str, Any], placed: PlacedFile, edit: Edit, path: str, wanted: Mapping[str, Any], status: FileStatus | None
    ) -> None:  # fmt: skip
        """Add the difference: of the content, and of mode and owner. Without ``--diff`` Ansible returns their headers alone."""
        headers = {"before_header": f"{path} (content)", "after_header": f"{path} (content)"}
        text = (
            {"before": placed.before or "", "after": edit.content.decode(errors="replace")}
            if task.diff()
            else {"before": "", "after": ""}
        )
        content = {**text, **headers}
        if task.check() and status is None:
            values["diff"] = content
            return
        changed = changed_attributes(status, wanted)
        attributes = {"before_header": f"{path} (file attributes)", "after_header": f"{path} (file attributes)"}
        values["diff"] = [content, {**attributes, **(changed if changed["after"] else {})}]

    def backup_values(self, backup: str | None) -> dict[str, Any]:
        """Return the result's value for the backup."""
        return {"backup": backup or ""}


class Lineinfile(FileEdit):
    """A line of a text file is there, or is not."""

    rules: ClassVar[Mapping[str, Any]] = {
        "mutually_exclusive": [["insertbefore", "insertafter"], ["regexp", "search_string"], ["backrefs", "search_string"]]
    }

    state: Literal["absent", "present"] = Field("present", description="whether the line is there")
    regexp: str | None = Field(None, alias="regex", description="regular expression of the line to replace or remove")
    search_string: str | None = Field(None, description="text in the line to replace or remove")
    line: str | None = Field(None, alias="value", description="the line")
    insertafter: str | None = Field(None, description="regular expression, or EOF: where a new line is inserted")
    insertbefore: str | None = Field(None, description="regular expression, or BOF: where a new line is inserted")
    backrefs: bool = Field(default=False, description="replace references in line by groups of regexp")
    firstmatch: bool = Field(default=False, description="use the first match instead of the last one")

    @model_validator(mode="after")
    def _fits(self) -> Lineinfile:
        wrong = ansible_message = ""
        if self.insertbefore is not None and self.insertafter is not None:
            wrong = "insertbefore and insertafter are mutually exclusive"
        elif self.regexp is not None and self.search_string is not None:
            wrong = "regexp and search_string are mutually exclusive"
        elif self.state == "present" and self.backrefs and self.regexp is None:
            wrong, ansible_message = "backrefs requires regexp", "regexp is required with backrefs=true"
        elif self.state == "present" and self.line is None:
            wrong, ansible_message = "state present requires line", "line is required with state=present"
        elif (self.regexp, self.search_string, self.line) == (None, None, None):
            wrong = "state absent requires line, search_string or regexp"
            ansible_message = "one of line, search_string, or regexp is required with state=absent"
        if wrong:
            raise UnfitError(wrong, ansible_message) if ansible_message else ValueError(wrong)
        return self

    def missing_file_result(self, path: str) -> ActionResult | None:
        """Return the result for a file that does not exist."""
        return done_result(changed=False, msg="file not present") if self.state == "absent" else super().missing_file_result(path)

    def edit(self, content: bytes | None) -> Edit:
        """Return the file with the line set or removed."""
        lines = _unix_lines(content or b"")
        return self._remove_lines(lines) if self.state == "absent" else self._set(lines)

    def _matches(self, line: bytes) -> re.Match[bytes] | bool | None:
        if self.regexp is not None:
            return pattern_of(self.regexp, "regexp").search(line)
        if self.search_string is not None:
            return self.search_string.encode() in line
        return None

    def run(self, task: ModuleTask) -> ActionResult:
        """Edit the file, with a warning if the expression or text is empty."""
        acted = super().run(task)
        if not (self.regexp == "" or self.search_string == ""):
            return acted
        name, hint = ("regular expression", _CARET) if self.regexp == "" else ("search string", "")
        return replace(acted, values={**acted.values, "warnings": [f"The {name} is an empty string, {_EVERY}{hint}"]})

    def _remove_lines(self, lines: list[bytes]) -> Edit:
        wanted = (self.line or "").encode()
        by_line = self.regexp is None and self.search_string is None
        kept = [each for each in lines if not (each.rstrip(b"\r\n") == wanted if by_line else self._matches(each))]
        found = len(lines) - len(kept)
        return Edit(b"".join(kept), f"{found} line(s) removed" if found else "", {"found": found})

    def _set(self, lines: list[bytes]) -> Edit:
        line = (self.line or "").encode()
        at, match = self._found(lines)
        inserting = -1
        exact = False
        if match is None:
            at, inserting, exact = self._place(lines, line)
        if at != -1:
            if self.regexp is None and self.search_string is None and not exact:  # pragma: no cover - `at` is then an exact match
                return Edit(b"".join(lines), "")
            new = match.expand(line) if self.backrefs and isinstance(match, re.Match) else line
            new += b"" if new.endswith(b"\n") else b"\n"
            if lines[at] == new:
                return Edit(b"".join(lines), "")
            lines[at] = new
            return Edit(b"".join(lines), "line replaced")
        if self.backrefs:
            return Edit(b"".join(lines), "")
        return self._insert_line(lines, line, inserting)

    def _found(self, lines: list[bytes]) -> tuple[int, re.Match[bytes] | bool | None]:
        """Return the number of the line to replace, and its match."""
        at, match = -1, None
        for number, each in enumerate(lines):
            found = self._matches(each)
            if found:
                at, match = number, found
                if self.firstmatch:
                    break
        return at, match

    def _place(self, lines: list[bytes], line: bytes) -> tuple[int, int, bool]:
        """Return the number of the same line, where to insert one, and whether the same line was found."""
        text = self.insertafter if self.insertafter not in {None, "BOF", "EOF"} else self.insertbefore
        where = pattern_of(text, "insertafter") if text not in {None, "BOF", "EOF"} and text is not None else None
        at, inserting, exact = -1, -1, False
        for number, each in enumerate(lines):
            if each.rstrip(b"\r\n") == line:
                at, exact = number, True
            elif where is not None and where.search(each):
                inserting = number + (1 if self.insertafter else 0)
                if self.firstmatch:
                    break
        return at, inserting, exact

    def _insert_line(self, lines: list[bytes], line: bytes, inserting: int) -> Edit:
        new = line + b"\n"
        if "BOF" in {self.insertbefore, self.insertafter}:
            return Edit(b"".join([new, *lines]), "line added")
        after = self.insertafter if self.insertbefore is None else None
        if (self.insertafter is None and self.insertbefore is None) or after == "EOF" or inserting == -1:
            if lines and lines[-1][-1:] not in {b"\n", b"\r"}:
                lines.append(b"\n")
            return Edit(b"".join([*lines, new]), "line added")
        if after is not None:
            neighbour = lines[inserting - 1] if inserting == len(lines) else lines[inserting]
            if neighbour.rstrip(b"\r\n") == line:
                return Edit(b"".join(lines), "")
            if inserting == len(lines) and lines[-1][-1:] not in {b"\n", b"\r"}:
                lines[-1] += b"\n"
        lines.insert(inserting, new)
        return Edit(b"".join(lines), "line added")


class Blockinfile(FileEdit):
    """A block of lines between two markers is in a text file, or is not."""

    rules: ClassVar[Mapping[str, Any]] = {"mutually_exclusive": [["insertbefore", "insertafter"]]}

    state: Literal["absent", "present"] = Field("present", description="whether the block is there")
    marker: str = Field("# {mark} ANSIBLE MANAGED BLOCK", description="the lines around the block, with {mark}")
    marker_begin: str = Field("BEGIN", description="{mark} of the first marker")
    marker_end: str = Field("END", description="{mark} of the last marker")
    block: str = Field("", alias="content", description="the lines; without them the block is removed")
    insertafter: str | None = Field(None, description="regular expression, or EOF: where a new block is inserted")
    insertbefore: str | None = Field(None, description="regular expression, or BOF: where a new block is inserted")
    append_newline: bool = Field(default=False, description="an empty line follows the block")
    prepend_newline: bool = Field(default=False, description="an empty line precedes the block")

    @model_validator(mode="after")
    def _fits(self) -> Blockinfile:
        if self.insertbefore is not None and self.insertafter is not None:
            msg = "insertbefore and insertafter are mutually exclusive"
            raise ValueError(msg)
        return self

    def missing_file_result(self, path: str) -> ActionResult | None:
        """Return the result for a file that does not exist."""
        if not self.create:
            return failed_result(f"Path {path} does not exist !", rc=257)
        return done_result(changed=False, msg=f"File {path} not present") if self.state == "absent" else None

    def backup_values(self, backup: str | None) -> dict[str, Any]:
        """Return the result's value for the backup."""
        return {"backup_file": backup} if backup else {}

    def edit(self, content: bytes | None) -> Edit:
        """Return the file with the block."""
        lines = _unix_lines(content or b"")
        first, last = ((self.marker.replace("{mark}", word) + "\n").encode() for word in (self.marker_begin, self.marker_end))
        block = self.block.encode()
        present = self.state == "present"
        new = []
        if present and block:
            new = [first, *_unix_lines(block if block.endswith(b"\n") else block + b"\n"), last]
        at = self._place(lines, first, last, content or b"")
        if at > 0 and not lines[at - 1].endswith(b"\n"):
            lines[at - 1] += b"\n"
        if self.prepend_newline and present and at != 0 and lines[at - 1] != b"\n":
            lines.insert(at, b"\n")
            at += 1
        lines[at:at] = new
        end = at + len(new)
        if self.append_newline and present and end < len(lines) and lines[end] != b"\n":
            lines.insert(end, b"\n")
        whole = b"".join(lines)
        if content == whole:
            return Edit(whole, "")
        return Edit(whole, "File created" if content is None else "Block inserted" if new else "Block removed")

    def _place(self, lines: list[bytes], first: bytes, last: bytes, content: bytes) -> int:
        """Remove the old block, and return where the new one begins."""
        begin = max((number for number, each in enumerate(lines) if each == first), default=None)
        end = max((number for number, each in enumerate(lines) if each == last), default=None)
        if begin is not None and end is not None:
            low, high = min(begin, end), max(begin, end)
            lines[low : high + 1] = []
            return low
        text = self.insertafter if self.insertafter not in {None, "EOF"} else self.insertbefore
        if text is None:
            return len(lines)
        if text == "BOF":
            return 0
        where, found = pattern_of(text, "insertafter"), None
        if where.flags & re.MULTILINE:
            if (match := where.search(content)) is not None:
                found = content.count(b"\n", 0, match.end() if self.insertafter else match.start())
        else:
            found = max((number for number, each in enumerate(lines) if where.search(each)), default=None)
        if found is None:
            return len(lines)
        return found + (1 if self.insertafter is not None else 0)


class Replace(FileEdit):
    """Replace all matches of a regular expression in a text file."""

    regexp: str = Field(..., description="the regular expression; ^ and $ match at lines")
    replace: str = Field("", description="what replaces each match; it may refer to groups")
    after: str | None = Field(None, description="regular expression: only what follows is edited")
    before: str | None = Field(None, description="regular expression: only what precedes is edited")
    encoding: str = Field("utf-8", description="encoding of the file")

    def missing_file_result(self, path: str) -> ActionResult | None:
        """Return the result for a file that does not exist."""
        return failed_result(f"Path {path} does not exist !", rc=257)

    def backup_values(self, backup: str | None) -> dict[str, Any]:
        """Return the result's value for the backup."""
        return {"rc": 0, **({"backup_file": backup} if backup else {})}

    def show(
        self, task: ModuleTask, values: dict[str, Any], placed: PlacedFile, edit: Edit, path: str, wanted: Mapping[str, Any], status: FileStatus | None
    ) -> None:  # fmt: skip
        """Add the difference of the content."""
        if task.diff() and edit.msg:
            values["diff"] = text_diff(path, placed, edit.content.decode(errors="replace"))

    def edit(self, content: bytes | None) -> Edit | ActionResult:
        """Return the file with the matches replaced."""
        text = (content or b"").decode(self.encoding)
        begin, end = 0, len(text)
        if self.after is not None or self.before is not None:
            section = {
                (True, True): f"{self.after}(?P<part>.*?){self.before}", (True, False): f"{self.after}(?P<part>.*)",
                (False, True): f"(?P<part>.*){self.before}",
            }[self.after is not None, self.before is not None]  # fmt: skip
            found = re.search(section, text, re.DOTALL)
            if found is None:
                return done_result(
                    changed=False,
                    rc=0,
                    msg=f"Pattern for before/after params did not match the given file: {section.replace('part', 'subsection')}",
                )
            begin, end = found.span("part")
        try:
            new, count = re.subn(self.regexp, self.replace, text[begin:end], flags=re.MULTILINE)
        except re.error as error:
            return failed_result(f"Unable to process replace due to error: {error}")
        whole = text[:begin] + new + text[end:]
        return Edit(whole.encode(self.encoding), f"{count} replacements made" if count and whole != text else "")


def pattern_of(text: str, name: str) -> re.Pattern[bytes]:
    """Return a regular expression. Raises `UsageError`."""
    try:
        return re.compile(text.encode())
    except re.error as error:
        raise UsageError(f"{name}: {error} in {text!r}") from None


def _unix_lines(content: bytes) -> list[bytes]:
    """Split at newlines only, as reading a file does."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
