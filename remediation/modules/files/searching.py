"""``find``: the files below folders of a POSIX host that fulfil conditions."""

from __future__ import annotations

import fnmatch
import posixpath
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import Field

from remediation.connections.calls import Completed, FileContent, ReadFile, Run
from remediation.facets.machine.file_status import posix_status
from remediation.modules.contract import Module, ModuleTask
from remediation.modules.files.attributes import expand_path, parse_mode
from remediation.modules.result import ActionResult, done_result, failed_result

_RECORD, _FIELD = "\x1e", "\x1f"
_FORMAT = f"{_RECORD}%f|%u|%g|%s|%i|%d|%h|%.9X|%.9Y|%.9Z|%b|%o|%t|%T|%U|%G{_FIELD}%n"
_LIST = (
    "LC_ALL=C; export LC_ALL; follow=$1 depth=$2 format=$3; shift 3; date +%s; for folder; do\n"
    'if [ ! -d "$folder" ]; then printf "\\036?%s\\n" "$folder"; continue; fi\n'
    'printf "\\036/%s\\n" "$folder"\n'
    'find $follow "$folder" -mindepth 1 ${depth:+-maxdepth "$depth"} -exec stat -c "$format" {} +\n'
    "done; exit 0"
)
"""Prints the time, and for each folder its name and what is in it. Arguments: -L or "", depth or "", format of stat, folders."""
_SUMS = 'sum=$1; shift; for file; do said=$("$sum" <"$file" | cut -d" " -f1); echo "$said"; done'
_SHOWN = (
    "mode", "isdir", "ischr", "isblk", "isreg", "isfifo", "islnk", "issock", "uid", "gid", "size", "inode", "dev", "nlink",
    "atime", "mtime", "ctime", "gr_name", "pw_name", "wusr", "rusr", "xusr", "wgrp", "rgrp", "xgrp", "woth", "roth", "xoth",
    "isuid", "isgid",
)  # fmt: skip
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_LARGEST = 16_000_000
"""Largest file in bytes whose content is searched."""
_ONCE = 200
"""Most files that one exchange reads."""
_KINDS = {"any": "", "directory": "isdir", "file": "isreg", "link": "islnk"}


