"""``lint`` and ``schema``: commands for playbook authors."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from remediation.cli.options import Lint, Schema
from remediation.cli.task import command_task
from remediation.model.text.words import plural

NOTHING = "{}"
"""The content that a vault is assumed to have, since no password is needed: an empty mapping as a file, a string as a value."""


@command_task(
    Lint,
    examples=(
        "remediate lint playbooks/site.yml",
        "remediate lint playbooks/site.yml --inventory fleet.yml --json",
    ),
)
def lint(options: Lint) -> int:
    """Check a playbook, report every error in it, and give advice. Contacts no host."""
    from remediation.cli.context import read_inventory
    from remediation.cli.extra_vars import extra_variables
    from remediation.cli.resources import PLAYBOOKS, find_resource
    from remediation.inventory.ansible_config import ansible_config
    from remediation.playbook.lint import lint_playbook as advise
    from remediation.playbook.lint import warnings_to_json
    from remediation.playbook.load import load_playbook
    from remediation.report.json_lines import document

    path = find_resource(PLAYBOOKS, options.playbook)
    given = extra_variables(options.extra_vars)
    known = set(given)
    if options.inventory:
        inventory = read_inventory(options, playbook=path)
        known |= {name for host in inventory.hosts for layer in inventory.layers(host) for name in layer}
    roles_path = ansible_config().paths("roles_path", os.pathsep)
    advice = advise(load_playbook(path, extra=given, decrypt=lambda _: NOTHING, roles_path=roles_path), known=known)
    if options.json:
        sys.stdout.write(document([warnings_to_json(item) for item in advice]))
    else:
        sys.stdout.writelines(f"{item}\n" for item in advice)
        sys.stdout.write(f"{path}: no errors, {plural(len(advice), 'piece')} of advice\n")
    return 0


@command_task(
    Schema,
    examples=(
        "remediate schema --out playbook.json",
        "remediate schema",
    ),
)
def schema(options: Schema) -> int:
    """Print the JSON Schema of playbooks for editors, or write it to --out. It is generated from the steps."""
    from remediation.cli.outputs import writable
    from remediation.playbook.schema import playbook_schema as made

    text = json.dumps(made(), indent=2, ensure_ascii=False) + "\n"
    if options.out is None:
        sys.stdout.write(text)
        return 0
    path: Path = writable("--out", options.out)
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{path}: JSON Schema of playbooks, for an editor's YAML language server\n")
    return 0
