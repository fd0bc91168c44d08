"""``lookup('env', 'NAME')`` and its like: values from the controller, read when a template asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeAlias

from remediation.templating.errors import TemplateError

Lookup: TypeAlias = Callable[[str, Mapping[str, Any]], Any]
"""Takes a term and the names in scope, returns a value; raises `TemplateError`."""


def _env(term: str, names: Mapping[str, Any]) -> str:  # noqa: ARG001 - the port's signature
    return os.environ.get(term, "")


def _file(term: str, names: Mapping[str, Any]) -> str:
    path = Path(term).expanduser()
    if not path.is_absolute():
        path = Path(str(names["playbook_dir"])) / path if "playbook_dir" in names else path
    try:
        return path.read_text(encoding="utf-8").rstrip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise TemplateError(f"lookup('file', {term!r}): {path} cannot be read: {reason}") from None


def _vars(term: str, names: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any variable
    if term not in names:
        raise TemplateError(f"lookup('vars', {term!r}): there is no such variable")
    return names[term]


LOOKUPS: Mapping[str, Lookup] = {"env": _env, "file": _file, "vars": _vars}


def query(lookups: Mapping[str, Lookup], names: Mapping[str, Any], *, wantlist: bool) -> Callable[..., Any]:
    """Return the function that templates call: ``lookup(name, term, ...)``, one value, or all of them in a list."""

    def look_up(name: str, *terms: str, default: Any = None, wantlist: bool = wantlist, errors: str = "strict") -> Any:  # noqa: ANN401
        source = lookups.get(name.removeprefix("ansible.builtin."))
        if source is None:
            raise TemplateError(f"there is no lookup {name!r}", next_step=f"there are {', '.join(sorted(lookups))}")
        flat = [part for term in terms for part in (term if isinstance(term, list) else [term])]
        values = []
        for term in flat:
            try:
                value = source(str(term), names)
            except TemplateError:
                if errors != "ignore":
                    raise
                value = None
            values.append(default if value in ("", None) and default is not None else value)
        if wantlist:
            return values
        if len(values) == 1:
            return values[0]
        return ",".join(map(str, values))

    return look_up


def now(utc: bool = False, fmt: str = "") -> datetime | str:
    """Return the controller's time: a datetime, or text by ``fmt``."""
    moment = datetime.now(timezone.utc) if utc else datetime.now(timezone.utc).astimezone()
    return moment.strftime(fmt) if fmt else moment
