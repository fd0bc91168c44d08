"""What keeps the card in a container after a daemon-reload, by cgroup driver, release of the engine and toolkit, and CDI."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediation.diagnosis.advice.lost_device import lasting_cure
from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.model.facts import EngineFacts

ENGINE = EngineFacts("27.4.0", "Debian", runtimes=("nvidia", "runc"), cgroup_driver="systemd")
CDI = replace(ENGINE, cdi_devices=("nvidia.com/gpu=0", "nvidia.com/gpu=all"))
REQUEST: dict[str, Any] = {"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]}
NAMED = {**REQUEST, "Devices": [{"PathOnHost": each} for each in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm")]}
BY_CDI = {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]}


@pytest.mark.parametrize(
    ("engine", "request_of", "toolkit", "compose", "by_hand"),
    [
        (ENGINE, REQUEST, "", "name the device files under devices: of ollama", "recreate the container with --device for each of"),
        (ENGINE, REQUEST, "1.17.9", "name the device files under devices: of ollama", "recreate the container with --device for each"),
        (ENGINE, REQUEST, "1.18.0", "set runtime: nvidia for ollama in place", "recreate the container with --runtime nvidia -e"),
        (replace(ENGINE, runtimes=("runc",)), REQUEST, "1.18.0", "name the device files", "recreate the container with --device for"),
        (CDI, REQUEST, "", "let ollama request the card by CDI", "recreate the container with --device nvidia.com/gpu=all"),
        (replace(CDI, version="29.2.1"), REQUEST, "", "recreate the container: Docker 29.2.1", "recreate the container: Docker 29.2.1"),
        (replace(CDI, version="24.0.7"), REQUEST, "", "name the device files", "recreate the container with --device for each of"),
        (replace(ENGINE, cgroup_driver="cgroupfs"), REQUEST, "", "", ""),
        (ENGINE, NAMED, "", "", ""),
        (CDI, BY_CDI, "", "", ""),
    ],
)  # fmt: skip
def test_the_lasting_cure_is_what_this_engine_can_do(
    engine: EngineFacts, request_of: dict[str, Any], toolkit: str, compose: str, by_hand: str
) -> None:
    for service, wanted in (("ollama", compose), ("", by_hand)):
        cure = lasting_cure(engine, request_of, service=service, toolkit=toolkit)
        assert cure.startswith(wanted)
        assert bool(cure) is bool(wanted)


@pytest.mark.parametrize(
    ("engine", "config", "words"),
    [
        (CDI, REQUEST, "So that no daemon-reload takes it away: let ollama request the card by CDI"),
        (ENGINE, REQUEST, "So that no daemon-reload takes it away: name the device files under devices: of ollama"),
        (None, REQUEST, "So that no daemon-reload takes it away: request the card by CDI"),
        (ENGINE, NAMED, "this container keeps its card after a daemon-reload, so look for another reason"),
    ],
)
def test_a_diagnosis_names_it_for_the_host_that_was_looked_at(
    engine: EngineFacts | None, config: dict[str, Any], words: str
) -> None:
    labels = {"com.docker.compose.service": "ollama"}
    container = {"Name": "/ollama", "Config": {"Image": "ollama/ollama", "Labels": labels}, "HostConfig": config}
    log = Piece("server_log", "ggml_cuda_init: failed to initialize CUDA: operation not permitted (error 800)\n", "server.log")
    said = Piece("other", "Failed to initialize NVML: Unknown Error", "nvidia-smi in the container")
    found = diagnose(
        Evidence(platform="docker-linux", collected_at=1.0, container=container, pieces=(log, said), engine=engine)
    ).findings
    (cure,) = [one.cure for one in found if one.mechanism == "cgroup-device-access-lost"]
    assert words in cure
