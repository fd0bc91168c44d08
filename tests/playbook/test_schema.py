"""The schema says what the loader says: every shipped playbook is valid by it, and what the loader refuses is not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediation.playbook.schema import playbook_schema

ROOT = Path(__file__).parents[2]
SCHEMA = playbook_schema()
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "array": list, "boolean": bool, "integer": int, "null": type(None), "number": (int, float), "object": dict, "string": str,
}  # fmt: skip


def valid(value: Any, by: Mapping[str, Any]) -> bool:
    """Return whether a value is valid by the keywords that the schema uses (JSON Schema, draft 7)."""
    if "$ref" in by:
        return valid(value, SCHEMA["definitions"][by["$ref"].rsplit("/", 1)[1]])
    if "if" in by:
        return valid(value, by["then"] if valid(value, by["if"]) else by["else"])
    checks = [
        "type" not in by or of_type(value, by["type"]),
        "enum" not in by or value in by["enum"],
        "const" not in by or value == by["const"],
        "pattern" not in by or not isinstance(value, str) or re.search(by["pattern"], value) is not None,
        all(any(valid(value, one) for one in by[key]) for key in ("anyOf",) if key in by),
        "oneOf" not in by or sum(valid(value, one) for one in by["oneOf"]) == 1,
        "allOf" not in by or all(valid(value, one) for one in by["allOf"]),
    ]
    if isinstance(value, dict):
        known = by.get("properties", {})
        others = by.get("additionalProperties", True)
        checks += [name in value for name in by.get("required", ())]
        checks += [valid(item, known[name]) for name, item in value.items() if name in known]
        strange = [item for name, item in value.items() if name not in known]
        checks += [not strange] if others is False else [valid(item, others) for item in strange if isinstance(others, Mapping)]
        checks += [by.get("minProperties", 0) <= len(value) <= by.get("maxProperties", len(value))]
    if isinstance(value, list):
        checks += [valid(item, by["items"]) for item in value if "items" in by]
        checks += [len(value) >= by.get("minItems", 0)]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        checks += [
            value >= by.get("minimum", value),
            value <= by.get("maximum", value),
            value > by.get("exclusiveMinimum", value - 1),
        ]
    return all(checks)


def of_type(value: Any, names: str | list[str]) -> bool:
    wanted = [names] if isinstance(names, str) else names
    if isinstance(value, bool):
        return "boolean" in wanted
    return any(isinstance(value, TYPES[name]) for name in wanted)


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.name)
def test_every_shipped_playbook_is_valid(path: Path) -> None:
    assert valid(yaml.safe_load(path.read_text(encoding="utf-8")), SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"hosts": "all"},
        [{"tasks": []}],
        [{"hosts": "all", "taks": []}],
        [{"hosts": "all", "tasks": [{"debug": {"msg": "x"}, "whne": True}]}],
        [{"hosts": "all", "tasks": [{"debug": {"mesg": "x"}}]}],
        [{"hosts": "all", "tasks": [{"debug": {"msg": "x"}, "fail": {"msg": "y"}}]}],
        [{"hosts": "all", "tasks": [{"name": "nothing"}]}],
        [{"hosts": "all", "tasks": [{"vram.free": {"wnat": "4 GiB"}}]}],
        [{"hosts": "all", "tasks": [{"env_file.set": {}}]}],
        [{"hosts": "all", "tasks": [{"ladder": {"goal": [{"model.offloaded": {}}], "rungs": []}}]}],
        [
            {
                "hosts": "all",
                "tasks": [{"ladder": {"goal": [{"model.offloaded": {}}], "rungs": [{"treats": ["nonsense"], "tasks": []}]}}],
            }
        ],
        [{"hosts": "all", "tasks": [{"block": [], "loop": [1]}]}],
        [{"hosts": "all", "tasks": [{"meta": {"free_form": "end_world"}}]}],
    ],
    ids=str,
)
def test_what_the_loader_refuses_is_not_valid(wrong: Any) -> None:
    assert not valid(wrong, SCHEMA)


@pytest.mark.parametrize(
    "right",
    [
        [{"hosts": "{{ where }}", "tasks": [{"vram.free": {"want": "{{ room }}"}, "when": ["a", "b"], "tags": "x"}]}],
        [{"hosts": ["a", "b"], "tasks": [{"ansible.builtin.debug": "msg=x"}, {"command": "echo x", "changed_when": False}]}],
        [{"import_playbook": "other.yml", "vars": {"a": 1}}, {"hosts": "all"}],
        [{"hosts": "all", "serial": [1, "25%"], "tasks": [{"block": [{"meta": "noop"}], "rescue": [{"fail": {"msg": "x"}}]}]}],
    ],
    ids=str,
)
def test_what_the_loader_takes_is_valid(right: Any) -> None:
    assert valid(right, SCHEMA)


def test_the_file_for_editors_is_the_one_that_is_made_from_the_steps() -> None:
    kept = json.loads((ROOT / "schema" / "playbook.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(SCHEMA)), "write it again: remediate schema --out schema/playbook.json"


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.name)
def test_every_shipped_playbook_names_its_schema_for_editors(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schema/playbook.json"
