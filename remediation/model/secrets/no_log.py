"""Whether the thread is carrying out a task with ``no_log``: log records made meanwhile show none of the task's values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_active: ContextVar[bool] = ContextVar("no_log", default=False)


def no_log_is_active() -> bool:
    """Return whether a task with ``no_log`` is being carried out."""
    return _active.get()


@contextmanager
def no_log(*, active: bool) -> Iterator[None]:
    """Carry out a task within the context. Tasks inside a task with ``no_log`` are hidden too."""
    token = _active.set(active or _active.get())
    try:
        yield
    finally:
        _active.reset(token)
