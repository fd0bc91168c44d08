"""Lookups that take all their terms together and return a list: ``first_found``, ``fileglob``, ``dict``, ``template`` and others."""

from __future__ import annotations

import glob
import itertools
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from remediation.model.files import read_text
from remediation.templating import patterns
from remediation.templating.errors import TemplateError
from remediation.templating.filters.common import subelements, to_bool
from remediation.templating.limits import affordable, check_format
from remediation.templating.template_files import (
    DEFAULTS,
    SEARCH_PATH,
    TemplateScope,
    last_newlines,
    render_template,
    template_variables,
)

SHORT = re.compile(r"^(?:(\d+)-)?(\d+)(?:/(\d+))?(?::(.+))?$")
FIELDS = ("start", "end", "count", "stride", "format")


def sequence(terms: Sequence[Any], names: object, options: Mapping[str, Any]) -> list[Any]:
    """Return the numbers of all `terms`. Raises `TemplateError` for an invalid term."""
    values: list[str] = []
    for term in map(str, terms) if terms or not options else [""]:
        known = dict(options)
        short = SHORT.match(term.strip())
        if short is not None:
            known |= {name: part for name, part in zip(("start", "end", "stride", "format"), short.groups(), strict=True) if part}
        else:
            known |= dict(_pair(word, term) for word in term.split())
        strange = [name for name in known if name not in FIELDS]
        if strange:
            raise TemplateError(f"sequence: unknown option {strange[0]!r}; use {', '.join(FIELDS)}")
        values += _count_sequence(known, term)
    return values


def _pair(word: str, term: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise TemplateError(f"sequence: {term!r} is not a sequence; write 4, 2-6/2, 4:host%02d or start=1 end=4")
    return name, value


def _count_sequence(known: Mapping[str, Any], term: str) -> Iterator[str]:
    try:
        start, stride = int(known.get("start", 1)), int(known.get("stride", 1))
        end, count = known.get("end"), known.get("count")
        if (end is None) is (count is None):
            raise TemplateError("sequence: give either end or count")
        if count is not None and not int(count):
            return
        end = int(end) if end is not None else start + int(count or 0) * stride - 1
    except (TypeError, ValueError):
        raise TemplateError(f"sequence: {term!r}: start, end, count and stride must be whole numbers") from None
    if (stride > 0 and end < start) or (stride < 0 and end > start):
        raise TemplateError(f"sequence: the stride {stride} does not lead from {start} to {end}")
    if not stride:
        return
    shape = str(known.get("format", "%d"))
    if shape.count("%") != 1:
        raise TemplateError(f"sequence: the format {shape!r} must contain one number, such as %d or %02x")
    check_format(shape)
    numbers = range(start, end + (1 if stride > 0 else -1), stride)
    affordable(len(numbers) * len(shape), "sequence")
    try:
        yield from (shape % number for number in numbers)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"sequence: the format {shape!r} does not accept a number: {error}") from None


ListLookup: TypeAlias = Callable[[Sequence[Any], "LookupContext", Mapping[str, Any]], list[Any]]
"""Takes the terms, the names in scope and the lookup's options; returns a list. Raises `RemediationError`."""


class LookupContext(TemplateScope, Protocol):
    """The variables in scope, with template evaluation."""

    def __iter__(self) -> Iterator[str]:
        """Yield the variables' names."""


def folders(names: LookupContext, subfolder: str = "files") -> list[Path]:
    """Return the folders searched for files: those of the task's file and the playbook, each with its `subfolder` first."""
    roots = [Path(str(each)) for each in names[SEARCH_PATH]] if SEARCH_PATH in names else []
    if not roots:
        roots = [Path(str(names["playbook_dir"])) if "playbook_dir" in names else Path.cwd()]
    return [folder for root in roots for folder in (root / subfolder, root)]


