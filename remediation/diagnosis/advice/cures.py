"""The cure of a mechanism for one host: an action for its platform, with the lines to copy below it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from remediation.diagnosis.advice.lost_device import lasting_cure
from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.facts.base import Facts
from remediation.diagnosis.facts.host.driver import driver_of_card, image_driver
from remediation.diagnosis.facts.host.visibility import VISIBILITY
from remediation.diagnosis.facts.run.ends import how_to_restart
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.schema import Entry, LikelyCures, value
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.runners import orphans
from remediation.diagnosis.units import MIB, human
from remediation.model.facts import Manager, Serving
from remediation.model.facts.server import reach_advice, snap_advice
from remediation.model.programs import is_protected

_WORTH_CLOSING = 256 * MIB


class Runs(str, Enum):
    """How the server of a live host runs."""

    DOCKER = "a container"
    SYSTEMD = "a unit of systemd"
    WINDOWS = "the Windows app"
    SERVICE = "a Windows service"
    STARTED = "a task or a shell on Windows"
    GUEST = "a distribution of WSL"
    BY_HAND = "a process started by hand"
    CONTAINED = "a container of an engine that was not reached"


_ON_WINDOWS = {Manager.WINDOWS_SERVICE: Runs.SERVICE, Manager.WINDOWS_TASK: Runs.STARTED, Manager.PROCESS: Runs.STARTED}
_NEAREST = (("gfx90", "9.0.0"), ("gfx101", "10.3.0"), ("gfx103", "10.3.0"), ("gfx11", "11.0.0"), ("gfx12", "12.0.0"))
"""The version of the type that ROCm knows, by the start of types that are near to it."""
_EVERY_WAY = (
    "request the card by CDI (--device nvidia.com/gpu=all), or name the device files (--device /dev/nvidia0 and the others), or set "
    '"exec-opts": ["native.cgroupdriver=cgroupfs"] in /etc/docker/daemon.json'
)
_KEPT = "this container keeps its card after a daemon-reload, so look for another reason: nvidia-smi and dmesg | grep -i xid on the host"
_FOR_SERVICE = r"\Parameters"
"""The key of NSSM's own settings of a service."""


def cure_of(entry: Entry, facts: Facts, reading: Reading) -> str:
    """Return the cure of `entry` for a collected host, or the general text for pasted evidence."""
    runs = _runs(reading.evidence)
    if runs is not None and entry.setting and (text := _setting(entry.setting, reading, runs)):
        return text
    return _words(entry, facts, reading)


def likely_cures(facts: Facts, reading: Reading) -> str:
    """Return the likeliest cures of a situation in which no mechanism stands out: the first entry whose condition holds."""
    entries = knowledge().likely
    return _words(next(one for one in entries if one.when is None or value(one.when, facts) is True), facts, reading)


def _words(entry: Entry | LikelyCures, facts: Facts, reading: Reading) -> str:
    """Return the text of an entry for this kind of host."""
    platform, runs = reading.evidence.platform, _runs(reading.evidence)
    native = () if runs in {None, Runs.DOCKER, Runs.CONTAINED} else ("native",)
    cluster = ("kubernetes",) if facts.holds("reported.kubernetes") else ()
    pasted = [*cluster, platform, *(["live-windows"] if platform == "windows" else [])]
    keys = [f"live-{platform}", *native, "live", platform] if runs is not None else pasted
    words = next((entry.on[key] for key in keys if key in entry.on), entry.cure)
    return _fill(words, facts, reading)


