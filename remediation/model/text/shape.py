"""Checks that external data has the shape of its declared type, once, when it is read.

Hosts and files may return anything. `mismatch` names the first part of a value that does not have the declared type;
`explain_error` describes an exception of reading such a value in a few words.

There are many values, so each type is compiled to a check once (`_check_of`).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeAlias

from remediation.model.errors import UsageError
from remediation.model.text.visible import brief
from remediation.model.text.words import plural

ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, AssertionError)
"""The exceptions of code that reads a value of an unexpected shape."""

_LONGEST = 80
_DEEPEST = 20
_LARGEST = 1 << 63


def explain_error(error: BaseException) -> str:
    """Return in a few words what is wrong with a value that could not be read."""
    text = brief(str(error), _LONGEST)
    if isinstance(error, KeyError):
        return f"{text} is missing"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return text or type(error).__name__


@contextmanager
def intact(what: str, next_step: str) -> Iterator[None]:
    """Turn exceptions of reading a damaged file into a `UsageError`; `what` names the file or run."""
    try:
        yield
    except ODD as error:
        raise UsageError(f"{what} is damaged: {explain_error(error)}", next_step=next_step) from None


Fault: TypeAlias = Callable[[str], str]
"""What is wrong with a value, as a sentence about the part at a path."""
Check: TypeAlias = Callable[[Any, int], "Fault | None"]
"""Returns the fault of a value at a depth; None if it has the type."""


def mismatch(value: object, expected: Any, path: str = "") -> str | None:
    """Return the first part of `value` that does not match the type `expected`; None if all matches."""
    fault = _check_of(expected)(value, 0)
    return None if fault is None else fault(path)


def check_shape(value: object, path: str = "") -> str | None:
    """Return the first part of `value` that does not match the declarations of the dataclasses in it; None if all matches."""
    fault = _find_fault(value)
    return None if fault is None else fault(path)


def _find_fault(value: object) -> Fault | None:
    if isinstance(value, Mapping):
        return next((_below(name, fault) for name, each in value.items() if (fault := _find_fault(each)) is not None), None)
    if isinstance(value, (list, tuple)):
        return next((_at(number, fault) for number, each in enumerate(value) if (fault := _find_fault(each)) is not None), None)
    return _check_fields(value, 0) if dataclasses.is_dataclass(value) and not isinstance(value, type) else None


@lru_cache(maxsize=1024)
def _check_of(expected: Any) -> Check:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in {typing.Union, types.UnionType}:
        return _check_union(tuple(map(_check_of, arguments)))
    if origin is typing.Literal:
        return lambda value, _: None if value in arguments else _not("one of the known values", value)
    if isinstance(origin, type):
        return _check_mapping(arguments) if issubclass(origin, Mapping) else _check_list(origin, arguments)
    if expected in {Any, object} or not isinstance(expected, type) or getattr(expected, "_is_protocol", False):
        return lambda _, __: None  # also a type variable: any value matches
    if expected in {int, float}:
        return _check_number(expected)
    name = _NAMES.get(expected, expected.__name__)
    if dataclasses.is_dataclass(expected):
        return lambda value, depth: _check_fields(value, depth) if isinstance(value, expected) else _not(name, value)
    return lambda value, _: None if isinstance(value, expected) else _not(name, value)


def _check_union(checks: tuple[Check, ...]) -> Check:
    def check(value: Any, depth: int) -> Fault | None:
        for each in checks:
            if each(value, depth) is None:
                return None
        faults = [fault for each in checks if (fault := each(value, depth)) is not None]
        # rather the fault of a part than that the whole is of another type
        return next((fault for fault in faults if not fault("").startswith(f"{_WHOLE} is ")), faults[0])

    return check


def _check_mapping(arguments: tuple[Any, ...]) -> Check:
    of_key, of_value = map(_check_of, arguments or (Any, Any))

    def check(value: Any, depth: int) -> Fault | None:
        if depth > _DEEPEST or not isinstance(value, Mapping):
            return _too_deep if depth > _DEEPEST else _not("a mapping", value)
        for name, each in value.items():
            wrong = of_key(name, depth + 1)
            if wrong is not None:
                return _of_key(wrong)
            fault = of_value(each, depth + 1)
            if fault is not None:
                return _below(name, fault)
        return None

    return check


def _check_list(origin: type, arguments: tuple[Any, ...]) -> Check:
    if not issubclass(origin, (Sequence, AbstractSet)):
        return lambda _, __: None  # a callable or a class never comes from outside
    fixed = issubclass(origin, tuple) and Ellipsis not in arguments
    checks = tuple(map(_check_of, arguments if fixed else arguments[:1] or (Any,)))

    def check(value: Any, depth: int) -> Fault | None:
        if depth > _DEEPEST or not isinstance(value, (origin, list, tuple)) or isinstance(value, (str, bytes)):
            return _too_deep if depth > _DEEPEST else _not("a list", value)
        if fixed and len(checks) != len(value):
            return _not(plural(len(checks), "value"), value)
        for number, each in enumerate(value):
            fault = checks[number if fixed else 0](each, depth + 1)
            if fault is not None:
                return _at(number, fault)
        return None

    return check


def _check_number(expected: type) -> Check:
    kinds, wanted = (int, "a whole number") if expected is int else ((int, float), "a number")

    def check(value: Any, _: int) -> Fault | None:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return _not(wanted, value)
        if abs(value) < _LARGEST:
            return None if isinstance(value, kinds) else _not(wanted, value)
        return lambda path: f"{path or _WHOLE} is out of range"  # also NaN

    return check


def _check_fields(value: Any, depth: int) -> Fault | None:
    if depth > _DEEPEST:
        return _too_deep
    kind: Any = type(value)
    for name, check in _checks_of_fields(kind):
        fault = check(getattr(value, name), depth + 1)
        if fault is not None:
            return _below(name, fault)
    return None


@lru_cache(maxsize=256)
def _checks_of_fields(kind: Any) -> tuple[tuple[str, Check], ...]:
    try:
        known = typing.get_type_hints(kind)
    except NameError:  # a type imported only for type checkers
        return ()
    return tuple((each.name, _check_of(known[each.name])) for each in dataclasses.fields(kind) if each.name in known)


_WHOLE = "the value"
_NAMES: Mapping[type, str] = {str: "a text", bool: "true or false", type(None): "nothing", bytes: "bytes"}
_KINDS: Mapping[type, str] = {
    str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null", list: "a list", tuple: "a list",
    dict: "a mapping",
}  # fmt: skip


def _not(wanted: str, value: object) -> Fault:
    return lambda path: f"{path or _WHOLE} is {_KINDS.get(type(value)) or f'a {type(value).__name__}'}, not {wanted}"


def _too_deep(path: str) -> str:
    return f"{path or _WHOLE} is nested too deeply"


def _below(name: object, fault: Fault) -> Fault:
    shown = str(name)[:_LONGEST]
    return lambda path: fault(f"{path}.{shown}" if path else shown)


def _at(number: int, fault: Fault) -> Fault:
    return lambda path: fault(f"{path}[{number}]")


def _of_key(fault: Fault) -> Fault:
    return lambda path: fault(f"a key of {path or _WHOLE}")
