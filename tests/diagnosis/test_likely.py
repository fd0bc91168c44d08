"""The answer ``unknown`` and uncertain answers begin with the likeliest cures, then name the output that decides."""

from __future__ import annotations

import json

import pytest

from remediation.diagnosis.advice.cures import likely_cures
from remediation.diagnosis.diagnose import derive, diagnose, to_json
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.schema import value
from remediation.diagnosis.load import of_incident
from remediation.diagnosis.readers.reading import read_evidence
from remediation.model.finding import Cause, Diagnosis
from remediation.model.translation import translated, use_language
from remediation.report.diagnosis import diagnosis_lines

NVIDIA, AMD, INTEL = "NVIDIA GeForce RTX 3060 12 GB", "AMD Radeon RX 6700 XT", "Intel Arc A770"
SMI = "| NVIDIA-SMI 560.35.03    Driver Version: 560.35.03    CUDA Version: 12.6 |\n|   0  NVIDIA GeForce RTX 3060   Off | 00000000:01:00.0 Off | N/A |\n| 0%   35C    P8   10W / 170W |   10MiB / 12288MiB |   0%   Default |\n"
FREE = "NAME      ID    SIZE    PROCESSOR         CONTEXT  UNTIL\nllama3:8b 365c  6.0 GB  40%/60% CPU/GPU   4096     4 minutes from now\n"
WHOLE = "NAME      ID    SIZE    PROCESSOR  CONTEXT  UNTIL\nllama3:8b 365c  6.0 GB  100% GPU   4096     4 minutes from now\n"
DIED = 'time=2026-03-01T10:00:09.000Z level=INFO source=sched.go:453 msg="Load failed" model=/m error="llama runner process has terminated: exit status 2"\n'
GIVEN = '[{"Name": "/ollama", "HostConfig": {"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]}}]'
REFUSED = "OCI runtime create failed: runc create failed: unable to start container process: exit status 70: unknown"
SITUATIONS = [
    ("linux", NVIDIA, "a pull always stops halfway", "", "", "Pull the model again"),
    ("docker-linux", NVIDIA, "the container does not start", "docker_error", REFUSED, "Read the end of the error"),
    ("docker-windows", NVIDIA, "the container does not start", "docker_error", REFUSED, "wsl --shutdown"),
    ("docker-linux", NVIDIA, "the pod does not start", "docker_error", REFUSED, "kubectl describe pod"),
    ("docker-linux", NVIDIA, "our pod ends with an error", "", "", "runtimeClassName: nvidia"),
    ("linux", NVIDIA, "", "server_log", DIED, "Leave the load more memory"),
    ("windows", NVIDIA, "", "server_log", DIED, "Visual C++"),
    ("docker-linux", NVIDIA, "", "server_log", DIED, "memory limit of the container"),
    ("docker-windows", NVIDIA, "", "server_log", DIED, ".wslconfig"),
    ("linux", NVIDIA, "", "ollama_ps", WHOLE, "All layers are on the GPU"),
    ("linux", NVIDIA, "", "ollama_ps", FREE, "Make room on the card"),
    ("windows", NVIDIA, "", "ollama_ps", FREE, "Task Manager"),
    ("linux", "NVIDIA Jetson Orin Nano", "", "", "", "JETSON_JETPACK=6"),
    ("unknown", "Apple M2 16 GB", "", "server_log", DIED, "launchctl setenv"),
    ("unknown", "Apple M2 16 GB", "it does not use the GPU", "", "", "iogpu.wired_limit_mb"),
    ("docker-linux", "Apple M2", "docker on macOS", "", "", "native application"),
    ("docker-linux", NVIDIA, "the pod in our k3s cluster uses the CPU", "", "", "runtimeClassName: nvidia"),
    ("docker-windows", AMD, "", "", "", "outside Docker"),
    ("docker-linux", AMD, "", "", "", "ollama/ollama:rocm"),
    ("wsl", AMD, "", "", "", "outside WSL"),
    ("windows", AMD, "", "", "", "AMD's newest driver"),
    ("linux", AMD, "", "", "", "rocm.tar.zst"),
    ("linux", INTEL, "", "", "", "OLLAMA_VULKAN=1"),
    ("docker-linux", NVIDIA, "nvidia-smi works inside the container", "", "", "build for CUDA"),
    ("docker-linux", NVIDIA, "", "docker_inspect", GIVEN, "it is given the card and does not use it"),
    ("docker-windows", NVIDIA, "", "", "", "Docker Desktop with its WSL 2 engine"),
    ("docker-linux", NVIDIA, "podman on Debian", "", "", "nvidia-ctk cdi generate"),
    ("docker-linux", NVIDIA, "", "", "", "nvidia-ctk runtime configure"),
    ("wsl", NVIDIA, "", "", "", "wsl --update"),
    ("windows", NVIDIA, "", "", "", "tray icon"),
    ("linux", NVIDIA, "", "nvidia_smi", SMI, "Make the node of the driver that CUDA needs"),
    ("linux", NVIDIA, "", "", "", "Let `nvidia-smi` list the card first"),
]  # fmt: skip


