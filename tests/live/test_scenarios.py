"""The scenarios that were played on a real Ollama server, played on the stand-in: each ends as it should.

`TABLE` names the test of each scenario, here or elsewhere.
"""

from __future__ import annotations

import ast
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.test_service import FOR_EVER, OTHER, start
from tests.live.test_service_endings import GIB, fixed
from tests.steps.on_engine import excerpt
from tests.support.project import MODEL
from tests.support.service import Service, service

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[1]
_SERVICE, _ENDINGS, _HERE = "live/test_service.py", "live/test_service_endings.py", "live/test_scenarios.py"
_DOCKER, _ENGINE = "live/test_scenarios_docker.py", "steps/test_on_engine.py"
_SETTING = (_ENDINGS, "test_a_setting_of_the_unit_is_overridden_in_a_drop_in_and_undone")
_DAMAGED = (_ENDINGS, "test_a_damaged_model_without_a_registry_is_left_as_it_is")
_BROWSER = (_ENDINGS, "test_a_browser_is_closed_and_a_load_that_hangs_is_ended_first")

TABLE: dict[str, tuple[str, str]] = {
    "A1 healthy": (_SERVICE, "test_a_healthy_host_without_docker_lacks_nothing"),
    "A2 num_gpu 1, two models stored": (_SERVICE, "test_a_model_that_nothing_names_stays_the_target_while_it_is_unloaded_and_stays_loaded_for_ever"),
    "A2b the same with -e model": (_SERVICE, "test_two_models_without_a_named_one_are_an_error_and_nothing_is_changed"),
    "A3 PARAMETER num_gpu 1": (_HERE, "test_a_number_of_layers_in_the_model_itself_is_taken_out"),
    "A4a a program of root holds the card": (_ENDINGS, "test_a_program_of_another_user_is_named_and_left_alone"),
    "A4b the holder of VRAM ended": (_HERE, "test_a_model_that_was_loaded_while_the_card_was_full_is_reloaded_once_there_is_room"),
    "A4d B13 a browser holds the card": _BROWSER,
    "A5 OLLAMA_CONTEXT_LENGTH": _SETTING,
    "A6 OLLAMA_NUM_PARALLEL": _SETTING,
    "A7 OLLAMA_GPU_OVERHEAD": _SETTING,
    "A8 OLLAMA_LLM_LIBRARY": _SETTING,
    "A9 GPU libraries missing": (_ENDINGS, "test_missing_libraries_are_named_and_nothing_is_changed"),
    "A10 blob cut": _DAMAGED,
    "A11 blob missing": _DAMAGED,
    "A12 two models, one with few layers requested": (_HERE, "test_the_other_model_stays_as_it_is"),
    "A12b two models loaded, none named": (_SERVICE, "test_two_models_without_a_named_one_are_an_error_and_nothing_is_changed"),
    "A13 OLLAMA_KEEP_ALIVE=-1": (_SERVICE, "test_a_model_that_nothing_names_stays_the_target_while_it_is_unloaded_and_stays_loaded_for_ever"),
    "A13z OLLAMA_KEEP_ALIVE=0": (_SERVICE, "test_a_server_that_keeps_no_model_is_not_left_with_one_for_long"),
    "A14 another port": (_HERE, "test_a_server_at_another_port_is_found_by_its_environment"),
    "A15 no log": (_SERVICE, "test_without_a_log_the_api_suffices_to_repair_and_to_verify"),
    "A16 killed after the unload": (_SERVICE, "test_a_run_that_was_killed_after_it_unloaded_the_model_loads_that_very_one_when_it_is_resumed"),
    "A17 hangs": (_HERE, "test_a_server_that_hangs_is_restarted"),
    "A18 header damaged": _DAMAGED,
    "A19 orphaned runners": ("facets/machine/test_orphans.py", ""),
    "A21 a proxy answers": ("facets/test_silence.py", "test_a_proxy_without_a_server_is_named_as_one"),
    "A22 newer engine": (_HERE, "test_a_model_of_the_newer_engine_is_reloaded"),
    "A23 undo": (_ENDINGS, "test_a_setting_of_the_unit_is_overridden_in_a_drop_in_and_undone"),
    "A24 verify --survives-restart": (_SERVICE, "test_verify_leaves_out_what_only_a_container_has_and_survives_a_restart"),
    "B1 the guide's environment": ("live/test_fix_offload.py", ""),
    "B2 num_gpu 1": ("live/test_fix_offload.py", ""),
    "B2a num_gpu 1, nothing names the model": (_DOCKER, "test_a_loaded_model_that_no_file_names_stays_the_target"),
    "B3 no GPU reservation": (_ENGINE, ""),
    "B4 runner killed at the first token": (_DOCKER, "test_a_limit_that_kills_the_runner_at_its_first_token_is_raised"),
    "B5 runbooks offline": (_DOCKER, "test_a_runbook_without_a_registry_loses_nothing"),
    "B6 B7 the volume is recreated": ("steps/container/test_volume_on_engine.py", ""),
    "B8 blob damaged, registry there": ("cli/program/test_lab_endings.py", ""),
    "B9 switch-model and undo": ("cli/program/test_undo_runbooks.py", ""),
    "B10 small card, old damage in the log": (_DOCKER, "test_a_damage_that_was_repaired_is_not_found_again_on_a_small_card"),
    "B11 start-clean": (_ENGINE, "test_a_clean_start_loads_the_model_before_the_rest"),
    "B12 rollback": (_ENGINE, "test_what_was_edited_is_rolled_back"),
    "B14 a forced load hangs": _BROWSER,
    "B17 quantise-down": ("cli/program/test_lab_endings.py", ""),
}  # fmt: skip

