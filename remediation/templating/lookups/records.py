"""Lookups of values in CSV and INI files, of hosts in the inventory, and of generated passwords."""

from __future__ import annotations

import configparser
import csv
import secrets
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from remediation.templating import patterns
from remediation.templating.errors import TemplateError
from remediation.templating.filters.common import to_bool
from remediation.templating.lookups.lists import LookupContext, file_text


def _options(term: str, known: Mapping[str, Any], names: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return a term without its ``name=value`` words, and the options with them."""
    words, found = [], dict(known)
    for word in term.split():
        name, equals, value = word.partition("=")
        if equals and name in names:
            found[name] = value
        else:
            words.append(word)
    return " ".join(words), found


def csvfile(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return a column of the row whose first cell is the term."""
    values: list[Any] = []
    for term in map(str, terms):
        key, given = _options(term, options, ("file", "delimiter", "col", "keycol", "default", "encoding"))
        _, text = file_text("csvfile", str(given.get("file", "ansible.csv")), names, "files")
        delimiter = {"TAB": "\t", "t": "\t"}.get(str(given.get("delimiter", "TAB")), str(given.get("delimiter", "TAB")))
        column, key_column = int(given.get("col", 1)), int(given.get("keycol", 0))
        rows = (row for row in csv.reader(text.splitlines(), delimiter=delimiter) if len(row) > max(column, key_column))
        value = next((row[column] for row in rows if row[key_column] == key), given.get("default"))
        values += [] if value is None else [value]
    return values


def ini(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return a key's value in a section of an INI or properties file."""
    values: list[Any] = []
    for term in map(str, terms):
        key, given = _options(
            term, options, ("type", "file", "section", "re", "encoding", "default", "case_sensitive", "allow_no_value")
        )
        _, text = file_text("ini", str(given.get("file", "ansible.ini")), names, "files")
        section = str(given.get("section", "global"))
        if given.get("type") == "properties":
            text, section = f"[java_properties]\n{text}", "java_properties"
        parser = configparser.ConfigParser(
            interpolation=None, allow_no_value=to_bool(given.get("allow_no_value", False)), strict=False
        )
        if to_bool(given.get("case_sensitive", False)):
            parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            parser.read_string(text)
        except configparser.Error as error:
            raise TemplateError(f"lookup('ini'): {' '.join(str(error).split())}") from None
        if to_bool(given.get("re", False)):
            there = parser.items(section) if parser.has_section(section) else ()
            values += [value for name, value in there if patterns.groups("match", key, 0, name)]
        else:
            values.append(parser.get(section, key, fallback=given.get("default", "")))
    return values


def inventory_hostnames(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return the hosts that a pattern selects."""
    select = getattr(names["hostvars"], "select", None) if "hostvars" in names else None
    if select is None:
        raise TemplateError("lookup('inventory_hostnames') needs an inventory")
    parts = [str(part) for term in terms for part in (term if isinstance(term, list) else [term])]
    return list(select(",".join(parts) if len(parts) > 1 else "".join(parts)))


def password(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return the password in a file; it is generated and written there first if there is none."""
    values = []
    for term in map(str, terms):
        name, given = _options(term, options, ("length", "chars", "encrypt", "ident", "seed"))
        if given.get("encrypt"):
            raise TemplateError("lookup('password'): encrypt is not supported")
        path = Path(name).expanduser()
        path = path if path.is_absolute() or "playbook_dir" not in names else Path(str(names["playbook_dir"])) / path
        if path == Path("/dev/null"):
            values.append(_generated(given))
            continue
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(f"{_generated(given)}\n", encoding="utf-8")
        values.append(path.read_text(encoding="utf-8").partition("\n")[0].partition(" salt=")[0])
    return values


_SETS: Mapping[str, str] = {
    "ascii_letters": string.ascii_letters, "ascii_lowercase": string.ascii_lowercase, "ascii_uppercase": string.ascii_uppercase,
    "digits": string.digits, "hexdigits": string.hexdigits, "punctuation": string.punctuation.replace("'", "").replace('"', ""),
}  # fmt: skip


def _generated(given: Mapping[str, Any]) -> str:
    chars = given.get("chars", ["ascii_letters", "digits", ".,:-_"])
    parts = chars if isinstance(chars, (list, tuple)) else [part for part in str(chars).replace(",,", "\0").split(",") if part]
    letters = "".join(_SETS.get(str(part), str(part).replace("\0", ",")) for part in parts)
    return "".join(secrets.choice(letters) for _ in range(int(given.get("length", 20))))
