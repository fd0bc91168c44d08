from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import yaml

from remediation.diagnosis.diagnose import derive, diagnose, to_json
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.load import load_evidence, of_incident
from remediation.diagnosis.readers.reading import read_evidence
from remediation.model.facts import Manager, ServerProcess, ServiceUnit, Serving
from remediation.model.finding import Cause, Diagnosis
from remediation.model.text.yaml_limits import FASTEST

HERE = pathlib.Path(__file__).parent
CASES: list[dict[str, Any]] = yaml.load((HERE / "fixtures" / "causes.yml").read_text(), Loader=FASTEST)


@pytest.mark.parametrize("case", CASES, ids=[f"{number:02d}-{case['expected']}" for number, case in enumerate(CASES)])
def test_each_cause_is_named_with_a_quote_that_stands_in_the_evidence(case: dict[str, Any]) -> None:
    evidence = of_incident({key: value for key, value in case.items() if key != "expected"})
    first = diagnose(evidence).findings[0]
    assert str(first.cause) == case["expected"]
    if first.cause is Cause.UNKNOWN:
        assert first.cure, "an unknown cause says what to collect"
        return
    assert first.because
    assert first.cure
    shown = "\n".join([*(piece.text for piece in evidence.pieces), evidence.symptom or "", evidence.gpu or ""])
    for quote in first.quotes:
        if not quote.text.startswith("{"):  # a row of /api/ps is quoted as JSON
            assert any(part.strip() in shown for part in (quote.text, quote.text.split(":", 1)[-1])), quote


def test_every_cause_but_unknown_has_a_mechanism_and_a_case() -> None:
    assert {case["expected"] for case in CASES} == {str(cause) for cause in Cause}
    assert {entry.cause for entry in knowledge().mechanisms.values()} == set(Cause) - {Cause.UNKNOWN}


def test_num_gpu_in_the_log_rules_out_occupied_vram() -> None:
    found = diagnose(load_evidence(str(HERE / "fixtures" / "logs" / "v0.12.11-num-gpu.log")))
    assert found.findings[0].cause is Cause.EXPLICIT_NUM_GPU
    assert found.findings[0].confidence >= 0.9
    assert found.findings[0].quotes[0].where == "v0.12.11-num-gpu.log:8"
    assert found.rules_out(Cause.VRAM_OCCUPIED)
    assert found.rules_out(Cause.GPU_OVERHEAD_RESERVED)
    assert found.offloaded == (1, 33)


def test_a_half_occupied_card_is_told_from_a_model_that_is_too_large() -> None:
    found = diagnose(load_evidence(str(HERE / "fixtures" / "logs" / "v0.1.33-vram.log")))
    assert found.findings[0].cause is Cause.VRAM_OCCUPIED
    assert found.rules_out(Cause.MODEL_TOO_LARGE)
    assert found.rules_out(Cause.EXPLICIT_NUM_GPU)


def test_the_fit_of_llama_server_counts_with_its_last_result() -> None:
    found = diagnose(load_evidence(str(HERE / "fixtures" / "logs" / "v0.30-fit.log")))
    assert found.offloaded == (18, 33)
    assert found.findings[0].cause is Cause.VRAM_OCCUPIED


def test_dead_and_harmful_settings_are_findings_of_their_own() -> None:
    text = "OLLAMA_NUM_GPU=99\nOLLAMA_GPU_MEMORY_FRACTION=0.85\nOLLAMA_LLM_LIBRARY=cuda\n"
    found = diagnose(of_incident({"ollama_version": "0.13.3", "evidence": [{"kind": "env", "text": text}]}))
    assert {one.name: one.verdict for one in found.settings} == {
        "OLLAMA_NUM_GPU": "dead",
        "OLLAMA_GPU_MEMORY_FRACTION": "dead",
        "OLLAMA_LLM_LIBRARY": "harmful",
    }
    older = diagnose(of_incident({"ollama_version": "0.9.6", "evidence": [{"kind": "env", "text": text}]}))
    assert {one.name: one.verdict for one in older.settings}["OLLAMA_LLM_LIBRARY"] == "dead"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('services:\n  ollama:\n    environment:\n      - HSA_OVERRIDE_GFX_VERSION="10.3.0"\n', True),
        ('services:\n  ollama:\n    environment:\n      HSA_OVERRIDE_GFX_VERSION: "10.3.0"\n', False),
        ("services:\n  ollama:\n    environment:\n      - HSA_OVERRIDE_GFX_VERSION=10.3.0\n", False),
    ],
)
def test_quotation_marks_count_where_they_are_a_part_of_the_value(text: str, quoted: bool) -> None:
    found = diagnose(of_incident({"platform": "docker-linux", "evidence": [{"kind": "docker_compose", "text": text}]}))
    assert [one.verdict for one in found.settings if "HSA_OVERRIDE_GFX_VERSION=10.3.0" in one.because] == ["harmful"] * quoted


