"""Wraps filters and tests to handle secrets, undefined values, and size limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from itertools import chain, islice
from types import GeneratorType
from typing import Any

from jinja2 import Undefined

from remediation.templating.limits import BUDGET, MOST, check_filter
from remediation.templating.yaml.secret import Secret, revealed

UNDEFINED_TOO = frozenset({"d", "default", "defined", "mandatory", "ternary", "type_debug", "undefined"})
"""Filters and tests that accept undefined values; any other returns undefined for them, as in Ansible."""


def qualified(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return functions under their own names and under ``ansible.builtin.``."""
    return {f"{prefix}{name}": function for prefix in ("", "ansible.builtin.") for name, function in named.items()}


def plainly(function: Callable[..., Any], values: Iterable[Any], named: Mapping[str, Any]) -> Any:
    """Call a function with the plain texts of secrets."""
    return function(*map(_open, values), **{name: _open(value) for name, value in named.items()})


def holds_secret(value: object) -> bool:
    """Return whether a value is a secret, or a list that contains one."""
    return isinstance(value, Secret) or (isinstance(value, (list, tuple)) and any(isinstance(item, Secret) for item in value))


def is_secret(value: object) -> bool:
    """Return whether a value is a secret (``vault_encrypted``)."""
    return isinstance(value, Secret)


def _open(value: object) -> object:
    return [revealed(item) for item in value] if isinstance(value, (list, tuple)) and holds_secret(value) else revealed(value)


def veiled(result: Any) -> Any:
    """Return the result of processing a secret; its texts are secret again."""
    if isinstance(result, str):
        return Secret(result)
    return [veiled(item) for item in result] if isinstance(result, (list, tuple, GeneratorType)) else result


def _missing(name: str, values: Iterable[Any]) -> Undefined | None:
    """Return the first undefined value, None if there is none or the filter or test accepts it."""
    return None if name in UNDEFINED_TOO else next((value for value in values if isinstance(value, Undefined)), None)


def seeing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a test: it receives the plain texts of secrets, and is not called with undefined values."""

    @wraps(function)
    def call(*values: Any, **named: Any) -> Any:
        missing = _missing(name, chain(values, named.values()))
        if missing is not None:
            return missing
        return function(*values, **named) if function is is_secret else plainly(function, values, named)

    return call


def hiding(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter: it receives the plain texts of secrets and returns a secret; its result counts against the budget."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0  # the environment, or the context

    @wraps(function)
    def call(*values: Any, **named: Any) -> Any:
        missing = _missing(name, chain(values[first:], named.values()))
        if missing is not None:
            return missing
        if values[first:]:
            check_filter(name, tuple(map(_open, values[first:])), named)
        if any(map(holds_secret, chain(values, named.values()))):
            return veiled(plainly(function, values, named))
        result = function(*values, **named)
        if isinstance(result, Iterator):
            result = list(islice(result, MOST + 1))  # `map(...) | last` needs a list
        return BUDGET.spend(result, name)

    return call
