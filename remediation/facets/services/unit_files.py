"""Environment settings in systemd unit files: parsed with their source, and written to a drop-in (systemd.exec, systemd.unit)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remediation.model.facts import ServiceUnit, SourcedSetting
from remediation.model.text.digits import is_whole

OWN = "zz-remediation.conf"
"""Name of the drop-in that steps write. Drop-ins are read in the order of their names, so it follows ``override.conf``."""
_AFTER = ".remediation.conf"
"""Ending of the drop-in that follows a user's one with a later name than `OWN`: ``zzz.remediation.conf`` is read after ``zzz.conf``."""
_HEAD = "# Written by remediation. `remediate undo` or removing this file takes the settings back."
_SYSTEM = "/etc/systemd/system"
_SHIPPED = ("/usr/lib/", "/lib/", "/usr/local/lib/", "/run/", "/nix/")
_ASSIGNMENT = re.compile(r"^(Environment|EnvironmentFile|UnsetEnvironment|PassEnvironment)\s*=\s*((?:\S.*)?)$")
_PART = r'"(?:\\.|[^"\\]){0,4096}"|\'(?:\\.|[^\'\\]){0,4096}\'|(?:\\.|[^\s"\'\\])+'
_WORD = re.compile(rf"(?:{_PART})+", re.DOTALL)
_PARTS = re.compile(_PART, re.DOTALL)
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def split_files(shown: str) -> dict[str, str]:
    """Split the output of ``systemctl cat``: each file's text follows a comment with its path."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in shown.splitlines():
        match = re.fullmatch(r"# (/\S.*\.(?:service|conf))", line)
        if match:
            lines = found.setdefault(match[1], [])
        else:
            lines.append(line)
    return {path: "\n".join(each).strip("\n") + "\n" for path, each in found.items()}


def settings_in(files: Mapping[str, str], environment_files: Mapping[str, str]) -> tuple[SourcedSetting, ...]:
    """Return all settings in the order in which they are read, each with its file and whether the server gets it.

    Later lines and files win, environment files win over ``Environment=``, and ``UnsetEnvironment=`` removes a name last. `files` is in
    the order of ``systemctl cat``.
    """
    given: list[tuple[str, str, str]] = []
    unset: dict[str, str] = {}
    for path, text in files.items():
        for key, value in _directives(text):
            if key == "Environment":
                given = [*given, *((name, one, path) for name, one in _pairs(value))] if value.strip() else []
            elif key == "UnsetEnvironment":
                unset = {**unset, **{word.partition("=")[0]: path for word in words(value)}} if value.strip() else {}
    for path, text in environment_files.items():
        given += [(name, value, path) for name, value in environment_lines(text).items()]
    last = {name: number for number, (name, _, _) in enumerate(given)}
    return tuple(
        SourcedSetting(name, value, path, wins=number == last[name] and name not in unset, file=path)
        for number, (name, value, path) in enumerate(given)
    )


def settings_that_win(settings: Sequence[SourcedSetting]) -> dict[str, str]:
    """Return the environment that the settings amount to."""
    return {one.name: one.value for one in settings if one.wins}


def environment_lines(text: str) -> dict[str, str]:
    """Return the settings of an environment file (systemd.exec, EnvironmentFile=)."""
    found = {}
    for line in _logical_lines(text):
        name, equals, value = line.strip().partition("=")
        if not equals or line.lstrip().startswith(("#", ";")) or not _NAME.match(name.strip()):
            continue
        bare = value.strip()
        found[name.strip()] = bare[1:-1] if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'" else bare
    return found


def with_environment_line(text: str, name: str, value: str | None) -> str:
    """Return an environment file with one setting changed or, for None, removed. Other lines are kept."""
    kept = [line for line in text.splitlines() if not re.match(rf"\s*{re.escape(name)}\s*=", line)]
    return "".join(f"{line}\n" for line in [*kept, *([f'{name}="{value}"'] if value is not None else [])])


def drop_in_of(fragment: str, unit: str, *, own: bool = False) -> str:
    """Return the path of the drop-in that steps write. A unit that a package ships is overridden in ``/etc``."""
    if own and (not fragment or fragment.startswith(_SHIPPED)):
        return f"~/.config/systemd/user/{unit}.d/{OWN}"
    if not fragment or fragment.startswith(_SHIPPED):
        return f"{_SYSTEM}/{unit}.d/{OWN}"
    return f"{fragment}.d/{OWN}"


def drop_in_after(own: str, other: str) -> str:
    """Return the drop-in of this tool that wins over the file `other`: `own`, or one in the same folder that is read after `other`.

    systemd reads the drop-ins of all folders in the order of their file names.
    """
    name = posixpath.basename(other)
    if not name.endswith(".conf") or name <= posixpath.basename(own):
        return own
    later = name if name.endswith(_AFTER) else f"{name.removesuffix('.conf')}{_AFTER}"
    return posixpath.join(posixpath.dirname(own), later)


def with_settings(text: str, put: Mapping[str, str], removed: Sequence[str]) -> str:
    """Return the drop-in with settings added and removed. Its earlier settings are kept unless they are among these."""
    given: dict[str, str] = {}
    unset: list[str] = []
    for key, value in _directives(text):
        if key == "Environment":
            given.update(_pairs(value))
        elif key == "UnsetEnvironment":
            unset += [word for word in words(value) if word not in unset]
    given = {**{name: value for name, value in given.items() if name not in removed}, **put}
    unset = [name for name in dict.fromkeys([*unset, *removed]) if name not in put]
    lines = [f'Environment="{_escape(f"{name}={value}")}"' for name, value in given.items()]
    lines += [f"UnsetEnvironment={name}" for name in unset]
    return "\n".join([_HEAD, "[Service]", *lines, ""])


def words(value: str) -> list[str]:
    """Split a value into words. Quotes and backslash escapes are resolved, and ``%%`` is a percent sign."""
    return ["".join(_plain(part) for part in _PARTS.findall(word)) for word in _WORD.findall(value)]


def _pairs(value: str) -> Iterator[tuple[str, str]]:
    for word in words(value):
        name, equals, setting = word.partition("=")
        if equals:
            yield name, setting


def _directives(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in _logical_lines(text):
        bare = line.strip()
        if bare.startswith("["):
            section = bare
        match = _ASSIGNMENT.match(bare) if section == "[Service]" else None
        if match:
            yield match[1], match[2]


def _logical_lines(text: str) -> Iterator[str]:
    """Yield the lines. A backslash at the end joins the next one, and comments in between are skipped."""
    pending = ""
    for line in text.splitlines():
        if pending and line.lstrip().startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            pending += f"{line[:-1]} "
            continue
        yield pending + line
        pending = ""
    if pending:
        yield pending


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _plain(part: str) -> str:
    text = part[1:-1] if part[0] in "\"'" else part
    return re.sub(r"\\(.)", r"\1", text).replace("%%", "%")


def unit_of(block: Mapping[str, Any]) -> ServiceUnit | None:
    """Return the unit that ``systemctl show`` and ``systemctl cat`` print, None if it is neither loaded nor masked."""
    shown: Mapping[str, str] = block["show"]
    if shown.get("LoadState") == "masked":
        return ServiceUnit(block["name"], "masked", masked=True)
    if shown.get("LoadState") != "loaded":
        return None
    files = split_files("\n".join(block["cat"]))
    read = {path: "".join(f"{line}\n" for line in lines) for path, lines in block["files"].items()}
    settings = settings_in({**_hidden(block, shown, files), **files}, read)
    pid = shown.get("MainPID", "")
    return ServiceUnit(
        block["name"], shown.get("ActiveState", ""), int(pid) if is_whole(pid) and pid != "0" else None,
        shown.get("FragmentPath", ""), settings_that_win(settings), settings, {**files, **read},
        needs_reload=shown.get("NeedDaemonReload") == "yes",
    )  # fmt: skip


def _hidden(block: Mapping[str, Any], shown: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    """Return the drop-in that the login cannot read, with the settings that systemd has and no other file gives."""
    hidden = [path for path in words(shown.get("DropInPaths", "")) if path not in files]
    known = {one.name for one in settings_in(files, {})}
    lines = [f'Environment="{_escape(f"{name}={value}")}"' for name, value in block.get("given", ()) if name not in known]
    return {max(hidden, key=posixpath.basename): "\n".join(["[Service]", *lines, ""])} if hidden and lines else {}
