"""Lookups that take all their terms together and give a list: ``first_found``, ``fileglob``, ``dict``, ``template`` and others of Ansible's."""

from __future__ import annotations

import glob
import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from remediation.templating.errors import TemplateError
from remediation.templating.nodes import Text

ListLookup: TypeAlias = Callable[[Sequence[Any], "Names", Mapping[str, Any]], list[Any]]
"""Takes the terms, the names in scope and the lookup's own options; returns a list; raises `RemediationError`."""

SEQUENCE = re.compile(r"^(?:(\d+)-)?(\d+)(?:/(\d+))?(?::(.+))?$")


class Names(Protocol):
    """The variables in scope, which evaluate what they are given."""

    def render(self, value: Any) -> Any:  # noqa: ANN401 - any value of a file
        """Return `value` with its templates evaluated."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - any value
        """Return a variable."""

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a variable."""

    def __iter__(self) -> Iterator[str]:
        """Yield the variables' names."""


def folders(names: Names, subfolder: str = "files") -> list[Path]:
    """Return where files are looked for: beside the playbook, first in its `subfolder`."""
    root = Path(str(names["playbook_dir"])) if "playbook_dir" in names else Path.cwd()
    return [root / subfolder, root]


def found_in(name: str, places: Sequence[Path]) -> Path | None:
    """Return the first file of that name in `places`."""
    path = Path(name).expanduser()
    candidates = [path] if path.is_absolute() else [place / path for place in places]
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _first_found(terms: Sequence[Any], names: Names, options: Mapping[str, Any]) -> list[Any]:
    skip = bool(options.get("skip", False))
    wanted: list[str] = []
    for term in _flat(terms) or _texts(options.get("files", ())):
        if isinstance(term, Mapping):
            skip = bool(term.get("skip", skip))
            files, paths = _texts(term.get("files", ())), _texts(term.get("paths", ()))
        else:
            files, paths = [str(term)], _texts(options.get("paths", ()))
        wanted += [str(Path(path) / file) for path in paths for file in files] or files
    for name in wanted:
        path = found_in(name, folders(names))
        if path is not None:
            return [str(path.absolute())]
    if skip:
        return []
    raise TemplateError(f"lookup('first_found'): there is none of {', '.join(map(repr, wanted)) or 'no names at all'}")


def _fileglob(terms: Sequence[Any], names: Names, options: Mapping[str, Any]) -> list[Any]:  # noqa: ARG001 - the port's signature
    found: list[str] = []
    for term in map(str, _flat(terms)):
        path = Path(term).expanduser()
        places = [path] if path.is_absolute() else [place / path for place in folders(names)]
        matches = (sorted(glob.glob(str(place))) for place in places)  # noqa: PTH207 - an absolute pattern is none for Path.glob
        found += [match for match in next(filter(None, matches), []) if Path(match).is_file()]
    return found


def _template(terms: Sequence[Any], names: Names, options: Mapping[str, Any]) -> list[Any]:  # noqa: ARG001 - as above
    values = []
    for term in map(str, _flat(terms)):
        path = found_in(term, folders(names, "templates"))
        if path is None:
            raise TemplateError(f"lookup('template'): there is no file {term!r}")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise TemplateError(f"lookup('template'): {path} cannot be read: {reason}") from None
        values.append(names.render(Text(text)))
    return values


def _sequence(terms: Sequence[Any], names: Names, options: Mapping[str, Any]) -> list[Any]:  # noqa: ARG001 - as above
    values: list[str] = []
    for term in map(str, terms) if terms else [""]:
        known = {**options, **dict(pair.split("=", 1) for pair in term.split() if "=" in pair)}
        short = SEQUENCE.match(term)
        if short is not None:
            parts = dict(zip(("start", "end", "stride", "format"), short.groups(), strict=True))
            known = {**known, **{name: part for name, part in parts.items() if part is not None}}
        try:
            values += _counted(known)
        except (TypeError, ValueError) as error:
            raise TemplateError(f"lookup('sequence', {term!r}): {error}") from None
    return values


def _counted(known: Mapping[str, Any]) -> Iterator[str]:
    start, stride = int(known.get("start", 1)), int(known.get("stride", 1))
    if "count" in known:
        count = int(known["count"])
        numbers = range(start, start + count * stride, stride) if count else range(0)
    elif "end" in known:
        numbers = range(start, int(known["end"]) + (1 if stride > 0 else -1), stride)
    else:
        raise ValueError("an end or a count is wanted")
    shape = str(known.get("format", "%d"))
    yield from (shape % number for number in numbers)


def _varnames(terms: Sequence[Any], names: Names, options: Mapping[str, Any]) -> list[Any]:  # noqa: ARG001 - as above
    return [name for term in terms for name in names if re.search(str(term), name)]


def _dict(terms: Sequence[Any], names: Names, options: Mapping[str, Any]) -> list[Any]:  # noqa: ARG001 - as above
    pairs: list[Any] = []
    for term in terms:
        if not isinstance(term, Mapping):
            raise TemplateError(f"lookup('dict') takes mappings, not {term!r}")
        pairs += [{"key": key, "value": value} for key, value in term.items()]
    return pairs


def _flat(terms: Sequence[Any]) -> list[Any]:
    return [part for term in terms for part in (term if isinstance(term, (list, tuple)) else [term])]


def _texts(value: Any) -> list[str]:  # noqa: ANN401 - a text or a list of texts
    if isinstance(value, str):
        return [part.strip() for part in re.split(r"[,;:]", value) if part.strip()]
    return [str(item) for item in value]


LISTS: Mapping[str, ListLookup] = {
    "dict": _dict,
    "fileglob": _fileglob,
    "first_found": _first_found,
    "indexed_items": lambda terms, _names, _options: [list(pair) for pair in enumerate(_flat(terms))],
    "items": lambda terms, _names, _options: _flat(terms),
    "list": lambda terms, _names, _options: list(terms),
    "nested": lambda terms, _names, _options: [list(row) for row in itertools.product(*terms)],
    "random_choice": lambda terms, _names, _options: [random.SystemRandom().choice(_flat(terms))] if _flat(terms) else [],
    "sequence": _sequence,
    "template": _template,
    "together": lambda terms, _names, _options: [list(row) for row in itertools.zip_longest(*terms)],
    "varnames": _varnames,
}
