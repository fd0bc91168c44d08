"""``remediate example.flags``: a command of this distribution."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from remediation.model.plugin import Plugin, PluginCommand, option, required


@dataclass(slots=True, kw_only=True)
class Flags:
    """The options of the command."""

    folder: str = required("The folder to search.")
    count: bool = option("Print the number of flags only.", default=False)


def flags(options: Flags) -> int:
    """List the maintenance flags below a folder of this machine."""
    found = sorted(Path(options.folder).rglob("maintenance"))
    sys.stdout.write(f"{len(found)}\n" if options.count else "".join(f"{path}\n" for path in found))
    return 0


PLUGIN = Plugin((PluginCommand("flags", Flags, flags),))
