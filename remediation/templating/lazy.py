"""Mappings whose values are evaluated on use, so that one invalid value does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from jinja2 import Undefined

from remediation.templating.yaml.located import Rows, Table, Text, has_template

Evaluate = Callable[[Any], Any]


class Omitted:
    """The value of ``omit``: a parameter, item or entry with this value is left out."""

    def __repr__(self) -> str:
        return "omit"


OMIT = Omitted()


class LazyTable(dict[Any, Any]):
    """A `Table` whose values are evaluated when they are read, one level at a time."""

    def __init__(self, raw: Mapping[Any, Any], evaluate: Evaluate) -> None:
        super().__init__(raw)
        self._evaluate = evaluate

    def __getitem__(self, key: object) -> Any:
        return self._evaluate(super().__getitem__(key))

    def get(self, key: object, default: Any = None) -> Any:
        """Return the evaluated value of `key`."""
        return self[key] if key in self else default  # noqa: SIM401 - this implements get

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__()

    def keys(self) -> KeysView[Any]:  # type: ignore[override]
        """Return the keys."""
        return KeysView(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """Return the values, evaluated as they are read."""
        return ValuesView(self)

    def items(self) -> ItemsView[Any, Any]:  # type: ignore[override]
        """Return the pairs, evaluated as they are read."""
        return ItemsView(self)

    def copy(self) -> dict[Any, Any]:
        """Return an evaluated copy."""
        return dict(self.items())

    def __eq__(self, other: object) -> bool:
        return self.copy() == other

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self.copy())


def lazily(value: Any, evaluate: Evaluate) -> Any:
    """Return `value` with its templates evaluated on reading."""
    if isinstance(value, Text):
        return evaluate(value) if value.template else str(value)
    if not has_template(value):
        return value
    if isinstance(value, Table):
        return LazyTable(value, evaluate)
    if isinstance(value, Rows):
        return [evaluate(item) for item in value]
    return value


def materialize(value: Any) -> Any:
    """Return `value` as built-in types with everything evaluated. Raises for an undefined value inside."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - Jinja's lenient undefined values (`1 if false`) would otherwise become empty text
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {materialize(key): materialize(item) for key, item in value.items() if item is not OMIT}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # of groupby: prints as a tuple, as in Ansible
        return tuple(materialize(item) for item in value)
    if isinstance(value, (list, tuple, range, Iterator, KeysView, ValuesView, ItemsView, set, frozenset)):
        return [materialize(item) for item in value if item is not OMIT]
    if callable(value):
        raise TypeError(f"expected a value, got a function ({getattr(value, '__name__', 'unnamed')}); call it")
    return value
