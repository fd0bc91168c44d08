"""Parses Compose files into YAML nodes and edits the original text, so that everything else stays as written.

Only the characters of a setting change, so comments, quotes, indentation and line endings are preserved. Anchors and merge
keys (``<<``) are followed to the definition they refer to.
"""

from __future__ import annotations

import json
import ntpath
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from remediation.model.errors import CallFailed, Place
from remediation.model.text.shape import explain_error

_PLAIN = re.compile(r"^[A-Za-z0-9_./:@%+,-]*$")
_INTERPOLATED = re.compile(r"(?<!\$)(?:\$\$)*\$[{A-Za-z_]")


@lru_cache(maxsize=128)
def _parse_yaml(text: str) -> Node | None:
    """Parse a text once. The nodes are shared and must not be modified."""
    found: Node | None = YAML(typ="rt", pure=True).compose(text)
    return found


@dataclass(frozen=True, slots=True)
class YamlEntry:
    """One setting in a file. ``start`` and ``end`` delimit its node; ``listed`` means list form (``NAME=value``).

    ``value`` is None if only the name is given (Compose then takes the value from the caller's environment). ``flow`` means flow
    style (``[a, b]`` or ``{a: b}``). ``line`` is 1-based. ``block`` delimits the enclosing mapping or list, and ``anchor`` is its
    name. ``alone`` means that the block belongs to the service alone and has no merge keys.
    """

    name: str
    value: str | None
    start: int
    end: int
    line: int
    listed: bool
    flow: bool
    block: tuple[int, int]
    alone: bool
    anchor: str = ""

    @property
    def interpolated(self) -> bool:
        """Whether Compose interpolates the value."""
        return self.value is None or bool(_INTERPOLATED.search(self.value))


