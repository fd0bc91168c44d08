"""Checks that readers return the types they declare, for any answer of a host.

Readers parse replies without checking their shape. An unexpected shape (a missing field, a list instead of a string) becomes
`Unreadable`, which names the problem, so that callers can continue without that part of the host.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, TypeVar

from remediation.facets.snapshot import Snapshot
from remediation.model.errors import RemediationError, Unreadable
from remediation.model.text.shape import check_shape, explain_error, mismatch

_log = logging.getLogger(__name__)
_TRIFLE = 0.001
"""Seconds below which a reader answered from what was read before; that is not logged."""

Reading = TypeVar("Reading", bound=type[Any])
Function = TypeVar("Function", bound=Callable[..., Any])

_NEXT = "check the host's answer; if it is correct, report this as a bug"


class SnapshotReader:
    """Base of what reads or changes a host through one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot


def checked(facet: str) -> Callable[[Reading], Reading]:
    """Check the return values of a class's public methods. The class has a ``_snapshot``; `facet` names it in errors."""

    def of(cls: Reading) -> Reading:
        for name, method in list(vars(cls).items()):
            if not name.startswith("_") and inspect.isfunction(method) and not inspect.isgeneratorfunction(method):
                setattr(cls, name, _check(method, f"{facet}.{name}", attrgetter("_snapshot")))
        return cls

    return of


def checked_function(facet: str) -> Callable[[Function], Function]:
    """Check the return value of a function that reads a host. Its first argument is the snapshot; `facet` names it in errors."""

    def of(function: Function) -> Function:
        return _check(function, f"{facet}.{function.__name__}", lambda snapshot: snapshot)  # type: ignore[return-value]  # the same signature

    return of


@contextmanager
def readable_error(host: Callable[[], str], what: str) -> Iterator[None]:
    """Convert an error caused by an unexpected answer into `Unreadable`. `what` names the request."""
    try:
        yield
    except (RemediationError, MemoryError):
        raise
    except Exception as error:  # an answer of unexpected form can break any conversion
        name = host()
        _log.warning("%s: the answer to %s cannot be read", name, what, exc_info=True)
        raise Unreadable(
            f"{name}: cannot parse the answer to {what}: {explain_error(error)}", host=name, next_step=_NEXT
        ) from error  # fmt: skip


def _check(function: Callable[..., Any], what: str, snapshot_of: Callable[[Any], Snapshot]) -> Callable[..., Any]:
    @functools.wraps(function)
    def read(first: Any, *arguments: Any, **named: Any) -> Any:
        snapshot = snapshot_of(first)
        with readable_error(lambda: str(snapshot.host), what), _log_duration(snapshot, what):
            return _of_its_types(function(first, *arguments, **named), function)

    return read


@contextmanager
def _log_duration(look: Any, what: str) -> Iterator[None]:
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
    odd = mismatch(value, _return_type(function)) or check_shape(value)
    if odd is not None:
        raise TypeError(odd)
    return value


@functools.cache
def _return_type(function: Callable[..., Any]) -> Any:
    """Return a function's declared return type, or `Any` if it names a type imported for type checkers only."""
    try:
        return typing.get_type_hints(function).get("return", Any)
    except NameError:
        return Any
