"""Runners of an Ollama server that is gone: nobody asks them any more, and they keep their VRAM until they are ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remediation.model.facts import Process
from remediation.model.programs import SERVER

_REAPERS = frozenset({"systemd", "init", "tini", "docker-init", "dumb-init", "catatonit", "s6-svscan", "launchd"})
"""What a process becomes the child of when its parent ends."""


def marked(running: Sequence[Process]) -> tuple[Process, ...]:
    """Return the processes with the runners marked whose server has ended."""
    by_pid = {each.pid: each for each in running}
    return tuple(
        replace(each, orphan=True) if each.is_runner and _alone(each, by_pid.get(each.parent or 0)) else each for each in running
    )


def _alone(process: Process, parent: Process | None) -> bool:
    """Whether no server owns a runner; who is in doubt may be a server under another name."""
    if not process.started:  # where Windows does not tell when it started, nothing is certain
        return False
    if parent is None or parent.started > process.started:  # ended, or its number was given to another
        return True
    if parent.pid == 1 or parent.program in _REAPERS:
        return SERVER not in parent.program  # in a container the server may be the first process
    # `ollama runner` is the server's own program started once more
    itself = process.program == SERVER and process.path is not None and parent.path is not None
    return itself and SERVER not in parent.program and parent.path != process.path
