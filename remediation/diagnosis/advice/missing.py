"""The commands that collect missing evidence if no cause is proven."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from remediation.diagnosis.facts.base import Facts
from remediation.diagnosis.facts.run.ends import how_to_restart
from remediation.diagnosis.readers.coverage import Gap, Lacks
from remediation.diagnosis.readers.reading import Reading
from remediation.model.facts import Manager
from remediation.model.finding import Finding

_OWN_LOG = frozenset({Manager.WINDOWS_SERVICE, Manager.WINDOWS_TASK, Manager.PROCESS})
"""What starts a server and decides where its output goes."""
_ENOUGH = 0.8
_LIMIT_AND_END = "{{.HostConfig.Memory}} {{.State.OOMKilled}}"
_ENDED = "dmesg | grep -i oom"


class _Commands(NamedTuple):
    """The commands that show a container: its log, its record, its memory limit, and the beginning of a command that runs in it."""

    log: str
    record: str
    limit: str
    inside: str


def to_collect(reading: Reading, facts: Facts, findings: Sequence[Finding], gap: Gap | None = None) -> tuple[str, ...]:
    """Return the commands whose output would decide, the most informative first; on a live host with a gap the one that closes it."""
    if findings and findings[0].confidence >= _ENOUGH:
        return ()
    if reading.evidence.rights:  # this login is refused the other missing parts too
        return ()
    container = _container(reading, facts) if reading.in_container else None
    inside = container.inside if container is not None else ""
    if gap is not None:
        closing = _closing_commands(gap, reading, inside)
        if reading.evidence.runners is not None:
            return (closing,)
        log = container.log if container is not None else _log(reading)
        return (f"{closing}; {log}", *(one for one in _collect_commands(reading, facts, container) if one != log))
    return _collect_commands(reading, facts, container)


def _closing_commands(gap: Gap, reading: Reading, inside: str) -> str:
    """Return the commands that make the evidence whole: a pull, a load, or a load after a restart."""
    model = shlex.quote(gap.model) if gap.model != "MODEL" else gap.model
    load = inside + f'ollama run {model} ""'
    if gap.lacks is Lacks.MODEL:
        return inside + f"ollama pull {model}"
    if gap.lacks is Lacks.LOAD:
        return load
    if gap.lacks is Lacks.LOG:
        return "; ".join((inside + f"ollama stop {model}", load))
    return "; ".join((how_to_restart(reading).partition(": ")[2].partition(" (or ")[0], load))


def _collect_commands(reading: Reading, facts: Facts, container: _Commands | None) -> tuple[str, ...]:
    inside = container.inside if container is not None else ""
    wanted = []
    if not any(log.loads or log.starts for log in reading.logs):
        wanted.append(container.log if container is not None else _log(reading))
    if not reading.ps and reading.evidence.runners is None:
        wanted.append(inside + "ollama ps")
    if not reading.smi and (card := _card(reading, facts)):
        wanted.insert(0 if facts.holds("discovery.empty") else len(wanted), inside + card)
    if container is not None and not reading.docker:
        wanted.append(container.record)
    if (
        facts.holds("load.died_without_layers") or reading.hit("runner_died") is not None
    ) and reading.evidence.platform != "windows":
        wanted.append(_limit(reading, container))
    if not reading.requested_options and not reading.evidence.shows:
        wanted.append(inside + "ollama show --parameters MODEL")
    if not wanted:
        wanted.append("the server's log after a restart with OLLAMA_DEBUG=2 and one load of the model")
    return tuple(dict.fromkeys(wanted))


def _container(reading: Reading, facts: Facts) -> _Commands:
    if facts.holds("reported.kubernetes"):
        return _Commands(
            "kubectl logs --tail 4000 POD", "kubectl describe pod POD", "kubectl describe pod POD", "kubectl exec POD -- "
        )
    name = str((reading.evidence.container or {}).get("Name") or "").lstrip("/") or "ollama"
    engine = "podman" if facts.holds("reported.podman") else "docker"
    return _Commands(
        shlex.join((engine, "logs", "--tail", "4000", name)),
        shlex.join((engine, "inspect", name)),
        shlex.join((engine, "inspect", "--format", _LIMIT_AND_END, name)),
        shlex.join((engine, "exec", name)) + " ",
    )


def _card(reading: Reading, facts: Facts) -> str:
    """Return the command that shows the card; Windows has none for cards that are not NVIDIA's."""
    if facts.holds("card.nvidia") or not facts.holds("card.amd", "card.intel"):
        return "nvidia-smi"
    return (
        ""
        if reading.evidence.platform == "windows"
        else "ls -l /dev/kfd /dev/dri"
        if facts.holds("card.amd")
        else "ls -l /dev/dri"
    )


def _limit(reading: Reading, container: _Commands | None) -> str:
    if container is not None:
        return container.limit
    serving = reading.evidence.serving
    if serving is not None and serving.manager is Manager.PROCESS:
        return _ENDED
    return f"systemctl show {reading.evidence.unit} --property=MemoryMax; {_ENDED}"


def _log(reading: Reading) -> str:
    windows, serving = reading.evidence.platform == "windows", reading.evidence.serving
    if serving is not None and serving.elsewhere is not None:
        return serving.elsewhere.next_step
    if serving is not None and serving.manager in _OWN_LOG and serving.process is not None:
        log = serving.process.log
        return serving.how_to_log if not log else f"type {log}" if windows else f"tail -n 4000 {log}"
    if windows:
        return r"type %LOCALAPPDATA%\Ollama\server.log"
    return f"journalctl -u {reading.evidence.unit} --no-pager -n 4000"
