"""Reads the user's YAML files from PyYAML's node tree: every value knows its line, every error has its position.

Types follow YAML 1.1, as in Ansible: ``yes`` is true, ``0755`` is 493, ``1:30`` is 90.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from remediation.model import files
from remediation.model.errors import InputError, Place, Problem, RemediationError
from remediation.model.text import yaml_limits
from remediation.templating.yaml.located import Rows, Table, Text, plain
from remediation.templating.yaml.secret import Secret, reveal
from remediation.templating.yaml.vault import NEXT, is_vault

Decrypt = Callable[[str], str]
"""Takes the text of an Ansible Vault with its header line, returns the plain text. Raises `RemediationError`."""

LARGEST_SLOWLY = 1_000_000
"""Maximum length of a text that is parsed again with PyYAML's slower loader for a better error message."""
MOST_EXCERPTS = 50
"""Maximum number of errors of one file that are shown with their line."""

UNSAFE = "!unsafe"
_EQUALS = "tag:yaml.org,2002:value"
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path, *, decrypt: Decrypt | None = None) -> Any:
    """Return a file's content as `Table`, `Rows`, `Text` and plain values; None for an empty file.

    Raises `InputError` with every error in it: the file cannot be read, is not UTF-8, is not YAML, has a duplicate key, or
    contains a vault without a known password.
    """
    return read_content(yaml_text(path), path, decrypt=decrypt)