def _runs(evidence: Evidence) -> Runs | None:
    if evidence.collected_at is None:
        return None
    if evidence.serving is not None and evidence.serving.guest is not None:
        return Runs.GUEST
    if evidence.platform == "linux":
        serving = evidence.serving
        if serving is not None and serving.contained is not None:
            return Runs.CONTAINED
        if serving is not None and serving.manager in {Manager.SYSTEMD, Manager.PROCESS}:
            return Runs.SYSTEMD if serving.manager is Manager.SYSTEMD else Runs.BY_HAND
        journal = any(piece.kind == "server_log" for piece in evidence.pieces)
        return Runs.SYSTEMD if journal else Runs.BY_HAND
    if evidence.platform == "windows" and evidence.serving is not None and evidence.serving.process is not None:
        return _ON_WINDOWS.get(evidence.serving.manager, Runs.WINDOWS)
    return {"docker-windows": Runs.DOCKER, "docker-linux": Runs.DOCKER, "windows": Runs.WINDOWS}.get(evidence.platform)


def _setting(setting: str, reading: Reading, runs: Runs) -> str:
    """Return how to set or remove the variable, "" if the server does not have it."""
    name, given, value = setting.partition("=")
    names = VISIBILITY if name == "visibility" else ("LLAMA_ARG_FIT_TARGET", name) if name == "OLLAMA_GPU_OVERHEAD" else (name,)
    name = next((one for one in names if reading.setting(one) is not None), "")
    return _set(reading, runs, name, value if given else None) if name else ""


def _set(reading: Reading, runs: Runs, name: str, value: str | None) -> str:
    if runs in {Runs.SYSTEMD, Runs.GUEST}:
        line = f"UnsetEnvironment={name}" if value is None else f'Environment="{name}={value}"'
        unit, serving = reading.evidence.unit, reading.evidence.serving
        if serving is not None and serving.unit is not None and serving.unit.snap:
            return snap_advice(serving.unit.snap, {name: value})
        by = f"wsl -d {serving.name} -u root --" if runs is Runs.GUEST and serving is not None else "sudo"
        return f"run {by} systemctl edit {unit}, add the lines below, then {by} systemctl restart {unit}\n[Service]\n{line}"
    contained = reading.evidence.serving.contained if reading.evidence.serving is not None else None
    if runs is Runs.CONTAINED and contained is not None:
        how = reach_advice(contained)
        if value is None:
            return f"take {name} out of the environment of its container: {how}"
        return f"set {name}={value} in the environment of its container: {how}"
    if runs is Runs.BY_HAND:
        return _by_hand(reading.evidence.serving, name, value)
    quoted = "$null" if value is None else f"'{value}'"
    line = f"[Environment]::SetEnvironmentVariable('{name}', {quoted}, '{'Machine' if runs is Runs.SERVICE else 'User'}')"
    if runs is Runs.SERVICE:
        return _of_service(reading, name, value, line)
    if runs is Runs.STARTED:
        return f"run the line below in PowerShell, then end Ollama's server and start it again the way it was started\n{line}"
    if runs is Runs.WINDOWS:
        return f"quit Ollama from its tray icon, run the line below in PowerShell, then start Ollama again\n{line}"
    what = f"take {name} out of" if value is None else f"set {name}={value} in"
    if reading.evidence.compose is None:
        return f"recreate the container with docker run, {'without' if value is None else 'with'} -e {name}{'' if value is None else f'={value}'}"
    return f"{what} the environment of Ollama's service in the Compose file, then docker compose up -d"


def _by_hand(serving: Serving | None, name: str, value: str | None) -> str:
    """Return how to change the environment of a process that a user, or a user's manager, started."""
    if serving is not None and serving.users_unit and serving.process is not None:
        line = f"UnsetEnvironment={name}" if value is None else f'Environment="{name}={value}"'
        unit, user = serving.users_unit, serving.process.user
        return f"as {user}, run systemctl --user edit {unit}, add the lines below, then systemctl --user restart {unit}\n[Service]\n{line}"
    how = f"env -u {name} ollama serve" if value is None else f"{name}={value} ollama serve"
    return f"stop the server and start it with: {how}"


