"""Ansible's common filters, under Ansible's names, in addition to Jinja2's own."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import random
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from jinja2 import Undefined, pass_environment
from jinja2.environment import Environment

from remediation.templating.errors import TemplateError
from remediation.templating.filters.formats import FORMATS
from remediation.templating.filters.regex import REGEX
from remediation.templating.filters.sets import SETS
from remediation.templating.filters.texts import TEXTS
from remediation.templating.lazy import materialize

TRUE = frozenset({"true", "yes", "on", "1"})


def to_bool(value: Any) -> bool:
    """Return the boolean for a text or number; anything unknown is False."""
    text = str(value).lower()
    if isinstance(value, float):
        return value == 1
    return text in TRUE


def require_defined(value: Any) -> Any:
    """Return a value. Raises `UndefinedError` if it is undefined."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - as Jinja's own filters fail
    return value


LIST_MERGES: Mapping[str, Callable[[list[Any], list[Any]], list[Any]]] = {
    "replace": lambda _old, new: new,
    "keep": lambda old, _new: old,
    "append": lambda old, new: old + new,
    "prepend": lambda old, new: new + old,
    "append_rp": lambda old, new: [item for item in old if item not in new] + new,
    "prepend_rp": lambda old, new: new + [item for item in old if item not in new],
}


def combine(*terms: Any, recursive: bool = False, list_merge: str = "replace") -> dict[Any, Any]:
    """Return the merged mappings; later ones take precedence."""
    if list_merge not in LIST_MERGES:
        raise TemplateError(f"combine: list_merge is one of {', '.join(LIST_MERGES)}, not {list_merge!r}")
    merged: dict[Any, Any] = {}
    for term in _flat(terms):
        if term is None:
            continue
        if not isinstance(term, Mapping):
            raise TemplateError(f"combine takes mappings, not {term!r}")
        merged = _merge(merged, term, recursive=recursive, lists=list_merge)
    return merged


def _flat(terms: Iterable[Any]) -> Iterable[Any]:
    for term in terms:
        if isinstance(term, (list, tuple)):
            yield from term
        else:
            yield term


def _merge(weak: Mapping[Any, Any], strong: Mapping[Any, Any], *, recursive: bool, lists: str) -> dict[Any, Any]:
    merged = dict(weak.items())
    for key, value in strong.items():
        require_defined(value)
        old = merged.get(key)
        if recursive and isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value, recursive=recursive, lists=lists)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = LIST_MERGES[lists](old, value)
        else:
            merged[key] = value
    return merged


def ternary(value: Any, true_val: Any, false_val: Any, none_val: Any = None) -> Any:
    """Return one of the values depending on whether `value` is true, false, or None."""
    if value is None and none_val is not None:
        return none_val
    return true_val if value else false_val


def mandatory(value: Any, msg: str | None = None) -> Any:
    """Return `value`, or fail with `msg` if it is undefined."""
    if isinstance(value, Undefined):
        name = value._undefined_name  # noqa: SLF001 - Jinja keeps the name nowhere else
        raise TemplateError(msg or f"the mandatory variable {name!r} is not defined")
    return value


def dict2items(value: Any, key_name: str = "key", value_name: str = "value") -> list[dict[str, Any]]:
    """Return a mapping as a list of its pairs."""
    if not isinstance(value, Mapping):
        raise TemplateError(f"dict2items takes a mapping, not {value!r}")
    return [{key_name: key, value_name: require_defined(item)} for key, item in value.items()]


def items2dict(value: Any, key_name: str = "key", value_name: str = "value") -> dict[Any, Any]:
    """Return a list of pairs as a mapping."""
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise TemplateError(f"items2dict takes a list, not {value!r}")
    return {item[key_name]: item[value_name] for item in value}


def flatten(value: Any, levels: int | None = None, skip_nulls: bool = True) -> list[Any]:
    """Return the list with nested lists flattened, `levels` deep."""
    flat: list[Any] = []
    for item in value:
        if item in (None, "None", "null") and skip_nulls:
            continue
        if isinstance(item, (list, tuple)) and (levels is None or levels > 0):
            flat += flatten(item, None if levels is None else levels - 1, skip_nulls)
        else:
            flat.append(item)
    return flat


def subelements(value: Any, subelements: str | list[str], skip_missing: bool = False) -> list[tuple[Any, Any]]:
    """Return each item paired with each element of a list inside it."""
    if not isinstance(value, (Mapping, list, tuple)):
        raise TemplateError(f"subelements takes a list or a mapping, not {type_name(value)}")
    if not isinstance(subelements, (str, list)):
        raise TemplateError(f"subelements: the path must be text or a list, got {type_name(subelements)}")
    steps = subelements.split(".") if isinstance(subelements, str) else subelements
    pairs: list[tuple[Any, Any]] = []
    for item in value.values() if isinstance(value, Mapping) else value:
        inner: Any = item
        for step in steps:
            if not isinstance(inner, Mapping):
                raise TemplateError(f"subelements: {step!r} needs a mapping, got {type_name(inner)}")
            if step not in inner:
                if skip_missing:
                    inner = []
                    break
                raise TemplateError(f"subelements: no {step!r} in {item!r}")
            inner = inner[step]
        if not isinstance(inner, (list, tuple)):
            raise TemplateError(f"subelements: {subelements!r} points to {inner!r}, not to a list")
        pairs += [(item, part) for part in inner]
    return pairs


@pass_environment
def extract(environment: Environment, item: Any, container: Any, morekeys: Any = None) -> Any:
    """Return an item of a container, or of nested containers with ``morekeys``."""
    keys = [item, *(morekeys if isinstance(morekeys, list) else [morekeys] if morekeys is not None else [])]
    for key in keys:
        container = environment.getitem(container, key)
    return container