def yaml_text(path: Path) -> str:
    """Return the text of a YAML file. Raises `InputError` if it cannot be read or is not UTF-8."""
    try:
        return files.read_text(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError((Problem(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8"),)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError((Problem(f"{path}: cannot be read: {reason or error}"),)) from None


def read_content(text: str, path: Path, *, decrypt: Decrypt | None = None) -> Any:
    """Return the content of a file's text, as `read_yaml` does."""
    vaulted = is_vault(text)
    if vaulted:
        text = _decrypt_text(text, decrypt, Place(str(path), 1, 1))
    return load_text(text, str(path), decrypt=decrypt, secret=vaulted)


def load_text(text: str, name: str, *, decrypt: Decrypt | None = None, secret: bool = False) -> Any:
    """Return the content of YAML text, with positions in a file called `name`. Raises `InputError`.

    A ``secret`` text is never quoted, and its strings are `Secret` unless they are templates.
    """
    reader = _Reader(text, name, decrypt, secret=secret)
    value = reader.read()
    if reader.problems:
        raise InputError(tuple(reader.problems))
    return value


def excerpt(place: Place | None, text: str | None = None) -> str:
    """Return the line at a position with a mark under its column, "" if it cannot be read.

    Values under a secret name are replaced by asterisks.
    """
    if place is None:
        return ""
    try:
        lines = _lines(Path(place.file)) if text is None else text.splitlines()
        line = _STARRED.sub(lambda found: found[1] + "*" * len(found[2]), lines[place.line - 1])
    except (OSError, ValueError, IndexError):
        return ""
    start = max(0, place.column - 1 - WIDEST // 2) if len(line) > WIDEST else 0
    shown = line[start : start + WIDEST]
    number = f"{place.line:>5} | "
    mark = "".join("\t" if character == "\t" else " " for character in shown[: max(0, place.column - 1 - start)])
    return f"{number}{shown}\n{'':>5} | {mark}^"


WIDEST = 200
"""Maximum length of an excerpt's line."""


def _lines(path: Path) -> tuple[str, ...]:
    known = path.stat()
    return _lines_of(path, known.st_mtime_ns, known.st_size)


@lru_cache(maxsize=4)
def _lines_of(path: Path, changed: int, size: int) -> tuple[str, ...]:
    return tuple(files.read_text(path, encoding="utf-8-sig").splitlines())


_STARRED = re.compile(
    r"((?:^|[\s{,\"'])[\w-]{0,100}(?:pass|password|passwd|passphrase|secret|token|api_?key)[\"']?\s{0,20}:\s{1,20})(?![\"']?\{\{|!)([^,}\n]+)",
    re.IGNORECASE,
)
"""A plain value under a secret name; a template or a vault reveals nothing."""


LIKE_ENOUGH, LIKE_ENOUGH_SHORT, SHORT_NAME = 0.75, 0.6, 3
"""Minimum similarity of a misspelled name and its suggestion; a wrong suggestion misleads the reader.

In a name of three letters, two swapped letters are a third of it.
"""
LONGEST_NAME = 100
"""Maximum length of the names compared."""


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return a "did you mean" clause with the closest known name, "" if none is close."""
    names = {each.lower(): each for each in map(str, known)}
    wanted = str(name).lower()[:LONGEST_NAME]
    like = LIKE_ENOUGH if len(wanted) > SHORT_NAME else LIKE_ENOUGH_SHORT
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=like)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def problem(message: str, place: Place | None) -> Problem:
    """Return an error at a position in a file, with its excerpt."""
    return Problem(message, place, excerpt(place))


def _decrypt_text(text: str, decrypt: Decrypt | None, place: Place) -> str:
    if decrypt is None:
        raise InputError((Problem(f"encrypted by Ansible Vault, and no password is known; {NEXT}", place),))
    try:
        return decrypt(text)
    except RemediationError as error:
        words = f"{error.message}; {error.next_step}" if error.next_step else error.message
        raise InputError((Problem(words, place),)) from None


class _Reader:
    """One reading: the loader provides nodes and scalars, everything else is built here."""

    def __init__(self, text: str, name: str, decrypt: Decrypt | None, *, secret: bool = False) -> None:
        self.text = text
        self.name = name
        self.decrypt = decrypt
        self.secret = secret
        self.problems: list[Problem] = []
        self.made: dict[yaml.Node, Any] = {}

    def read(self) -> Any:
        try:
            yaml_limits.check_limits(self.text)
            self.loader = yaml_limits.FASTEST(self.text)
            node = self.loader.get_single_node()
        except yaml_limits.TooMuch as error:
            return self.refuse_yaml(error, "too large")
        except yaml.YAMLError as error:
            if len(self.text) > LARGEST_SLOWLY or yaml_limits.may_be_deep(self.text):
                return self.refuse_yaml(error)
            return self.read_slowly()  # its error messages are better
        return None if node is None else self.value(node, ())

    def refuse_yaml(self, error: yaml.YAMLError, what: str = "invalid YAML") -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        words = (getattr(error, "problem", None) or str(error)).removeprefix("but ")
        hint = _hint(error, self.text) if isinstance(error, yaml.MarkedYAMLError) else ""
        self.refuse(f"{what}: {words} {hint}".rstrip(), Place(self.name, mark.line + 1, mark.column + 1) if mark else None)

    def read_slowly(self) -> Any:
        try:
            self.loader = yaml.SafeLoader(self.text)
        except yaml.YAMLError as error:  # a character that YAML does not allow
            self.refuse(f"invalid YAML: {getattr(error, 'reason', error)}", self.at_offset(getattr(error, "position", 0)))
            return None
        try:
            node = self.loader.get_single_node()
        except yaml.YAMLError as error:
            return self.refuse_yaml(error)
        finally:
            self.loader.dispose()
        return None if node is None else self.value(node, ())

    def at_offset(self, offset: int) -> Place:
        before = self.text[:offset]
        return Place(self.name, before.count("\n") + 1, offset - before.rfind("\n"))

    def refuse(self, message: str, place: Place | None) -> None:
        hidden = self.secret or len(self.problems) >= MOST_EXCERPTS
        self.problems.append(Problem(message, place, "" if hidden else excerpt(place, self.text)))

    def place(self, node: yaml.Node) -> Place:
        return Place(self.name, node.start_mark.line + 1, node.start_mark.column + 1)

    def value(self, node: yaml.Node, outer: tuple[yaml.Node, ...]) -> Any:
        if node in outer or len(outer) > yaml_limits.DEEPEST:
            what = "contains itself" if node in outer else f"is nested more than {yaml_limits.DEEPEST} levels deep"
            self.refuse(f"this value {what}", self.place(node))
            return None
        if node not in self.made:  # an alias shares the value of its anchor, so nine lines cannot become a billion values
            self.made[node] = self.construct(node, (*outer, node))
        return self.made[node]

    def construct(self, node: yaml.Node, inner: tuple[yaml.Node, ...]) -> Any:
        if not isinstance(node, (yaml.MappingNode, yaml.SequenceNode)):
            return self.scalar(node)
        if node.tag.startswith("!") and node.tag != UNSAFE:
            self.refuse(f"unknown tag {node.tag}; only {UNSAFE} is allowed here", self.place(node))
            return None
        if isinstance(node, yaml.MappingNode):
            whole: Table | Rows = self.table(node, inner)
        else:
            items = [self.value(item, inner) for item in node.value]
            whole = Rows(items, self.place(node), tuple(self.place(item) for item in node.value))
        return plain(whole) if node.tag == UNSAFE else whole

    def table(self, node: yaml.MappingNode, inner: tuple[yaml.Node, ...]) -> Table:
        items: dict[Any, Any] = {}
        keys: dict[Any, Place] = {}
        values: dict[Any, Place] = {}
        merged: list[tuple[Any, Any, Place, Place]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += self.merged(value_node, inner)
                continue
            key = reveal(self.value(key_node, inner))
            if not isinstance(key, (str, int, float, bool, type(None))):
                template = self.text.startswith("{", key_node.start_mark.index) and self.text.startswith(
                    "{{", key_node.start_mark.index - 1
                )
                hint = "; a value that begins with {{ needs quotes" if template else ""
                if template:
                    hint += self.with_quotes(key_node)
                self.refuse(f"this key is not a plain value{hint}", self.place(key_node))
                continue
            key = str(key) if isinstance(key, str) else key
            if key in items:
                self.refuse(f"duplicate key {key!r}", self.place(key_node))
                continue
            items[key] = self.value(value_node, inner)
            keys[key], values[key] = self.place(key_node), self.place(value_node)
        if merged:  # its keys come first, as in PyYAML
            items = {**{key: value for key, value, _, _ in merged}, **items}
            keys = {**{key: place for key, _, place, _ in merged}, **keys}
            values = {**{key: place for key, _, _, place in merged}, **values}
        return Table(items, self.place(node), keys, values)

    def with_quotes(self, node: yaml.Node) -> str:
        """Return the line of an unquoted template with quotes added."""
        line = self.text.splitlines()[node.start_mark.line]
        before, _, after = line.partition("{{")
        clear = before.rstrip().endswith((":", "-")) and not set("{}\"'") & set(before) and "}}" in after and '"' not in after
        if self.secret or len(line) > WIDEST:
            return ""
        if clear:
            return f': {before.strip()} "{{{{{after.rstrip()}"'
        inside = next((found for found in _INSIDE.finditer(line) if found.start(2) == node.start_mark.column - 1), None)
        return f': {inside[1]}"{inside[2]}"' if inside else ""

    def merged(self, node: yaml.Node, inner: tuple[yaml.Node, ...]) -> list[tuple[Any, Any, Place, Place]]:
        if isinstance(node, yaml.SequenceNode):
            return [entry for part in reversed(node.value) for entry in self.merged(part, inner)]  # the first counts
        if not isinstance(node, yaml.MappingNode):
            self.refuse("<< merges mappings, and this is not a mapping", self.place(node))
            return []
        table = self.value(node, inner)
        if not isinstance(table, Table):
            return []
        return [(key, value, table.key_places[key], table.value_places[key]) for key, value in table.items()]

    def vaulted(self, node: yaml.Node) -> Secret | None:
        place = self.place(node)
        try:
            return Secret(_decrypt_text(node.value.strip() + "\n", self.decrypt, place))
        except InputError as error:
            self.refuse(error.problems[0].message, place)
            return None

    def scalar(self, node: yaml.Node) -> Any:
        place = self.place(node)
        if node.tag in {"!vault", "!vault-encrypted"}:
            return self.vaulted(node)
        if node.tag == UNSAFE:
            return str(node.value)
        if node.tag.startswith("!"):
            self.refuse(f"unknown tag {node.tag}; only !vault and !unsafe are allowed", place)
            return None
        try:
            yaml_limits.refuse_long_number(node)
            # a lone = has its own tag in YAML 1.1, which is unused
            value = node.value if node.tag == _EQUALS else self.loader.construct_object(node)
        except yaml_limits.UNREADABLE as error:
            quoted = repr(node.value if len(node.value) <= WIDEST else f"{node.value[:WIDEST]}…")
            shown, why = ("a value", "") if self.secret else (quoted, f": {getattr(error, 'problem', None) or error}")
            self.refuse(f"{shown} is not a valid value{why}", place)
            return None
        if not isinstance(value, str):
            return value
        text = Text(value, place)
        return Secret(value) if self.secret and not text.template else text


_INSIDE = re.compile(r"([\w.]+: *)(\{\{[^{}\"]*\}\})(?=\s*[,}])")
"""A template without quotes between the braces of a mapping."""
_UNQUOTED = re.compile(r"^\s*(?:- )?([\w.]+: +)(\{\{.*)$")
"""A line with a template that YAML reads as a mapping."""


def _hint(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "(the indentation contains a tab; YAML requires spaces)"
    if "{{" in line and "found unhashable" in str(error):
        return "(a value that begins with {{ needs quotes)"
    unquoted = _UNQUOTED.match(line)
    if unquoted and '"' not in line:
        return f'(a value that begins with {{{{ needs quotes: {unquoted[1]}"{unquoted[2].rstrip()}")'
    if "mapping values are not allowed" in str(error.problem):
        return "(a colon in plain text needs quotes, or the indentation is wrong)"
    return ""
