"""Compares versions as Ansible's test ``version`` does: loosely, strictly, or by the rules of semver and PEP 440."""

from __future__ import annotations

import operator as operators
import re
from collections.abc import Callable, Mapping
from typing import Any

from remediation.templating.errors import TemplateError

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(("==", "=", "eq"), operators.eq),
    **dict.fromkeys(("<", "lt"), operators.lt),
    **dict.fromkeys(("<=", "le"), operators.le),
    **dict.fromkeys((">", "gt"), operators.gt),
    **dict.fromkeys((">=", "ge"), operators.ge),
    **dict.fromkeys(("!=", "<>", "ne"), operators.ne),
}

_LOOSE = re.compile(r"(\d+|[a-z]+|\.)")
_STRICT = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?", re.ASCII)
_PEP440 = re.compile(
    r"v?(?:(?P<epoch>\d{1,50})!)?(?P<release>\d{1,50}(?:\.\d{1,50}){0,50})"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>\d{0,50}))?"
    r"(?P<post>-(?P<bare_post>\d{1,50})|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>\d{0,50}))?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_number>\d{0,50}))?"
    r"(?:\+(?P<local>[a-z0-9]{1,50}(?:[-_.][a-z0-9]{1,50}){0,50}))?",
    re.ASCII | re.IGNORECASE,
)
_PRE = {"alpha": 0, "a": 0, "beta": 1, "b": 1, "preview": 2, "pre": 2, "c": 2, "rc": 2}
LONGEST = 1000
"""Maximum length of a version."""


def version(
    value: object, version: object, operator: str = "eq", strict: bool | None = None, version_type: str | None = None
) -> bool:
    """Compare two versions. Raises `TemplateError` if one of them is invalid, as Ansible does."""
    if strict is not None and version_type is not None:
        raise TemplateError("version: strict and version_type exclude each other")
    if not value:
        raise TemplateError("version: the version to compare is empty")
    if not version:
        raise TemplateError("version: the version to compare with is empty")
    kind = version_type or ("strict" if strict else "loose")
    if kind not in _KEYS:
        raise TemplateError(f"version: version_type is one of {', '.join(_KEYS)}, not {kind!r}")
    if operator not in OPERATORS:
        raise TemplateError(f"version: {operator!r} is not a comparison; use one of {', '.join(OPERATORS)}")
    own, others = _key(value, kind), _key(version, kind)
    try:
        order = 0 if own == others else -1 if own < others else 1
    except TypeError:  # number and word: the loose rules define no order
        raise TemplateError(f"version: {str(value)!r} and {str(version)!r} cannot be compared") from None
    return OPERATORS[operator](order, 0)


def _key(value: object, kind: str) -> Any:
    text = str(value)
    key = _KEYS[kind](text) if len(text) <= LONGEST else None
    if key is None:
        shown = text if len(text) <= LONGEST else f"{text[:40]}…"
        raise TemplateError(f"version: {shown!r} is not a {kind} version")
    return key


def _loose(text: str) -> list[int | str]:
    """Return numbers and words; Python refuses to compare a number with a word."""
    return [int(part) if part.isdecimal() else part for part in _LOOSE.split(text) if part and part != "."]


def _strict(text: str) -> Any | None:
    found = _STRICT.fullmatch(text)
    if found is None:
        return None
    before = (0, found[4], int(found[5])) if found[4] else (1, "", 0)
    return (int(found[1]), int(found[2]), int(found[3] or 0), before)


def _semver(text: str) -> Any | None:
    release, plus, build = text.partition("+")
    core, dash, preview = release.partition("-")
    numbers, identifiers = core.split("."), preview.split(".") if dash else []
    labels = [*identifiers, *(build.split(".") if plus else [])]
    if len(numbers) != len(("major", "minor", "patch")) or not all(_is_whole(part) for part in numbers):
        return None
    if not all(_LABEL.fullmatch(label) for label in labels) or any(
        part.isdigit() and not _is_whole(part) for part in identifiers
    ):
        return None
    ordered = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in identifiers)
    return (*map(int, numbers), not identifiers, ordered)


_LABEL = re.compile(r"[0-9A-Za-z-]+")


def _is_whole(part: str) -> bool:
    """Return whether a text is a whole number without leading zeros."""
    return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")


def _pep440(text: str) -> Any | None:
    found = _PEP440.fullmatch(text.strip())
    if found is None:
        return None
    release = [int(part) for part in found["release"].split(".")]
    while release and not release[-1]:
        release.pop()
    dev = int(found["dev_number"] or 0) if found["dev"] else None
    post = int(found["bare_post"] or found["post_number"] or 0) if found["post"] else None
    if found["pre"]:
        pre = (_PRE[found["pre"].lower()], int(found["pre_number"] or 0))
    else:  # a development release of the version precedes all of its pre-releases
        pre = (-1, 0) if dev is not None and post is None else (3, 0)
    local = [
        (1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"[-_.]", found["local"] or "") if part
    ]
    after = -1 if post is None else post
    return (int(found["epoch"] or 0), release, pre, after, dev is None, dev or 0, local)


_KEYS: Mapping[str, Callable[[str], Any]] = {
    "loose": _loose,
    "strict": _strict,
    "semver": _semver,
    "semantic": _semver,
    "pep440": _pep440,
}
