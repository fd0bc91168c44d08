"""``hosts`` and ``vars``: what an inventory defines, and where. No host is contacted and no lab is started."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from remediation.cli.options import ListOptions, OneHost
from remediation.cli.stdio import current_masker
from remediation.cli.task import command_task
from remediation.model.secrets.names import MASK, sounds_secret
from remediation.model.text.words import plural

if TYPE_CHECKING:
    from remediation.inventory.inventory import Inventory
    from remediation.inventory.provenance import Origin
    from remediation.templating.templar import Scope

MOST = 60
"""Maximum length of a value in a row of ``vars``; JSON has the full value."""

QUIET = frozenset({"env", "file", "vars"})
"""Lookups that these commands may run: the others run programs or prompt."""


@command_task(
    ListOptions,
    examples=(
        "remediate hosts --inventory fleet.yml --graph",
        "remediate hosts --inventory fleet.yml --limit 'gpu:!dev-13'",
    ),
)
def hosts(options: ListOptions) -> int:
    """List the hosts of the inventory with their connection and groups, or the groups as a tree."""
    from remediation.cli.context import read_inventory, warn_of_misspelt
    from remediation.cli.extra_vars import extra_variables
    from remediation.inventory.check import check_addresses
    from remediation.inventory.secrets import vault_of
    from remediation.report.json_lines import document
    from remediation.report.text import columns

    decrypt = vault_of(options.vault_password_file)
    inventory = read_inventory(options, decrypt=decrypt)
    extra = extra_variables(options.extra_vars, decrypt=decrypt)
    check_addresses(inventory, extra)
    current_masker().learn([extra, *inventory.tables()])
    chosen = inventory.select("all", options.limit)
    listed = [_host(inventory, host, extra) for host in chosen]
    if options.json:
        tree = {
            name: {"hosts": list(group.hosts), "children": list(group.children)}
            for name, group in inventory.groups_by_name.items()
        }
        sys.stdout.write(document({"hosts": listed, "groups": tree}))
        return 0
    if options.graph:
        rows = ["all", *_tree(inventory, "all", frozenset(chosen))]
    else:
        rows = columns(
            [[item["host"], item["connection"] or "", item["address"], ", ".join(item["groups"]) or "-"] for item in listed]
        )
        rows.append(f"{plural(len(listed), 'host')} of {', '.join(inventory.sources)}")
    sys.stdout.writelines(f"{row}\n" for row in rows)
    warn_of_misspelt(inventory, extra)
    return 0


def _host(inventory: Inventory, host: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    scope = _scope(inventory, host, extra)
    port = _value(scope, "ansible_port")
    address = _value(scope, "ansible_host") or host
    place = inventory.places.get(host)
    return {
        "host": host,
        "connection": _value(scope, "ansible_connection"),
        "address": f"{address}:{port}" if port is not None else str(address),
        "user": _value(scope, "ansible_user"),
        "groups": inventory.groups_of(host),
        "place": f"{place.file}:{place.line}" if place else None,
    }


def _tree(inventory: Inventory, name: str, chosen: frozenset[str], indent: str = "") -> Iterator[str]:
    """Yield the rows below a group: its groups, then its own hosts; empty groups are left out."""
    group = inventory.groups_by_name[name]
    below = [(child, True) for child in group.children if chosen & set(inventory.groups[child])]
    grouped = {host for child in group.children for host in inventory.groups[child]}
    below += [(host, False) for host in group.hosts if host in chosen and not (name == "all" and host in grouped)]
    for index, (each, is_group) in enumerate(below):
        last = index == len(below) - 1
        yield f"{indent}{'└─' if last else '├─'} {each}{':' if is_group else ''}"
        if is_group:
            yield from _tree(inventory, each, chosen, f"{indent}{'   ' if last else '│  '}")


@command_task(
    OneHost,
    name="vars",
    examples=(
        "remediate vars dev-13 --inventory fleet.yml          # each value with its file and line",
        "remediate vars dev-13 --inventory fleet.yml --json",
    ),
)
def variables(options: OneHost) -> int:
    """Show each variable of a host, the file and line it comes from, and the values it overrides."""
    from remediation.cli.context import read_inventory
    from remediation.cli.extra_vars import extra_variables
    from remediation.inventory.provenance import origins
    from remediation.inventory.secrets import vault_of
    from remediation.model.errors import UsageError
    from remediation.report.json_lines import document
    from remediation.report.text import columns
    from remediation.templating.yaml.loader import suggestion

    decrypt = vault_of(options.vault_password_file)
    inventory = read_inventory(options, decrypt=decrypt)
    host = options.host
    if inventory.match([host]).hosts != (host,):
        hint = suggestion(host, inventory.hosts)
        raise UsageError(f"no host {host!r} in the inventory{hint}", next_step="remediate hosts lists them")
    extra = extra_variables(options.extra_vars, decrypt=decrypt)
    current_masker().learn([extra, *inventory.tables()])
    scope = _scope(inventory, host, extra)
    found = origins(inventory, host, extra)
    if options.json:
        described = {
            name: {**_origin_json(origin, scope), "overrode": [_origin_json(weaker) for weaker in origin.overrode]}
            for name, origin in found.items()
        }
        sys.stdout.write(document({"host": host, "groups": inventory.groups_of(host), "variables": described}))
        return 0
    rows = []
    for name, origin in found.items():
        rows.append([name, _row(origin, scope), origin.where])
        rows += [["", f"  over {_row(weaker)}", weaker.where] for weaker in origin.overrode]
    groups = ", ".join(inventory.groups_of(host)) or "no group"
    sys.stdout.writelines(f"{row}\n" for row in [f"{host}  ({groups})", *columns(rows)])
    return 0


def _scope(inventory: Inventory, host: str, extra: Mapping[str, Any]) -> Scope:
    from remediation.templating.lookups.single import LOOKUPS
    from remediation.templating.templar import Scope

    quiet = {name: lookup for name, lookup in LOOKUPS.items() if name in QUIET}
    return Scope((extra, *inventory.layers(host), inventory.magic(host)), quiet)


def _value(scope: Scope, name: str) -> Any:
    """Return a variable's value, or its source text if it cannot be evaluated here; None if there is none."""
    from remediation.model.errors import RemediationError

    try:
        return scope.render(scope[name]) if name in scope else None
    except RemediationError:
        return scope.raw(name)


def _origin_json(origin: Origin, scope: Scope | None = None) -> dict[str, Any]:
    return {
        "value": _printable(origin, scope),
        "file": origin.place.file if origin.place else None,
        "line": origin.place.line if origin.place else None,
        "from": origin.rank,
    }


def _row(origin: Origin, scope: Scope | None = None) -> str:
    """Return a value as YAML in one row; a string that looks like a number is quoted."""
    import yaml

    from remediation.report.text import shorten

    text = yaml.safe_dump(_printable(origin, scope), default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    return shorten(text.removesuffix("...\n").strip(), MOST)


def _printable(origin: Origin, scope: Scope | None) -> Any:
    """Return the printable form of a value: evaluated if a scope is given, with secrets masked."""
    from remediation.templating.yaml.secret import masked

    if sounds_secret(origin.name):
        return MASK
    return masked(_value(scope, origin.name) if scope is not None else origin.value)
