"""Evaluates the templates of a user's files with the variables in scope."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from json import JSONDecodeError
from typing import Any

import jinja2

from remediation.model.errors import Place, RemediationError
from remediation.model.secrets.names import is_password
from remediation.templating.environment import ENVIRONMENT, LOOKUP_FUNCTIONS, compile_text, expression
from remediation.templating.errors import ConditionError, TemplateError, UndefinedVariable
from remediation.templating.lazy import OMIT, lazily, materialize
from remediation.templating.lookups.single import LOOKUPS, Lookup, query
from remediation.templating.yaml.loader import suggestion
from remediation.templating.yaml.located import Rows, Table, Text, place_of
from remediation.templating.yaml.secret import Secret

_MISSING = object()


class Scope(Mapping[str, Any]):
    """The variables at one point of a run, highest precedence first; values are evaluated when they are read.

    A value may refer to others, and overriding the inner one changes the outer one. Each is evaluated once per scope.
    """

    def __init__(self, layers: Sequence[Mapping[str, Any]], lookups: Mapping[str, Lookup] = LOOKUPS) -> None:
        self._layers = tuple(layers)
        self._lookups = lookups
        self._values: dict[str, Any] = {}
        self._open: list[str] = []

    def raw(self, name: str) -> Any:
        """Return a variable unevaluated, as written in its file. Raises KeyError."""
        for layer in self._layers:
            if name in layer:
                return layer[name]
        raise KeyError(name)

    def _raw_or_none(self, name: str) -> Any:
        return next((layer[name] for layer in self._layers if name in layer), None)

    def overlaid(self, *layers: Mapping[str, Any]) -> Scope:
        """Return a scope in which `layers` take precedence."""
        return Scope((*layers, *self._layers), self._lookups)

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        raw = next((layer[name] for layer in self._layers if name in layer), _MISSING)
        if raw is _MISSING:
            return self._builtin(name)
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise TemplateError(f"the variable {name!r} refers to itself: {circle}", place=place_of(raw))
        self._open.append(name)
        try:
            value = lazily(raw, self.evaluate)
        finally:
            self._open.pop()
        if type(value) in {list, dict}:  # no template may change a variable in place
            value = Rows(value) if isinstance(value, list) else Table(value)
        if is_password(name) and isinstance(value, (str, int, float)):
            value = Secret(str(value))
        self._values[name] = value
        return value

    def _builtin(self, name: str) -> Any:
        if name in LOOKUP_FUNCTIONS:
            return query(self._lookups, self, wantlist=name != "lookup")
        if name == "omit":
            return OMIT
        if name == "vars":
            return self
        return ENVIRONMENT.globals[name]

    def __contains__(self, name: object) -> bool:
        if any(name in layer for layer in self._layers):
            return True
        return name in LOOKUP_FUNCTIONS or name in {"omit", "vars"} or name in ENVIRONMENT.globals

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for layer in self._layers for name in layer))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def evaluate(self, value: Any) -> Any:
        """Return `value` with its templates evaluated on reading; an undefined variable raises only when used."""
        if isinstance(value, Text):
            if not value.template:
                return str(value)
            try:
                return _call_guarded(partial(_evaluate_text, str(value)), self, value, value.place)
            except UndefinedVariable as error:
                return ENVIRONMENT.undefined(hint=str(error.message), exc=_carrier(error))
        return lazily(value, self.evaluate)

    def render(self, value: Any) -> Any:
        """Return `value` as built-in types with all templates evaluated. Raises `TemplateError` with its position."""
        if isinstance(value, Text) and value.template:
            result = _call_guarded(partial(_evaluate_text, str(value)), self, value, value.place)
            return _call_guarded(lambda _names: materialize(result), self, value, value.place)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, (Table, dict)):
            rendered = {self.render(key): self.render(item) for key, item in value.items()}
            return {key: item for key, item in rendered.items() if item is not OMIT}
        if isinstance(value, (Rows, list, tuple)):
            return [item for item in map(self.render, value) if item is not OMIT]
        if isinstance(value, jinja2.Undefined):
            return _call_guarded(lambda _names: str(value), self, "a value", None)  # raises and names the variable
        return value

    def expression(self, text: str, place: Place | None = None) -> Any:
        """Return the value of an expression without braces. Raises `TemplateError`."""
        place = place or place_of(text)
        value = _call_guarded(lambda names: expression(str(text))(names), self, text, place)  # noqa: PLW0108 - compiling can fail too
        return _call_guarded(lambda _names: materialize(value), self, text, place)

    def conditions(self, value: Any) -> Sequence[Any]:
        """Return the conditions that a value of ``assert`` has, which may be a template of a variable with a list of them."""
        named = _INDIRECT.match(value) if isinstance(value, Text) else None
        inner = self._raw_or_none(named[1]) if named else None
        given = inner if isinstance(inner, Rows) else value
        return given if isinstance(given, list) else [given]

    def condition(self, value: Any, place: Place | None = None) -> bool:
        """Return whether a condition is true; a list is true if all of its parts are, evaluated up to the first false one.

        Raises `ConditionError` for a result that is neither true nor false, as ansible-core 2.19 does.
        """
        if isinstance(value, list):
            return all(self.condition(part, place_of(part) or place_of(value) or place) for part in value)
        place = place_of(value) or place
        result: Any = value
        if isinstance(value, str):
            indirect = _INDIRECT.match(value)
            if indirect and isinstance(inner := self._raw_or_none(indirect[1]), Text):
                return self.condition(inner, place)
            result = self.render(value) if isinstance(value, Text) and only_template(value) else self.expression(value, place)
        if isinstance(result, bool):
            return result
        shown = result if isinstance(result, Secret) else repr(result)
        raise ConditionError(
            f"the condition {str(value)!r} is {shown} ({_kind(result)}), neither true nor false",
            next_step="compare it (x == 1), or convert it: x | bool",
            place=place,
        )


def only_template(text: str) -> bool:
    """Return whether a text begins and ends with Jinja2's delimiters; another condition is an expression, though it holds some."""
    stripped = text.strip()
    ends = ("}}", "%}", "#}")
    return stripped.startswith(("{{", "{%", "{#")) and (stripped.endswith(ends) or not any(end in stripped for end in ends))


