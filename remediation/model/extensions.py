"""Entry points by which other distributions extend the program."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from remediation.model.errors import UsageError


@cache
def extension_names(group: str) -> tuple[str, ...]:
    """Return the names that installed distributions register under an entry-point group, in order."""
    return tuple(sorted({entry.name for entry in _metadata().entry_points(group=group)}))


def load_extension(group: str, name: str) -> Any:
    """Return the object that an entry point names; raises `UsageError` for one that cannot be loaded, and for a name given twice."""
    found = {entry.value: entry for entry in _metadata().entry_points(group=group) if entry.name == name}
    if len(found) > 1:
        raise UsageError(f"{name!r} of {group} is claimed by {' and '.join(sorted(found))}", next_step="uninstall one of them")
    try:
        (entry,) = found.values()
        return entry.load()
    except Exception as error:  # importing foreign code can raise anything
        raise load_error(group, name, error) from error


def load_error(group: str, name: str, error: Exception) -> UsageError:
    """Return the error for an extension that cannot be loaded."""
    return UsageError(
        f"the extension {name!r} of {group} cannot be loaded: {type(error).__name__}: {error}",
        next_step="mend or uninstall the distribution that brings it",
    )


def _metadata() -> Any:
    return import_module("importlib.metadata")  # a tenth of a short start, and most starts need none of it
