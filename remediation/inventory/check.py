"""Finds hosts with invalid connection variables before any of them is contacted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from remediation.connections.settings import from_variables, with_servers
from remediation.connections.variables import ConnectionVariables
from remediation.inventory.inventory import Inventory, Layer
from remediation.inventory.provenance import Origin, origins, place_in
from remediation.inventory.schema import variable_names
from remediation.model.errors import InputError, Place, Problem, UsageError
from remediation.templating.yaml.loader import problem
from remediation.templating.yaml.located import has_template

USER = ("ansible_user", "ansible_winrm_user", "ansible_ssh_user")
PASSWORD = ("ansible_password", "ansible_winrm_password", "ansible_winrm_pass", "ansible_ssh_pass", "ansible_ssh_password")
WITHOUT_PASSWORD = ("certificate", "kerberos")
SOME_TEXT = "-"
"""Placeholder for a text that is known only after its template is evaluated."""

_PORTS = ("ansible_port", "ansible_ssh_port")
_ADDRESSES = frozenset({*_PORTS, "endpoint", "registry"})
LIMITS = ("max_risk", "close_programs", "warn_seconds")
_READ = re.compile(rf"ansible_|(?:endpoint|registry|{'|'.join(LIMITS)})$")
_NAMED = re.compile(r"\b(?:ansible_\w+|endpoint\b|registry\b)")
_EVALUATED = re.compile(r"user|pass|host$|file|path|pem|proxy|jump")


def check_inventory(inventory: Inventory, extra: Layer | None = None, limits: Callable[[Layer], object] | None = None) -> None:
    """Raise `InputError` with all hosts whose connection variables are invalid. ``extra`` are the variables of ``-e``.

    ``limits`` raises `UsageError` for an invalid value of one of `LIMITS`.
    """
    found = [mistake for host in inventory.hosts for mistake in _mistakes(inventory, host, extra, limits)]
    if found:
        raise InputError(tuple(dict.fromkeys(found)))


def check_addresses(inventory: Inventory, extra: Layer | None = None) -> None:
    """Raise `InputError` for invalid ports and addresses. Nothing else is checked; a login may be missing."""
    found = []
    for host in inventory.hosts:
        known = {name: origin for name, origin in origins(inventory, host, extra).items() if name in _ADDRESSES}
        try:
            ConnectionVariables(host, _readable(known)).port(*_PORTS)
            with_servers(host, _readable(known))
        except UsageError as error:
            found.append(_problem_at(error, known, inventory.places.get(host)))
    if found:
        raise InputError(tuple(dict.fromkeys(found)))


def misspelt(inventory: Inventory, extra: Layer | None = None) -> list[Problem]:
    """Return variables that resemble Ansible's but are not, which means that they have no effect."""
    found: dict[Problem, None] = {}
    for table in (extra or {}, *inventory.tables()):
        for name in table:
            if isinstance(name, str) and name.startswith("ansible_") and name not in KNOWN:
                near = get_close_matches(name.removeprefix(_OURS), _OWN_PARTS, n=1, cutoff=0.8)
                if near:
                    words = f"the variable {name!r} is not known; did you mean '{_OURS}{near[0]}'?"
                    found[problem(words, place_in(table, name))] = None
    return list(found)


KNOWN = frozenset(
    {
        *(name for name in variable_names() if name.startswith("ansible_")),
        "ansible_become_exe", "ansible_become_flags", "ansible_check_mode", "ansible_facts", "ansible_python_interpreter",
        "ansible_remote_tmp", "ansible_shell_executable", "ansible_ssh_common_args", "ansible_ssh_executable",
        "ansible_ssh_extra_args", "ansible_ssh_pipelining",
    }
)  # fmt: skip
"""The connection variables of Ansible and of this project."""
_OURS = "ansible_"
_OWN_PARTS = [name.removeprefix(_OURS) for name in KNOWN]


def _mistakes(inventory: Inventory, host: str, extra: Layer | None, limits: Callable[[Layer], object] | None) -> list[Problem]:
    known = {name: origin for name, origin in origins(inventory, host, extra).items() if _READ.match(name)}
    wrong = list(_beyond(host, {name: known.pop(name) for name in LIMITS if name in known}, limits))
    if wrong:
        return wrong
    connection = known.get("ansible_connection")
    if connection is not None and has_template(connection.value):
        return []
    home = inventory.places.get(host)
    kind = str(connection.value) if connection is not None else ""
    if kind.rpartition(".")[2] == "winrm":
        missing = _missing_login(host, known, home)
        if missing is not None:
            return [missing]
    address = known.get("ansible_host")
    if address is not None and (address.value is None or not str(address.value).strip()):
        return [problem(f"host {host}: ansible_host is empty; set an address, or leave it out", address.place or home)]
    try:
        from_variables(host, _readable(known))
        with_servers(host, _readable(known))
    except UsageError as error:
        return [_problem_at(error, known, home)]
    return []


def _beyond(host: str, known: Mapping[str, Origin], limits: Callable[[Layer], object] | None) -> Iterator[Problem]:
    """Yield the host's limits that cannot be read; those with a template are read when a task runs."""
    for name, origin in known.items():
        if limits is None or has_template(origin.value):
            continue
        try:
            limits({name: origin.value})
        except UsageError as error:
            yield problem(f"host {host}: {error.message}", origin.place)


def _missing_login(host: str, known: Mapping[str, Origin], home: Place | None) -> Problem | None:
    """Return the problem of a WinRM host without a login."""
    transport = known.get("ansible_winrm_transport")
    if transport is not None and (has_template(transport.value) or str(transport.value) in WITHOUT_PASSWORD):
        return None
    for names, what in ((USER, "user"), (PASSWORD, "password")):
        if not any(name in known for name in names):
            file = _group_file(known["ansible_connection"])
            return problem(f"host {host} uses connection winrm but has no {what}; set {names[0]} here or in {file}", home)
    return None


def _group_file(connection: Origin) -> str:
    """Return the file for a group's login: that of the group that sets the connection."""
    group = connection.rank.rpartition("group ")[2] if "group " in connection.rank else "all"
    return f"group_vars/{group}.yml"


def _readable(known: Mapping[str, Origin]) -> dict[str, Any]:
    """Return the values that can be checked now. Templates of texts are replaced by a placeholder, others left out."""
    values: dict[str, Any] = {}
    for name, origin in known.items():
        if not has_template(origin.value):
            values[name] = origin.value
        elif _EVALUATED.search(name):
            values[name] = SOME_TEXT
    return values


def _problem_at(error: UsageError, known: Mapping[str, Origin], home: Place | None) -> Problem:
    named = next((known[name] for name in _NAMED.findall(error.message) if name in known), None)
    words = f"host {error.message.removeprefix('host ')}"
    # variables of the command line have no place
    return problem(f"{words}; {error.next_step}" if error.next_step else words, named.place if named is not None else home)
