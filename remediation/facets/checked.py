"""What a reader returns has the types that it declares, whatever the host answered.

Readers take replies apart as if they were right. An answer of another shape (a field that is missing, a list in the place of a text)
becomes a `Unreadable` here that names what is odd, so that whoever reads the host goes on without that part of it.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from remediation.model.errors import RemediationError, Unreadable
from remediation.model.text.shape import check_shape, explain_error, mismatch

_log = logging.getLogger(__name__)
_TRIFLE = 0.001
"""Seconds below which a reader answered from what was read before; that is not logged."""

Reading = TypeVar("Reading", bound=type[Any])
Function = TypeVar("Function", bound=Callable[..., Any])

_NEXT = "look at what the host answers; if that is right, report this"


def checked(facet: str) -> Callable[[Reading], Reading]:
    """Check what each public method of a reader (or writer) returns; for a class with the look as ``_snapshot``. `facet` names it in errors."""

    def of(cls: Reading) -> Reading:
        for name, method in list(vars(cls).items()):
            if not name.startswith("_") and inspect.isfunction(method) and not inspect.isgeneratorfunction(method):
                setattr(cls, name, _checked(method, f"{facet}.{name}"))
        return cls

    return of


def checked_function(facet: str) -> Callable[[Function], Function]:
    """Check what a function returns that reads a host; its first argument is the look. `facet` names it in errors."""

    def of(function: Function) -> Function:
        @functools.wraps(function)
        def read(look: Any, *arguments: Any, **named: Any) -> Any:
            with readable_error(lambda: str(look.host), f"{facet}.{function.__name__}"):
                return _of_its_types(function(look, *arguments, **named), function)

        return read  # type: ignore[return-value]  # the same signature

    return of


@contextmanager
def readable_error(host: Callable[[], str], what: str) -> Iterator[None]:
    """Turn what an odd answer leads to into `Unreadable`; `what` names the question."""
    try:
        yield
    except (RemediationError, MemoryError):
        raise
    except Exception as error:
        name = host()
        _log.warning("%s: the answer to %s cannot be read", name, what, exc_info=True)
        raise Unreadable(
            f"{name}: the answer to {what} cannot be read: {explain_error(error)}", host=name, next_step=_NEXT
        ) from error  # fmt: skip


def _checked(method: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def read(self: Any, *arguments: Any, **named: Any) -> Any:
        with readable_error(lambda: str(self._snapshot.host), what), _timed(self._snapshot, what):
            return _of_its_types(method(self, *arguments, **named), method)

    return read


@contextmanager
def _timed(look: Any, what: str) -> Iterator[None]:
    """Log how long a reader or writer took; that includes calls by a library on this machine (Docker SDK, NVML)."""
    if not _log.isEnabledFor(logging.DEBUG):
        yield
        return
    begun = time.monotonic()
    how = "failed"
    try:
        yield
        how = "read"
    finally:
        seconds = time.monotonic() - begun
        if seconds >= _TRIFLE or how == "failed":
            _log.debug("%s: %s %s in %.3f s", look.host, what, how, seconds)


def _of_its_types(value: Any, function: Callable[..., Any]) -> Any:
    odd = mismatch(value, _returned(function)) or check_shape(value)
    if odd is not None:
        raise TypeError(odd)
    return value


@functools.cache
def _returned(function: Callable[..., Any]) -> Any:
    """Return the type that a function declares to return; where it names one that is imported for type checkers alone, any."""
    try:
        return typing.get_type_hints(function).get("return", Any)
    except NameError:
        return Any
