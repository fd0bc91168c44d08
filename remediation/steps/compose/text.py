"""A Compose file as its user wrote it: settings are found by YAML nodes and edited in the text, so nothing else moves.

Comments, quotes, indentation and line ends survive because only the characters of the setting itself are touched. Anchors
are followed to where the setting really stands, merge keys (``<<``) too.
"""

from __future__ import annotations

import difflib
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
def _composed(text: str) -> Node | None:
    """Return a text's nodes, which nobody changes: several steps read the same file at the same moment."""
    found: Node | None = YAML(typ="rt", pure=True).compose(text)
    return found


@dataclass(frozen=True, slots=True)
class YamlEntry:
    """One setting as it stands in a file: ``start``/``end`` are the characters of its node, ``listed`` says list form.

    ``value`` is None where only the name stands (it is taken from the caller's environment). ``flow`` says ``[a, b]`` or
    ``{a: b}`` on one line. ``line`` counts from 1. ``block`` are the characters of the mapping or list that it stands in,
    ``anchor`` that one's name; ``alone`` says that it is the service's own, nothing merged in or merged from.
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
        """Whether Compose fills something in."""
        return self.value is None or bool(_INTERPOLATED.search(self.value))


class ComposeText:
    """One file's text and its nodes. Raises `CallFailed` with the line where the text is no YAML."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        try:
            self._root = _composed(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            failed = CallFailed(f"{error.problem or 'this is no YAML'}", next_step=f"correct {path}, then run again")
            failed.message, failed.place = f"{path}:{line}: {failed.message}", Place(path, line, column)
            raise failed from None
        except (
            YAMLError,
            ValueError,
            RecursionError,
        ) as error:  # a control character, a number of a million digits, deep nesting
            raise CallFailed(f"{path}: {explain_error(error)}", next_step=f"correct {path}, then run again") from None

    @property
    def services(self) -> Mapping[str, MappingNode]:
        """The services with their definitions."""
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
        """Return the files that this one takes services from: ``include`` and ``extends``."""
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
        return [beside(self.path, name) for name in dict.fromkeys(found) if "$" not in name]

    def remove(self, service: str, names: Sequence[str]) -> str:
        """Return the text without these settings of a service."""
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
                ):  # what others refer to must stay, and stay a mapping; its last entry comes first here
                    emptied.add(entry.block)
                    text = f"{text[: entry.block[0]]}&{entry.anchor} {{}}{text[entry.end :]}"
            elif entry.alone:
                return self._without_block(text, service)
            else:
                text = self._without(text, entry, entries)  # something is merged in beside it
        return text

    def put(self, service: str, name: str, value: str) -> str:
        """Return the text with a setting of a service made or changed."""
        entries = self.entries(service)
        old = next((entry for entry in reversed(entries) if entry.name == name), None)
        if old is not None:
            return self.text[: old.start] + _written(name, value, listed=old.listed, flow=old.flow) + self.text[old.end :]
        if entries:
            return self._after(entries[-1], name, value)
        return self._new_block(service, name, value)

    def strings(self, service: str) -> Iterator[tuple[str, str]]:
        """Yield the path and text of every scalar of a service in which Compose fills something in."""
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
        """Take the whole ``environment`` out: an empty one is refused by Compose."""
        for key, value in self.services[service].value:
            if key.value == "environment":
                start = text.rfind("\n", 0, key.start_mark.index) + 1
                last = max(one.end for one in self.entries(service)) if not value.flow_style else value.end_mark.index
                end = text.find("\n", last)
                return text[:start] + ("" if end < 0 else text[end + 1 :])
        return text

    def _after(self, last: YamlEntry, name: str, value: str) -> str:
        written = _written(name, value, listed=last.listed, flow=last.flow)
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
        """Begin an ``environment`` in front of the service's first key."""
        node = self.services.get(service)
        if node is None or not node.value or node.flow_style:
            raise CallFailed(
                f"{self.path}: service {service} has no environment, and it is not clear where to put one",
                next_step=f"add environment: to service {service} in {self.path} by hand",
            )
        first = node.value[0][0].start_mark
        start = self.text.rfind("\n", 0, first.index) + 1
        line_end = "\r\n" if "\r\n" in self.text else "\n"
        indent = self.text[start : first.index]
        block = f"{indent}environment:{line_end}{indent}  - {_written(name, value, listed=True, flow=False)}{line_end}"
        return self.text[:start] + block + self.text[start:]


def beside(path: str, name: str) -> str:
    """Return `name` as seen from the file at `path`, both as the host writes them."""
    flavour: Any = ntpath if "\\" in path or path[1:2] == ":" else posixpath
    return str(flavour.normpath(flavour.join(flavour.dirname(path), name)))


def unified(path: str, before: str, after: str) -> str:
    """Return the change of a file as a unified diff."""
    # no context: a neighbouring line may hold somebody's secret, and a diff is journaled
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="", n=0)
    return "\n".join(lines)


def _written(name: str, value: str, *, listed: bool, flow: bool) -> str:
    if listed:
        text = f"{name}={value}"
        safe = _PLAIN.match(value) and not (flow and "," in value) and not value.endswith(":")
        return text if safe else json.dumps(text, ensure_ascii=False)
    # a mapping's value that YAML would read as a number or a boolean is quoted, Compose wants text
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
