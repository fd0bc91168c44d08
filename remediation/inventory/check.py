"""Finds hosts whose variables cannot be a connection, before any of them is touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from remediation.connections.settings import from_variables, with_servers
from remediation.connections.variables import Variables
from remediation.inventory.inventory import Inventory, Layer
from remediation.inventory.provenance import Origin, origins
from remediation.model.errors import InputError, Place, Problem, UsageError
from remediation.templating.nodes import has_template
from remediation.templating.reading import problem

USER = ("ansible_user", "ansible_winrm_user", "ansible_ssh_user")
PASSWORD = ("ansible_password", "ansible_winrm_password", "ansible_winrm_pass", "ansible_ssh_pass", "ansible_ssh_password")
WITHOUT_PASSWORD = ("certificate", "kerberos")
SOME_TEXT = "-"
"""Stands for a text that is known only once its template is evaluated."""

_PORTS = ("ansible_port", "ansible_ssh_port")
_ADDRESSES = frozenset({*_PORTS, "endpoint", "registry"})
_READ = re.compile(r"ansible_|(?:endpoint|registry)$")
_NAMED = re.compile(r"\b(?:ansible_\w+|endpoint\b|registry\b)")
_EVALUATED = re.compile(r"user|pass|host$|file|path|pem|proxy|jump")


def check(inventory: Inventory, extra: Layer | None = None) -> None:
    """Raise `InputError`, with all of them, where a host's variables cannot be a connection; ``extra`` are those of ``-e``."""
    found = [mistake for host in inventory.hosts for mistake in _mistakes(inventory, host, extra)]
    if found:
        raise InputError(tuple(dict.fromkeys(found)))


def check_addresses(inventory: Inventory, extra: Layer | None = None) -> None:
    """Raise `InputError` for ports and addresses that cannot be; nothing else is looked at, and a login may still be missing."""
    found = []
    for host in inventory.hosts:
        known = {name: origin for name, origin in origins(inventory, host, extra).items() if name in _ADDRESSES}
        try:
            Variables(host, _readable(known)).port(*_PORTS)
            with_servers(host, _readable(known))
        except UsageError as error:
            found.append(_placed(error, known, inventory.place_of(host)))
    if found:
        raise InputError(tuple(dict.fromkeys(found)))


def _mistakes(inventory: Inventory, host: str, extra: Layer | None) -> list[Problem]:
    known = {name: origin for name, origin in origins(inventory, host, extra).items() if _READ.match(name)}
    connection = known.get("ansible_connection")
    if connection is not None and has_template(connection.value):
        return []
    home = inventory.place_of(host)
    kind = str(connection.value) if connection is not None else ""
    if kind.rpartition(".")[2] == "winrm":
        missing = _missing(host, known, home)
        if missing is not None:
            return [missing]
    try:
        from_variables(host, _readable(known))
        with_servers(host, _readable(known))
    except UsageError as error:
        return [_placed(error, known, home)]
    return []


def _missing(host: str, known: Mapping[str, Origin], home: Place | None) -> Problem | None:
    """Return what is wrong with a WinRM host that has no login."""
    transport = known.get("ansible_winrm_transport")
    if transport is not None and (has_template(transport.value) or str(transport.value) in WITHOUT_PASSWORD):
        return None
    for names, what in ((USER, "user"), (PASSWORD, "password")):
        if not any(name in known for name in names):
            beside = _group_file(known["ansible_connection"])
            return problem(f"host {host} has connection winrm but no {what}; set {names[0]} here or in {beside}", home)
    return None


def _group_file(connection: Origin) -> str:
    """Return the file that a group's login belongs into: that of the group which chose the connection."""
    group = connection.rank.rpartition("group ")[2] if "group " in connection.rank else "all"
    return f"group_vars/{group}.yml"


def _readable(known: Mapping[str, Origin]) -> dict[str, Any]:
    """Return the values that can be judged as they stand; of those that are evaluated later only that there are some."""
    values: dict[str, Any] = {}
    for name, origin in known.items():
        if not has_template(origin.value):
            values[name] = origin.value
        elif _EVALUATED.search(name):
            values[name] = SOME_TEXT
    return values


def _placed(error: UsageError, known: Mapping[str, Origin], home: Place | None) -> Problem:
    named = next((known[name] for name in _NAMED.findall(error.message) if name in known), None)
    words = f"host {error.message.removeprefix('host ')}"
    # what the command line set stands in no file
    return problem(f"{words}; {error.next_step}" if error.next_step else words, named.place if named is not None else home)
