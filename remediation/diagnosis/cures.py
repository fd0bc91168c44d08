"""The cure of a finding on the host at hand: the same cause is cured in a Compose file, a systemd unit or a Windows dialog.

A finder names the cure in general. Where a live host was looked at, it is known how its server runs, so the cure is one action
for that platform, with the lines to be copied below it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum

from remediation.diagnosis.causes import (
    cuda_visible_devices_wrong,
    driver_lost,
    driver_too_old,
    gpu_not_visible_to_container,
    system_memory_limit,
    unsupported_gpu,
    wrong_library_or_missing_runner,
)
from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.shortage import DEFAULT_CONTEXT
from remediation.diagnosis.units import MIB, human
from remediation.model.finding import Cause, Finding
from remediation.model.programs import is_protected

_WORTH_CLOSING = 256 * MIB


class Runs(str, Enum):
    """How the server of a live host runs."""

    DOCKER_DESKTOP = "a container of Docker Desktop"
    DOCKER = "a container"
    SYSTEMD = "a unit of systemd"
    WINDOWS = "the Windows app"
    BY_HAND = "a process that somebody started"


_PLATFORMS = {"docker-windows": Runs.DOCKER_DESKTOP, "docker-linux": Runs.DOCKER, "windows": Runs.WINDOWS}
_CONTAINERS = frozenset({Runs.DOCKER_DESKTOP, Runs.DOCKER})
_ON_WINDOWS = frozenset({Runs.DOCKER_DESKTOP, Runs.WINDOWS})


def on_host(finding: Finding, reading: Reading) -> Finding:
    """Return the finding with its cure for the platform that was looked at; as it is where the evidence is a pasted text."""
    runs = _runs(reading.evidence)
    cure = _CURES.get(finding.cause)
    text = cure(finding, reading, runs) if runs is not None and cure is not None else ""
    return replace(finding, cure=text) if text else finding


def _runs(evidence: Evidence) -> Runs | None:
    if evidence.collected_at is None:
        return None
    if evidence.platform == "linux":
        journal = any(piece.kind == "server_log" for piece in evidence.pieces)
        return Runs.SYSTEMD if journal else Runs.BY_HAND
    return _PLATFORMS.get(evidence.platform)


def _set(reading: Reading, runs: Runs, name: str, value: str | None) -> str:
    """Return how a variable of the server is set, or taken out where `value` is None."""
    if runs is Runs.SYSTEMD:
        line = f"UnsetEnvironment={name}" if value is None else f'Environment="{name}={value}"'
        return f"run sudo systemctl edit ollama, add the lines below, then sudo systemctl restart ollama\n[Service]\n{line}"
    if runs is Runs.BY_HAND:
        how = f"env -u {name} ollama serve" if value is None else f"{name}={value} ollama serve"
        return f"stop the server and start it with: {how}"
    if runs is Runs.WINDOWS:
        quoted = "$null" if value is None else f"'{value}'"
        line = f"[Environment]::SetEnvironmentVariable('{name}', {quoted}, 'User')"
        return f"quit Ollama from its tray icon, run the line below in PowerShell, then start Ollama again\n{line}"
    what = f"take {name} out of" if value is None else f"set {name}={value} in"
    if reading.evidence.compose is None:
        return f"recreate the container with docker run, {'without' if value is None else 'with'} -e {name}{'' if value is None else f'={value}'}"
    return f"{what} the environment of Ollama's service in the Compose file, then docker compose up -d"


def _unset_of(*names: str) -> Callable[[Finding, Reading, Runs], str]:
    def cure(finding: Finding, reading: Reading, runs: Runs) -> str:
        name = next((name for name in names if reading.setting(name) is not None), None)
        return _set(reading, runs, name, None) if name is not None else ""

    return cure


def _value_of(name: str, value: str) -> Callable[[Finding, Reading, Runs], str]:
    def cure(finding: Finding, reading: Reading, runs: Runs) -> str:
        return _set(reading, runs, name, value) if reading.setting(name) is not None else ""

    return cure


def _library(finding: Finding, reading: Reading, runs: Runs) -> str:
    if reading.setting("OLLAMA_LLM_LIBRARY") is not None:
        return _set(reading, runs, "OLLAMA_LLM_LIBRARY", None)
    if finding.cure != wrong_library_or_missing_runner.REINSTALL:
        return ""
    if runs in _CONTAINERS:
        return "pull the official image again and recreate the container: docker compose pull, then docker compose up -d"
    if runs is Runs.WINDOWS:
        return "install Ollama again with OllamaSetup.exe, and exclude its folder from the antivirus software"
    return "install Ollama again with its GPU libraries: curl -fsSL https://ollama.com/install.sh | sh"


def _driver(finding: Finding, reading: Reading, runs: Runs) -> str:
    if finding.cure != driver_too_old.CURE:
        return ""
    needed = driver_too_old.needed_driver(reading.version)
    which = f"NVIDIA driver {needed} or newer" if needed else "a newer NVIDIA driver"
    if runs is Runs.DOCKER_DESKTOP:
        return f"install {which} on Windows (containers use the Windows driver), restart Windows, then run this again"
    return f"install {which}, restart {'Windows' if runs is Runs.WINDOWS else 'the host'}, then run this again"


def _card(finding: Finding, reading: Reading, runs: Runs) -> str:
    if finding.cure != unsupported_gpu.CURE:
        return ""
    card = re.sub(r" \d+ MiB$", "", (reading.evidence.gpu or "this card").split(",")[0])
    return f"serve the model from a host with a supported card (NVIDIA: compute capability 5.0 or newer); {card} is not"


def _lost(finding: Finding, reading: Reading, runs: Runs) -> str:
    if finding.cure not in {driver_lost.CURE, driver_lost.REBOOT}:
        return ""
    if finding.cure == driver_lost.CURE and runs not in _ON_WINDOWS:
        return ""
    where = "Windows" if runs in _ON_WINDOWS else "the host"
    return f"restart {where}, then run this again; if the card is lost again, check its power, temperature and seat"


def _container(finding: Finding, reading: Reading, runs: Runs) -> str:
    if finding.cure != gpu_not_visible_to_container.TOOLKIT or runs is not Runs.DOCKER_DESKTOP:
        return ""
    return "switch Docker Desktop to its WSL 2 engine (Settings, General) and update it: it brings the NVIDIA toolkit itself"


def _memory(finding: Finding, reading: Reading, runs: Runs) -> str:
    if finding.cure != system_memory_limit.CURE:
        return ""
    if runs not in _CONTAINERS:
        return "free system memory on the host, or use a smaller model or context"
    how = "deploy.resources.limits.memory of its service" if reading.evidence.compose is not None else "--memory of docker run"
    wsl = ", and memory= in %UserProfile%\\.wslconfig where WSL has less" if runs is Runs.DOCKER_DESKTOP else ""
    return f"raise the memory limit of the container ({how}){wsl}"


def _corrupt(finding: Finding, reading: Reading, runs: Runs) -> str:
    return "let remediate play repull-model.yml hash every layer and fetch those that are damaged; it deletes nothing"


def _too_large(finding: Finding, reading: Reading, runs: Runs) -> str:
    return "let remediate play quantise-down.yml look for a quantisation that fits, or choose a smaller model"


def _occupied(finding: Finding, reading: Reading, runs: Runs) -> str:
    closable = [one for one in reading.processes if one.memory and one.memory >= _WORTH_CLOSING and not is_protected(one.name)]
    if not closable:
        return ""
    largest = max(closable, key=lambda one: one.memory or 0)
    return f"close {largest.name}, which holds {human(largest.memory or 0)} of the card, then run this again"


_CURES: Mapping[Cause, Callable[[Finding, Reading, Runs], str]] = {
    Cause.CONTEXT_TOO_LARGE: _value_of("OLLAMA_CONTEXT_LENGTH", str(DEFAULT_CONTEXT)),
    Cause.NUM_PARALLEL_TOO_HIGH: _value_of("OLLAMA_NUM_PARALLEL", "1"),
    Cause.GPU_OVERHEAD_RESERVED: _unset_of("LLAMA_ARG_FIT_TARGET", "OLLAMA_GPU_OVERHEAD"),
    Cause.CUDA_VISIBLE_DEVICES_WRONG: _unset_of(*cuda_visible_devices_wrong.NAMES),
    Cause.WRONG_LIBRARY_OR_MISSING_RUNNER: _library,
    Cause.DRIVER_TOO_OLD: _driver,
    Cause.DRIVER_LOST: _lost,
    Cause.UNSUPPORTED_GPU: _card,
    Cause.GPU_NOT_VISIBLE_TO_CONTAINER: _container,
    Cause.SYSTEM_MEMORY_LIMIT: _memory,
    Cause.MODEL_CORRUPT: _corrupt,
    Cause.MODEL_TOO_LARGE: _too_large,
    Cause.VRAM_OCCUPIED: _occupied,
}
