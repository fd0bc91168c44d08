"""Commands and hosts from other distributions: those that the entry-point group ``remediation.plugins`` names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

from invoke.collection import Collection

from remediation.cli.task import task
from remediation.model.errors import UsageError
from remediation.model.plugin import GROUP, Plugin

INSTALL = {"lab": "pip install ./lab"}
"""Our own plugins, and what installs each from the checkout that this program comes from."""


@cache
def plugins() -> Mapping[str, Plugin]:
    """Return the installed plugins by name. One that cannot be loaded is a warning: the rest of the program works without it."""
    from importlib.metadata import entry_points

    found: dict[str, Plugin] = {}
    for entry in entry_points(group=GROUP):
        try:
            plugin = entry.load()
            if not isinstance(plugin, Plugin):
                raise TypeError(f"{entry.value} is not a Plugin")  # noqa: TRY301 - told as every other reason
        except Exception as error:  # noqa: BLE001 - whatever the import of foreign code raises
            sys.stderr.write(f"warning: the plugin {entry.name} cannot be loaded: {type(error).__name__}: {error}\n")
        else:
            found[entry.name] = plugin
    return dict(sorted(found.items()))


def plugin(name: str, needed_by: str) -> Plugin:
    """Return a plugin. Raises `UsageError`, which says how to install it."""
    if name not in plugins():
        raise not_installed(name, needed_by)
    return plugins()[name]


def not_installed(name: str, needed_by: str) -> UsageError:
    """Return the error for something that a missing plugin would provide."""
    return UsageError(
        f"{needed_by} needs the distribution remediation-{name}, which is not installed here",
        next_step=f"in the checkout: {INSTALL.get(name, f'pip install remediation-{name}')}",
    )


def add_commands(namespace: Collection) -> None:
    """Put the plugins' commands into `namespace`, each under its plugin's name."""
    for name, each in plugins().items():
        if each.commands:
            namespace.add_collection(Collection(name, *map(task, each.commands)))
