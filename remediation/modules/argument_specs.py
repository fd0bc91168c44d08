"""``validate_argument_spec``: whether variables fit a specification, such as that of a role (``meta/argument_specs.yml``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from pydantic import Field

from remediation.modules.contract import Module, ModuleTask
from remediation.modules.result import ActionResult, done_result, failed_result
from remediation.templating.filters.common import type_name

Spec = Mapping[str, Any]

_TRUE = ("y", "yes", "on", "1", "true", "t")
_FALSE = ("n", "no", "off", "0", "false", "f")


class ValidateArgumentSpec(Module):
    """Fail unless variables fit a specification."""

    invoked: ClassVar[bool] = False

    local: ClassVar[bool] = True

    argument_spec: dict[str, Any] = Field(
        ..., description="the parameters by name: type, required, choices, elements, options ..."
    )
    provided_arguments: dict[str, Any] = Field(default_factory=dict, description="values; they take precedence over variables")
    validate_args_context: dict[str, Any] = Field(default_factory=dict, description="where the specification comes from")

    def run(self, task: ModuleTask) -> ActionResult:
        """Compare the variables of the specification's names with it."""
        try:
            names = {name for key, spec in self.argument_spec.items() for name in (key, *_aliases(spec))}
            values = {**{name: task.variables[name] for name in names if name in task.variables}, **self.provided_arguments}
            wrong = list(mismatches(self.argument_spec, values))
        except (AttributeError, TypeError, ValueError) as error:  # of lists and mappings in it that are neither
            return failed_result(
                f"the argument specification has a part of the wrong type: {error}", "correct it as in Ansible's documentation"
            )
        context: dict[str, Any] = {"validate_args_context": self.validate_args_context}
        if not wrong:
            return done_result(changed=False, msg="The arg spec validation passed", **context)
        return failed_result(
            "; ".join(wrong),
            "correct the variables, or the role's meta/argument_specs.yml",
            msg="\n".join(("Validation of arguments failed:", *wrong)),
            argument_errors=wrong,
            argument_spec_data=self.argument_spec,
            **context,
        )


def mismatches(spec: Spec, values: Mapping[str, Any], above: Sequence[str] = (), rules: Spec | None = None) -> Iterator[str]:
    """Yield a sentence for each value that does not fit `spec`; `rules` relate several parameters, `above` are those around them."""
    place = f" found in {' -> '.join(above)}" if above else ""
    known = {alias: name for name, entry in spec.items() for alias in _aliases(entry)}
    given = {known.get(name, name): value for name, value in values.items()}
    strange = sorted(name for name in given if name not in spec)
    if strange:
        yield f"{', '.join(strange)}{place}. Supported parameters include: {', '.join(sorted([*spec, *known]))}."
    yield from (f"{sentence}{place}" for sentence in _relations(rules or {}, given))
    missing = sorted(name for name, entry in spec.items() if _of(entry, "required") is True and name not in given)
    if missing:
        yield f"missing required arguments: {', '.join(missing)}{place}"
    for name, entry in spec.items():
        value = given.get(name)
        if value is not None:
            yield from _unfit(name, entry if isinstance(entry, Mapping) else {}, value, above)


def _unfit(name: str, entry: Spec, value: Any, above: Sequence[str]) -> Iterator[str]:
    place = f" found in {' -> '.join(above)}" if above else ""
    kind = str(entry.get("type") or "str")
    try:
        found = CONVERSIONS.get(kind, _same)(value)
    except (TypeError, ValueError) as error:
        what = type_name(value)
        yield f"argument '{name}' is of type {what}{place} and we were unable to convert to {kind}: {error}"
        return
    elements = entry.get("elements")
    if isinstance(found, list) and elements:
        try:
            found = [CONVERSIONS.get(str(elements), _same)(item) for item in found]
        except (TypeError, ValueError) as error:
            yield f"Elements value for option '{name}'{place} is of type {type_name(value)} and we were unable to convert to {elements}: {error}"
            return
    yield from (f"{sentence}{place}" for sentence in _not_chosen(name, entry.get("choices"), found))
    options = entry.get("options")
    if isinstance(options, Mapping):
        for item in found if isinstance(found, list) else [found]:
            if isinstance(item, Mapping):
                yield from mismatches(options, item, (*above, name), entry)


