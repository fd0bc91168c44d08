"""Evaluates template files as Ansible's ``template`` does: own delimiters, trimmed blocks, and the ``#jinja2:`` line."""

from __future__ import annotations

import ast
import platform
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, TemplateSyntaxError

from remediation.model.errors import Place, UsageError
from remediation.templating.yaml.located import Text
from remediation.templating.yaml.secret import reveal

SEARCH_PATH = "ansible_search_path"
"""The variable with the folders in which files are searched for."""


class TemplateScope(Protocol):
    """The variables that a template reads."""

    def render(self, value: Any) -> Any:
        """Return `value` with its templates evaluated."""

    def __getitem__(self, name: str) -> Any:
        """Return a variable."""

    def __contains__(self, name: object) -> bool:
        """Return whether a variable exists."""

    def overlaid(self, *layers: Mapping[str, Any]) -> TemplateScope:
        """Return the same variables with `layers` taking precedence."""


DEFAULTS: Mapping[str, Any] = {
    "block_start_string": "{%",
    "block_end_string": "%}",
    "variable_start_string": "{{",
    "variable_end_string": "}}",
    "comment_start_string": "{#",
    "comment_end_string": "#}",
    "trim_blocks": True,
    "lstrip_blocks": False,
}
_HEADER = "#jinja2:"
_DELIMITER = re.compile(r"\{[{%#]")
_MARKS = {"variable_begin": "{{", "variable_end": "}}", "block_begin": "{%", "block_end": "+%}"}


def render_template(path: Path, text: str, scope: TemplateScope, variables: Mapping[str, Any], **settings: Any) -> Any:
    """Return the text of a template, a `Secret` if a secret is in it. Raises `TemplateError` and `UsageError`."""
    text, settings = _without_header(path, text, {**DEFAULTS, **settings})
    source = _standard(path, text.removesuffix("\n"), tuple(sorted(settings.items())))
    there = [str(path.parent.absolute()), *(map(str, scope[SEARCH_PATH]) if SEARCH_PATH in scope else ())]
    value = scope.overlaid({**variables, SEARCH_PATH: there}).render(Text(source, Place(str(path), 1, 1)))
    if value is None:  # a template without output, as one of macros
        return ""
    lost = last_newlines(text) - last_newlines(str(reveal(value)))
    return value + "\n" * lost if lost > 0 and not isinstance(value, (list, dict, int, float)) else value


def template_variables(source: Path, name: str, scope: TemplateScope, destination: str = "") -> Mapping[str, Any]:
    """Return the variables that Ansible gives a template: its path, its owner, and when it is evaluated."""
    found = source.stat()
    owner = str(found.st_uid)
    if sys.platform != "win32":
        with suppress(KeyError):  # an ID without a name
            owner = source.owner()
    return {
        "template_host": platform.node(), "template_path": name, "template_fullpath": str(source.absolute()),
        "template_destpath": destination or None, "template_mtime": datetime.fromtimestamp(found.st_mtime, timezone.utc),
        "template_uid": owner, "template_run_date": datetime.now(timezone.utc),
        **({} if "ansible_managed" in scope else {"ansible_managed": "Ansible managed"}),
    }  # fmt: skip


def last_newlines(text: str) -> int:
    """Return how many newlines a text ends with."""
    return len(text) - len(text.rstrip("\n"))


def _without_header(path: Path, text: str, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the text without the line that overrides settings (``#jinja2: lstrip_blocks: True``), and the settings."""
    found = dict(settings)
    if not text.startswith(_HEADER):
        return text, found
    line, _, rest = text.partition("\n")
    for pair in line.removeprefix(_HEADER).split(","):
        name, _, value = pair.partition(":")
        if name.strip() not in DEFAULTS:
            raise UsageError(f"{path}:1: {name.strip()!r} is not a setting of templates")
        try:
            found[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            raise UsageError(f"{path}:1: {name.strip()}: cannot read {value.strip()!r}") from None
    return rest, found


@lru_cache(maxsize=256)
def _standard(path: Path, text: str, settings: tuple[tuple[str, Any], ...]) -> str:
    r"""Return a template with Jinja's own delimiters and no whitespace left to trim.

    String literals in expressions are unescaped: a playbook's strings keep their backslashes, a template file's do not.
    """
    environment = Environment(keep_trailing_newline=True, autoescape=False, **dict(settings))  # noqa: S701 - configuration files, no HTML
    parts: list[str] = []
    inside = ""
    try:
        for _line, kind, value in environment.lex(text):
            if kind in {"variable_begin", "block_begin"}:
                inside = kind
            elif kind in {"variable_end", "block_end"}:
                inside = ""
            if kind in _MARKS:
                parts.append(_MARKS[kind])
            elif kind == "data":
                parts.append(_DELIMITER.sub(lambda found: "{{ '" + found[0] + "' }}", value))
            elif kind == "string" and inside == "variable_begin":
                parts.append(_literal(value))
            elif not kind.startswith(("comment", "raw")):
                parts.append(value)
    except TemplateSyntaxError as error:
        raise UsageError(f"{path}:{error.lineno}: {error.message}") from None
    return "".join(parts)


def _literal(value: str) -> str:
    if "\\" not in value:
        return value
    text = value[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")
    quote = next((each for each in "'\"" if each not in text), "")
    return f"{quote}{text}{quote}" if quote else value
