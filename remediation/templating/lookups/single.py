"""``lookup('env', 'NAME')`` and others: values from the controller, read when a template uses them.

``password_file password_command keyring prompt`` return a `Secret`. A command is a list of words, or a text that is split
into words; it never runs in a shell, unlike Ansible's ``pipe``.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeAlias

from remediation.model.errors import RemediationError
from remediation.templating.errors import TemplateError
from remediation.templating.filters.common import to_bool
from remediation.templating.lookups.lists import LISTS as LISTS_OF_VALUES
from remediation.templating.lookups.lists import ListLookup, LookupContext, file_text, flat
from remediation.templating.lookups.records import csvfile, ini, inventory_hostnames, of_playbook, password
from remediation.templating.yaml.secret import Secret, reveal
from remediation.templating.yaml.secret_sources import from_command, from_file, from_keyring, from_prompt, output_of

Lookup: TypeAlias = Callable[[Any, Mapping[str, Any]], Any]
"""Takes a term and the names in scope, returns a value. Raises `RemediationError`."""


def _file(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    values = []
    for term in flat(terms):
        _, text = file_text("file", str(reveal(term)), names, "files")
        text = text.lstrip() if to_bool(options.get("lstrip", False)) else text
        values.append(text.rstrip() if to_bool(options.get("rstrip", True)) else text)
    return values


def _unvault(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return the texts of files that are not encrypted."""
    values = []
    for term in map(str, terms):
        path, text = file_text("unvault", term, names, "files")
        if text.startswith("$ANSIBLE_VAULT;"):
            raise TemplateError(f"lookup('unvault'): {path} is encrypted; load it with vars_files or include_vars")
        values.append(text)
    return values


def _vars(term: str, names: Mapping[str, Any]) -> Any:
    if term not in names:
        raise TemplateError(f"lookup('vars', {term!r}): no such variable")
    return names[term]


def _words(term: object) -> list[str]:
    try:
        words = [str(reveal(word)) for word in term] if isinstance(term, (list, tuple)) else shlex.split(str(reveal(term)))
    except ValueError as error:
        raise TemplateError(f"the command {str(term)!r} has an unclosed quote: {error}") from None
    return words


def _keyring(term: str, names: Mapping[str, Any]) -> Secret:
    service, _, user = term.partition(" ")
    if not user.strip():
        raise TemplateError(f"lookup('keyring', {term!r}): expected a service and a user, separated by a space")
    return from_keyring(service, user.strip())


LOOKUPS: Mapping[str, Lookup] = {
    "env": lambda term, _: os.environ.get(term, ""),
    "keyring": _keyring,
    "lines": lambda term, _: output_of(_words(term)).splitlines(),
    "password_command": lambda term, _: from_command(_words(term)),
    "password_file": lambda term, names: from_file(of_playbook(term, names)),
    "pipe": lambda term, _: output_of(_words(term)),
    "prompt": lambda term, _: from_prompt(term),
    "vars": _vars,
}

LISTS: Mapping[str, ListLookup] = {
    **LISTS_OF_VALUES,
    "csvfile": csvfile,
    "file": _file,
    "ini": ini,
    "inventory_hostnames": inventory_hostnames,
    "password": password,
    "unvault": _unvault,
}

COMMANDS = frozenset({"lines", "pipe", "password_command"})
"""Lookups for which a list is one command, not several terms."""


def query(lookups: Mapping[str, Lookup], names: Any, *, wantlist: bool) -> Callable[..., Any]:
    """Return the function that templates call: ``lookup(name, term, ...)`` for one value, ``query`` for a list."""

    def look_up(name: str, *terms: Any, wantlist: bool = wantlist, errors: str = "strict", **options: Any) -> Any:
        known = name.rpartition(".")[2]  # ansible.builtin.env, community.general.keyring
        if known not in lookups and known not in LISTS:
            there = ", ".join(sorted({*lookups, *LISTS}))
            raise TemplateError(f"unknown lookup {name!r}", next_step=f"known lookups: {there}")
        try:
            if known in lookups:
                values = _each(lookups[known], known, terms, names, options.get("default"))
            else:
                values = LISTS[known](terms, names, options)
        except RemediationError:
            if errors == "strict":
                raise
            return [] if wantlist else None
        if wantlist or not values:
            return values
        if len(values) == 1:
            return values[0]
        return ",".join(values) if all(isinstance(value, str) for value in values) else values

    return look_up


def _each(source: Lookup, known: str, terms: Sequence[Any], names: Any, default: Any) -> list[Any]:
    """Return a lookup's value for each term. A list is several terms, except for a command."""
    whole = known in COMMANDS
    flat = [part for term in terms for part in (term if isinstance(term, list) and not whole else [term])]
    values = []
    for term in flat:
        try:
            value = source(term if whole else str(reveal(term)), names)
        except RemediationError:
            if known != "vars" or default is None:
                raise
            value = default
        found = value if known == "lines" else [value]
        empty = ("",) if known == "env" else ()
        values += [default if each in empty and default is not None else each for each in found]
    return values


def now(utc: bool = False, fmt: str = "") -> datetime | str:
    """Return the controller's time: a datetime, or text formatted by ``fmt``."""
    moment = datetime.now(timezone.utc) if utc else datetime.now(timezone.utc).astimezone()
    return moment.strftime(fmt) if fmt else moment