def _not_chosen(name: str, choices: Any, value: Any) -> Iterator[str]:
    if not isinstance(choices, (list, tuple, Mapping)):
        return
    shown = ", ".join(map(str, choices))
    if isinstance(value, list):
        others = [str(item) for item in value if item not in choices]
        if others:
            yield f"value of {name} must be one or more of: {shown}. Got no match for: {', '.join(others)}"
    elif value not in choices:
        yield f"value of {name} must be one of: {shown}, got: {value}"


def _relations(rules: Spec, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong among several parameters."""
    for names in rules.get("mutually_exclusive") or ():
        if sum(name in given for name in names) > 1:
            yield f"parameters are mutually exclusive: {'|'.join(names)}"
    for names in rules.get("required_together") or ():
        if 0 < sum(name in given for name in names) < len(names):
            yield f"parameters are required together: {', '.join(names)}"
    for names in rules.get("required_one_of") or ():
        if not any(name in given for name in names):
            yield f"one of the following is required: {', '.join(names)}"
    yield from _missing_dependents(rules, given)


def _missing_dependents(rules: Spec, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield which parameters are missing because of others."""
    for name, value, names, *some in rules.get("required_if") or ():
        lacking = [other for other in names if other not in given]
        if given.get(name) == value and lacking and (not (some and some[0]) or len(lacking) == len(names)):
            yield f"{name} is {value} but {'any' if some and some[0] else 'all'} of the following are missing: {', '.join(lacking)}"
    for name, names in (rules.get("required_by") or {}).items():
        lacking = [other for other in ([names] if isinstance(names, str) else names) if other not in given]
        if name in given and lacking:
            yield f"missing parameter(s) required by '{name}': {', '.join(lacking)}"


def _aliases(entry: Any) -> Sequence[str]:
    return [str(name) for name in _of(entry, "aliases") or ()]


def _of(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else None


def _same(value: Any) -> Any:
    return value


def _list(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return value.split(",")
    if isinstance(value, (int, float)):
        return [str(value)]
    msg = f"{type_name(value)} cannot be converted to a list"
    raise TypeError(msg)


def _dict(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str) and value.startswith("{"):
        found = json.loads(value)
        if isinstance(found, dict):
            return found
    if isinstance(value, str) and "=" in value:
        pairs = [part.strip().partition("=") for part in value.split("," if "," in value else None)]
        return {name: text for name, _, text in pairs}
    msg = "dictionary requested, could not parse JSON or key=value"
    raise TypeError(msg)


def _bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if isinstance(value, (bool, int, float, str)) and text in (*_TRUE, *_FALSE, "1.0", "0.0"):
        return text in (*_TRUE, "1.0")
    if isinstance(value, (int, float, str)):
        msg = (
            f"The value {value!r} is not a valid boolean. Valid booleans include: {', '.join(map(repr, (*_TRUE, *_FALSE, 0, 1)))}"
        )
    else:
        msg = f"{type_name(value)} cannot be converted to a bool"
    raise TypeError(msg)


def _int(value: Any) -> int:
    try:
        number = Decimal(str(int(value) if isinstance(value, bool) else value).strip())
        if number == number.to_integral_value():
            return int(number)
    except (InvalidOperation, OverflowError):
        pass
    msg = f'"{value!r}" cannot be converted to an int'
    raise TypeError(msg)


def _float(value: Any) -> float:
    if isinstance(value, (int, float, str)):
        return float(value)
    msg = f"{type_name(value)} cannot be converted to a float"
    raise TypeError(msg)


CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "bool": _bool, "dict": _dict, "float": _float, "int": _int, "list": _list, "path": str, "raw": _same, "str": _same,
}  # fmt: skip
"""What converts a value to a type; types that are not here accept any value."""