def hash_text(value: Any, hashtype: str = "sha1") -> str:
    """Return the digest of a text in hexadecimal."""
    if hashtype not in hashlib.algorithms_available:
        raise TemplateError(f"hash: unknown algorithm {hashtype!r}")
    return hashlib.new(hashtype, str(value).encode(), usedforsecurity=False).hexdigest()


def b64decode(value: Any, encoding: str = "utf-8", urlsafe: bool = False) -> str:
    """Return the text of base64."""
    return (base64.urlsafe_b64decode if urlsafe else base64.b64decode)(value).decode(encoding)


def b64encode(value: Any, encoding: str = "utf-8", urlsafe: bool = False) -> str:
    """Return a text in base64."""
    return (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(str(value).encode(encoding)).decode("ascii")


def to_datetime(value: str, format: str = "%Y-%m-%d %H:%M:%S") -> datetime:
    """Return the datetime of a text, without a time zone unless the format reads one."""
    return datetime.strptime(value, format)  # noqa: DTZ007 - as in Ansible: the text decides


def strftime(pattern: str, second: float | None = None, utc: bool = False) -> str:
    """Format a time (seconds since the epoch, by default now)."""
    moment = datetime.now(timezone.utc) if second is None else datetime.fromtimestamp(float(second), timezone.utc)
    return (moment if utc else moment.astimezone()).strftime(pattern)


def split(value: str, separator: str | None = None, most: int = -1) -> list[str]:
    """Return the parts of a text."""
    return value.split(separator, most)


def pick(value: Any, start: int | None = None, step: int | None = None, seed: Any = None) -> Any:
    """Return a random number below `value`, or a random item of it."""
    choose = random.Random(seed) if seed is not None else random.SystemRandom()  # noqa: S311 - a seed makes the result repeatable
    if isinstance(value, int):
        return choose.randrange(start or 0, value, step or 1)
    if start or step:
        raise TemplateError("random: start and step need a number, not a list")
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise TemplateError(f"random takes a number or a list, not {type_name(value)}")
    return choose.choice(list(value))


def shuffle(value: Any, seed: Any = None) -> Any:
    """Return the items in random order; a value without items as it is."""
    if not isinstance(value, Iterable):
        return value
    items = list(value)
    (random.Random(seed) if seed is not None else random.SystemRandom()).shuffle(items)  # noqa: S311 - as above
    return items


_UNITS = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50, "E": 1 << 60}


def human_to_bytes(value: Any, default_unit: str = "B", isbits: bool = False) -> int:
    """Return the number of bytes for a text such as ``4.5G``."""
    match = re.match(r"^\s{0,100}(\d{0,20}\.?\d{1,20})\s{0,100}([A-Za-z]?)(i?[Bb](?:ytes?|its?)?)?\s{0,100}$", str(value))
    if match is None:
        raise TemplateError(f"human_to_bytes: {value!r} is not a size")
    counted = (match[3] or "").removeprefix("i")
    if match[2] and counted[:1] == ("B" if isbits else "b"):
        wanted, other = ("b", "bytes") if isbits else ("B", "bits")
        raise TemplateError(f"human_to_bytes: {value!r} counts {other}; write {match[2]}{wanted}, or set isbits accordingly")
    unit = (match[2] or default_unit[:1]).upper()
    if unit not in _UNITS:
        raise TemplateError(f"human_to_bytes: {value!r} has the unknown unit {unit!r}")
    return round(float(match[1]) * _UNITS[unit])


def human_readable(value: Any, isbits: bool = False, unit: str | None = None) -> str:
    """Return a number of bytes in a readable unit."""
    base = "bits" if isbits else "Bytes"
    amount = float(value)
    for name, factor in sorted(_UNITS.items(), key=lambda pair: -pair[1]):
        if (unit is None and amount >= factor) or (unit is not None and unit.upper() == name):
            suffix = base if factor == 1 else f"{name}{base[0]}"
            return f"{amount / factor:.2f} {suffix}"
    return f"{amount:.2f} {base}"


def type_name(value: object) -> str:
    """Return the name of a value's type, under Ansible's name for an undefined value."""
    if isinstance(value, Undefined):
        return "UndefinedMarker"
    whole = isinstance(value, range) or type(value) is tuple
    return type(value if whole else materialize(value)).__name__


FILTERS: Mapping[str, Callable[..., Any]] = {
    **FORMATS,
    **REGEX,
    **SETS,
    **TEXTS,
    "b64decode": b64decode,
    "b64encode": b64encode,
    "bool": to_bool,
    "checksum": hash_text,
    "combine": combine,
    "dict2items": dict2items,
    "extract": extract,
    "flatten": flatten,
    "hash": hash_text,
    "human_readable": human_readable,
    "human_to_bytes": human_to_bytes,
    "items2dict": items2dict,
    "log": lambda value, base=math.e: math.log(value, base) if base != 10 else math.log10(value),
    "mandatory": mandatory,
    "md5": lambda value: hash_text(value, "md5"),
    "permutations": lambda value, r=None: list(itertools.permutations(value, r)),
    "combinations": lambda value, r: list(itertools.combinations(value, r)),
    "pow": math.pow,
    "product": lambda value, *others: list(itertools.product(value, *others)),
    "random": pick,
    "root": lambda value, base=2: math.sqrt(value) if base == 2 else math.pow(value, 1 / base),
    "sha1": hash_text,
    "shuffle": shuffle,
    "split": split,
    "strftime": strftime,
    "subelements": subelements,
    "ternary": ternary,
    "to_datetime": to_datetime,
    "to_uuid": lambda value, namespace="361E6D51-FAEC-444A-9079-341386DA8E2E": str(uuid.uuid5(uuid.UUID(namespace), str(value))),
    "type_debug": type_name,
}
