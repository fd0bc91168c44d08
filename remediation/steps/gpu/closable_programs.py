"""Programs that may be closed to free VRAM, with their process trees."""

from __future__ import annotations

import ntpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Writer
from remediation.model.change import Change, Need, needs
from remediation.model.errors import CallFailed
from remediation.model.facts import Process
from remediation.model.programs import is_protected

CLOSABLE = (
    "chrome", "msedge", "firefox", "brave", "opera", "vivaldi", "discord", "slack", "teams", "ms-teams", "spotify", "steam",
    "steamwebhelper", "epicgameslauncher", "eadesktop", "nvidia share", "nvidia overlay", "widgets", "whatsapp", "telegram",
)  # fmt: skip
"""Closed by default with a close request: these programs restore their state."""

ASK_FIRST = frozenset({
    "code", "devenv", "rider64", "pycharm64", "idea64", "winword", "excel", "powerpnt", "onenote", "outlook", "photoshop",
    "illustrator", "afterfx", "adobe premiere pro", "resolve", "blender", "unity", "unrealeditor", "obs64", "zoom", "webex",
    "lm studio",
})  # fmt: skip
"""Editors, recorders and call clients that may hold unsaved work: closed only if the user names them."""

UNKNOWN_OWNER = "its owner is unknown"

_SYSTEM_OWNERS = ("system", "localsystem", "local service", "localservice", "network service", "networkservice", "root")


def why_protected(process: Process) -> str:
    """Return why a process is never closed, or "". A process without a known owner is protected."""
    if process.orphan:
        return ""  # not used by any server
    if is_protected(process.program):
        return "it belongs to the system, Docker or Ollama"
    if process.session_id == 0:
        return "it runs in session 0, where services run"
    if process.service:
        return f"it is the service {process.service}"
    if not process.owner:
        return UNKNOWN_OWNER
    if process.owner.lower().rsplit("\\", 1)[-1] in _SYSTEM_OWNERS:
        return f"it belongs to {process.owner}"
    if process.path and ntpath.splitdrive(process.path)[1].lower().startswith("\\windows\\"):
        return "its executable is in the Windows folder"
    return ""


@dataclass(frozen=True, slots=True)
class Tree:
    """A program with all its child processes. It is closed as a whole, because a browser restarts its GPU process.

    ``vram`` is the sum of the known amounts, ``unknown`` the number of processes without one. ``window`` means that at least one
    process has a window.
    """

    root: Process
    members: tuple[Process, ...]
    vram: int
    unknown: int
    window: bool

    @property
    def name(self) -> str:
        """The program's name as reported by the host."""
        return self.root.name


def close_change(tree: Tree, *, force: bool, asks: str = "", **more: Any) -> Change:
    """Return the change that closes a program. One with a window asks for consent; `asks` is added to that."""
    return Change(
        f"close {tree.name}{', killing it if it does not close' if force else ''}",
        subject=tree.root.key,
        needs=needs(Need.DESKTOP) if tree.window and not force else needs(),
        asks=f"closes a window of {tree.name}{asks}" if tree.window else "",
        data={"name": tree.name, "frees": tree.vram},
        **more,
    )


def close_program(host: Writer, change: Change, *, grace: float, force: bool, instead: str = "") -> None:
    """Carry out a change that closes a program. Raises `CallFailed` if it stays open; `instead` is another thing to do then."""
    pid, _, started = change.subject.partition("@")
    if not host.processes.close(int(pid), float(started), grace=grace, force=force):
        raise CallFailed(
            f"{change.data['name']} (process {pid}) did not close within {grace:g} s; it may be asking about unsaved work",
            host=host.name, next_step=f"answer it at the desktop, {instead}or allow force: true",
        )  # fmt: skip


def trees(holders: Iterable[Process], running: Sequence[Process]) -> list[Tree]:
    """Return the programs that use GPU memory as process trees, largest first.

    `holders` are the processes with their GPU memory; `running` are all processes, for parents and windows.
    """
    known = {process.pid: process for process in running}
    held: dict[int, int | None] = {}
    for process in holders:
        known.setdefault(process.pid, process)
        held[process.pid] = process.vram
    roots: dict[int, list[Process]] = {}
    for pid in held:
        roots.setdefault(_root(known[pid], known).pid, []).append(known[pid])
    members = _members(roots, known)
    found = []
    for pid, holding in roots.items():
        amounts = [held[process.pid] for process in holding]
        found.append(
            Tree(
                root=known[pid],
                members=tuple(members[pid]),
                vram=sum(amount for amount in amounts if amount is not None),
                unknown=sum(amount is None for amount in amounts),
                window=any(process.has_window for process in members[pid]),
            )
        )
    return sorted(found, key=lambda tree: (-tree.vram, tree.root.pid))


def _root(process: Process, known: Mapping[int, Process]) -> Process:
    """Follow parents while they are the same program. A web view belongs to the program that embeds it."""
    seen = {process.pid}
    while (parent := known.get(process.parent or -1)) is not None and parent.pid not in seen:
        older = parent.started <= process.started  # otherwise the parent's PID was reused
        embedded = process.program == "msedgewebview2"
        if not older or not (parent.program == process.program or embedded):
            break
        seen.add(parent.pid)
        process = parent
    return process


def _members(roots: Iterable[int], known: Mapping[int, Process]) -> dict[int, list[Process]]:
    members: dict[int, list[Process]] = {pid: [] for pid in roots}
    for process in known.values():
        root = _root(process, known).pid
        if root in members:
            members[root].append(process)
    return members
