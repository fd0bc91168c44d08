"""Commands and hosts from other distributions, discovered by the entry-point group ``remediation.plugins``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

from invoke.collection import Collection

from remediation.cli.task import task
from remediation.model.errors import UsageError
from remediation.model.plugin import GROUP, Plugin

INSTALL = {"lab": "pip install ./lab"}
"""The project's own plugins, and the command that installs each from a checkout."""


@cache
def plugins() -> Mapping[str, Plugin]:
    """Return the installed plugins by name. A plugin that fails to load causes a warning; the rest of the program still works."""
    from importlib.metadata import entry_points

    found: dict[str, Plugin] = {}
    for entry in entry_points(group=GROUP):
        try:
            plugin = entry.load()
            if not isinstance(plugin, Plugin):
                raise TypeError(f"{entry.value} is not a Plugin")  # noqa: TRY301 - reported like every other failure
        except Exception as error:  # noqa: BLE001 - importing foreign code can raise anything
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
    """Return the error for a feature of a missing plugin."""
    return UsageError(
        f"{needed_by} needs the distribution remediation-{name}, which is not installed here",
        next_step=f"in the checkout: {INSTALL.get(name, f'pip install remediation-{name}')}",
    )


def add_commands(namespace: Collection) -> None:
    """Add the plugins' commands to `namespace`, each under its plugin's name."""
    for name, each in plugins().items():
        if each.commands:
            namespace.add_collection(Collection(name, *map(task, each.commands)))
