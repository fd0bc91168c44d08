"""Finds modules by name. A module's code is imported when a playbook names it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from remediation.model.errors import UsageError

if TYPE_CHECKING:
    from remediation.modules.contract import Module

GROUP = "remediation.modules"
"""The entry-point group of other distributions' modules: a name, and the class."""

COLLECTIONS = ("ansible.builtin.", "ansible.legacy.", "ansible.windows.", "community.windows.")

WINDOWS = "ansible.windows."
_SHARED = frozenset({"slurp"})
"""Modules without ``win_`` that `WINDOWS` has too."""

MODULES: Mapping[str, str] = {
    "assemble": "files.transfers:Assemble",
    "async_status": "commands.jobs:AsyncStatus",
    "blockinfile": "files.edits:Blockinfile",
    "command": "commands.programs:Command",
    "copy": "files.copies:Copy",
    "fetch": "files.transfers:Fetch",
    "file": "files.states:FileState",
    "find": "files.searching:Find",
    "get_url": "web:GetUrl",
    "lineinfile": "files.edits:Lineinfile",
    "pause": "waiting:Pause",
    "ping": "waiting:Ping",
    "raw": "commands.programs:Raw",
    "reboot": "waiting:Reboot",
    "replace": "files.edits:Replace",
    "script": "commands.programs:Script",
    "service": "services:PosixService",
    "set_stats": "run_stats:SetStats",
    "shell": "commands.programs:Shell",
    "slurp": "files.stats:Slurp",
    "stat": "files.stats:Stat",
    "systemd": "services:Systemd",
    "systemd_service": "services:Systemd",
    "tempfile": "files.transfers:Tempfile",
    "template": "files.copies:Template",
    "uri": "web:Uri",
    "validate_argument_spec": "argument_specs:ValidateArgumentSpec",
    "wait_for_connection": "waiting:WaitForConnection",
    "win_command": "commands.programs:WinCommand",
    "win_copy": "files.copies:WinCopy",
    "win_file": "files.states:WinFile",
    "win_ping": "waiting:Ping",
    "win_powershell": "commands.powershell:WinPowershell",
    "win_reboot": "waiting:Reboot",
    "win_service": "services:WinService",
    "win_shell": "commands.programs:WinShell",
    "win_stat": "files.stats:WinStat",
    "win_tempfile": "files.transfers:WinTempfile",
    "win_template": "files.copies:WinTemplate",
    "win_uri": "web:WinUri",
}
"""Module and class of each module below `remediation.modules`."""


def short_name(name: str) -> str:
    """Return the short name of one of Ansible's modules that is known here; other names stay."""
    head = next((each for each in COLLECTIONS if name.startswith(each)), "")
    short = name[len(head) :]
    if not head or short not in MODULES:
        return name
    windows = short.startswith("win_")
    return short if ("windows" in head) == windows or (head == WINDOWS and short in _SHARED) else name


def is_module(name: str) -> bool:
    """Return whether a module has this name. Other distributions are searched only for names that are not Ansible's."""
    return short_name(name) in MODULES or name in _others()


@cache
def module_class(name: str) -> type[Module]:
    """Return the class of a module. Raises `UsageError` if another distribution's cannot be loaded."""
    short = short_name(name)
    if short in MODULES:
        module, _, cls = MODULES[short].partition(":")
        found: type[Module] = getattr(import_module(f"remediation.modules.{module}"), cls)
        return found
    return _load_module(name, _others()[name])


def module_names() -> tuple[str, ...]:
    """Return the names of all modules."""
    return (*MODULES, *_others())


@cache
def _others() -> Mapping[str, Any]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load_module(name: str, entry: Any) -> type[Module]:
    from remediation.modules.contract import Module

    where = f"the module {name} of the distribution {entry.dist.name if entry.dist else '(unknown)'}"
    try:
        found = entry.load()
    except Exception as error:  # importing foreign code can raise anything
        raise UsageError(
            f"{where} cannot be loaded: {type(error).__name__}: {error}", next_step="correct or remove that distribution"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Module)):
        raise UsageError(f"{where} is not a Module", next_step="see docs/extending.md")
    return found
