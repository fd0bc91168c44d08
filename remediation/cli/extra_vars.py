"""``-e``: extra variables, parsed as Ansible does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from remediation.model.errors import Place, UsageError
from remediation.model.files import read_text
from remediation.model.secrets.masking import Masker
from remediation.model.text.visible import visible_json
from remediation.model.text.yaml_limits import UNREADABLE, plain_documents
from remediation.templating.yaml.loader import Decrypt, read_content
from remediation.templating.yaml.located import Table, Text, mark_trusted, plain

FORM = "write NAME=VALUE, @FILE.yml, or a YAML mapping such as '{ctx: 4096}'"


_QUOTED = re.compile(r"(\{\{.{0,4000}?\}\}|\{%.{0,4000}?%\})|\\(['\"])", re.DOTALL)
"""A template, which stays as it is, or a quote after a backslash."""


def extra_variables(given: Sequence[str], *, decrypt: Decrypt | None = None) -> Table:
    """Return the variables of all ``-e``; later ones take precedence. Raises `UsageError` or `InputError`.

    ``NAME=VALUE`` keeps its value as text, as in Ansible; a mapping or a file keeps YAML's types. Values may be templates.
    """
    variables: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for text in given:
        one = _one(text, decrypt)
        variables |= one
        places = {name: place for name, place in places.items() if name not in one} | one.key_places
    return Table(variables, keys=places)


def stored_extra_vars(given: Sequence[str], mask: Masker) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return ``-e`` in the form stored in a plan or a journal, and the names of the secret variables that it leaves out.

    For a file (``@FILE``), its name is stored and never its content.
    """
    kept: list[str] = []
    left_out: dict[str, None] = {}
    for text in given:
        values = {} if text.startswith("@") else plain(_one(text, None))
        secret = [name for name, value in values.items() if mask({name: value}) != {name: value}]
        rest = {name: value for name, value in values.items() if name not in secret}
        left_out |= dict.fromkeys(secret)
        if not secret:
            kept.append(text)
        elif rest:
            kept.append(visible_json(rest))
    return tuple(kept), tuple(left_out)


def _one(text: str, decrypt: Decrypt | None) -> Table:
    if text.startswith("@"):
        return _file(text[1:], decrypt)
    if text.lstrip().startswith("{"):
        return Table(mark_trusted(_parse_mapping(text)))
    pairs = [word.partition("=") for word in _words(text)]
    for name, equals, _ in pairs:
        if not equals or not name.isidentifier():
            raise UsageError(f"-e {text!r} is not a variable: {name!r} does not have the form NAME=VALUE", next_step=FORM)
    if not pairs:
        raise UsageError("-e has an empty value", next_step=FORM)
    return Table({name: Text(_unquote(value)) for name, _, value in pairs})


def _words(text: str) -> list[str]:
    r"""Return the words of a text, split where Ansible splits them: at blanks outside quotes and templates.

    A backslash is literal unless it precedes a quote. With Ansible's escapes, ``\\a`` in a Windows path would become a bell
    character.
    """
    from remediation.playbook.actions import word_spans  # which loads pydantic

    try:
        words = [word for _, word in word_spans(text)]
    except ValueError:
        raise UsageError(f"-e {text!r} has an unclosed quote", next_step=FORM) from None
    return [_QUOTED.sub(lambda found: found[1] or found[2], word) for word in words]


def _unquote(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" and value[-2] != "\\"
    return value[1:-1] if quoted else value


def _file(name: str, decrypt: Decrypt | None) -> Table:
    path = Path(name).expanduser()
    try:
        text = read_text(path, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"-e @{name}: cannot read the file: {reason}", next_step="name a file of variables in YAML or JSON"
        ) from None
    content = read_content(text, path, decrypt=decrypt)  # a pipe can be read only once
    if not isinstance(content, Table) or not _has_text_keys(content):
        raise UsageError(f"-e @{name}: not a mapping of names to values", next_step=FORM)
    return content


def _parse_mapping(text: str) -> dict[str, Any]:
    try:
        (value,) = plain_documents(text) or [None]
    except UNREADABLE as error:
        where = getattr(error, "problem_mark", None)
        place = f" at line {where.line + 1}" if where else ""
        raise UsageError(f"-e {text}: not YAML{place}: {getattr(error, 'problem', error)}", next_step=FORM) from None
    if not isinstance(value, dict) or not _has_text_keys(value):
        raise UsageError(f"-e {text}: not a mapping of names to values", next_step=FORM)
    return value


def _has_text_keys(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) for name in value)