def incident(platform: str, gpu: str, symptom: str, kind: str = "", text: str = "") -> dict[str, object]:
    return {"platform": platform, "gpu": gpu, "symptom": symptom, "evidence": [{"kind": kind, "text": text}] if kind else []}


@pytest.mark.parametrize(("platform", "gpu", "symptom", "kind", "text", "says"), SITUATIONS)
def test_a_situation_without_a_cause_has_its_likeliest_cures(platform: str, gpu: str, symptom: str, kind: str, text: str, says: str) -> None:  # fmt: skip
    seen = read_evidence(of_incident(incident(platform, gpu, symptom, kind, text)))
    assert says in likely_cures(derive(seen), seen)


def test_each_entry_is_the_one_of_a_situation() -> None:
    said = set()
    for one in SITUATIONS:
        seen = read_evidence(of_incident(incident(*one[:5])))
        said.add(
            next(text for one in knowledge().likely if one.when is None or value(one.when, derive(seen)) for text in [one.cure])
        )
    assert knowledge().likely[-1].when is None
    assert all(entry.when for entry in knowledge().likely[:-1])
    assert len(said) == len(knowledge().likely)


def undecided(**more: object) -> Diagnosis:
    return diagnose(of_incident({**incident("docker-linux", NVIDIA, "it is slow"), **more}))


def test_unknown_begins_with_cures_and_ends_with_the_output_that_decides() -> None:
    found = undecided()
    first = found.findings[0]
    assert first.cause is Cause.UNKNOWN
    assert first.cure.startswith("Give the container the card")
    assert first.cure.endswith(f"this output decides: {found.collect[0]}")
    assert first.confirm == "`ollama ps` lists the model with 100% GPU"


def test_candidates_that_do_not_stand_out_give_their_cures() -> None:
    log = "load_tensors: offloaded 31/33 layers to GPU\n"
    found = diagnose(of_incident({"gpu": AMD, "evidence": [{"kind": "server_log", "text": log}]}))
    unknown, *others = [one for one in found.findings if one.cause is Cause.UNKNOWN or one.confidence >= 0.1]
    assert unknown.cause is Cause.UNKNOWN
    assert others
    assert unknown.cure.startswith(others[0].cure)
    assert all(one.cure.rstrip(".") in unknown.cure for one in others[:2])
    text = " ".join(row.strip() for line in diagnosis_lines("log", to_json(found)) for row in line.rows())
    assert text.count(others[0].cure[:40]) == 1, "a cure is shown once"


def test_an_uncertain_answer_names_the_output_that_decides_after_its_cure() -> None:
    log = 'time=2026-03-01T10:00:00.000Z level=INFO source=amd_linux.go:379 msg="no compatible amdgpu devices detected"\n'
    found = diagnose(of_incident({"gpu": AMD, "evidence": [{"kind": "server_log", "text": log}]}))
    first = found.findings[0]
    assert (first.cause, first.confidence < 0.5) == (Cause.UNSUPPORTED_GPU, True)
    assert not first.cure.startswith(found.collect[0])
    assert first.cure.endswith(f" If that changes nothing, this output decides: {found.collect[0]}")


def test_unknown_is_shown_with_its_cure_its_check_and_what_to_collect() -> None:
    found = to_json(undecided())
    rows = [row for line in diagnosis_lines("their-log.txt", found) for row in line.rows()]
    text = "\n".join(rows)
    assert (
        text.index("unknown") < text.index("cure    Give the container the card") < text.index("confirm") < text.index("collect")
    )
    assert json.loads(json.dumps(found))["findings"][0]["cure"].startswith("Give the container the card")


def test_unknown_is_spanish_with_its_cures() -> None:
    with use_language("es"):
        cures = [
            translated(undecided(platform=one).findings[0].cure)
            for one in ("linux", "windows", "docker-linux", "docker-windows", "wsl")
        ]
    assert all("Si eso no cambia nada, lo decide esta salida: " in one for one in cures)
    assert not [one for one in cures if " the " in one]


@pytest.mark.parametrize(
    ("platform", "gpu", "symptom", "command"),
    [
        ("docker-linux", NVIDIA, "", "docker exec ollama nvidia-smi"),
        ("docker-linux", NVIDIA, "with podman", "podman exec ollama nvidia-smi"),
        ("docker-linux", NVIDIA, "a pod in kubernetes", "kubectl exec POD -- nvidia-smi"),
        ("docker-linux", AMD, "", "docker exec ollama ls -l /dev/kfd /dev/dri"),
        ("linux", AMD, "", "ls -l /dev/kfd /dev/dri"),
        ("linux", INTEL, "", "ls -l /dev/dri"),
        ("linux", NVIDIA, "", "nvidia-smi"),
    ],
)
def test_what_to_collect_fits_engine_and_vendor(platform: str, gpu: str, symptom: str, command: str) -> None:
    assert command in undecided(platform=platform, gpu=gpu, symptom=symptom).collect


def test_windows_has_no_command_for_a_card_of_amd() -> None:
    assert not [one for one in undecided(platform="windows", gpu=AMD).collect if "nvidia" in one or "/dev/" in one]