@pytest.mark.parametrize(("text", "old"), [("Build 19042.928", True), ("19042.92 MiB are free", False), ("22631.4317", False)])
def test_a_number_is_a_build_of_windows_only_where_it_can_be_one(text: str, old: bool) -> None:
    facts = derive(read_evidence(of_incident({"platform": "wsl", "evidence": [{"kind": "other", "text": text}]})))
    assert facts.holds("windows.old") is old


def test_nvml_unknown_error_means_the_container_only_inside_one() -> None:
    piece = {"kind": "nvidia_smi", "text": "Failed to initialize NVML: Unknown Error\n"}
    inside = diagnose(of_incident({"platform": "docker-linux", "evidence": [piece]})).findings[0]
    outside = diagnose(of_incident({"platform": "linux", "evidence": [piece]})).findings[0]
    assert inside.cause is Cause.GPU_NOT_VISIBLE_TO_CONTAINER
    assert outside.cause is Cause.DRIVER_LOST
    assert inside.confidence > outside.confidence


def test_a_live_host_is_judged_by_its_last_load_a_pasted_log_by_the_first_short_one() -> None:
    log = "load_tensors: offloaded 1/33 layers to GPU\nload_tensors: offloaded 33/33 layers to GPU\n"
    pasted = of_incident({"evidence": [{"kind": "server_log", "text": log}]})
    assert diagnose(pasted).offloaded == (1, 33)
    live = type(pasted)(pieces=pasted.pieces, runners=())
    assert diagnose(live).offloaded == (33, 33)


def test_the_json_has_what_the_score_and_the_ladder_read() -> None:
    data = to_json(diagnose(load_evidence(str(HERE / "fixtures" / "logs" / "v0.12.11-num-gpu.log"))), target="mistral:7b")
    assert {"findings", "offloaded", "predicted", "target", "settings", "ruled_out", "need", "collect"} <= data.keys()
    assert data["offloaded"] == [1, 33]
    assert data["target"] == "mistral:7b"
    assert {"cause", "confidence", "because", "quotes", "cure"} <= data["findings"][0].keys()


# v0.12.10's shapes (facts/ollama 2.2, 2.3), written for this test: a full card, no layer placed
FULL = """time=2026-03-01T10:00:00.000Z level=INFO source=types.go:42 msg="inference compute" id=GPU-1 library=CUDA compute=8.6 name=CUDA0 description="NVIDIA GeForce RTX 3060" driver=12.5 type=discrete total="6.0 GiB" available="300.0 MiB"
time=2026-03-01T10:00:01.000Z level=INFO source=server.go:522 msg=offload library=CUDA layers.requested=-1 layers.model=33 layers.offload=0 layers.split=[] memory.available="[300.0 MiB]" memory.gpu_overhead="0 B" memory.required.full="5.4 GiB" memory.required.partial="0 B" memory.required.kv="512.0 MiB" memory.required.allocations="[0 B]" memory.weights.total="4.0 GiB" memory.weights.repeating="3.9 GiB" memory.weights.nonrepeating="105.0 MiB" memory.graph.full="296.0 MiB" memory.graph.partial="305.0 MiB"
load_tensors: offloaded 0/33 layers to GPU
"""
STARTED = 'time=2026-03-01T10:00:09.000Z level=INFO source=server.go:1289 msg="llama runner started in 8.00 seconds"\n'
DIED = 'time=2026-03-01T10:00:09.000Z level=INFO source=sched.go:453 msg="Load failed" model=/m error="llama runner process has terminated: exit status 2"\n'


def full_card(log: str, version: str = "0.12.10") -> Diagnosis:
    pieces = [{"kind": "server_log", "text": log}]
    return diagnose(of_incident({"platform": "docker-linux", "ollama_version": version, "evidence": pieces}))


def sure(found: Diagnosis, cause: Cause) -> float:
    return next((one.confidence for one in found.findings if one.cause is cause), 0.0)


def test_a_full_card_explains_few_layers_and_no_load_that_dies_without_any() -> None:
    ran, died = full_card(FULL + STARTED), full_card(FULL + DIED)
    assert sure(ran, Cause.VRAM_OCCUPIED) >= 0.9
    assert 0 < sure(died, Cause.VRAM_OCCUPIED) < 0.8
    assert any("HostConfig.Memory" in command for command in died.collect)
    later = full_card(FULL + STARTED + FULL.splitlines(keepends=True)[1] + DIED)
    assert sure(later, Cause.VRAM_OCCUPIED) >= 0.8, "the load that is shown did not die"