def found_in(name: str, places: Sequence[Path]) -> Path | None:
    """Return the first file of that name in `places`."""
    path = Path(name).expanduser()
    candidates = [path] if path.is_absolute() else [place / path for place in places]
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _first_found(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    skip = bool(options.get("skip", False))
    wanted: list[str] = []
    for term in flat(terms) or _texts(options.get("files", ())):
        if isinstance(term, Mapping):
            skip = bool(term.get("skip", skip))
            files, paths = _texts(term.get("files", ())), _texts(term.get("paths", ()))
        else:
            files, paths = [str(term)], _texts(options.get("paths", ()))
        wanted += [str(Path(path) / file) for path in paths for file in files] or files
    for name in wanted:
        inner = folders(names)
        path = found_in(name, [*inner[1::2], *inner[::2]])  # the playbook's folder first, as in Ansible
        if path is not None:
            return [str(path.absolute())]
    if skip:
        return []
    raise TemplateError(f"lookup('first_found'): none found of: {', '.join(map(repr, wanted)) or 'no names given'}")


def _fileglob(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    found: list[str] = []
    for term in map(str, flat(terms)):
        path = Path(term).expanduser()
        places = [path] if path.is_absolute() else [place / path for place in folders(names)]
        matches = (sorted(glob.glob(str(place))) for place in places)  # noqa: PTH207 - Path.glob does not accept an absolute pattern
        found += [match for match in next(filter(None, matches), []) if Path(match).is_file()]
    return found


def file_text(kind: str, name: str, names: LookupContext, subfolder: str, encoding: str = "utf-8") -> tuple[Path, str]:
    """Return the path and text of a lookup's file. Raises `TemplateError`."""
    path = found_in(name, folders(names, subfolder))
    if path is None:
        raise TemplateError(
            f"lookup({kind!r}): no file {name!r}", next_step=f"put it in the playbook's folder or in {subfolder}/"
        )
    try:
        return path, read_text(path, encoding=encoding)
    except (OSError, UnicodeDecodeError, LookupError) as error:
        unknown = f"not {encoding.upper()} text" if isinstance(error, UnicodeDecodeError) else f"unknown encoding {encoding!r}"
        reason = error.strerror if isinstance(error, OSError) else unknown
        raise TemplateError(f"lookup({kind!r}): cannot read {path}: {reason}") from None


def _template(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    values = []
    own = options.get("template_vars")
    settings = {name: value for name, value in options.items() if name in DEFAULTS}
    scope: TemplateScope = names
    if SEARCH_PATH not in names and "playbook_dir" in names:
        scope = names.overlaid({SEARCH_PATH: [names["playbook_dir"]]})
    for term in map(str, flat(terms)):
        path, text = file_text("template", term, names, "templates")
        variables = {**template_variables(path, term, scope), **(own if isinstance(own, Mapping) else {})}
        value = render_template(path, text.removesuffix("\n"), scope, variables, **settings)
        values.append(value + "\n" * (last_newlines(text) - last_newlines(value)) if isinstance(value, str) else value)
    return values


def _varnames(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    wrong = next((term for term in terms if not isinstance(term, str)), None)
    if wrong is not None:
        raise TemplateError(f"lookup('varnames') takes patterns, not {wrong!r}")
    return [name for term in terms for name in names if patterns.groups("search", term, 0, name)]


def _dict(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    pairs: list[Any] = []
    for term in terms:
        if not isinstance(term, Mapping):
            raise TemplateError(f"lookup('dict') takes mappings, not {term!r}")
        pairs += [{"key": key, "value": value} for key, value in term.items()]
    return pairs


def flat(terms: Sequence[Any]) -> list[Any]:
    """Return terms with the items of those that are lists."""
    return [part for term in terms for part in (term if isinstance(term, (list, tuple)) else [term])]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in re.split(r"[,;:]", value) if part.strip()]
    return [str(item) for item in value]


def _together(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    if not terms:
        raise TemplateError("lookup('together') takes at least one list")
    return [list(row) for row in itertools.zip_longest(*(term if isinstance(term, (list, tuple)) else [term] for term in terms))]


def _subelements(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    if not 2 <= len(terms) <= 3 or not isinstance(terms[1], str):
        raise TemplateError("lookup('subelements') takes a list, the name of a list in its items, and options")
    flags = terms[2] if len(terms) > 2 and isinstance(terms[2], Mapping) else {}
    items = list(terms[0].values()) if isinstance(terms[0], Mapping) else terms[0]
    if not isinstance(items, (list, tuple)):
        raise TemplateError("lookup('subelements') takes a list or a mapping first")
    there = [item for item in items if not (isinstance(item, Mapping) and item.get("skipped"))]
    path = terms[1].split(".")
    skip_missing = to_bool(flags.get("skip_missing", False))
    if skip_missing:
        there = [item for item in there if _leads_to_mapping(item, path[:-1])]
    pairs = subelements(there, path, skip_missing=skip_missing)
    return [[_without(item, path), part] for item, part in pairs]


def _leads_to_mapping(item: Any, path: Sequence[str]) -> bool:
    """Return whether a mapping has mappings all along `path`."""
    if not isinstance(item, Mapping) or not path:
        return True
    inner = item.get(path[0])
    return isinstance(inner, Mapping) and _leads_to_mapping(inner, path[1:])


def _without(item: Mapping[Any, Any], path: Sequence[str]) -> dict[Any, Any]:
    """Return a mapping without the value at `path`, as Ansible returns the item next to its elements."""
    first, *inner = path
    if first in item and inner:
        return {**item, first: _without(item[first], inner)}
    return {key: value for key, value in item.items() if key != first}


def _nest(terms: Sequence[Any], names: LookupContext, options: Mapping[str, Any]) -> list[Any]:
    lists = [term if isinstance(term, (list, tuple)) else [term] for term in terms]
    affordable(math.prod(map(len, lists)), "lookup('nested')")
    return [list(row) for row in itertools.product(*lists)]


LISTS: Mapping[str, ListLookup] = {
    "dict": _dict,
    "fileglob": _fileglob,
    "first_found": _first_found,
    "indexed_items": lambda terms, _names, _options: [list(pair) for pair in enumerate(flat(terms))],
    "items": lambda terms, _names, _options: flat(terms),
    "list": lambda terms, _names, _options: list(terms),
    "nested": _nest,
    "random_choice": lambda terms, _names, _options: [random.SystemRandom().choice(terms)] if terms else [],
    "sequence": sequence,
    "subelements": _subelements,
    "template": _template,
    "together": _together,
    "varnames": _varnames,
}
