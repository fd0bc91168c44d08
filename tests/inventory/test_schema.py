"""The JSON Schema of inventories: it accepts what is shipped and documented, and explains every variable that is known."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from remediation.inventory.check import KNOWN
from remediation.inventory.schema import inventory_schema
from tests.support.preloaded_python import ROOT

SCHEMA = inventory_schema()
CHECK = Draft7Validator(SCHEMA)
UNUSED = {
    "ansible_become_exe", "ansible_become_flags", "ansible_check_mode", "ansible_facts", "ansible_python_interpreter", "ansible_remote_tmp",
    "ansible_shell_executable", "ansible_ssh_common_args", "ansible_ssh_executable", "ansible_ssh_extra_args", "ansible_ssh_pipelining",
}  # fmt: skip
"""Ansible's own, which have no effect here or are no settings."""


def test_the_shipped_schema_is_the_one_of_the_code() -> None:
    kept = json.loads((ROOT / "schema" / "inventory.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(SCHEMA)), "write it again: remediate schema --of inventory --out schema/inventory.json"


def test_every_connection_variable_has_a_text() -> None:
    variables = SCHEMA["definitions"]["vars"]["properties"]
    assert {name for name in variables if name.startswith("ansible_")} == KNOWN - UNUSED
    assert all(each["description"].endswith(".") for each in variables.values())


@pytest.mark.parametrize("path", sorted((ROOT / "inventory").glob("*.yml")), ids=lambda path: path.name)
def test_shipped_inventories_are_valid(path: Any) -> None:
    assert [error.message for error in CHECK.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("all: {hosts: {a: {ansible_port: 22, own: [1]}}, vars: {max_risk: safe}}", True),
        ("all: {children: {gpu: {hosts: {'dev-[01:20]': null}}}}", True),
        ("all: {host: {a: null}}", False),
        ("all: {hosts: {a: {ansible_port: 99999}}}", False),
        ("all: {hosts: [a]}", False),
        ("lab: {machines: 3}", False),
    ],
)
def test_a_mistake_is_marked(text: str, valid: bool) -> None:
    assert CHECK.is_valid(yaml.safe_load(text)) is valid
