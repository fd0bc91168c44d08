"""Compose's variable substitution: ``$X ${X} ${X:-d} ${X-d} ${X:?e} ${X?e} ${X:+r} ${X+r} $$``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from remediation_lab.wire import Json

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<rest>[^}]*))?\})"
)


class Missing(Exception):  # becomes Compose's own message
    """A required variable has no value."""


def substitute(text: str, values: Mapping[str, str], unset: Callable[[str], None]) -> str:
    """Replace the variables of one text; `unset(name)` is called for those without a value. Raises Missing."""

    def one(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["plain"] or match["name"]
        value, how, rest = values.get(name), match["how"] or "", match["rest"] or ""
        there = value is not None and (value != "" or not how.startswith(":"))
        if how.endswith("-"):
            return str(value) if there else rest
        if how.endswith("+"):
            return rest if there else ""
        if how.endswith("?"):
            if not there:
                raise Missing(
                    f"required variable {name} is missing a value: {rest}"
                    if rest
                    else f"required variable {name} is missing a value"
                )
            return str(value)
        if value is None:
            unset(name)
        return value or ""

    return _VARIABLE.sub(one, text)


def everywhere(value: Json, values: Mapping[str, str], unset: Callable[[str], None], at: str = "") -> Json:
    """Replace the variables of every text in a YAML value; Missing says where."""
    if isinstance(value, str):
        try:
            return substitute(value, values, unset)
        except Missing as error:
            raise Missing(f"error while interpolating {at}: {error}") from error
    if isinstance(value, Mapping):
        return {key: everywhere(each, values, unset, f"{at}.{key}" if at else str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [everywhere(each, values, unset, f"{at}.[]") for each in value]
    return value


def dotenv(text: str) -> dict[str, str]:
    """Read a .env file."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            value = value.strip()
            if value[:1] in {"'", '"'} and value.endswith(value[0]) and len(value) > 1:
                value = value[1:-1]
            else:
                value = value.split(" #", 1)[0].rstrip()
            found[name.removeprefix("export ").strip()] = value
    return found
