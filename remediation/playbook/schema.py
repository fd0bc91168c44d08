"""A JSON Schema of playbooks for editors: keywords with their types, and all steps and actions with their parameters."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from remediation.model.finding import Cause
from remediation.modules.catalogue import MODULES
from remediation.modules.contract import Action
from remediation.playbook import keywords
from remediation.playbook.actions import ACTIONS, COLLECTION, OURS, action_model
from remediation.playbook.keywords import Kind
from remediation.steps.contract import Step
from remediation.steps.registry import registry

DRAFT = "http://json-schema.org/draft-07/schema#"
TEMPLATE: Mapping[str, Any] = {"type": "string", "pattern": "\\{[{%#]"}
"""A template is valid in place of any value."""

Schema = dict[str, Any]

_OF_KIND: Mapping[str, Schema] = {
    keywords.SWITCH[0]: {"type": ["boolean", "string"]},
    keywords.NUMBER[0]: {"type": ["number", "string"]},
    keywords.WHOLE[0]: {"type": ["integer", "string"]},
    keywords.TEXT[0]: {"type": ["string", "number", "null"]},
    keywords.TEXTS[0]: {"type": ["string", "array"], "items": {"type": ["string", "integer"]}},
    keywords.CONDITION[0]: {
        "type": ["string", "boolean", "number", "null", "array"],
        "items": {"type": ["string", "boolean", "number"]},
    },
    keywords.MAPPING[0]: {"type": ["object", "string"]},
    keywords.VARIABLES[0]: {"type": ["object", "null"]},
    keywords.MAPPINGS[0]: {"type": ["object", "array", "string", "null"]},
    keywords.LIST[0]: {"type": ["array", "null"]},
    keywords.NAME[0]: {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
    keywords.FILES[0]: {"type": ["string", "array", "null"]},
    keywords.BATCHES[0]: {"type": ["string", "integer", "array"]},
    keywords.STRATEGY[0]: {"type": ["string", "null"]},
    keywords.ANYTHING[0]: {},
}

_TASKS = {"type": ["array", "null"], "items": {"$ref": "#/definitions/node"}}
_PART = {**_TASKS, "type": "array"}
"""A part of a block, which is never empty."""


def playbook_schema(steps: Mapping[str, type[Step[Any]]] | None = None) -> Schema:
    """Return the JSON Schema of playbooks for these steps (default: all registered ones)."""
    known = registry() if steps is None else steps
    actions = (*ACTIONS, *MODULES)
    bodies = {**{name: _action(action_model(name)) for name in actions}, **{name: _step(cls) for name, cls in known.items()}}
    calls: dict[str, Schema] = {name: {"$ref": f"#/definitions/{name}"} for name in bodies}
    goals = {name: calls[name] for name in known}
    calls |= {f"{COLLECTION}{name}": calls[name] for name in actions if name not in OURS and not name.startswith("win_")}
    calls |= {f"ansible.windows.{name}": calls[name] for name in actions if name.startswith("win_")}
    return {
        "$schema": DRAFT,
        "title": "A playbook of remediation",
        "type": "array",
        "minItems": 1,
        "items": {"anyOf": [{"$ref": "#/definitions/play"}, {"$ref": "#/definitions/import_playbook"}]},
        "definitions": {
            **bodies,
            "play": _object(_properties(keywords.PLAY), required=["hosts"]),
            "import_playbook": _object(
                {
                    **_properties(keywords.IMPORT_PLAYBOOK),
                    "import_playbook": {"type": "string"},
                    f"{COLLECTION}import_playbook": {"type": "string"},
                }
            ),
            "node": {
                "if": {"required": ["block"]},
                "then": {"$ref": "#/definitions/block"},
                "else": {"$ref": "#/definitions/task"},
            },
            "block": _object(_properties(keywords.BLOCK), required=["block"]),
            "task": _task(calls),
            "ladder": _ladder(goals),
            "rung": _object({**_properties(keywords.RUNG), "treats": _texts(_treatable_names())}, required=["tasks"]),
        },
    }


def _treatable_names() -> list[str]:
    """Return the names of all causes and mechanisms."""
    from remediation.diagnosis.knowledge import knowledge

    return [*(str(cause) for cause in Cause), *knowledge().mechanisms]


def _task(calls: Mapping[str, Schema]) -> Schema:
    own = _properties(keywords.TASK)
    own["loop_control"] = {"anyOf": [_object(_properties(keywords.LOOP_CONTROL)), dict(TEMPLATE)]}
    does = {
        **calls,
        "ladder": {"$ref": "#/definitions/ladder"},
        "import_tasks": {"type": ["string", "object"]},
        f"{COLLECTION}import_tasks": {"type": ["string", "object"]},
    }
    return {**_object({**own, **does}), "oneOf": [{"required": [name]} for name in does]}


def _ladder(goals: Mapping[str, Schema]) -> Schema:
    goal = {**_object(goals), "minProperties": 1, "maxProperties": 1}
    return _object(
        {
            "goal": {"type": "array", "minItems": 1, "items": goal},
            "rungs": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/rung"}},
        },
        required=["goal", "rungs"],
    )


def _object(properties: Mapping[str, Schema], required: list[str] | None = None) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return {**found, "required": required} if required else found


def _properties(kinds: Mapping[str, Kind]) -> dict[str, Schema]:
    lists = dict.fromkeys(("tasks", "pre_tasks", "post_tasks", "handlers"), _TASKS)
    parts = dict.fromkeys(("block", "rescue", "always"), _PART)
    return {name: copy.deepcopy({**lists, **parts}.get(name) or _OF_KIND[kind[0]]) for name, kind in kinds.items()}


def _texts(words: list[str]) -> Schema:
    return {"anyOf": [{"enum": words}, {"type": "array", "items": {"enum": words}}]}


def _action(model: type[Action]) -> Schema:
    kinds = [_parameters(model, open_ended=model.open), {"type": ["string", "null"]}]
    return {"anyOf": kinds, "description": _description(model)}


def _step(cls: type[Step[Any]]) -> Schema:
    parameters = _parameters(cls)
    required = parameters.pop("required", [])
    allowed: Schema = {**parameters, **({"required": required} if required else {})}
    kinds = [allowed] if required else [allowed, {"type": "null"}]
    return {"anyOf": kinds, "description": f"{_description(cls)} Risk: {cls.risk}."}


def _description(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _parameters(model: type[BaseModel], *, open_ended: bool = False) -> Schema:
    """Return the schema of a model's parameters. Each may be a template."""
    whole = model.model_json_schema(by_alias=True)
    inner = whole.get("$defs", {})
    properties: dict[str, Schema] = {}
    for name, field in model.model_fields.items():
        given = whole["properties"].get(field.alias or name, {})
        value = {"anyOf": [_inline_references(given, inner), dict(TEMPLATE)], "description": field.description or ""}
        properties[name] = value
        if field.alias:
            properties[field.alias] = value
    properties |= {alias: properties[name] for alias, name in getattr(model, "aliases", {}).items()}
    needed = [name for name, field in model.model_fields.items() if field.is_required() and not field.alias]
    found: Schema = {"type": "object", "additionalProperties": open_ended, "properties": properties}
    return {**found, "required": needed} if needed else found


def _inline_references(value: Any, inner: Mapping[str, Any]) -> Any:
    """Return a schema with pydantic's internal references inlined."""
    if isinstance(value, list):
        return [_inline_references(item, inner) for item in value]
    if not isinstance(value, Mapping):
        return value
    reference = str(value.get("$ref", ""))
    if reference.startswith("#/$defs/"):
        rest = {key: item for key, item in value.items() if key != "$ref"}
        return _inline_references({**inner[reference.removeprefix("#/$defs/")], **rest}, inner)
    found = {key: _inline_references(item, inner) for key, item in value.items() if key != "title" or not isinstance(item, str)}
    if set(found) == {"type"} and found["type"] == "string":
        return {"type": ["string", "number", "boolean"]}  # YAML's 1 and true are accepted as strings
    return found