_INDIRECT = re.compile(r"^\s*\{\{\s*([A-Za-z_]\w*)\s*\}\}\s*$")
"""A template of one variable, which may contain a condition (``when: "{{ is_ready }}"``)."""


def _kind(value: object) -> str:
    kinds = {str: "text", int: "a number", float: "a number", dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), type(value).__name__)


class _Carried(jinja2.UndefinedError):
    """An undefined variable inside a value that is used elsewhere; keeps its own position."""

    origin: UndefinedVariable


def _carrier(origin: UndefinedVariable) -> type[jinja2.UndefinedError]:
    class Carried(_Carried):
        pass

    Carried.origin = origin
    return Carried


def _evaluate_text(text: str, names: Mapping[str, Any]) -> Any:
    """Return the value of a template; compiling it can fail too."""
    return compile_text(text)(names)


def _call_guarded(function: Callable[[Mapping[str, Any]], Any], names: Scope, text: object, place: Place | None) -> Any:
    """Call `function` with the names; every exception of an expression becomes a `TemplateError` with its position."""
    try:
        return function(names)
    except RemediationError as error:
        error.place = error.place or place
        raise
    except _Carried as error:
        raise error.origin from None
    except jinja2.UndefinedError as error:
        raise UndefinedVariable(
            f"{error.message} in {_excerpt(text)}", next_step=_nearest(error.message, names), place=place
        ) from None
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(_invalid(error, text), place=place) from None
    except jinja2.TemplateError as error:
        raise TemplateError(f"{error.message} in {_excerpt(text)}", place=place) from None
    except RecursionError:
        raise TemplateError(f"{_excerpt(text)} refers to itself", place=place) from None
    except Exception as error:  # noqa: BLE001 - filters and operators in the user's expression can raise anything
        raise TemplateError(f"{_error_text(error)} in {_excerpt(text)}", place=place) from None


def _error_text(error: Exception) -> str:
    """Return an exception of an expression in words; the classes of Python say nothing to the author of a playbook."""
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    if isinstance(error, JSONDecodeError):
        return f"invalid JSON: {error}"
    if isinstance(error, KeyError):
        return f"there is no key {error}"
    spoken = isinstance(error, (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)) and str(error)
    return str(error) if spoken else f"{type(error).__name__}: {error}".removesuffix(": ")


_UNDEFINED = re.compile(r"^'(\w+)' is undefined$")


def _nearest(message: str | None, names: Scope) -> str:
    """Return a suggestion for an undefined variable from its error message."""
    found = _UNDEFINED.match(message or "")
    return suggestion(found[1], names).removeprefix("; ") if found else ""


def flaw(text: Text, *, bare: bool = False) -> str:
    """Return the syntax error of a template, "" if it has none. `bare`: an expression without braces."""
    try:
        (expression if bare and not only_template(text) else compile_text)(str(text))
    except jinja2.TemplateSyntaxError as error:
        return _invalid(error, text)
    except jinja2.TemplateError:
        return ""  # reported where it is used
    return ""


def _invalid(error: jinja2.TemplateSyntaxError, text: object) -> str:
    return f"invalid template: {str(error.message).rstrip('.')}, in {_excerpt(text)}"


LONGEST = 120


def _excerpt(text: object) -> str:
    shown = " ".join(str(text).split())
    return repr(shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…")
