"""``cmd.exe /d /c``: the few built-in commands that a remote run needs to make, list and remove folders."""

from __future__ import annotations

import ntpath
from typing import TYPE_CHECKING

from remediation_lab.programs import Call, Done, failed, said
from remediation_lab.wire import Refusal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

KEEPER = "~folder"
"""A file that keeps an empty folder there: in the lab a folder exists while a file lies below it."""


def cmd(machine: Machine, call: Call) -> Done:
    """Carry out one built-in command."""
    words = [word for word in call.argv[1:] if word.lower() not in {"/d", "/c", "/s", "/q", "/b"}]
    commands = {"mkdir": _make, "md": _make, "rmdir": _remove, "rd": _remove, "dir": _list}
    if len(words) != 2 or words[0].lower() not in commands:  # noqa: PLR2004 - a command and its folder
        raise Refusal("error", f"the lab's cmd.exe knows mkdir, rmdir and dir of one folder, not {' '.join(call.argv[1:])}")
    return commands[words[0].lower()](machine, ntpath.normpath(words[1]))


def _make(machine: Machine, folder: str) -> Done:
    """Make a folder and those above it; of two that try only one succeeds."""
    if not machine.files.make_folder(folder, KEEPER):
        return failed(f"A subdirectory or file {folder} already exists.\r")
    return Done(0)


def _remove(machine: Machine, folder: str) -> Done:
    if not machine.files.remove_folder(folder):
        return failed("The system cannot find the file specified.\r", rc=2)
    return Done(0)


def _list(machine: Machine, folder: str) -> Done:
    if not machine.files.folder(folder):
        return failed("File Not Found\r")
    return said("".join(f"{name}\r\n" for name in machine.files.names(folder) if name != KEEPER))
