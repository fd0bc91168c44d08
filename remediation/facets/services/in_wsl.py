"""Ollama in a distribution of WSL, seen from the Windows host: its unit, its settings, and the driver's library there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from remediation.connections.calls import Call, Completed, Reply, Run
from remediation.facets.machine.docker_desktop import STATE_PROBE
from remediation.facets.machine.wsl import ask_wsl, config_from, in_distribution, list_calls, read_distributions, text_of
from remediation.facets.services.unit_files import unit_of
from remediation.facets.snapshot import Snapshot, attempt
from remediation.model.facts import Manager, Serving, WslConfig, WslDistribution, WslServer
from remediation.model.text.digits import is_whole

_UNIT = "ollama.service"
_PROPERTIES = "--property=LoadState,ActiveState,MainPID,FragmentPath,NeedDaemonReload"
_LIBRARY = re.compile(r"^\s*libcuda\.so\.1 .*=> (\S+)\s*$", re.MULTILINE)
_MEMORY = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)
_CALLS = (
    ("systemctl", "show", _UNIT, _PROPERTIES),
    ("systemctl", "cat", _UNIT),
    ("pgrep", "-x", "ollama"),
    ("ldconfig", "-p"),
    ("cat", "/proc/meminfo"),
)


def read_in_wsl(snapshot: Snapshot) -> Serving | None:
    """Return the server in a running distribution, else a stopped distribution that may have one; None if there is none.

    Stopped distributions are not started to look into them.
    """
    found = [each for each in read_distributions(snapshot) if not each.of_docker]
    running = [each for each in found if each.running]
    replies = ask_wsl(snapshot, *_calls(running)) if running else []
    for number, each in enumerate(running):
        serving = _parse_serving(each, replies[number * len(_CALLS) :][: len(_CALLS)])
        if serving is not None and serving.guest is not None:
            return replace(serving, guest=replace(serving.guest, config=attempt(lambda: _config(snapshot))))
    stopped = next((each for each in found if not each.running), None)
    if running or stopped is None:
        return None
    return Serving(Manager.WSL, stopped.name, wsl=True, guest=WslServer(stopped.version, running=False))


def calls_in_wsl(snapshot: Snapshot) -> tuple[Call, ...]:
    """Return the further calls of `read_in_wsl`, if this snapshot has the list of distributions and one of them runs."""
    if not all(snapshot.has_reply(each) for each in list_calls()):
        return ()
    running = [each for each in read_distributions(snapshot) if each.running and not each.of_docker]
    return (*_calls(running), STATE_PROBE) if running else ()


def _calls(running: Sequence[WslDistribution]) -> tuple[Run, ...]:
    return tuple(in_distribution(each.name, *words) for each in running for words in _CALLS)


def _parse_serving(distribution: WslDistribution, replies: Sequence[Reply]) -> Serving | None:
    shown, files, pids, libraries, memory = (_text(each) for each in replies)
    rows = (line.partition("=") for line in (shown or "").splitlines())
    unit = unit_of(
        {"name": _UNIT, "show": {name: value for name, _, value in rows}, "cat": (files or "").splitlines(), "files": {}}
    )
    if unit is None and not (pids or "").strip():
        return None
    match = _LIBRARY.search(libraries or "")
    library = None if libraries is None else match[1] if match else ""
    pid = next((int(line) for line in (pids or "").split() if is_whole(line)), None)
    total = _MEMORY.search(memory or "")
    guest = WslServer(
        distribution.version, running=True, unit=unit, library=library, memory=int(total[1]) * 1024 if total else None,
        pid=pid if unit is None or not unit.pid else unit.pid,
    )  # fmt: skip
    return Serving(Manager.WSL, distribution.name, wsl=True, settings=unit.settings if unit is not None else (), guest=guest)


def _config(snapshot: Snapshot) -> WslConfig:
    """Return what ``.wslconfig`` decides."""
    value = snapshot.probe(STATE_PROBE, "reading the settings of WSL")
    return config_from(str(value["WslConfigPath"] or ""), value["WslConfig"])


def _text(reply: Reply) -> str | None:
    """Return a program's output, None if it could not run or failed."""
    return text_of(reply) if isinstance(reply, Completed) and reply.rc == 0 else None
