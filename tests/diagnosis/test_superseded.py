"""An alarming line that something else explains is no proof: a later start, another container, another card, a repair."""

from __future__ import annotations

import pytest

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.model.finding import Cause, Diagnosis
from tests.diagnosis.releases import Release

R13 = Release("0.13.5")
SURE = 0.9
ALARMS = (
    "Jan 01 02:00:00 box kernel: NVRM: Xid (PCI:0000:01:00): 79, pid=1234, GPU has fallen off the bus.",
    "Failed to initialize NVML: Driver/library version mismatch",
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.",
    "cuda driver library init failure: 999",
    "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version",
)
SERVES = "services:\n  ollama:\n    image: ollama/ollama:latest\n    deploy:\n      resources:\n        reservations:\n          devices:\n            - driver: nvidia\n              count: all\n              capabilities: [gpu]\n"
WHOLE = R13.start() + R13.load()
PART = R13.start() + R13.load(14)
EMPTY = R13.start(gpu=False) + R13.line(
    'msg="inference compute" id=cpu library=cpu compute="" name=cpu total="62.7 GiB" available="58.1 GiB"'
)


def found(*pieces: tuple[str, str], platform: str = "linux", gpu: str = "NVIDIA GeForce RTX 3060") -> Diagnosis:
    texts = tuple(Piece(kind, text) for kind, text in pieces)
    return diagnose(Evidence(platform=platform, ollama_version="0.13.5", gpu=gpu, symptom="The model is slow.", pieces=texts))


def sure(diagnosis: Diagnosis) -> set[Cause]:
    return {one.cause for one in diagnosis.findings if one.confidence >= SURE and one.cause is not Cause.UNKNOWN}


@pytest.mark.parametrize("alarm", ALARMS)
def test_a_start_that_keeps_the_card_ends_what_was_said_of_it_before(alarm: str) -> None:
    assert sure(found(("server_log", alarm + "\n" + EMPTY))) <= {Cause.DRIVER_LOST, Cause.DRIVER_TOO_OLD}
    assert not sure(found(("server_log", alarm + "\n" + PART))) & {Cause.DRIVER_LOST, Cause.DRIVER_TOO_OLD}
    assert sure(found(("server_log", alarm + "\n" + WHOLE))) <= {Cause.HEALTHY}


def test_a_card_that_the_later_start_does_not_list_is_still_away() -> None:
    kept = PART.replace(' total="6.0 GiB"', ' pci_id=0000:41:00.0 total="6.0 GiB"')
    assert Cause.DRIVER_LOST in sure(found(("server_log", ALARMS[0] + "\n" + kept)))


@pytest.mark.parametrize("alarm", ALARMS)
@pytest.mark.parametrize(
    "words",
    [
        "Yesterday I saw the line below, then I repaired it.",
        "The line below comes from before the repair, since then it works fine.",
    ],
)
def test_what_people_call_past_is_past_where_the_log_shows_the_card_at_work(alarm: str, words: str) -> None:
    assert sure(found(("other", f"{words}\n{alarm}"), ("server_log", WHOLE))) <= {Cause.HEALTHY}
    assert sure(found(("other", f"{words}\n{alarm}"), ("server_log", EMPTY))) <= {Cause.DRIVER_LOST, Cause.DRIVER_TOO_OLD}
    assert sure(found(("other", alarm), ("server_log", EMPTY)))


@pytest.mark.parametrize("alarm", [ALARMS[1], ALARMS[4]])
def test_a_driver_that_serves_a_part_of_the_layers_is_not_what_keeps_the_rest_off_the_card(alarm: str) -> None:
    assert not sure(found(("other", alarm), ("server_log", PART))) & {Cause.DRIVER_LOST, Cause.DRIVER_TOO_OLD}


