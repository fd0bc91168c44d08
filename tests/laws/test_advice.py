"""Advice for a collected host never names what the host lacks."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from remediation.diagnosis.advice.cures import cure_of, likely_cures
from remediation.diagnosis.advice.missing import to_collect
from remediation.diagnosis.diagnose import derive
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.facts.run.ends import how_to_restart
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.schema import value
from remediation.diagnosis.readers.reading import Reading, read_evidence
from remediation.model.facts import Manager, ServerProcess, ServiceUnit, Serving, WslConfig, WslServer

_DOCKER = r"(?i:\bdocker\b|\bcompose\b|\bcontainers?\b(?! groups)|\bvolumes?\b|\bpods?\b|\bpodman\b)"
_SYSTEMD = r"\bsystemctl\b|\bjournalctl\b"
_LINUX = rf"{_SYSTEMD}|\bsudo\b|\bmodprobe\b|\brmmod\b|/etc/|\bdmesg\b|\bapt(?:-get|-mark)\b|\bapt purge\b|\bchown\b|\bdkms\b|/dev/|\bldconfig\b|\bps aux\b|\bdf -h\b"
_WINDOWS = r"\bPowerShell\b|tray icon|Restart-Service|SetEnvironmentVariable|\btaskkill\b|%\w+%|\.exe\b|Task Manager|\bwsl(?:\.exe)? -|\bWSL\b|\.wslconfig"
_OUR_UNIT = r"(?:\bsystemctl (?:edit|restart|start|stop|show|status)|\bjournalctl -u) ollama(?!-gpu)"
_BY_HAND = r"tray icon|end ollama serve"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of host: what serves the model there, and the words that name what it lacks."""

    evidence: Evidence
    lacks: str
    says: str = ""
    """What may be said although a word of `lacks` is in it."""


PROCESS = ServerProcess(812, "maria", "/usr/local/bin/ollama", log="/home/maria/ollama.log")
UNIT = ServiceUnit("ollama-gpu.service", "active", 812)
ON_WINDOWS = replace(PROCESS, path=r"C:\Users\maria\AppData\Local\Programs\Ollama\ollama.exe", log=r"C:\ProgramData\ollama.log")
GUEST = WslServer(
    2, running=True, unit=replace(UNIT, name="ollama.service"), pid=812, config=WslConfig(r"C:\Users\maria\.wslconfig")
)
CONTAINER = {"Name": "/llm", "Config": {"Image": "ollama/ollama"}, "HostConfig": {}}
COMPOSE = {"services": {"llm": {"image": "ollama/ollama"}}}
_HERE = Evidence(collected_at=1.0, runners=(), ollama_version="0.13.5")


def native(platform: str, serving: Serving, lacks: str, says: str = "") -> Kind:
    return Kind(replace(_HERE, platform=platform, serving=serving), lacks, says)


KINDS = {
    "a unit of systemd": native("linux", Serving(Manager.SYSTEMD, UNIT.name, PROCESS, UNIT), rf"{_DOCKER}|{_WINDOWS}|{_OUR_UNIT}"),
    "a process on Linux": native("linux", Serving(Manager.PROCESS, process=PROCESS), rf"{_DOCKER}|{_WINDOWS}|{_OUR_UNIT}"),
    "the Windows app": native("windows", Serving(Manager.WINDOWS_APP, process=ON_WINDOWS), rf"{_DOCKER}|{_LINUX}|Restart-Service"),
    "a Windows service": native("windows", Serving(Manager.WINDOWS_SERVICE, "OllamaGpu", ON_WINDOWS), rf"{_DOCKER}|{_LINUX}|{_BY_HAND}"),
    "a scheduled task": native("windows", Serving(Manager.WINDOWS_TASK, "Ollama", ON_WINDOWS), rf"{_DOCKER}|{_LINUX}|tray icon|Restart-Service"),
    "a shell on Windows": native("windows", Serving(Manager.PROCESS, process=ON_WINDOWS), rf"{_DOCKER}|{_LINUX}|tray icon|Restart-Service"),
    "a distribution of WSL": native("wsl", Serving(Manager.WSL, "Ubuntu", wsl=True, guest=GUEST), rf"{_DOCKER}|tray icon|Restart-Service|\bmodprobe\b", "Docker Desktop's containers"),
    "a Compose service on Linux": Kind(replace(_HERE, platform="docker-linux", container=CONTAINER, compose=COMPOSE), rf"{_OUR_UNIT}|{_BY_HAND}|\btaskkill\b|Restart-Service|SetEnvironmentVariable"),
    "a container on Linux": Kind(replace(_HERE, platform="docker-linux", container=CONTAINER), rf"{_OUR_UNIT}|{_BY_HAND}|\btaskkill\b|Restart-Service|SetEnvironmentVariable"),
    "a Compose service on Windows": Kind(replace(_HERE, platform="docker-windows", container=CONTAINER, compose=COMPOSE), rf"{_SYSTEMD}|\bmodprobe\b|\brmmod\b|/etc/|\bapt(?:-get|-mark)?\b|{_BY_HAND}|Restart-Service"),
}  # fmt: skip
SETTINGS = (
    "OLLAMA_LLM_LIBRARY=cuda\nCUDA_VISIBLE_DEVICES=-1\nOLLAMA_GPU_OVERHEAD=2147483648\nOLLAMA_CONTEXT_LENGTH=32768\nOLLAMA_NUM_PARALLEL=8\n"
    "LLAMA_ARG_N_GPU_LAYERS=3\nOLLAMA_VULKAN=0\nOLLAMA_FLASH_ATTENTION=0\nOLLAMA_KEEP_ALIVE=0\nJETSON_JETPACK=5\n"
)


