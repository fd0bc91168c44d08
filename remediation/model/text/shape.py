"""Checks that external data has the shape of its declared type, once, when it is read.

Hosts and files may return anything. `mismatch` names the first part of a value that does not have the declared type;
`explain_error` describes an exception of reading such a value in a few words.

Nearly all values match, and there are many of them: each type is compiled to a test once (`_test_of`). A value that fails its test is
walked again for the name of the part.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from remediation.model.errors import UsageError
from remediation.model.text.visible import brief
from remediation.model.text.words import plural

ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, AssertionError)
"""The exceptions of code that reads a value of an unexpected shape."""

_LONGEST = 80
_DEEPEST = 20
_LARGEST = 1 << 63


def mismatch(value: object, expected: Any, path: str = "") -> str | None:
    """Return the first part of `value` that does not match the type `expected`; None if all matches."""
    return None if _test_of(expected)(value, 0) else _mismatch(value, expected, path, 0)


def _mismatch(value: object, expected: Any, path: str, depth: int) -> str | None:
    where = path or "the value"
    if depth > _DEEPEST:
        return f"{where} is nested too deeply"
    origin = typing.get_origin(expected)
    if origin in {typing.Union, types.UnionType}:
        found = [_mismatch(value, each, path, depth) for each in typing.get_args(expected)]
        return None if None in found else next((each for each in found if each and not each.startswith(f"{where} is ")), found[0])
    if origin is typing.Literal:
        return None if value in typing.get_args(expected) else _not(where, "one of the known values", value)
    if isinstance(origin, type):
        return _container(value, origin, typing.get_args(expected), path, depth)
    if dataclasses.is_dataclass(expected) and isinstance(value, expected):  # type: ignore[arg-type]  # a class
        return _dataclass(value, path, depth)
    return _plain(value, expected, where)


def check_shape(value: object, path: str = "") -> str | None:
    """Return the first part of `value` that does not match the declarations of the dataclasses in it; None if all matches."""
    return None if _is_well_shaped(value) else _unexpected_part(value, path)


def _unexpected_part(value: object, path: str) -> str | None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dataclass(value, path, 0)
    if isinstance(value, Mapping):
        return _first(_unexpected_part(each, _below(path, key)) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return _first(_unexpected_part(each, f"{path}[{number}]") for number, each in enumerate(value))
    return None


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


Test = Callable[[Any, int], bool]
"""Whether a value at a depth has the type. False also means that it is not certain: `_mismatch` decides."""


@lru_cache(maxsize=1024)
def _test_of(expected: Any) -> Test:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in {typing.Union, types.UnionType}:
        return _any_of(tuple(map(_test_of, arguments)))
    if origin is typing.Literal:
        return lambda value, _: value in arguments
    if isinstance(origin, type):
        return _test_of_container(origin, arguments)
    if dataclasses.is_dataclass(expected):
        return lambda value, depth: isinstance(value, expected) and _fields_fit(value, depth)  # type: ignore[arg-type]  # a class
    if expected is str or expected is bool or expected is types.NoneType:
        return lambda value, _: isinstance(value, expected)
    if expected is int:
        return lambda value, _: type(value) is int and -_LARGEST < value < _LARGEST
    return lambda value, _: _plain(value, expected, "") is None


def _any_of(tests: tuple[Test, ...]) -> Test:
    def fits(value: Any, depth: int) -> bool:
        for test in tests:  # noqa: SIM110 - a generator costs more than most tests
            if test(value, depth):
                return True
        return False

    return fits


def _test_of_container(origin: type, arguments: tuple[Any, ...]) -> Test:
    if issubclass(origin, Mapping):
        key, kind = map(_test_of, arguments or (Any, Any))
        return lambda value, depth: (
            depth < _DEEPEST
            and isinstance(value, Mapping)
            and all(key(name, depth) and kind(each, depth + 1) for name, each in value.items())
        )
    if not issubclass(origin, (Sequence, AbstractSet)) or (issubclass(origin, tuple) and Ellipsis not in arguments):
        return lambda value, depth: _container(value, origin, arguments, "", depth) is None
    fits, kinds = _test_of(arguments[0]) if arguments else _test_of(Any), (origin, list, tuple)
    return lambda value, depth: (
        depth < _DEEPEST
        and isinstance(value, kinds)
        and not isinstance(value, (str, bytes))
        and all(fits(each, depth + 1) for each in value)
    )


def _fields_fit(value: Any, depth: int) -> bool:
    if depth >= _DEEPEST:
        return False
    kind: Any = type(value)
    for name, test in _tests_of_fields(kind):  # noqa: SIM110 - a generator costs more than most tests
        if not test(getattr(value, name), depth + 1):
            return False
    return True


@lru_cache(maxsize=256)
def _tests_of_fields(kind: Any) -> tuple[tuple[str, Test], ...]:
    return tuple((name, _test_of(expected)) for name, expected in _hints(kind).items())


def _is_well_shaped(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_well_shaped(each) for each in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_well_shaped(each) for each in value)
    return isinstance(value, type) or not dataclasses.is_dataclass(value) or _fields_fit(value, 0)


def _dataclass(value: Any, path: str, depth: int) -> str | None:
    kind: Any = type(value)
    hints = _hints(kind)
    return _first(_mismatch(getattr(value, name), kind, _below(path, name), depth + 1) for name, kind in hints.items())


@lru_cache(maxsize=256)
def _hints(kind: Any) -> Mapping[str, Any]:
    try:
        known = typing.get_type_hints(kind)
    except NameError:  # a type imported only for type checkers
        return {}
    return {each.name: known[each.name] for each in dataclasses.fields(kind) if each.name in known}


def _container(value: object, origin: Any, arguments: tuple[Any, ...], path: str, depth: int) -> str | None:
    where = path or "the value"
    if issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            return _not(where, "a mapping", value)
        key, kind = arguments or (Any, Any)
        return _first(_mismatch(name, key, f"a key of {where}", depth + 1) for name in value) or _first(
            _mismatch(each, kind, _below(path, name), depth + 1) for name, each in value.items()
        )
    if not issubclass(origin, (Sequence, AbstractSet)):
        return None  # a callable or a class never comes from outside
    if not isinstance(value, (origin, list, tuple)) or isinstance(value, (str, bytes)):
        return _not(where, "a list", value)
    kinds: Sequence[Any] = arguments[:1] * len(value)
    if issubclass(origin, tuple) and Ellipsis not in arguments:
        kinds = arguments
    if len(kinds) != len(value):
        return _not(where, plural(len(kinds), "value"), value)
    pairs = enumerate(zip(value, kinds, strict=True))
    return _first(_mismatch(each, kind, f"{path}[{number}]", depth + 1) for number, (each, kind) in pairs)


def _plain(value: object, expected: Any, where: str) -> str | None:
    if expected in {Any, object} or not isinstance(expected, type) or getattr(expected, "_is_protocol", False):
        return None  # also a type variable: any value matches
    if expected is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST  # false for NaN
        return None if fits else _out_of_range(where, value) or _not(where, "a number", value)
    if expected is int:
        fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST
        return None if fits else _out_of_range(where, value) or _not(where, "a whole number", value)
    return None if isinstance(value, expected) else _not(where, _NAMES.get(expected, expected.__name__), value)


_NAMES: Mapping[type, str] = {str: "a text", bool: "true or false", type(None): "nothing", bytes: "bytes"}


def _out_of_range(where: str, value: object) -> str:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and not abs(value) < _LARGEST
    return f"{where} is out of range" if known else ""


def _not(where: str, wanted: str, value: object) -> str:
    return f"{where} is {_KINDS.get(type(value)) or f'a {type(value).__name__}'}, not {wanted}"


_KINDS: Mapping[type, str] = {
    str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null", list: "a list", tuple: "a list",
    dict: "a mapping",
}  # fmt: skip


def _below(path: str, name: object) -> str:
    shown = str(name)[:_LONGEST]
    return f"{path}.{shown}" if path else shown


def _first(found: Iterator[str | None]) -> str | None:
    return next((each for each in found if each is not None), None)