def test_only_a_release_that_cannot_see_the_containers_limit_is_suspected_of_having_met_it() -> None:
    assert 0 < sure(full_card(FULL + DIED), Cause.SYSTEM_MEMORY_LIMIT) < 0.5
    assert sure(full_card(FULL + DIED, "0.13.0"), Cause.SYSTEM_MEMORY_LIMIT) == 0.0
    assert sure(full_card(FULL + STARTED), Cause.SYSTEM_MEMORY_LIMIT) == 0.0


PLAN = 'time=2026-03-01T10:00:01.000Z level=INFO source=server.go:175 msg=offload library=cuda layers.requested=-1 layers.model=33 layers.offload=11 layers.split="" memory.available="[{free}]" memory.gpu_overhead="0 B" memory.required.full="578.7 MiB" memory.required.kv="32.0 MiB" memory.weights.total="14.2 MiB" memory.weights.repeating="13.8 MiB" memory.weights.nonrepeating="421.0 KiB" memory.graph.full="74.0 MiB" memory.graph.partial="74.0 MiB"\n'
FITS = 'time=2026-03-01T10:00:00.000Z level=INFO source=sched.go:788 msg="new model will fit in available VRAM in single GPU, loading" gpu=GPU-1 parallel=1 available={free} required="578.7 MiB"\n'
SMALL_FREE = "550.0 MiB"


def planned(log: str) -> Diagnosis:
    return diagnose(
        of_incident({"platform": "linux", "ollama_version": "0.9.6", "evidence": [{"kind": "server_log", "text": log}]})
    )


def test_what_the_log_rounds_away_is_a_range_and_no_number() -> None:
    exact, rounded = planned(PLAN.format(free=SMALL_FREE)), planned(PLAN.format(free="0.5 GiB"))
    assert exact.predicted is not None
    assert rounded.predicted is None
    bounds = re.search(r"as the log rounds it: (\d+) to (\d+) of 33 layers", rounded.need)
    assert bounds is not None
    assert int(bounds[1]) <= exact.predicted[0] <= int(bounds[2])


def test_the_same_amount_to_the_byte_in_the_line_before_makes_it_a_number_again() -> None:
    free = 550 * 1024**2
    found = planned(FITS.format(free=free) + PLAN.format(free="0.5 GiB"))
    assert found.predicted == planned(PLAN.format(free=SMALL_FREE)).predicted
    other = planned(FITS.format(free=2 * free) + PLAN.format(free="0.5 GiB"))
    assert other.predicted is None, "a different amount was measured at another time"


NO_CARD = """time=2026-03-01T10:00:00.000Z level=INFO source=routes.go:1 msg="server config" env="map[OLLAMA_DEBUG:INFO OLLAMA_LLM_LIBRARY:{library}]"
time=2026-03-01T10:00:00.000Z level=INFO source=routes.go:1 msg="Listening on [::]:11434 (version 0.13.5)"
time=2026-03-01T10:00:01.000Z level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu compute="" name=cpu description=cpu libdirs=ollama driver="" pci_id="" type="" total="15.6 GiB" available="12.0 GiB"
"""
GIVEN = [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]


def in_container(library: str, requests: list[dict[str, Any]] | None, visible: str = "all") -> Diagnosis:
    record = {"HostConfig": {"DeviceRequests": requests}, "Config": {"Env": [f"NVIDIA_VISIBLE_DEVICES={visible}"]}}
    piece = Piece("server_log", NO_CARD.format(library=library), "server.log")
    return diagnose(Evidence(platform="docker-linux", ollama_version="0.13.5", pieces=(piece,), container=record))


def test_a_container_that_was_given_the_card_is_not_called_blind_where_the_server_never_looked() -> None:
    found = in_container("cuda", GIVEN)
    assert found.findings[0].cause is Cause.WRONG_LIBRARY_OR_MISSING_RUNNER
    assert sure(found, Cause.GPU_NOT_VISIBLE_TO_CONTAINER) == 0.0
    reason = next(one.because for one in found.ruled_out if one.cause is Cause.GPU_NOT_VISIBLE_TO_CONTAINER)
    assert "OLLAMA_LLM_LIBRARY:cuda" in reason


