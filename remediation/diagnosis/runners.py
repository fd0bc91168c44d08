"""Ollama's processes held against its API: a runner that is listed and has died, and one that no server owns any more."""

from __future__ import annotations

from remediation.diagnosis.evidence import Evidence
from remediation.model.facts import Process, Runner
from remediation.model.finding import Quote

OLLAMA_PROGRAMS = frozenset({"ollama", "ollama app", "llama-server", "ollama_llama_server"})


def dead_runner(evidence: Evidence) -> Runner | None:
    """Return a runner that ``/api/ps`` lists although no process of a runner is left; None where the processes do not tell.

    The server notices it with the next request only (recordings, surprise 12). A container's processes are seen from a Linux host,
    those inside the machine of Docker Desktop are not: there no server is seen either.
    """
    listed = next((one for one in evidence.runners or () if one.size > 0), None)
    programs = evidence.programs or ()
    pids = {one.pid for one in programs}
    servers = [one for one in programs if one.program == "ollama" and one.runner is not True and one.parent not in pids]
    runners = [one for one in programs if _is_runner(one) or (one.runner is None and one.parent in pids)]
    return listed if listed is not None and servers and not runners and evidence.platform != "docker-windows" else None


def orphans(evidence: Evidence) -> tuple[Process, ...]:
    """Return the runners on the card whose server has ended: it was killed, and they keep their memory (recordings, surprise 13)."""
    if evidence.use is None or evidence.programs is None:
        return ()
    servers = {one.pid for one in evidence.programs if not _is_runner(one)}
    parents = {one.parent for one in evidence.programs}
    return tuple(
        one
        for one in evidence.use.processes
        if one.program in OLLAMA_PROGRAMS
        and one.parent not in servers
        and (_is_runner(one) or (one.runner is None and one.pid not in parents and len(servers) > 1))
    )


def owned(evidence: Evidence) -> tuple[Process, ...]:
    """Return Ollama's processes on the card that a server owns."""
    lost = {one.pid for one in orphans(evidence)}
    return tuple(
        one for one in (evidence.use.processes if evidence.use else ()) if one.program in OLLAMA_PROGRAMS and one.pid not in lost
    )


def listed_at(runner: Runner) -> Quote:
    """Return the row of ``/api/ps`` as a quote."""
    return Quote("/api/ps", f"{runner.model} size {runner.size} size_vram {runner.size_vram}")


def _is_runner(process: Process) -> bool:
    """Whether it serves one model for Ollama; a llama-server of another program's is none."""
    own = process.program == "llama-server" and "ollama" in (process.path or "").lower()
    return process.runner is True or process.program == "ollama_llama_server" or own
