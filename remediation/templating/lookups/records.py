"""Lookups of values in CSV and INI files, of hosts in the inventory, and of generated passwords."""

from __future__ import annotations

import configparser
import csv
import random
import re
import string
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from remediation.model.files import read_text
from remediation.model.private_file import create_private
from remediation.templating import patterns
from remediation.templating.errors import TemplateError
from remediation.templating.filters.common import to_bool
from remediation.templating.limits import affordable
from remediation.templating.lookups.lists import LookupContext, file_text, flat
from remediation.templating.yaml.secret import Secret


def _options(kind: str, term: str, known: Mapping[str, Any], names: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return a term without its ``name=value`` words, and the options with them. Raises `TemplateError` for an unknown name."""
    words: list[str] = []
    found = dict(known)
    for word in _WORDS.findall(term):
        name, equals, value = word.partition("=")
        if equals and name in names:
            found[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
        elif equals and words and name.isidentifier():
            raise TemplateError(f"lookup({kind!r}): unknown option {name!r}; use {', '.join(names)}")
        else:
            words.append(word)
    return " ".join(words), found


_WORDS = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*'|["'])+""")
"""Words, in which quoted parts may contain spaces."""


def _key(kind: str, term: str, known: Mapping[str, Any], names: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the key that a term looks up, and the options. Raises `TemplateError` for a term without a key."""
    key, given = _options(kind, term, known, names)
    if not key:
        raise TemplateError(f"lookup({kind!r}): Search key is required but was not found in {term!r}")
    return key, given


def _whole(kind: str, given: Mapping[str, Any], name: str, default: int) -> int:
    """Return an option that is a whole number, 0 or more. Raises `TemplateError`."""
    text = str(given.get(name, default))
    if not text.isdecimal():
        raise TemplateError(f"lookup({kind!r}): {name} must be a whole number, not {text!r}")
    return int(text)


def csvfile(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return a column of the row whose first cell is the term."""
    values: list[Any] = []
    if not terms:
        raise TemplateError("lookup('csvfile'): Search key is required but was not found")
    for term in map(str, terms):
        key, given = _key("csvfile", term, options, ("file", "delimiter", "col", "keycol", "default", "encoding"))
        _, text = file_text("csvfile", str(given.get("file", "ansible.csv")), names, "files", str(given.get("encoding", "utf-8")))
        delimiter = {"TAB": "\t", "t": "\t"}.get(str(given.get("delimiter", "TAB")), str(given.get("delimiter", "TAB")))
        if len(delimiter) != 1:
            raise TemplateError(f"lookup('csvfile'): delimiter must be one character or TAB, not {delimiter!r}")
        column, key_column = _whole("csvfile", given, "col", 1), _whole("csvfile", given, "keycol", 0)
        rows = (row for row in csv.reader(text.splitlines(), delimiter=delimiter) if len(row) > max(column, key_column))
        value = next((row[column] for row in rows if row[key_column] == key), given.get("default"))
        values += value if isinstance(value, list) else [] if value is None else [value]
    return values


INI_OPTIONS = (
    "type", "file", "section", "re", "encoding", "default", "case_sensitive", "allow_no_value", "allow_none", "interpolation",
)  # fmt: skip


def ini(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return a key's value in a section of an INI or properties file."""
    values: list[Any] = []
    for term in map(str, terms):
        key, given = _key("ini", term, options, INI_OPTIONS)
        try:
            values += _ini_values(key, given, names)
        except configparser.DuplicateOptionError as error:
            raise TemplateError(f"lookup('ini'): Duplicate option in {given.get('file')!r}: {error.option}") from None
        except configparser.NoSectionError as error:
            raise TemplateError(f"lookup('ini'): No section {error.section!r} in {given.get('file')!r}") from None
        except configparser.InterpolationError as error:
            raise TemplateError(f"lookup('ini'): cannot interpolate {error.option}; set interpolation=false") from None
        except configparser.DuplicateSectionError as error:
            raise TemplateError(f"lookup('ini'): {given.get('file')} has the section {error.section!r} twice") from None
    return values


def _ini_values(key: str, given: Mapping[str, Any], names: LookupContext) -> list[Any]:
    """Return the values of a key, or of all keys that match it. Raises `TemplateError` and the parser's errors."""
    path, text = file_text("ini", str(given.get("file", "ansible.ini")), names, "files", str(given.get("encoding", "utf-8")))
    section = str(given.get("section", "global"))
    if given.get("type") == "properties":
        text, section = f"[java_properties]\n{text}", "java_properties"
    parser = configparser.ConfigParser(
        interpolation=configparser.BasicInterpolation() if to_bool(given.get("interpolation", True)) else None,
        allow_no_value=to_bool(given.get("allow_no_value", given.get("allow_none", False))),
    )
    if to_bool(given.get("case_sensitive", False)):
        parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text, source=str(path))
    except configparser.ParsingError as error:
        line = error.lineno if isinstance(error, configparser.MissingSectionHeaderError) else error.errors[0][0]
        line -= given.get("type") == "properties"
        # without the line's text, which may be a password
        raise TemplateError(f"lookup('ini'): {path}:{line}: expected [section], key=value or a comment") from None
    if to_bool(given.get("re", False)):
        return [value for name, value in parser.items(section) if patterns.groups("match", key, 0, name)]
    try:
        value = parser.get(section, key)
    except configparser.NoOptionError:
        value = given.get("default", "")
    return value if isinstance(value, list) else [] if value is None else [value]


def inventory_hostnames(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return the hosts that a pattern selects."""
    select = getattr(names["hostvars"], "select", None) if "hostvars" in names else None
    if select is None:
        raise TemplateError("lookup('inventory_hostnames') needs an inventory")
    return list(select(list(map(str, flat(terms)))))


def password(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    """Return the password in a file; it is generated and written there first if there is none."""
    values = []
    for term in map(str, terms):
        name, given = _options("password", term, options, ("length", "chars", "encrypt", "ident", "seed"))
        if given.get("encrypt"):
            raise TemplateError("lookup('password'): encrypt is not supported")
        path = of_playbook(name, names)
        values.append(Secret(_generate_password(given) if path == Path("/dev/null") else _stored_password(path, given)))
    return values


def of_playbook(name: str, names: Mapping[str, Any] | LookupContext) -> Path:
    """Return a path, a relative one below the playbook's folder."""
    path = Path(name).expanduser()
    return path if path.is_absolute() or "playbook_dir" not in names else Path(str(names["playbook_dir"])) / path


def _stored_password(path: Path, given: Mapping[str, Any]) -> str:
    """Return the password in a file. Hosts that need it at the same time get the same one: the first to create the file decides."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileExistsError):
                create_private(path, f"{_generate_password(given)}\n")
        return read_text(path).partition("\n")[0].partition(" salt=")[0]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or error if isinstance(error, OSError) else "not UTF-8 text"
        raise TemplateError(f"lookup('password'): cannot keep the password in {path}: {reason}") from None


_SETS: Mapping[str, str] = {
    "ascii_letters": string.ascii_letters, "ascii_lowercase": string.ascii_lowercase, "ascii_uppercase": string.ascii_uppercase,
    "digits": string.digits, "hexdigits": string.hexdigits, "punctuation": string.punctuation.replace("'", "").replace('"', ""),
}  # fmt: skip


def _generate_password(given: Mapping[str, Any]) -> str:
    chars = given.get("chars", ["ascii_letters", "digits", ".,:-_"])
    parts = chars if isinstance(chars, (list, tuple)) else [part for part in str(chars).replace(",,", "\0").split(",") if part]
    letters = "".join(_SETS.get(str(part), str(part).replace("\0", ",")) for part in parts)
    length = _whole("password", given, "length", 20)
    if not length or not letters:
        raise TemplateError("lookup('password'): length must be at least 1, and chars must name at least one character")
    affordable(length, "password")
    seed = given.get("seed")
    source = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - a seed makes the password repeatable, as in Ansible
    return "".join(source.choice(letters) for _ in range(length))