def test_a_second_card_that_is_too_old_explains_nothing_of_the_one_that_is_used() -> None:
    line = R13.line('msg="[1] CUDA GPU is too old. Compute Capability detected: 3.5"', source="gpu.go:321")
    started = R13.start(gpu=False) + line + R13.start().splitlines(keepends=True)[-1]
    assert sure(found(("server_log", started + R13.load()), gpu="RTX 3060 and Tesla K40")) <= {Cause.HEALTHY}
    assert Cause.UNSUPPORTED_GPU in sure(found(("server_log", R13.start(gpu=False) + line), gpu="Tesla K40"))


def test_other_containers_are_not_the_servers() -> None:
    silent = EMPTY.replace("CUDA_VISIBLE_DEVICES: ", "")  # a start that does not print the variable
    beside = "  open-webui:\n    image: ghcr.io/open-webui/open-webui:main\n    mem_limit: 512m\n    environment:\n      - CUDA_VISIBLE_DEVICES=-1\n"
    hidden = found(("docker_compose", SERVES + beside), ("server_log", silent), platform="docker-linux")
    assert Cause.CUDA_VISIBLE_DEVICES_WRONG not in {one.cause for one in hidden.findings}
    assert Cause.SYSTEM_MEMORY_LIMIT not in {one.cause for one in hidden.findings}
    own = SERVES + "    environment:\n      - CUDA_VISIBLE_DEVICES=-1\n"
    assert Cause.CUDA_VISIBLE_DEVICES_WRONG in sure(
        found(("docker_compose", own), ("server_log", silent), platform="docker-linux")
    )
    requested = "  whisper:\n" + SERVES.split("ollama:latest\n")[1]
    lacks = "services:\n  ollama:\n    image: ollama/ollama:latest\n" + requested.replace(
        "  whisper:\n", "  whisper:\n    image: whisper\n"
    )
    assert Cause.GPU_NOT_VISIBLE_TO_CONTAINER in sure(
        found(("docker_compose", lacks), ("server_log", EMPTY), platform="docker-linux")
    )


@pytest.mark.parametrize(
    "record",
    [
        '[{"Name": "/postgres", "State": {"OOMKilled": true, "ExitCode": 137}, "Config": {"Image": "postgres:16"}}]',
        '[{"Name": "/webui", "Config": {"Image": "ghcr.io/open-webui/open-webui:main"}, "HostConfig": {"DeviceRequests": null}}]',
    ],
)
def test_the_record_of_a_container_beside_the_server_proves_nothing(record: str) -> None:
    assert not sure(found(("docker_inspect", record), ("server_log", EMPTY), platform="docker-linux"))
    assert sure(found(("docker_inspect", record), ("server_log", WHOLE), platform="docker-linux")) <= {Cause.HEALTHY}
    own = record.replace("postgres:16", "ollama/ollama").replace(
        "ghcr.io/open-webui/open-webui:main", "ghcr.io/open-webui/open-webui:ollama"
    )
    assert sure(found(("docker_inspect", own), ("server_log", EMPTY), platform="docker-linux"))


def test_an_empty_search_beside_a_working_driver_leaves_several_causes_open() -> None:
    smi = "| NVIDIA-SMI 580.82.07              Driver Version: 580.82.07      CUDA Version: 13.0     |\n|   0  NVIDIA GeForce RTX 3060        On  |   00000000:01:00.0  On |                  N/A |\n|  0%   42C    P8             12W /  200W |     612MiB /  12288MiB |      0%      Default |"
    diagnosis = found(("nvidia_smi", smi), ("server_log", EMPTY))
    assert diagnosis.findings[0].cause is Cause.WRONG_LIBRARY_OR_MISSING_RUNNER
    assert not sure(diagnosis)


def test_one_library_that_dies_explains_nothing_where_another_one_serves_the_card() -> None:
    died = R13.line(
        'msg="failure during GPU discovery" OLLAMA_LIBRARY_PATH="[C:\\\\lib\\\\ollama\\\\rocm]" error="runner crashed: exit status 0xc0000005"'
    )
    assert Cause.WRONG_LIBRARY_OR_MISSING_RUNNER in sure(found(("server_log", died + EMPTY), platform="windows"))
    assert sure(found(("server_log", died + WHOLE), platform="windows")) <= {Cause.HEALTHY}