class ComposeText:
    """The text of one file and its nodes. Raises `CallFailed` with the line if the text is not valid YAML."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        try:
            self._root = _parse_yaml(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            failed = CallFailed(f"{error.problem or 'not valid YAML'}", next_step=f"correct {path}, then run again")
            failed.message, failed.place = f"{path}:{line}: {failed.message}", Place(path, line, column)
            raise failed from None
        except (
            YAMLError,
            ValueError,
            RecursionError,
        ) as error:  # control characters, integers with a million digits, deep nesting
            raise CallFailed(f"{path}: {explain_error(error)}", next_step=f"correct {path}, then run again") from None

    @property
    def services(self) -> Mapping[str, MappingNode]:
        """The definitions of the services by name."""
        found = _get(self._root, "services")
        if not isinstance(found, MappingNode):
            return {}
        return {name: node for name, node in _pairs(found) if isinstance(node, MappingNode)}

    def entries(self, service: str) -> list[YamlEntry]:
        """Return the settings of a service in this file, in order."""
        node = self.services.get(service)
        if node is None:
            return []
        environment = _get(node, "environment")
        return list(self._entries(environment)) if environment is not None else []

    def others(self) -> list[str]:
        """Return the files that this one references through ``include`` and ``extends``."""
        found: list[str] = []
        included = _get(self._root, "include")
        for item in included.value if isinstance(included, SequenceNode) else ():
            path = _get(item, "path") if isinstance(item, MappingNode) else item
            found += [
                one.value for one in (path.value if isinstance(path, SequenceNode) else [path]) if isinstance(one, ScalarNode)
            ]
        for node in self.services.values():
            extends = _get(node, "extends")
            file = _get(extends, "file") if isinstance(extends, MappingNode) else None
            if isinstance(file, ScalarNode):
                found.append(file.value)
        return [sibling_path(self.path, name) for name in dict.fromkeys(found) if "$" not in name]

    def remove(self, service: str, names: Sequence[str]) -> str:
        """Return the text without the named settings of a service."""
        text = self.text
        entries = self.entries(service)
        going = [entry for entry in entries if entry.name in names]
        emptied: set[tuple[int, int]] = set()
        for entry in sorted(going, key=lambda one: one.start, reverse=True):
            if any(one.block == entry.block and one not in going for one in entries):
                text = self._without(text, entry, entries)
            elif entry.anchor:
                if (
                    entry.block not in emptied
                ):  # other services refer to the anchor, so it must stay a mapping; entries are visited from the last to the first
                    emptied.add(entry.block)
                    text = f"{text[: entry.block[0]]}&{entry.anchor} {{}}{text[entry.end :]}"
            elif entry.alone:
                return self._without_block(text, service)
            else:
                text = self._without(text, entry, entries)  # the block also has merge keys
        return text

    def put(self, service: str, name: str, value: str) -> str:
        """Return the text with a setting of a service added or changed."""
        entries = self.entries(service)
        old = next((entry for entry in reversed(entries) if entry.name == name), None)
        if old is not None:
            return self.text[: old.start] + _entry_text(name, value, listed=old.listed, flow=old.flow) + self.text[old.end :]
        if entries:
            return self._after(entries[-1], name, value)
        return self._new_block(service, name, value)

    def strings(self, service: str) -> Iterator[tuple[str, str]]:
        """Yield the path and text of each scalar of a service that Compose interpolates."""
        node = self.services.get(service)
        if node is not None:
            yield from (one for one in _scalars(node, "") if _INTERPOLATED.search(one[1]))

    def _entries(self, environment: Node, *, merged: bool = False) -> Iterator[YamlEntry]:
        block = (environment.start_mark.index, environment.end_mark.index)
        flow = bool(getattr(environment, "flow_style", False))
        if isinstance(environment, SequenceNode):
            for item in environment.value:
                if isinstance(item, ScalarNode):
                    name, equals, value = item.value.partition("=")
                    yield YamlEntry(
                        name, value if equals else None, item.start_mark.index, item.end_mark.index, item.start_mark.line + 1,
                        listed=True, flow=flow, block=block, alone=not merged, anchor=environment.anchor or "",
                    )  # fmt: skip
        elif isinstance(environment, MappingNode):
            merging = any(key.value == "<<" for key, _ in environment.value)
            for key, value in environment.value:
                if key.value == "<<":
                    for source in value.value if isinstance(value, SequenceNode) else [value]:
                        yield from self._entries(source, merged=True)
                    continue
                text = value.value if isinstance(value, ScalarNode) else None
                empty = isinstance(value, ScalarNode) and str(value.tag).endswith(":null") and not value.value
                yield YamlEntry(
                    key.value, None if empty else text, key.start_mark.index, max(value.end_mark.index, key.end_mark.index),
                    key.start_mark.line + 1, listed=False, flow=flow, block=block,
                    alone=not merged and not merging, anchor="" if merging else environment.anchor or "",
                )  # fmt: skip

    def _without(self, text: str, entry: YamlEntry, entries: Sequence[YamlEntry]) -> str:
        if entry.flow:
            following = [one for one in entries if one.block == entry.block and one.start > entry.start]
            if following:
                return text[: entry.start] + text[following[0].start :]
            before = [one for one in entries if one.block == entry.block and one.start < entry.start]
            return text[: before[-1].end if before else entry.start] + text[entry.end :]
        start = text.rfind("\n", 0, entry.start) + 1
        end = text.find("\n", entry.end)
        return text[:start] + ("" if end < 0 else text[end + 1 :])

    def _without_block(self, text: str, service: str) -> str:
        """Remove the whole ``environment`` key: Compose rejects an empty one."""
        for key, value in self.services[service].value:
            if key.value == "environment":
                start = text.rfind("\n", 0, key.start_mark.index) + 1
                last = max(one.end for one in self.entries(service)) if not value.flow_style else value.end_mark.index
                end = text.find("\n", last)
                return text[:start] + ("" if end < 0 else text[end + 1 :])
        return text

    def _after(self, last: YamlEntry, name: str, value: str) -> str:
        written = _entry_text(name, value, listed=last.listed, flow=last.flow)
        if last.flow:
            return f"{self.text[: last.end]}, {written}{self.text[last.end :]}"
        start = self.text.rfind("\n", 0, last.start) + 1
        end = self.text.find("\n", last.end)
        line_end = "\r\n" if self.text[:end].endswith("\r") or "\r\n" in self.text else "\n"
        line = self.text[start : last.start] + written + line_end
        if end < 0:
            return self.text + line_end + line
        return self.text[: end + 1] + line + self.text[end + 1 :]

    def _new_block(self, service: str, name: str, value: str) -> str:
        """Insert an ``environment`` block before the service's first key."""
        node = self.services.get(service)
        if node is None or not node.value or node.flow_style:
            raise CallFailed(
                f"{self.path}: service {service} has no environment, and there is no safe place to add one",
                next_step=f"add environment: to service {service} in {self.path} by hand",
            )
        first = node.value[0][0].start_mark
        start = self.text.rfind("\n", 0, first.index) + 1
        line_end = "\r\n" if "\r\n" in self.text else "\n"
        indent = self.text[start : first.index]
        block = f"{indent}environment:{line_end}{indent}  - {_entry_text(name, value, listed=True, flow=False)}{line_end}"
        return self.text[:start] + block + self.text[start:]


def sibling_path(path: str, name: str) -> str:
    """Resolve `name` relative to the folder of the file at `path`, with the host's path rules."""
    flavour: Any = ntpath if "\\" in path or path[1:2] == ":" else posixpath
    return str(flavour.normpath(flavour.join(flavour.dirname(path), name)))


def _entry_text(name: str, value: str, *, listed: bool, flow: bool) -> str:
    if listed:
        text = f"{name}={value}"
        safe = _PLAIN.match(value) and not (flow and "," in value) and not value.endswith(":")
        return text if safe else json.dumps(text, ensure_ascii=False)
    # Compose requires strings, so values that YAML would read as numbers or booleans are quoted
    return f"{name}: {json.dumps(value, ensure_ascii=False)}"


def _get(node: Node | None, name: str) -> Any:
    if not isinstance(node, MappingNode):
        return None
    return next((value for key, value in reversed(node.value) if key.value == name), None)


def _pairs(node: MappingNode) -> Iterator[tuple[str, Node]]:
    for key, value in node.value:
        if key.value == "<<":
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if isinstance(source, MappingNode):
                    yield from _pairs(source)
        else:
            yield key.value, value


def _scalars(node: Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ScalarNode):
        yield path, node.value
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _scalars(item, path)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _scalars(value, f"{path}.{key.value}" if path else str(key.value))
