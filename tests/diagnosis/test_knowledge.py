"""The knowledge as data: its shape, its conditions, the page made of it, and an input for its mechanisms."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from remediation.diagnosis.catalogue import catalogue
from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.facts.base import Fact, Facts, seen_fact_name
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.__main__ import mechanisms_page
from remediation.diagnosis.knowledge.schema import Entry, parse_condition, value
from remediation.diagnosis.load import of_incident
from remediation.diagnosis.score import weak_hints
from remediation.model.facts import Runner
from remediation.model.finding import Cause
from remediation.model.text.yaml_limits import FASTEST
from remediation.playbook.load import load_playbook
from remediation.playbook.model import Task
from remediation.steps.registry import registry
from tests.diagnosis.hosts import GIB, MIB, MODEL, card, live

ROOT = pathlib.Path(__file__).parents[2]
FIXTURES = pathlib.Path(__file__).parent / "fixtures"
CASES: list[dict[str, Any]] = [
    case
    for name in ("mechanisms.yml", "reports_without_log.yml")
    for case in yaml.load((FIXTURES / name).read_text("utf-8"), Loader=FASTEST)
]
NAMES = {"p": "platform", "v": "ollama_version", "gpu": "gpu", "s": "symptom"}
WEIGHTS = ("needs", "proves", "supports", "against", "excludes")
ENTRIES = knowledge().mechanisms
ON_LIVE_HOSTS = ("vram-freed-since-the-load", "vram-freed-in-part")
OF_PEOPLE = {"idle-unload", "app-computes-on-cpu"}


def incident(case: dict[str, Any]) -> dict[str, Any]:
    known = {NAMES[key]: text for key, text in case.items() if key in NAMES}
    return {**known, "evidence": [{"kind": key, "text": f"{text}\n"} for key, text in case.items() if key not in {*NAMES, "m"}]}


@pytest.mark.parametrize("case", CASES, ids=[f"{number:03d}-{case['m']}" for number, case in enumerate(CASES)])
def test_an_input_leads_to_its_mechanism(case: dict[str, Any]) -> None:
    wanted = [case["m"]] if isinstance(case["m"], str) else case["m"]
    found = [one.mechanism for one in diagnose(of_incident(incident(case))).findings if one.cause is not Cause.UNKNOWN]
    assert found[0] in wanted or (wanted[0] in OF_PEOPLE and found[0] != "all-layers-on-gpu")


def test_memory_that_is_free_again_needs_nothing_but_a_reload() -> None:
    log = 'time=2026-03-01T10:00:01.000Z level=INFO source=server.go:175 msg=offload library=cuda layers.requested=-1 layers.model=33 layers.offload=4 layers.split="" memory.available="[1.3 GiB]" memory.gpu_overhead="0 B" memory.required.full="4.1 GiB" memory.required.partial="1.2 GiB" memory.required.kv="512.0 MiB" memory.required.allocations="[1.2 GiB]" memory.weights.total="2.9 GiB" memory.weights.repeating="2.6 GiB" memory.weights.nonrepeating="308.2 MiB" memory.graph.full="256.5 MiB" memory.graph.partial="370.7 MiB"\nload_tensors: offloaded 4/33 layers to GPU\n'
    kept = Runner(MODEL, 4 * GIB, GIB, 4096)
    freed, part, held = (
        diagnose(live(log, runners=[kept], use=card(used))).findings[0] for used in (1300 * MIB, 4000 * MIB, 5800 * MIB)
    )
    assert (freed.mechanism, part.mechanism, held.mechanism) == (*ON_LIVE_HOSTS, "other-gpu-processes-hold-vram")
    assert "reload the model" in freed.cure
    assert "are in use by others" in held.because
    assert "now 3.1 GiB are free for it: 22 of 33 layers fit, 4 are loaded" in part.because


def test_every_mechanism_has_an_input() -> None:
    named = {name for case in CASES for name in ([case["m"]] if isinstance(case["m"], str) else case["m"])}
    guests = (pathlib.Path(__file__).parent / "test_guest_evidence.py").read_text("utf-8")
    live_only = {name for name in ENTRIES if name in ON_LIVE_HOSTS or f'"{name}"' in guests}
    assert named | live_only == ENTRIES.keys()


def test_conditions_follow_the_logic_of_what_is_not_known() -> None:
    facts = Facts({"place.part": Fact("place.part", holds=True), "place.none": Fact("place.none", holds=False)})
    said = ("place.part", "place.none", "place.whole", "!place.none", "!place.whole", "~place.whole", "~place.part")
    assert [value(one, facts) for one in said] == [True, False, None, True, None, True, False]
    assert value("place.whole & place.none", facts) is False
    assert value("place.whole & place.part", facts) is None
    assert value("place.none | place.part", facts) is True


def test_an_entry_is_refused_where_it_is_not_complete_or_names_no_fact() -> None:
    entry = next(iter(ENTRIES.values())).model_dump(by_alias=True)
    Entry.model_validate(entry)
    for wrong in (
        {"proves": ("no.such_fact",)},
        {"by_hand": "both"},
        {"sources": ()},
        {"id": "Not An Id"},
        {"cause": "none"},
        {"extra": 1},
    ):
        with pytest.raises(ValidationError):
            Entry.model_validate({**entry, **wrong})
    with pytest.raises(ValidationError):
        Entry.model_validate({**entry, "proves": (), "for": ()})


def test_every_message_of_the_catalogue_a_mechanism_or_fact() -> None:
    conditions = [one for entry in ENTRIES.values() for name in WEIGHTS for one in getattr(entry, name)]
    conditions += [one for cause in knowledge().causes.values() for one in cause.ruled_out_by]
    used = {atom.name for condition in conditions for side in parse_condition(condition) for atom in side}
    means = {seen_fact_name(message.means) for message in catalogue().messages if message.means}
    assert {name for name in used if name.startswith("seen.")} <= means
    mechanisms = {message.means for message in catalogue().messages if message.means and not message.is_fact}
    assert mechanisms <= ENTRIES.keys()


def test_the_page_of_all_mechanisms_is_the_one_that_is_kept() -> None:
    assert (ROOT / "docs" / "mechanisms.md").read_text("utf-8") == mechanisms_page(), (
        "run: python -m remediation.diagnosis.knowledge > docs/mechanisms.md"
    )


def test_a_cure_names_steps_that_exist_and_a_rung_that_treats_it() -> None:
    plays = load_playbook(ROOT / "playbooks" / "fix-offload.yml").plays
    tasks = [task for play in plays for section in play.sections for task in section]
    treated = {
        str(name)
        for task in tasks
        if isinstance(task, Task) and task.ladder
        for rung in task.ladder.rungs
        for name in rung.treats
    }
    for entry in ENTRIES.values():
        for name in filter(None, entry.step.split(", ")):
            assert name in registry(), f"{entry.id}: there is no step {name}"
        if entry.step:
            assert {str(entry.cause), entry.id} & treated, f"{entry.id}: no rung treats it"


def test_a_hint_that_holds_for_other_causes_too_is_not_enough_for_a_name() -> None:
    rules = {(entry.id, rule) for entry in ENTRIES.values() for rule in (*entry.proves, *entry.supports)}
    assert weak_hints() <= rules | {(entry.id, seen_fact_name(entry.id)) for entry in ENTRIES.values()}, (
        "run scripts/calibrate_diagnosis.py"
    )
    log = "load_tensors: offloaded 31/33 layers to GPU\n"
    other = 'time=2026-03-01T10:00:00.000Z level=INFO source=amd_linux.go:379 msg="no compatible amdgpu devices detected"\n'
    vague, telling = (
        diagnose(of_incident({"gpu": "AMD Radeon", "evidence": [{"kind": "server_log", "text": text}]})) for text in (log, other)
    )
    assert vague.findings[0].cause is Cause.UNKNOWN
    assert telling.findings[0].cause is Cause.UNSUPPORTED_GPU
    assert telling.findings[0].confidence < 0.5
    assert telling.collect, "what would decide"
