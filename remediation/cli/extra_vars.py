"""``-e``: variables from the command line, as Ansible reads them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from remediation.model.errors import UsageError

FORM = "write NAME=VALUE, @FILE.yml, or a YAML mapping such as '{ctx: 4096}'"


def extra_variables(given: Sequence[str]) -> dict[str, Any]:
    """Return the variables of all ``-e``, the later ones stronger; raises `UsageError` naming what cannot be read.

    ``NAME=VALUE`` keeps its value as text, as in Ansible; a mapping or a file keeps YAML's types.
    """
    variables: dict[str, Any] = {}
    for text in given:
        variables |= _one(text)
    return variables


def _one(text: str) -> dict[str, Any]:
    if text.startswith("@"):
        return _file(text[1:])
    if text.lstrip().startswith("{"):
        return _mapping(text, text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"-e {text!r} has an open quote: {error}", next_step=FORM) from None
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals or not name.isidentifier():
            raise UsageError(f"-e {text!r} is no variable: {name!r} is not of the form NAME=VALUE", next_step=FORM)
    if not pairs:
        raise UsageError("-e was given nothing", next_step=FORM)
    return {name: value for name, _, value in pairs}


def _file(name: str) -> dict[str, Any]:
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"-e @{name}: the file cannot be read: {reason}") from None
    return _mapping(text, f"@{name}")


def _mapping(text: str, shown: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f" at line {where.line + 1}" if where else ""
        raise UsageError(f"-e {shown}: not YAML{place}: {getattr(error, 'problem', error)}", next_step=FORM) from None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"-e {shown}: not a mapping of names to values", next_step=FORM)
    return value