@pytest.mark.parametrize("visible", ["void", "none", ""])
def test_a_card_that_was_asked_for_and_hidden_was_not_given(visible: str) -> None:
    assert all(one.cause is not Cause.GPU_NOT_VISIBLE_TO_CONTAINER for one in in_container("cuda", GIVEN, visible).ruled_out)


def test_a_container_without_a_request_is_blind_whatever_else_is_wrong() -> None:
    assert sure(in_container("cuda", None), Cause.GPU_NOT_VISIBLE_TO_CONTAINER) >= 0.9


def test_an_empty_discovery_alone_proves_no_blindness_where_the_card_was_given() -> None:
    assert 0 < sure(in_container("", GIVEN), Cause.GPU_NOT_VISIBLE_TO_CONTAINER) < 0.8


def test_words_are_read_at_the_beginning_and_the_end_of_a_long_text() -> None:
    rows = "| 0 N/A 4242 C python 10MiB |\n" * 20_000
    text = f"It began after suspend.\n{rows}Restarting the container brings the card back.\n"
    reading = read_evidence(of_incident({"evidence": [{"kind": "other", "text": text}]}))
    assert "after suspend" in reading.words
    assert "Restarting the container" in reading.words
    assert len(reading.words) < len(text) / 2


_LOADED = """\
time=2026-11-30T18:00:00.000Z level=INFO source=types.go:42 msg="inference compute" id=GPU-1 library=CUDA compute=8.6 name=CUDA0 description="NVIDIA GeForce RTX 3060" libdirs=ollama,cuda_v12 driver=12.5 pci_id=0000:01:00.0 type=discrete total="6.0 GiB" available="5.6 GiB"
time=2026-11-30T18:00:01.000Z level=INFO source=ggml.go:104 msg=system CPU.0.LLAMAFILE=1 compiler=cgo(gcc)
time=2026-11-30T18:00:01.100Z level=INFO source=server.go:496 msg="loading model" "model layers"=33 requested=-1
load_tensors: offloaded 33/33 layers to GPU
time=2026-11-30T18:00:02.000Z level=INFO source=server.go:1376 msg="llama runner started in 0.81 seconds"
"""
_GONE = 'time=2026-11-30T18:01:00.000Z level=ERROR source=images.go:92 msg="couldn\'t open model file" error="open /models/blobs/sha256-9f: no such file or directory"\n'


@pytest.mark.parametrize(
    ("more", "cause"), [("", Cause.HEALTHY), (_GONE, Cause.MODEL_CORRUPT)], ids=["loaded", "file gone since"]
)
def test_a_load_with_all_layers_proves_the_library_and_not_that_the_file_is_still_there(more: str, cause: Cause) -> None:
    log = {"kind": "server_log", "text": _LOADED + more}
    found = diagnose(of_incident({"ollama_version": "0.13.5", "gpu": "NVIDIA GeForce RTX 3060 6144 MiB", "evidence": [log]}))
    assert (found.findings[0].cause, found.findings[0].confidence >= 0.8) == (cause, True), found.findings


def test_a_card_that_discovery_keeps_speaks_against_missing_libraries() -> None:
    smi = "| NVIDIA-SMI 555.42.06   Driver Version: 555.42.06   CUDA Version: 12.5 |\n|   0  NVIDIA GeForce RTX 3060  Off | 00000000:01:00.0 On | N/A |\n"
    pieces = [{"kind": "server_log", "text": _LOADED.replace("33/33", "0/33")}, {"kind": "nvidia_smi", "text": smi}]
    found = diagnose(of_incident({"ollama_version": "0.13.5", "platform": "linux", "evidence": pieces}))
    assert found.confidence(Cause.WRONG_LIBRARY_OR_MISSING_RUNNER) < 0.5, found.findings


@pytest.mark.parametrize(
    "error", ["", "Error: listen tcp 127.0.0.1:11434: bind: address already in use"], ids=["stopped", "port taken"]
)
def test_a_server_that_has_ended_is_not_healthy_by_its_log(error: str) -> None:
    unit = ServiceUnit("ollama.service", "inactive", None, "/etc/systemd/system/ollama.service")
    pieces = (Piece("server_log", f"{_LOADED}{error}\n", "server.log"),)
    stopped = Evidence(platform="linux", pieces=pieces, collected_at=1.0, serving=Serving(Manager.SYSTEMD, unit.name, unit=unit))
    (first, *others) = diagnose(stopped).findings
    assert (first.mechanism, [one for one in others if one.cause.is_health]) == ("unit-stopped", [])
    assert first.because == f"the service ollama is inactive{f'; its log ends with: {error}' if error else ''}"
    assert [quote.text for quote in first.quotes if quote.where.startswith("server.log")] == ([error] if error else [])
    answering = Evidence(platform="linux", pieces=pieces, collected_at=1.0, ollama_version="0.13.5", runners=())
    assert diagnose(answering).findings[0].cause.is_health


