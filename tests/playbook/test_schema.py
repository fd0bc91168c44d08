"""The schema says what the loader says: every shipped playbook is valid by it, and what the loader refuses is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from remediation.playbook.schema import playbook_schema

ROOT = Path(__file__).parents[2]
SCHEMA = playbook_schema()
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))

CHECK = Draft7Validator(SCHEMA)


def valid(value: Any, by: Mapping[str, Any]) -> bool:
    """Return whether a value is valid by a part of the schema."""
    return CHECK.evolve(schema={**by, "definitions": SCHEMA["definitions"]}).is_valid(value)


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