def lacking(kind: str, text: str) -> list[str]:
    """Return the words of an advice that name what this kind of host lacks."""
    here = KINDS[kind]
    return [found[0] for found in re.finditer(here.lacks, text.replace(here.says, "") if here.says else text)]


def reading(kind: str, *pieces: Piece) -> Reading:
    return read_evidence(replace(KINDS[kind].evidence, pieces=pieces))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("environment", ["", SETTINGS], ids=["default settings", "settings"])
def test_a_cure_names_nothing_that_the_host_lacks(kind: str, environment: str) -> None:
    seen = reading(kind, *((Piece("env", environment),) if environment else ()))
    facts = derive(seen)
    possible = [
        entry for entry in knowledge().mechanisms.values() if not any(value(need, facts) is False for need in entry.needs)
    ]
    wrong = {entry.id: found for entry in possible if (found := lacking(kind, cure_of(entry, facts, seen)))}
    assert wrong == {}
    assert len(possible) > 60


CARDS = ("NVIDIA GeForce RTX 3060", "AMD Radeon RX 6700 XT", "Intel Arc A770", "NVIDIA Jetson Orin Nano")
PART = "llama3:8b 365c 6.0 GB 40%/60% CPU/GPU 4096 4 minutes from now"
DIED = 'time=2026-03-01T10:00:09.000Z level=INFO source=sched.go:453 msg="Load failed" error="llama runner process has terminated: exit status 2"'
WORKS = "| NVIDIA-SMI 560.35.03    Driver Version: 560.35.03    CUDA Version: 12.6 |\n|   0  NVIDIA GeForce RTX 3060   Off | 00000000:01:00.0 Off | N/A |"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("card", CARDS)
def test_the_likeliest_cures_name_nothing_that_the_host_lacks(kind: str, card: str) -> None:
    texts = ((), (Piece("ollama_ps", PART),), (Piece("server_log", DIED),), (Piece("nvidia_smi", WORKS),))
    seen = [read_evidence(replace(KINDS[kind].evidence, gpu=card, pieces=pieces)) for pieces in texts]
    cures = [likely_cures(derive(one), one) for one in seen]
    assert [found for cure in cures if (found := lacking(kind, cure))] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_to_collect_and_how_to_restart_name_nothing_that_the_host_lacks(kind: str) -> None:
    died = Piece("other", "llama runner process no longer running: signal: killed", "text")
    for seen in (reading(kind), reading(kind, died)):
        commands = [*to_collect(seen, derive(seen), ()), how_to_restart(seen)]
        assert {one: found for one in commands if (found := lacking(kind, one))} == {}


def test_the_law_finds_the_words() -> None:
    assert lacking("a process on Linux", "docker restart ollama") == ["docker"]
    assert lacking("the Windows app", "sudo systemctl restart ollama") == ["sudo", "systemctl"]
    assert lacking("a unit of systemd", "Recreate the volume of the models in PowerShell") == ["volume", "PowerShell"]
    assert lacking("a distribution of WSL", "it ends Docker Desktop's containers") == []