PARTIAL = """\
time=2026-12-01T03:28:37.671Z level=INFO source=routes.go:1607 msg="Listening on 127.0.0.1:11434 (version 0.13.5)"
time=2026-12-01T03:28:37.793Z level=INFO source=types.go:42 msg="inference compute" id=GPU-8f6e library=CUDA compute=8.6 name=CUDA0 \
description="NVIDIA GeForce RTX 3060 Laptop GPU" driver=12.5 total="2.0 GiB" available="{free} MiB"
time=2026-12-01T03:28:49.495Z level=INFO source=sched.go:450 msg="gpu memory" id=GPU-8f6e library=CUDA available="167.0 MiB" \
free="{free} MiB" minimum="457.0 MiB" overhead="0 B"
time=2026-12-01T03:28:49.495Z level=INFO source=server.go:496 msg="loading model" "model layers"=33 requested=-1
time=2026-12-01T03:28:49.495Z level=INFO source=device.go:240 msg="model weights" device=CUDA0 size="20.8 MiB"
time=2026-12-01T03:28:49.495Z level=INFO source=device.go:245 msg="model weights" device=CPU size="7.1 MiB"
time=2026-12-01T03:28:49.495Z level=INFO source=device.go:251 msg="kv cache" device=CUDA0 size="96.0 MiB"
time=2026-12-01T03:28:49.495Z level=INFO source=device.go:256 msg="kv cache" device=CPU size="32.0 MiB"
time=2026-12-01T03:28:49.495Z level=INFO source=device.go:262 msg="compute graph" device=CUDA0 size="45.0 MiB"
time=2026-12-01T03:28:49.496Z level=INFO source=device.go:272 msg="total memory" size="200.9 MiB"
load_tensors: offloaded 24/33 layers to GPU
"""


@pytest.mark.parametrize(("free", "contradicts"), [("624.0", False), ("657.0", False), ("900.0", True)])
def test_the_total_of_a_newer_release_does_not_include_the_room_kept_on_the_card(free: str, contradicts: bool) -> None:
    evidence = [{"kind": "server_log", "text": PARTIAL.format(free=free)}]
    facts = derive(read_evidence(of_incident({"platform": "linux", "evidence": evidence})))
    assert facts.holds("estimate.contradicts_itself") == contradicts


FILTERED = """\
time=2026-12-01T03:30:42.000Z level=INFO source=routes.go:1554 msg="server config" env="map[OLLAMA_LLM_LIBRARY:cuda]"
time=2026-12-01T03:30:42.100Z level=INFO source=routes.go:1607 msg="Listening on 127.0.0.1:11434 (version 0.13.5)"
time=2026-12-01T03:30:43.054Z level=INFO source=routes.go:1648 msg="entering low vram mode" "total vram"="0 B" threshold="20.0 GiB"
"""


@pytest.mark.parametrize(("engine", "cure"), [("Podman", "quadlet"), ("Docker", "docker_host")])
def test_a_container_of_an_engine_that_was_not_reached_is_not_cured_by_a_unit(engine: str, cure: str) -> None:
    serving = Serving(Manager.NOTHING, contained=ServerProcess(5, "root", engine=engine))
    pieces = (Piece("server_log", FILTERED, "server.log"),)
    evidence = Evidence(platform="linux", pieces=pieces, collected_at=1.0, ollama_version="0.13.5", runners=(), serving=serving)
    (first, *_) = diagnose(evidence).findings
    assert first.mechanism == "llm-library-filter"
    assert first.cure.startswith("take OLLAMA_LLM_LIBRARY out of the environment of its container: ")
    assert cure in first.cure
    assert "systemctl" not in first.cure


def test_a_unit_of_a_users_manager_is_changed_by_that_user() -> None:
    process = ServerProcess(5, "lena", unit="ollama.service", of_user=True, environment={})
    serving = Serving(Manager.PROCESS, process=process)
    pieces = (Piece("server_log", FILTERED, "server.log"),)
    evidence = Evidence(platform="linux", pieces=pieces, collected_at=1.0, ollama_version="0.13.5", runners=(), serving=serving)
    assert diagnose(evidence).findings[0].cure == (
        "as lena, run systemctl --user edit ollama, add the lines below, then systemctl --user restart ollama\n"
        "[Service]\nUnsetEnvironment=OLLAMA_LLM_LIBRARY"
    )