NEWER = "qwen3:4b"
"""A model that the newer engine runs."""


@pytest.mark.parametrize("scenario", TABLE)
def test_each_scenario_has_its_test(scenario: str) -> None:
    path, name = TABLE[scenario]
    tests = {node.name for node in ast.parse((ROOT / path).read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}
    assert name in tests if name else any(each.startswith("test_") for each in tests)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("scenarios") / "gpu-01", models=(MODEL, OTHER, NEWER)) as host:
        yield host


@pytest.fixture
def host(shared: Service) -> Iterator[Service]:
    """The host with nothing loaded."""
    shared.empty()
    yield shared
    shared.occupy()


def test_a_number_of_layers_in_the_model_itself_is_taken_out(host: Service, tmp_path: Path) -> None:
    host.ask("/api/create", {"model": "few", "from": MODEL, "stream": False, "parameters": {"num_gpu": 1}})
    host.load("few")
    ended = fixed(host, tmp_path, "-e", "model=few")
    assert (ended.code, ended.steps) == (0, ["model.parameter", "model.reloaded"]), ended.summary
    assert host.loaded["few:latest"][0] is True
    assert "num_gpu                        -1" in host.ask("/api/show", {"model": "few"})["parameters"]


def test_a_model_that_was_loaded_while_the_card_was_full_is_reloaded_once_there_is_room(host: Service, tmp_path: Path) -> None:
    host.occupy(5 * GIB)
    host.load()
    assert host.loaded[MODEL][0] is False
    host.occupy()
    ended = fixed(host, tmp_path, "-e", f"model={MODEL}")
    assert (ended.code, ended.steps, host.loaded[MODEL]) == (0, ["model.reloaded"], (True, FOR_EVER)), ended.summary


def test_the_other_model_stays_as_it_is(host: Service, tmp_path: Path) -> None:
    host.load(OTHER, num_gpu=0)
    host.load(MODEL, num_gpu=1)
    before = host.loaded[OTHER]
    ended = fixed(host, tmp_path, "-e", f"model={MODEL}")
    assert (ended.code, host.loaded[MODEL], host.loaded.get(OTHER)) == (0, (True, FOR_EVER), before), ended.summary


def test_a_server_at_another_port_is_found_by_its_environment(host: Service, tmp_path: Path) -> None:
    host.load(num_gpu=1)
    code, events = start(host, tmp_path, "fix-offload", "-e", f"model={MODEL}", endpoint=None)
    assert (code, host.loaded[MODEL][0]) == (0, True), excerpt(events)
    (found,) = [event["target"]["endpoint"] for event in events if event["event"] == "host_facts"]
    assert found == {"value": host.endpoint, "source": "answers at the address in its environment"}


def test_a_server_that_hangs_is_restarted(host: Service, tmp_path: Path) -> None:
    host.load()
    hanging, restarts = host.pid, host.restarts
    os.kill(hanging, signal.SIGSTOP)
    try:
        code, events = start(host, tmp_path, "fix-offload", "-e", f"model={MODEL}", "--max-risk", "disruptive")
    finally:
        if host.pid == hanging:
            os.kill(hanging, signal.SIGCONT)
    assert (code, host.restarts) == (0, restarts + 1), excerpt(events)
    assert host.loaded[MODEL][0] is True
    assert "accepts connections" in json.dumps(events)


def test_a_model_of_the_newer_engine_is_reloaded(host: Service, tmp_path: Path) -> None:
    host.load(NEWER, num_gpu=1)
    assert host.loaded[NEWER][0] is False
    ended = fixed(host, tmp_path, "-e", f"model={NEWER}")
    assert (ended.code, ended.steps, host.loaded[NEWER]) == (0, ["model.reloaded"], (True, FOR_EVER)), ended.summary
    assert ended.kinds("goal")[-1]["values"]["layers"] == [37, 37]
