"""Plugins: commands and inventory hosts that another distribution adds to `remediate`.

A distribution registers a `Plugin` under the entry-point group ``remediation.plugins``. The entry point's name is the group
of its commands (``lab.start``) and the inventory key that requests its hosts (``lab:``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

GROUP = "remediation.plugins"
"""The entry-point group."""


@dataclasses.dataclass(frozen=True, slots=True)
class PluginCommand:
    """A command: its name, a dataclass of its options, and a function from them to an exit code.

    ``changes`` marks a command that changes something and has no ``--check``; it refuses to run under ``--dry``. The
    function's docstring is the command's help; ``examples`` are command lines that its help shows, each with a comment (``# ...``).
    """

    name: str
    options: type[Any]
    run: Callable[[Any], int]
    changes: bool = False
    examples: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Plugin:
    """The commands of a distribution, and the function that starts the hosts an inventory requests."""

    commands: tuple[PluginCommand, ...] = ()
    start_hosts: Callable[[Mapping[str, Any]], Mapping[str, Mapping[str, Any]]] | None = None
    """Takes the value of the inventory key; returns the variables of each host by name."""
    completions: Mapping[str, Callable[[], Iterable[str]]] = dataclasses.field(default_factory=dict)
    """The values of the commands' arguments and options for shell completion, by ``COMMAND NAME``."""


def option(text: str, *, default: Any = None, short: str = "", value: str = "") -> Any:
    """Declare an option. A tuple default makes it repeatable, a bool a switch, an int a number; otherwise it takes text."""
    return dataclasses.field(default=default, metadata={"help": text, "short": short, "value": value})


def required(text: str) -> Any:
    """Declare a required, positional argument."""
    return dataclasses.field(metadata={"help": text, "short": "", "positional": True})
