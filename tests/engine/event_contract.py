"""Compares events with the types of their kinds (`remediation.model.event_data`)."""

from __future__ import annotations

import functools
import typing
from collections.abc import Mapping
from typing import Any

from remediation.model.event import Event
from remediation.model.event_data import EVENT_DATA
from remediation.model.text.shape import mismatch


@functools.cache
def hints(kind: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def differs(value: object, expected: Any, where: str) -> list[str]:
    """Return what is wrong with a value, in nested typed dictionaries too."""
    if typing.is_typeddict(expected):
        if not isinstance(value, Mapping):
            return [f"{where} is no mapping"]
        names, known = set(value), hints(expected)
        found = [f"{where}.{name} is missing" for name in sorted(expected.__required_keys__ - names)]
        found += [f"{where}.{name} is not declared" for name in sorted(names - set(known))]
        return found + [
            each for name in sorted(names & set(known)) for each in differs(value[name], known[name], f"{where}.{name}")
        ]
    if typing.get_origin(expected) is list and isinstance(value, list) and typing.is_typeddict(typing.get_args(expected)[0]):
        return [each for item in value for each in differs(item, typing.get_args(expected)[0], where)]
    wrong = mismatch(value, expected, where)
    return [wrong] if wrong else []


def faults(event: Event) -> list[str]:
    """Return what in an event differs from the type of its kind."""
    return differs(event.data, EVENT_DATA[event.kind], event.kind) if event.kind in EVENT_DATA else [f"unknown kind {event.kind}"]
