"""Finds the registered steps: all `Step` subclasses in the packages of the entry-point group ``remediation.steps``."""

from __future__ import annotations

import difflib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediation.steps.contract import Step

GROUP = "remediation.steps"


@cache
def registry() -> Mapping[str, type[Step[Any]]]:
    """Return all steps by name, sorted.

    Raises `UsageError` for a package that cannot be loaded, an incomplete step, and a name that two packages define.
    """
    from importlib.metadata import entry_points

    from remediation.model.errors import UsageError
    from remediation.model.extensions import load_error

    found: dict[str, type[Step[Any]]] = {}
    for entry in entry_points(group=GROUP):
        try:
            classes = list(_steps_of(entry.load()))
        except Exception as error:  # importing foreign code can raise anything
            raise load_error(GROUP, entry.name, error) from error
        for cls in classes:
            if missing := getattr(cls, "__abstractmethods__", None):
                raise UsageError(
                    f"the step {cls.name!r} of {cls.__module__} lacks {', '.join(sorted(missing))}",
                    next_step="define what docs/extending.md lists, or uninstall the distribution",
                )
            if found.setdefault(cls.name, cls) is not cls:
                raise UsageError(
                    f"the step {cls.name!r} is defined by {found[cls.name].__module__} and {cls.__module__}",
                    next_step="uninstall one of the two distributions",
                )
    return dict(sorted(found.items()))


def nearest(name: str) -> str | None:
    """Return the most similar registered step name, or None."""
    return next(iter(difflib.get_close_matches(name, registry(), n=1)), None)


def _steps_of(package: ModuleType) -> Iterator[type[Step[Any]]]:
    from remediation.steps.contract import Step

    modules = [package]
    if hasattr(package, "__path__"):
        modules += [import_module(info.name) for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    for module in modules:
        # test the metaclass: in Python 3.10, inspect.isclass accepts aliases such as list[str]
        for _, cls in inspect.getmembers(module, lambda member: isinstance(member, type(Step))):
            if issubclass(cls, Step) and cls.name and cls.__module__ == module.__name__:
                yield cls
