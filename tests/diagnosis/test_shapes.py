"""The same facts said in other words: by other releases, platforms, tools and people."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.load import of_incident
from remediation.model.finding import Cause, Diagnosis
from remediation.model.text.yaml_limits import FASTEST

HERE = pathlib.Path(__file__).parent
SHAPES: list[dict[str, Any]] = yaml.load((HERE / "fixtures" / "shapes.yml").read_text(encoding="utf-8"), Loader=FASTEST)
MECHANISMS: list[dict[str, Any]] = yaml.load((HERE / "fixtures" / "kinds.yml").read_text(encoding="utf-8"), Loader=FASTEST)
LOGS = sorted((HERE / "fixtures" / "logs").glob("*.log"))

CARRIERS: dict[str, Callable[[str], str]] = {
    "quoted in a reply": lambda line: f"> {line}",
    "indented": lambda line: f"    {line}",
    "with a terminal's clock": lambda line: f"2024-09-27 13:31:20 {line}",
    "compose with timestamps": lambda line: f"ollama-1  | 2024-05-01T10:00:00.123456789Z {line}",
    "compose v1": lambda line: f"ollama_1         | {line}",
    "a pod's log file": lambda line: f"2024-05-01T10:00:00.000000000Z stderr F {line}",
    "several pods": lambda line: f"ollama-0 ollama {line}",
    "syslog": lambda line: f"Sep 27 13:31:20 my-host ollama[812]: {line}",
    "journald as JSON": lambda line: json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": line, "_PID": "8"}),
    "Docker's JSON": lambda line: json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "2026-01-02T10:00:00Z"}),
    "a name in brackets": lambda line: f"[ollama] {line}",
    "coloured": lambda line: f"\x1b[36mollama      |\x1b[0m {line}",
}


def judged(case: dict[str, Any]) -> Diagnosis:
    return diagnose(of_incident({key: value for key, value in case.items() if key != "expected"}))


@pytest.mark.parametrize("case", SHAPES, ids=[f"{number:03d}-{case['expected'][0]}" for number, case in enumerate(SHAPES)])
def test_a_shape_leads_to_its_cause(case: dict[str, Any]) -> None:
    assert str(judged(case).findings[0].cause) in case["expected"]


@pytest.mark.parametrize("case", MECHANISMS, ids=[f"{number:03d}-{case['mechanism']}" for number, case in enumerate(MECHANISMS)])
def test_a_small_input_leads_to_its_mechanism(case: dict[str, Any]) -> None:
    first = judged({key: value for key, value in case.items() if key != "mechanism"}).findings[0]
    assert first.mechanism == case["mechanism"]
    assert str(first.cause) in case["expected"]
    assert first.cure


def test_what_people_say_is_never_sure() -> None:
    for symptom in (
        "After suspend the NVIDIA card is not used.",
        "A CPU-only server without a GPU is slow.",
        "An Intel MacBook Pro is slow on the CPU.",
    ):
        first = judged({"platform": "linux", "symptom": symptom, "evidence": []}).findings[0]
        assert first.cause is not Cause.UNKNOWN
        assert first.confidence < 0.9


def test_a_listed_size_that_is_mostly_cache_is_not_the_weights() -> None:
    row = "llama3.1:8b  0123456789ab  34 GB  33%/67% CPU/GPU  4 minutes from now\n"
    case = {"platform": "linux", "gpu": "RTX 3090 24GB", "evidence": [{"kind": "ollama_ps", "text": row}]}
    assert judged(case).findings[0].cause is Cause.CONTEXT_TOO_LARGE
    whole = {
        **case,
        "evidence": [{"kind": "ollama_ps", "text": row.replace("llama3.1:8b", "llama3.3:70b").replace("34 GB", "46 GB")}],
    }
    assert judged(whole).findings[0].cause is Cause.MODEL_TOO_LARGE


def test_two_weak_causes_beside_each_other_stay_unknown() -> None:
    case = {
        "platform": "linux",
        "gpu": "NVIDIA RTX 3070",
        "symptom": "Memory of the card stays unused, and several models are loaded at the same time.",
        "evidence": [],
    }
    assert judged(case).findings[0].cause is Cause.UNKNOWN


def test_one_item_less_never_makes_another_cause_sure() -> None:
    wrong = []
    for number, case in enumerate(SHAPES):
        items = case["evidence"]
        for left_out in range(len(items)):
            first = judged({**case, "evidence": items[:left_out] + items[left_out + 1 :]}).findings[0]
            if str(first.cause) not in case["expected"] and first.cause is not Cause.UNKNOWN and first.confidence > 0.8:
                wrong.append((number, left_out, str(first.cause), first.confidence))
    assert wrong == []


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=CARRIERS)
@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_whatever_carried_a_log_it_reads_the_same(log: pathlib.Path, carrier: Callable[[str], str]) -> None:
    text = log.read_text(encoding="utf-8")
    carried = "\n".join(carrier(line) for line in text.splitlines()) + "\n"
    plain, other = (judged({"evidence": [{"kind": "server_log", "text": one}]}) for one in (text, carried))
    assert [(one.cause, one.confidence) for one in other.findings] == [(one.cause, one.confidence) for one in plain.findings]
    assert other.offloaded == plain.offloaded


def test_slow_with_all_layers_on_the_gpu_is_told_apart() -> None:
    def because(text: str) -> str:
        listed = {"kind": "ollama_ps", "text": "llama3.1:8b x 6.7 GB 100% GPU 4 minutes\n"}
        found = judged({"platform": "linux", "evidence": [listed, {"kind": "api", "text": text}]}).findings[0]
        return f"{found.cause}: {found.because}"

    assert because(
        '{"total_duration":1200000000,"load_duration":20000000,"eval_count":100,"eval_duration":1100000000}'
    ).startswith("healthy: all layers are on the GPU; estimate, list or expectation misleads: the server writes 91 tokens/s")
    assert "it writes only 2.0 tokens/s" in because("eval rate: 2.0 tokens/s\ntotal duration: 50s\n")
    assert because("total duration: 1m3s\nload duration: 1m1s\neval rate: 70.1 tokens/s\n").startswith("load_latency")