@dataclass(slots=True)
class _Found:
    """What the folders contain, in the order of ``os.walk``, and the paths that are no folders."""

    entries: list[Mapping[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    now: float = 0.0


class Find(Module):
    """Return the files below folders that fulfil all conditions."""

    aliases: ClassVar[Mapping[str, str]] = {
        "checksum": "checksum_algorithm", "checksum_algo": "checksum_algorithm", "exclude": "excludes", "name": "paths",
        "path": "paths", "pattern": "patterns",
    }  # fmt: skip

    paths: list[str] = Field(..., description="the folders")
    patterns: list[str] = Field(default_factory=list, description="shell patterns of names, or regular expressions")
    excludes: list[str] = Field(default_factory=list, description="patterns of names to leave out")
    use_regex: bool = Field(default=False, description="patterns and excludes are regular expressions")
    contains: str | None = Field(None, description="regular expression that a line of the file begins with")
    read_whole_file: bool = Field(default=False, description="search contains in the whole content")
    encoding: str | None = Field(None, description="encoding of the files, for contains")
    file_type: Literal["any", "directory", "file", "link"] = Field("file", description="type of what is returned")
    recurse: bool = Field(default=False, description="search folders below the folders too")
    depth: int | None = Field(None, description="how many levels of folders are searched")
    hidden: bool = Field(default=False, description="return names that begin with a dot")
    follow: bool = Field(default=False, description="follow links to folders")
    age: str | None = Field(None, description="files of at least this age, such as 3d; a negative age means at most")
    age_stamp: Literal["atime", "ctime", "mtime"] = Field("mtime", description="which time decides the age")
    size: str | None = Field(None, description="files of at least this size, such as 10m; a negative size means at most")
    mode: Any = Field(None, description="mode of the files: octal in quotes, or symbolic")
    exact_mode: bool = Field(default=True, description="the mode is exactly that; otherwise any of its bits is set")
    get_checksum: bool = Field(default=False, description="return the checksum of each file")
    checksum_algorithm: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] = Field(
        "sha1", description="algorithm of the checksum"
    )
    limit: int | None = Field(None, description="most files to return")

    def run(self, task: ModuleTask) -> ActionResult:
        """Search the folders; nothing is changed."""
        if task.windows:
            return failed_result(f"{task.host} is a Windows host, which find does not support", "use win_shell: Get-ChildItem")
        try:
            age, size = _amount(self.age, _AGES, "age"), _amount(self.size, _SIZES, "size")
            self._compile_patterns()
        except ValueError as error:
            name = str(error).rpartition(" ")[2]
            return failed_result(str(error), **({name: getattr(self, name)} if name in {"age", "size"} else {}))
        if self.limit is not None and self.limit <= 0:
            return failed_result(f"limit cannot be {self.limit} (use None for unlimited)")
        seen = self._list_files(task)
        if isinstance(seen, ActionResult):
            return seen
        fitting = [each for each in seen.entries if self._fits(each, seen.now, age, size)]
        if self.contains is not None and self.file_type == "file":
            fitting = list(self._filter_by_content(fitting, task, seen))
        limited = self.limit is not None and len(fitting) >= self.limit
        fitting = fitting[: self.limit]
        sums = self._sums(fitting, task) if self.get_checksum and self.file_type in {"any", "file"} else {}
        files = [
            {"path": each["path"], **{name: each.get(name, "") for name in _SHOWN}, **sums.get(each["path"], {})}
            for each in fitting
        ]
        msg = "Limit of matches reached" if limited else "All paths examined"
        if seen.skipped:
            msg = "Not all paths examined, check warnings for details"
        return done_result(
            changed=False, files=files, msg=msg, matched=len(files), examined=len(seen.entries), skipped_paths=seen.skipped
        )  # fmt: skip

    def _compile_patterns(self) -> None:
        """Compile the regular expressions. Raises `ValueError`."""
        for text in (*(self.patterns + self.excludes if self.use_regex else ()), *([self.contains] if self.contains else ())):
            try:
                re.compile(text)
            except re.error as error:
                msg = f"{text!r} is not a regular expression: {error}"
                raise ValueError(msg) from None

    def _list_files(self, task: ModuleTask) -> _Found | ActionResult:
        paths = [expand_path(task, path) for path in self.paths]
        depth = str(self.depth + 1) if self.recurse and self.depth else "" if self.recurse else "1"
        words = ("sh", "-c", _LIST, "find", "-L" if self.follow else "", depth, _FORMAT, *paths)
        reply = task.read(Run(words, timeout=task.limit(300.0)))[0]
        if not isinstance(reply, Completed) or reply.rc != 0:
            return failed_result(f"the folders cannot be searched: {getattr(reply, 'message', '') or 'find failed'}")
        head, *records = reply.stdout.decode(errors="replace").split(_RECORD)
        found = _Found(now=float(head.strip() or time.time()))
        folder, inside = "", list[Mapping[str, Any]]()
        for record in [*records, "/"]:
            if record[:1] == "?":
                path = record[1:].removesuffix("\n")
                found.skipped[path] = f"'{path}' is not a directory"
            elif record[:1] == "/":
                found.entries += ({**each, "root": folder} for each in _walk(folder, inside))
                folder, inside = record[1:].removesuffix("\n"), []
            else:
                line, _, name = record.removesuffix("\n").partition(_FIELD)
                inside.append(posix_status(posixpath.normpath(name), line).details)
        return found

    def _fits(self, each: Mapping[str, Any], now: float, age: int | None, size: int | None) -> bool:
        """Return whether what is at a path fulfils the conditions, except for its content."""
        path = str(each["path"])
        kind, name = _KINDS[self.file_type], posixpath.basename(path)
        if (
            (kind and not each[kind])
            or (name.startswith(".") and not self.hidden)
            or each.get("below", 0) > (self.depth or 10**6)
        ):
            return False
        named = re.match if self.use_regex else lambda pattern, text: fnmatch.fnmatch(text, pattern)
        if not any(named(pattern, name) for pattern in self.patterns or [".*" if self.use_regex else "*"]):
            return False
        if any(named(pattern, name) for pattern in self.excludes):
            return False
        old = now - float(each[self.age_stamp])
        if age is not None and not (old >= age if age >= 0 else old <= -age):
            return False
        if size is not None and each["isreg"] and not (each["size"] >= size if size >= 0 else each["size"] <= -size):
            return False
        return self._has_mode(int(str(each["mode"]), 8))

    def _has_mode(self, now: int) -> bool:
        if not self.mode:
            return True
        wanted = stat.S_IMODE(parse_mode(self.mode, 0, directory=False))
        return now == wanted if self.exact_mode else bool(now & wanted)

    def _filter_by_content(
        self, found: Sequence[Mapping[str, Any]], task: ModuleTask, seen: _Found
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the files whose content matches; what cannot be read does not. After a wrong encoding, the rest of a folder is skipped."""
        pattern = re.compile(self.contains or "")
        for each, reply in zip(
            found, _replies([ReadFile(str(each["path"]), limit=_LARGEST) for each in found], task), strict=True
        ):
            if not isinstance(reply, FileContent) or reply.missing or each["root"] in seen.skipped:
                continue
            try:
                text = reply.content.decode(self.encoding or "utf-8")
            except LookupError as error:
                seen.skipped[each["root"]] = str(error)
                continue
            except UnicodeDecodeError:
                name = self.encoding or 'None (default determined by the Python built-in function "open")'
                message = f"Failed to read the file {each['path']} due to an encoding error. current encoding: {name}"
                seen.skipped[each["root"]] = message
                continue
            if pattern.search(text) if self.read_whole_file else any(map(pattern.match, text.splitlines(keepends=True))):
                yield each

    def _sums(self, found: Sequence[Mapping[str, Any]], task: ModuleTask) -> dict[str, dict[str, str]]:
        files = [str(each["path"]) for each in found if each["isreg"]]
        known: dict[str, dict[str, str]] = {}
        for begin in range(0, len(files), _ONCE):
            some = files[begin : begin + _ONCE]
            words = ("sh", "-c", _SUMS, "sums", f"{self.checksum_algorithm}sum", *some)
            reply = task.read(Run(words, timeout=task.limit(300.0)))[0]
            lines = reply.text.splitlines() if isinstance(reply, Completed) else []
            known |= {path: {"checksum": line} for path, line in zip(some, lines, strict=False)}
        return known


def _replies(calls: Sequence[ReadFile], task: ModuleTask) -> Iterator[Any]:
    for begin in range(0, len(calls), _ONCE):
        yield from task.read(*calls[begin : begin + _ONCE])


def _walk(folder: str, inside: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield what is in a folder as ``os.walk`` does: of each folder the files, then the folders, then what is in them."""
    by_parent: dict[str, list[Mapping[str, Any]]] = {}
    for each in inside:
        by_parent.setdefault(posixpath.dirname(str(each["path"])), []).append(each)
    waiting = [(posixpath.normpath(folder), 1)]
    while waiting:
        here, below = waiting.pop()
        entries = by_parent.get(here, [])
        folders, others = list[Mapping[str, Any]](), list[Mapping[str, Any]]()
        for each in entries:
            (folders if each["isdir"] or str(each["path"]) in by_parent else others).append(each)
        yield from ({**each, "below": below} for each in others)
        yield from ({**each, "below": below} for each in folders)
        waiting += [(str(each["path"]), below + 1) for each in reversed(folders)]


def _amount(text: str | None, units: Mapping[str, int], name: str) -> int | None:
    """Return a number with a unit as a number. Raises `ValueError`."""
    if text is None:
        return None
    found = re.fullmatch(rf"(-?\d+)([{''.join(units)}])?", text.lower())
    if found is None:
        msg = f"failed to process {name}"
        raise ValueError(msg)
    return int(found[1]) * units.get(found[2], 1)
