"""Checks the parameters of steps and actions before templates are evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from remediation.model.errors import Place
from remediation.modules.contract import Action
from remediation.playbook.actions import from_text, is_pairs
from remediation.playbook.errors import Problems, where
from remediation.templating.templar import only_template
from remediation.templating.yaml.located import Table, Text, has_template, plain

WHOLE = "*"
"""The key of a template that is evaluated to a mapping of parameters (``args: "{{ parameters }}"``)."""

DEFAULTS = "*defaults"
"""The key of ``module_defaults`` that are merged when the task runs: they, or the parameters, are a template."""


def given_parameters(action: type[Action], raw: Any, place: Place | None, problems: Problems) -> Mapping[str, Any]:
    """Return an action's parameters as a mapping, from any of the forms allowed in a file."""
    if raw is None:
        return Table({}, place)
    if isinstance(raw, Mapping):
        return raw
    if isinstance(raw, Text) and not action.free and has_template(raw) and only_template(raw) and not is_pairs(raw):
        return Table({WHOLE: raw}, where(raw, place))
    if isinstance(raw, (str, int, float)):
        try:
            found = from_text(action, str(raw))
        except ValueError as error:
            problems.add(str(error), where(raw, place))
            return Table({}, place)
        return Table({name: Text(value, where(raw, place)) for name, value in found.items()}, where(raw, place))
    problems.add("expected a mapping of parameters", where(raw, place))
    return Table({}, place)


def check_parameters(
    model: type[BaseModel], name: str, values: Mapping[Any, Any], place: Place | None, problems: Problems
) -> None:
    """Add a problem for each wrong parameter of `model`: unknown names always, wrong types unless they are templates."""
    places = values.value_places if isinstance(values, Table) else {}
    keys = values.key_places if isinstance(values, Table) else {}
    names = known_names(model)
    accepted: dict[str, Any] = {}
    late: set[str] = set()
    for key, value in values.items():
        if key not in names and not getattr(model, "open", False):
            late.add(str(key))
            if _may_be_omitted(value):
                continue  # as in Ansible, a parameter that is left out need not exist
            if key in getattr(model, "refused", ()):
                problems.add(f"{name}: {key} is a parameter of Ansible's that is not supported here", keys.get(key, place))
            else:
                problems.unknown(f"{name}: the parameter", key, names, keys.get(key, place))
        elif has_template(value):
            late.add(str(key))
        else:
            accepted[str(key)] = plain(value)
    for message, field in faults(model, accepted):
        whole = not field and bool(late)  # a rule about several parameters, one of which is still unknown
        if field not in late and not whole and not _late_alias(model, field, late):
            at = places.get(field) or keys.get(field) or place
            problems.add(f"{name}: {field}: {message}" if field else f"{name}: {message}", at)


def _may_be_omitted(value: Any) -> bool:
    """Return whether a value is a template that may be ``omit``."""
    return isinstance(value, str) and has_template(value) and re.search(r"\bomit\b", value) is not None


def faults(model: type[BaseModel], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return pydantic's errors: a message, and the parameter (empty if it concerns several)."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        return [(_sentence(item), _field_of(model, item)) for item in error.errors()]
    return []


def _field_of(model: type[BaseModel], item: Any) -> str:
    """Return the parameter that an error concerns; a missing one by its own name, as pydantic names its alias."""
    name = str(item["loc"][0]) if item["loc"] else ""
    named = next((field for field, info in model.model_fields.items() if info.alias == name), name)
    return named if item["type"] == "missing" else name


def known_names(model: type[BaseModel]) -> list[str]:
    """Return the valid parameter names, including aliases."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        names.append(name)
        if field.alias and field.alias != name:
            names.append(field.alias)
    return [*names, *getattr(model, "aliases", ())]


def _late_alias(model: type[BaseModel], field: str, late: set[str]) -> bool:
    others = {alias for alias, name in getattr(model, "aliases", {}).items() if name == field}
    return bool(others & late) or any(
        field in {name, item.alias} and late & {name, item.alias or name} for name, item in model.model_fields.items()
    )


def _sentence(item: Any) -> str:
    if item["type"] == "missing":
        return "is required"
    message = str(item["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
