"""The cure of one cause on each kind of host: one action, with the lines to be copied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediation.diagnosis.advice.cures import cure_of
from remediation.diagnosis.diagnose import derive, diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.readers.reading import read_evidence
from remediation.model.facts import Gpu, GpuUse
from remediation.model.finding import Finding

LOG = """\
time=2026-11-29T11:38:06.000Z level=INFO source=routes.go:1554 msg="server config" env="map[{setting}]"
time=2026-11-29T11:38:06.100Z level=INFO source=routes.go:1607 msg="Listening on [::]:11434 (version 0.13.5)"
time=2026-11-29T11:38:06.200Z level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu compute="" name=cpu description=cpu total="15.6 GiB" available="13.0 GiB"
"""
COMPOSE = {"services": {"ollama": {"image": "ollama/ollama"}}}
CONTAINER = {"Name": "/ollama", "HostConfig": {"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]}}
KINDS = {
    "systemd": Evidence(platform="linux", collected_at=1.0),
    "by hand": Evidence(platform="linux", collected_at=1.0),
    "windows": Evidence(platform="windows", collected_at=1.0),
    "compose": Evidence(platform="docker-linux", collected_at=1.0, container=CONTAINER, compose=COMPOSE),
    "docker run": Evidence(platform="docker-linux", collected_at=1.0, container=CONTAINER),
}


def found(cause: str, evidence: Evidence) -> Finding:
    return next(one for one in diagnose(evidence).findings if str(one.cause) == cause)


def with_library(kind: str) -> Evidence:
    log = Piece("server_log", LOG.format(setting="OLLAMA_LLM_LIBRARY:cuda"), "server.log")
    pieces = (
        (replace(log, kind="env", text="OLLAMA_LLM_LIBRARY=cuda\n"), replace(log, kind="api")) if kind == "by hand" else (log,)
    )
    return replace(KINDS[kind], ollama_version="0.13.5", pieces=pieces)


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        ("systemd", "run sudo systemctl edit ollama, add the lines below, then sudo systemctl restart ollama\n[Service]\nUnsetEnvironment=OLLAMA_LLM_LIBRARY"),
        ("by hand", "stop the server and start it with: env -u OLLAMA_LLM_LIBRARY ollama serve"),
        ("windows", "quit Ollama from its tray icon, run the line below in PowerShell, then start Ollama again\n[Environment]::SetEnvironmentVariable('OLLAMA_LLM_LIBRARY', $null, 'User')"),
        ("compose", "take OLLAMA_LLM_LIBRARY out of the environment of Ollama's service in the Compose file, then docker compose up -d"),
        ("docker run", "recreate the container with docker run, without -e OLLAMA_LLM_LIBRARY"),
    ],
)  # fmt: skip
def test_a_setting_is_taken_out_where_it_was_set(kind: str, cure: str) -> None:
    assert found("wrong_library_or_missing_runner", with_library(kind)).cure == cure


def test_a_pasted_text_keeps_the_general_cure() -> None:
    pasted = replace(with_library("systemd"), collected_at=None)
    assert found("wrong_library_or_missing_runner", pasted).cure.startswith("remove OLLAMA_LLM_LIBRARY and recreate")


@pytest.mark.parametrize(
    ("kind", "where"), [("systemd", "restart the host"), ("windows", "restart Windows"), ("compose", "restart the host")]
)
def test_an_old_driver_is_renewed_on_the_system_that_has_it(kind: str, where: str) -> None:
    card = Gpu(0, "GPU-1", "NVIDIA GeForce RTX 3060", "472.12", 6 * 1024**3, 0, 6 * 1024**3)
    evidence = replace(KINDS[kind], ollama_version="0.13.5", use=GpuUse((card,), ()), pieces=with_library("systemd").pieces)
    cure = found("driver_too_old", evidence).cure
    assert cure == f"update the NVIDIA driver to 525 or newer, {where}, then run this again"


@pytest.mark.parametrize(
    ("condition", "driver"), [("cuda>=12.9", "575"), ("cuda>=11.3", "465"), ("driver>=535", "535"), ("cuda>=13", "580")]
)
def test_an_image_names_the_driver_that_it_requires(condition: str, driver: str) -> None:
    said = f"nvidia-container-cli: requirement error: unsatisfied condition: {condition}, please update your driver"
    seen = "| NVIDIA-SMI 551.61   Driver Version: 551.61   CUDA Version: 12.4 |"
    pieces = (Piece("docker_error", said, "docker"), Piece("nvidia_smi", seen, "nvidia-smi"))
    cure = found("driver_too_old", Evidence(platform="docker-linux", pieces=pieces)).cure
    assert f"to {driver} or newer" in cure


def test_what_only_a_person_can_cure_says_so() -> None:
    said = 'could not select device driver "nvidia" with capabilities: [[gpu]]'
    evidence = Evidence(platform="docker-windows", collected_at=1.0, pieces=(Piece("docker_error", said, "docker"),))
    finding = found("gpu_not_visible_to_container", evidence)
    assert finding.by_hand
    assert finding.cure.startswith("switch Docker Desktop to its WSL 2 engine")


def test_an_open_mechanism_names_the_next_one_too_and_a_proven_one_does_not() -> None:
    evidence = Evidence(
        platform="linux",
        gpu="RTX 3070",
        symptom="The model is reloaded with every message, another client sends different options, num_ctx varies.",
    )
    first = diagnose(evidence).findings[0]
    assert first.weighed
    assert "If that changes nothing" in first.cure
    proven = diagnose(Evidence(platform="linux", pieces=(Piece("docker_error", "could not select device driver", "error"),)))
    assert "If that changes nothing" not in proven.findings[0].cure


@pytest.mark.parametrize(
    ("version", "name", "compute", "driver"),
    [("0.13.5", "RTX 5090", "12.0", "570"), ("0.30.11", "GTX 1080", "6.1", "570"), ("0.30.11", "RTX 3060", "8.6", "550")],
)
def test_the_driver_that_is_named_is_the_one_for_the_card(version: str, name: str, compute: str, driver: str) -> None:
    log = f'time=2026-03-01T10:00:00.000Z level=INFO source=types.go:42 msg="inference compute" id=GPU-1 library=CUDA compute={compute} name=CUDA0 description="NVIDIA GeForce {name}" driver=12.2 total="8.0 GiB" available="7.0 GiB"\n'
    old = "| NVIDIA-SMI 470.10   Driver Version: 470.10   CUDA Version: 11.4 |"
    pieces = (Piece("server_log", log, "server.log"), Piece("nvidia_smi", old, "nvidia-smi"))
    seen = read_evidence(Evidence(platform="linux", ollama_version=version, pieces=pieces))
    assert f"to {driver} or newer" in cure_of(knowledge().mechanisms["driver-below-build-minimum"], derive(seen), seen)


@pytest.mark.parametrize(
    "mechanism", ["one-card-failed", "disk-full", "store-not-readable-by-server", "runner-died", "mig-slice-not-served"]
)
def test_pasted_evidence_of_windows_has_the_words_for_windows(mechanism: str) -> None:
    entry = knowledge().mechanisms[mechanism]
    seen = read_evidence(Evidence(platform="windows"))
    assert cure_of(entry, derive(seen), seen) == entry.on["live-windows"]
    assert "sudo" not in entry.on["live-windows"]
