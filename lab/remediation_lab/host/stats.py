"""What is at a path of a simulated Windows host: its kind, size, times, owner and version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remediation_lab.wire import Json
from remediation_lab.world import booting, rights
from remediation_lab.world.state import normal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

ROOTS = {"c:\\", "c:\\users", "c:\\programdata", "c:\\windows"}
"""Folders that are always there, in lower case."""


def home(user: str) -> str:
    r"""Return the profile folder of a user, ``DOMAIN\\NAME`` or ``NAME``."""
    return f"C:\\Users\\{user.rpartition(chr(92))[2]}"


def stat(machine: Machine, path: str, session: int = 0) -> dict[str, Json]:
    """Return what is at a path. In a `session` over 0, a program may see what the desktop's user may."""
    files, version = machine.files, _installed(machine).get(normal(path))
    user, booted = machine.state.login.desktop_user, machine.state.booted
    own = session > 0 and user is not None and normal(path).startswith(normal(home(user)) + "\\")
    size = 1 << 20 if version is not None else files.size(path)
    there = size is not None or files.folder(path) or normal(path) in ROOTS
    return {
        "kind": "file" if size is not None else "folder" if there else None,
        "size": size or 0,
        "created": booted,
        "modified": (booted if version is not None else files.modified(path)) if there else 0,
        "owner": rights.OWNER if there else None,
        "version": version,
        "closed": rights.closed(machine.state, path) and not own,
    }


def _installed(machine: Machine) -> dict[str, str]:
    """Return the programs that are installed, with their versions."""
    state, found = machine.state, {}
    if state.card.installed:
        found["C:\\Windows\\System32\\nvidia-smi.exe"] = state.card.driver
    if state.engine.desktop is not None:
        found[f"{booting.DOCKER}{booting.DESKTOP}"] = state.engine.desktop
        found[f"{booting.DOCKER}resources\\bin\\docker.exe"] = state.engine.version
    if state.setup.wsl_version is not None:
        found["C:\\Program Files\\WSL\\wsl.exe"] = state.setup.wsl_version
    return {normal(path): version for path, version in found.items()}
