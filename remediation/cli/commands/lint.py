"""``lint`` and ``schema``: commands for playbook authors."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from remediation.cli.options import Lint, Schema
from remediation.cli.task import command_task
from remediation.model.errors import InputError, UsageError
from remediation.model.translation import ngettext, translated

if TYPE_CHECKING:
    from remediation.model.errors import Problem
    from remediation.playbook.lint import LintWarning

NOTHING = "{}"
"""The content that a vault is assumed to have, since no password is needed: an empty mapping as a file, a string as a value."""


@command_task(
    Lint,
    examples=(
        "remediate lint playbooks/site.yml",
        "remediate lint playbooks/site.yml --inventory fleet.yml --sarif lint.sarif",
    ),
)
def lint(options: Lint) -> int:
    """Check playbooks, report every error in them, and give advice. Contacts no host."""
    from remediation.cli.context import read_inventory
    from remediation.cli.extra_vars import extra_variables
    from remediation.cli.outputs import writable
    from remediation.cli.resources import PLAYBOOKS, find_resource
    from remediation.inventory.ansible_config import ansible_config
    from remediation.playbook.lint import lint_playbook as advise
    from remediation.playbook.lint import warnings_to_json
    from remediation.playbook.load import load_playbook
    from remediation.report.json_lines import document

    paths = [find_resource(PLAYBOOKS, name) for name in dict.fromkeys((options.playbook, *options.also))]
    given = extra_variables(options.extra_vars)
    roles_path = ansible_config().paths("roles_path", os.pathsep)
    target = writable("--sarif", options.sarif) if options.sarif else None
    errors: list[Problem] = []
    advice: dict[Path, Sequence[LintWarning]] = {}
    for path in paths:
        known = set(given)
        inventory = None
        if options.inventory:
            inventory = read_inventory(options, playbook=path)
            known |= {name for host in inventory.hosts for layer in inventory.layers(host) for name in layer}
        try:
            playbook = load_playbook(path, extra=given, decrypt=lambda _: NOTHING, roles_path=roles_path)
            advice[path] = advise(playbook, known=known, inventory=inventory)
        except InputError as error:
            errors += error.problems
    found = [item for items in advice.values() for item in items]
    _write_sarif(target, errors, found)
    if errors:
        raise InputError(tuple(errors))
    if options.json:
        sys.stdout.write(document([warnings_to_json(item) for item in found]))
        return 0
    for path, items in advice.items():
        sys.stdout.writelines(f"{replace(item, message=translated(item.message))}\n" for item in items)
        ending = ngettext("no errors, {count} piece of advice", "no errors, {count} pieces of advice", len(items))
        sys.stdout.write(f"{path}: {ending}\n")
    return 0


def _write_sarif(target: Path | None, errors: Sequence[Problem], advice: Sequence[LintWarning]) -> None:
    """Write the results to the file of ``--sarif``, if there is one."""
    if target is None:
        return
    from remediation.cli.commands.sarif import sarif
    from remediation.cli.stdio import current_masker
    from remediation.model.private_file import write_atomically
    from remediation.report.json_lines import document

    write_atomically(target, document(current_masker()(sarif(errors, advice))))


@command_task(
    Schema,
    examples=(
        "remediate schema --out playbook.json",
        "remediate schema --of inventory --out inventory.json",
    ),
)
def schema(options: Schema) -> int:
    """Print the JSON Schema of playbooks or inventories for editors, or write it to --out."""
    from remediation.cli.outputs import writable
    from remediation.inventory.schema import inventory_schema
    from remediation.playbook.schema import playbook_schema

    kinds = {"playbook": playbook_schema, "inventory": inventory_schema}
    if options.of not in kinds:
        raise UsageError(f"--of: expected {' or '.join(kinds)}, got {options.of!r}", next_step="such as --of playbook")
    text = json.dumps(kinds[options.of](), indent=2, ensure_ascii=False) + "\n"
    if options.out is None:
        sys.stdout.write(text)
        return 0
    path: Path = writable("--out", options.out)
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{path}: JSON Schema, for an editor's YAML language server\n")
    return 0
