"""Why parameters are refused, in the words that Ansible's modules have for it: playbooks test ``result.msg``."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from remediation.modules.argument_specs import mismatches
from remediation.modules.contract import Action, UnfitError

_KINDS: Mapping[Any, str] = {bool: "bool", int: "int", float: "int", dict: "dict", list: "list", str: "str"}
_ANSIBLES = {"validate_with": "validate", "arguments": "args"}
"""Ansible's names of parameters whose names mean something else in Python."""
_SUPPORTED = " Supported parameters include: "


def parameter_refusal(action: type[Action], spelling: str, given: Mapping[str, Any], error: ValidationError) -> str:
    """Return Ansible's message for the parameters that a task gives, or an empty text if it has none."""
    known = {info.alias or name: name for name, info in action.model_fields.items()} | dict(action.aliases)
    values = {known.get(name, name): value for name, value in given.items() if value is not None}
    found = [(_rank(sentence), sentence) for sentence in mismatches(_spec(action), values, rules=action.rules)]
    found += [(1, message) for message in _project_modules(error)]
    found += [(0, message) for name, message in action.lacking.items() if name not in values]
    if not found:
        return ""
    sentence = min(found, key=lambda each: each[0])[1]
    strange, supported, _ = sentence.partition(_SUPPORTED)
    if not supported:
        return sentence
    return action.strange.format(module=spelling, names=strange.removesuffix("."), known=_supported_text(action))


_LAST = 4


def _rank(sentence: str) -> int:
    """Return when Ansible checks for it: it reports the first one alone."""
    starts = (("parameters are mutually exclusive",), ("missing required",), ("argument ", "value of ", "Elements "))
    return (
        _LAST
        if _SUPPORTED in sentence
        else next((number for number, start in enumerate(starts) if sentence.startswith(start)), 3)
    )


def _project_modules(error: ValidationError) -> Iterator[str]:
    for item in error.errors():
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, UnfitError):
            yield cause.ansible_message


def _spec(action: type[Action]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for name, info in action.model_fields.items():
        kind, choices = _kind(info.annotation)
        others = [other for other, parameter in action.aliases.items() if parameter == name] + (
            [info.alias] if info.alias else []
        )
        spec[name] = {
            "type": kind,
            "required": info.is_required(),
            "aliases": others,
            **({"choices": choices} if choices else {}),
        }
    return spec


def _kind(annotation: Any) -> tuple[str, list[Any]]:
    """Return Ansible's name of a type, and the values that it is limited to."""
    origin = get_origin(annotation)
    if origin is Literal:
        return "str", list(get_args(annotation))
    if origin in {Union, types.UnionType}:
        kinds = [each for each in get_args(annotation) if each is not type(None)]
        return _kind(kinds[0]) if len(kinds) == 1 else ("raw", [])
    return _KINDS.get(origin or annotation, "raw"), []


def _supported_text(action: type[Action]) -> str:
    named = {_ANSIBLES.get(name, name): info for name, info in action.model_fields.items()}
    names = sorted({*named, *action.refused})
    others = sorted(
        {*action.aliases, *(info.alias for info in named.values() if info.alias)} - {*names}
        | ({"attr"} if action.refused else set())
    )
    return ", ".join(names) + (f" ({', '.join(others)})" if others else "")
