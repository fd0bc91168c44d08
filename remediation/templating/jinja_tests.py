"""Ansible's tests: ``result is changed``, ``text is match(...)``, ``version is version('13.5', '>=')``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from remediation.templating import patterns
from remediation.templating.errors import TemplateError
from remediation.templating.versions import version


def _result(value: object, word: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TemplateError(f"'is {word}' needs a registered result, got {value!r}")
    return value


def changed(value: object) -> bool:
    """Return whether a registered result, or one of its items, changed something."""
    result = _result(value, "changed")
    if "changed" in result:
        return bool(result["changed"])
    items = result.get("results")
    return isinstance(items, list) and any(isinstance(item, Mapping) and item.get("changed") for item in items)


def flag(word: str, default: bool = False) -> Callable[[object], bool]:
    """Return the test for a key of a registered result; without the key it is `default`."""
    return lambda value: bool(_result(value, word).get(word, default))


def opposite(test: Callable[..., bool]) -> Callable[..., bool]:
    """Return the test that is true where `test` is false."""
    return lambda *values, **named: not test(*values, **named)


def outcome_is(word: str) -> Callable[[object], bool]:
    """Return the test for an outcome that Ansible does not have."""
    return lambda value: _result(value, word).get("outcome") == word


def regex(
    value: object, pattern: str = "", ignorecase: bool = False, multiline: bool = False, match_type: str = "search"
) -> bool:
    """Return whether a text matches as selected by ``match_type``."""
    if match_type not in {"search", "match", "fullmatch"}:
        raise TemplateError(f"regex: match_type is search, match or fullmatch, not {match_type!r}")
    flags = (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)
    return patterns.groups(match_type, pattern, flags, str(value)) is not None


def truthy(value: object, convert_bool: bool = False) -> bool:
    """Return whether a value is truthy; ``convert_bool`` also converts texts such as ``yes``."""
    word = value.strip().lower() if convert_bool and isinstance(value, str) else None
    return word in _SAY_YES if word in _SAY_YES | _SAY_NO else bool(value)


_SAY_YES = frozenset({"y", "yes", "on", "1", "true", "t"})
_SAY_NO = frozenset({"n", "no", "off", "0", "false", "f"})


def subset(value: Iterable[Any], other: Iterable[Any]) -> bool:
    """Return whether all items are in the other list."""
    others = list(other)
    return all(item in others for item in value)


def is_vaulted(value: object) -> bool:
    """Return whether a file is encrypted by Ansible Vault."""
    with Path(str(value)).open("rb") as file:
        return file.read(len(VAULT)).startswith(VAULT)


VAULT = b"$ANSIBLE_VAULT;"


def same_file(value: object, other: object) -> bool:
    """Return whether two paths are the same file."""
    return Path(str(value)).samefile(str(other))


def is_uri(value: object, schemes: Iterable[str] | None = None) -> bool:
    """Return whether a text can be parsed as a URI, of one of the schemes; any other text can, as in Ansible."""
    try:
        scheme = urlsplit(str(value)).scheme
    except ValueError:
        return False
    return not schemes or scheme in schemes


FILES: Mapping[tuple[str, ...], Callable[[Any], bool]] = {
    ("directory", "is_dir"): lambda value: Path(str(value)).is_dir(),
    ("exists",): lambda value: Path(str(value)).exists(),
    ("file", "is_file"): lambda value: Path(str(value)).is_file(),
    ("link_exists",): lambda value: os.path.lexists(str(value)),
    ("link", "is_link"): lambda value: Path(str(value)).is_symlink(),
    ("abs", "is_abs"): lambda value: Path(str(value)).is_absolute(),
    ("mount", "is_mount"): lambda value: os.path.ismount(str(value)),
    ("vaulted_file",): is_vaulted,
}
"""Tests of paths on the controller, as in Ansible; steps read a host's files."""

TESTS: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("failed", "failure"), flag("failed")),
    **dict.fromkeys(("succeeded", "success", "successful"), opposite(flag("failed"))),
    **dict.fromkeys(("changed", "change"), changed),
    **dict.fromkeys(("skipped", "skip"), flag("skipped")),
    "unreachable": flag("unreachable"),
    "reachable": opposite(flag("unreachable")),
    "timedout": flag("timedout"),
    "finished": flag("finished", default=True),
    "started": flag("started", default=True),
    **{name: test for names, test in FILES.items() for name in names},
    **{word.replace("-", "_"): outcome_is(word) for word in ("blocked", "unverified", "would-change")},
    **dict.fromkeys(("same_file", "is_same_file"), same_file),
    "uri": is_uri,
    "url": lambda value, schemes=None: is_uri(value, schemes) and bool(urlsplit(str(value)).netloc or is_uri(value, ["file"])),
    "urn": lambda value: is_uri(value, ["urn"]),
    "match": partial(regex, match_type="match"),
    "search": partial(regex, match_type="search"),
    "regex": regex,
    **dict.fromkeys(("version", "version_compare"), version),
    "truthy": truthy,
    "falsy": opposite(truthy),
    "all": all,
    "any": any,
    "contains": lambda value, item: item in value,
    **dict.fromkeys(("subset", "issubset"), subset),
    **dict.fromkeys(("superset", "issuperset"), lambda value, other: subset(other, value)),
    **dict.fromkeys(("nan", "isnan"), lambda value: value != value),  # noqa: PLR0124 - nan is what differs from itself
}