def _of_service(reading: Reading, name: str, value: str | None, line: str) -> str:
    """Return how to change the environment of a Windows service: its own list, or the machine's variables."""
    serving = reading.evidence.serving
    service = serving.name if serving is not None and serving.name else "Ollama"
    settings = serving.settings if serving is not None else ()
    own = next((one for one in settings if one.name == name and one.kind == "MultiString"), None)
    if own is None:
        return f"run the lines below in an elevated PowerShell\n{line}\nRestart-Service {service}"
    what = f"take {name} out of" if value is None else f"set {name}={value} in"
    where = f"nssm edit {service}, tab Environment" if own.file.endswith(_FOR_SERVICE) else f"the value Environment of {own.file}"
    return f"{what} the environment of the service {service} ({where}), then run Restart-Service {service}"


def _fill(words: str, facts: Facts, reading: Reading) -> str:
    """Return the text with ``{names}`` replaced by this host's values."""
    evidence = reading.evidence
    windows = evidence.platform in {"windows", "docker-windows", "wsl"}
    variable = facts.first("visible.nothing", "visible.no_such_card", "visible.empty", "visible.uuid", "visible.chosen")
    pids = [str(one.pid) for one in orphans(evidence)] or ["PID"]
    serving, config = evidence.serving, evidence.guest.config if evidence.guest is not None else None
    end = " ".join(
        ["taskkill", "/F", *(f"/PID {pid}" for pid in pids)] if evidence.platform == "windows" else ["sudo", "kill", *pids]
    )
    needed = image_driver(reading) or driver_of_card(reading.version, facts)
    known: Mapping[str, str] = {
        "driver": f"{needed} or newer" if needed else "the newest release",
        "host": "Windows" if windows else "the host",
        "restart": how_to_restart(reading),
        "card": re.sub(r" \d+ MiB$", "", (evidence.gpu or "this card").split(",")[0]),
        "override": _override(facts),
        "foreign": facts["override.foreign"].text.rpartition(" ")[2] or "rocminfo names it",
        "variable": variable.text.split(" hides")[0].split(" names")[0] if variable else "CUDA_VISIBLE_DEVICES",
        "orphans": end,
        "holder": _holder(reading),
        "unit": evidence.unit,
        "start": serving.unit.how_to_start if serving is not None and serving.unit is not None else "sudo systemctl start ollama",
        "distribution": serving.name if serving is not None and serving.guest is not None else "DISTRIBUTION",
        "wslconfig": config.path if config is not None and config.path else "%UserProfile%\\.wslconfig",
        "lasting": _lasting_cure_text(reading),
        "cut_off": config.cut_off if config is not None else "",
    }
    text = re.sub(r"\{(\w+)\}", lambda match: known.get(match[1], match[0]), words)
    return text.replace("; )", ")")


def _override(facts: Facts) -> str:
    """Return the ROCm version of the type nearest to this card's, a list where the type is not known."""
    quotes = facts["card.gfx_outside"].quotes
    kind = quotes[0].text if quotes else ""
    return next(
        (near for first, near in _NEAREST if kind.startswith(first)), "11.0.0 (RDNA 3), 10.3.0 (RDNA 1 and 2) or 9.0.0 (Vega)"
    )


def _lasting_cure_text(reading: Reading) -> str:
    """Return what keeps the card in the container after a daemon-reload: what this engine can do, else all ways."""
    evidence = reading.evidence
    if evidence.engine is None or evidence.container is None:
        return _EVERY_WAY
    labels = (evidence.container.get("Config") or {}).get("Labels") or {}
    service = str(labels.get("com.docker.compose.service") or "")
    return lasting_cure(evidence.engine, evidence.container.get("HostConfig") or {}, service=service) or _KEPT


def _holder(reading: Reading) -> str:
    closable = [one for one in reading.processes if one.memory and one.memory >= _WORTH_CLOSING and not is_protected(one.name)]
    largest = max(closable, key=lambda one: one.memory or 0, default=None)
    return f"here {largest.name}, which holds {human(largest.memory or 0)} of the card" if largest is not None else ""
