"""The scenarios that were played on a real Ollama server, with their expected ends and the tests that play them on the stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_SERVICE, _ENDINGS, _HERE = "live/test_service.py", "live/test_service_endings.py", "live/test_scenarios.py"
_DOCKER, _ENGINE, _FIX = "live/test_scenarios_docker.py", "steps/test_on_engine.py", "live/test_fix_offload.py"
_VOLUME, _LAB = "steps/container/test_volume_on_engine.py", "cli/program/test_lab_endings.py"
_SETTING = f"{_ENDINGS}::test_a_setting_of_the_unit_is_overridden_in_a_drop_in_and_undone"
_DAMAGED = f"{_ENDINGS}::test_a_damaged_model_without_a_registry_is_left_as_it_is"
_BROWSER = f"{_ENDINGS}::test_a_browser_is_closed_and_a_load_that_hangs_is_ended_first"
_FOR_EVER = f"{_SERVICE}::test_a_model_that_nothing_names_stays_the_target_while_it_is_unloaded_and_stays_loaded_for_ever"
_REPAIRED = f"{_LAB}::test_every_fault_that_can_be_repaired"


class Scenario(NamedTuple):
    """A scenario that was played on a real server: how it should end, and the test that plays it on the stand-in.

    ``test`` is the path and name below ``tests``; ``fault`` selects one parametrization of it.
    """

    expected: str
    test: str
    fault: str = ""


SCENARIOS: Mapping[str, Scenario] = {
    "A1 healthy, native": Scenario("no change, exit 0; check-host has no gap", f"{_SERVICE}::test_a_healthy_host_without_docker_lacks_nothing"),
    "A2 num_gpu 1 once, two models stored, none named": Scenario("unload, load with -1, 33/33", _FOR_EVER),
    "A2b the same, with -e model": Scenario("exactly 2 changes, 33/33", f"{_SERVICE}::test_two_models_without_a_named_one_are_an_error_and_nothing_is_changed"),
    "A3 PARAMETER num_gpu 1 in the model": Scenario("parameter -1, reload; the rest of the model is kept", f"{_HERE}::test_a_number_of_layers_in_the_model_itself_is_taken_out"),
    "A4a a program of root holds the card": Scenario("named, refused, not closed", f"{_ENDINGS}::test_a_program_of_another_user_is_named_and_left_alone"),
    "A4b the holder of VRAM has ended": Scenario("reload only", f"{_HERE}::test_a_model_that_was_loaded_while_the_card_was_full_is_reloaded_once_there_is_room"),
    "A4d, B13 a browser holds the card": Scenario("closed, reload, 33/33", _BROWSER, "False"),
    "A5 OLLAMA_CONTEXT_LENGTH of the unit": Scenario("drop-in, restart, 33/33", _SETTING, "OLLAMA_CONTEXT_LENGTH"),
    "A6 OLLAMA_NUM_PARALLEL of the unit": Scenario("drop-in, restart, 33/33", _SETTING, "OLLAMA_NUM_PARALLEL"),
    "A7 OLLAMA_GPU_OVERHEAD of the unit": Scenario("drop-in, restart, 33/33", _SETTING, "OLLAMA_GPU_OVERHEAD"),
    "A8 OLLAMA_LLM_LIBRARY of the unit": Scenario("drop-in, restart, 33/33", _SETTING, "OLLAMA_LLM_LIBRARY"),
    "A9 GPU libraries missing": Scenario("cause and cure, no change", f"{_ENDINGS}::test_missing_libraries_are_named_and_nothing_is_changed"),
    "A10 blob cut, offline": Scenario("clean failure, nothing touched", _DAMAGED, "cut"),
    "A11 blob missing, offline": Scenario("clean failure, nothing touched", _DAMAGED, "lose"),
    "A12 two models, one with a request for few layers": Scenario("this one reloaded, the other untouched", f"{_HERE}::test_the_other_model_stays_as_it_is"),
    "A12b two models loaded, none named": Scenario("asks which", f"{_SERVICE}::test_two_models_without_a_named_one_are_an_error_and_nothing_is_changed"),
    "A13 OLLAMA_KEEP_ALIVE=-1": Scenario("repaired, still loaded for good", _FOR_EVER),
    "A13z OLLAMA_KEEP_ALIVE=0": Scenario("load_latency, nothing broken", f"{_SERVICE}::test_a_server_that_keeps_no_model_is_not_left_with_one_for_long"),
    "A14 another port": Scenario("found", f"{_HERE}::test_a_server_at_another_port_is_found_by_its_environment"),
    "A15 no log": Scenario("the API suffices: reload", f"{_SERVICE}::test_without_a_log_the_api_suffices_to_repair_and_to_verify"),
    "A16 run killed after the unload": Scenario("clean end, resume loads that model", f"{_SERVICE}::test_a_run_that_was_killed_after_it_unloaded_the_model_loads_that_very_one_when_it_is_resumed"),
    "A17 server stopped for 20 s": Scenario("waits, then repairs", "engine/ladder/test_ladder_endings.py::test_a_server_that_hangs_for_a_moment_is_waited_for_before_a_rung_is_tried"),
    "A17b server hangs": Scenario('quick "does not answer", restarted', f"{_HERE}::test_a_server_that_hangs_is_restarted"),
    "A17c server hangs for good, nothing names the model": Scenario("restarted; the log names the model, 33/33", f"{_HERE}::test_after_the_restart_of_a_server_that_hung_its_log_names_the_model"),
    "A18 header of the blob damaged": Scenario("model_corrupt, nothing touched", _DAMAGED, "flip"),
    "A19 orphaned runners": Scenario("named, and recognized", "facets/machine/test_orphans.py::test_the_listing_of_a_linux_host_distinguishes_runners_and_orphans"),
    "A21 a proxy answers 502": Scenario("said", "facets/test_silence.py::test_a_proxy_without_a_server_is_named_as_one"),
    "A22 newer engine": Scenario("reload, 33/33", f"{_HERE}::test_a_model_of_the_newer_engine_is_reloaded"),
    "A23 undo": Scenario("what was changed is as before", _SETTING, "OLLAMA_LLM_LIBRARY"),
    "A24 verify --survives-restart": Scenario("33/33 after the restart", f"{_SERVICE}::test_verify_leaves_out_what_only_a_container_has_and_survives_a_restart"),
    "A25 embedding model": Scenario("loaded through /api/embed, reload, all layers", f"{_HERE}::test_an_embedding_model_is_reloaded"),
    "A26 PARAMETER num_ctx in the model": Scenario("parameter, reload; no restart", f"{_HERE}::test_a_long_context_of_the_model_itself_is_shortened_without_a_restart"),
    "B1 OLLAMA_LLM_LIBRARY in Compose": Scenario("line taken out, comments kept, recreated, 33/33", f"{_FIX}::test_the_guides_own_setting_is_taken_out_and_the_comments_stay"),
    "B2 num_gpu 1, Docker": Scenario("reload", f"{_FIX}::test_a_runner_left_with_one_layer_is_reloaded"),
    "B2a the same, nothing names the model": Scenario("reload", f"{_DOCKER}::test_a_loaded_model_that_no_file_names_stays_the_target"),
    "B3 no GPU reservation": Scenario("devices added, recreated", _REPAIRED, "no-gpu-request"),
    "B4 runner killed at the first token": Scenario("memory limit raised", f"{_DOCKER}::test_a_limit_that_kills_the_runner_at_its_first_token_is_raised"),
    "B5 runbooks offline": Scenario("fail cleanly, lose nothing", f"{_DOCKER}::test_a_runbook_without_a_registry_loses_nothing"),
    "B6 recreate-volume, cut off in the middle": Scenario("resumable", f"{_VOLUME}::test_a_half_recreated_volume_is_completed_by_the_next_run"),
    "B7 recreate-volume": Scenario("every model by its digest", f"{_VOLUME}::test_the_volume_is_recreated_with_every_model_by_its_digest"),
    "B8 blob damaged, registry there": Scenario("the layer alone moved aside and fetched", f"{_ENGINE}::test_only_the_damaged_layer_is_moved_aside_and_fetched"),
    "B9 switch-model, then undo": Scenario("as before", "cli/program/test_undo_runbooks.py::test_a_runbook_is_undone", "switch-model-healthy"),
    "B10 small card, old damage in the log": Scenario("not found again; nothing deleted", f"{_DOCKER}::test_a_damage_that_was_repaired_is_not_found_again_on_a_small_card"),
    "B11 start-clean": Scenario("the model first, then the rest", f"{_ENGINE}::test_a_clean_start_loads_the_model_before_the_rest"),
    "B12 rollback": Scenario("files as before", f"{_ENGINE}::test_what_was_edited_is_rolled_back"),
    "B14 a forced load hangs": Scenario("restarted, room made, 33/33", _BROWSER, "True"),
    "B17 quantise-down": Scenario("smaller quantization, .env, load", _REPAIRED, "card-tight"),
}  # fmt: skip

ON_REAL: Mapping[str, str] = {
    "A1": "exit 0, also of check-host",
    "A2": "1/33 to 33/33, 2 changes",
    "A2b": "1/33 to 33/33, 2 changes",
    "A3": "1/33 to 33/33; /api/show differs in num_gpu and the parent alone; undone",
    "A4a": "named, exit 2",
    "A4b": "0/33 to 33/33, 2 changes",
    "A4d, B13": "frees what was predicted, 0/33 to 33/33, native and in Docker",
    "A5": "13/33 to 33/33; undone",
    "A6": "13/33 to 33/33; undone",
    "A7": "0/33 to 33/33; undone",
    "A8": "0/33 to 33/33",
    "A9": "as expected, exit 2",
    "A10": "as expected, exit 2",
    "A11": "as expected, exit 2",
    "A12": "10/33 to 33/33, the other stays for good",
    "A12b": "as expected, exit 2",
    "A13": "1/33 to 33/33, stays for good",
    "A13z": "as expected; loaded for 2 minutes",
    "A14": "1/33 to 33/33",
    "A15": "25 % of the bytes to 33/33",
    "A16": "clean end; resumed: 33/33",
    "A17": "waits, then 1/33 to 33/33",
    "A17b": "said after half a minute; restarted: 33/33",
    "A17c": "restarted, 33/33",
    "A18": "as expected, exit 2",
    "A19": "ended by its number, 0/33 to 33/33",
    "A21": "as expected, exit 2",
    "A22": "1/33 to 33/33",
    "A23": "files and environment as before",
    "A24": "33/33 before and after",
    "B1": "0/33 to 33/33, one line of the file differs",
    "B2": "1/33 to 33/33",
    "B2a": "1/33 to 33/33",
    "B3": "0/33 to 33/33",
    "B4": "killed while it loads; limit raised, 33/33",
    "B5": "as expected",
    "B6": "every file identical after the resume",
    "B7": "every file identical",
    "B8": "one layer fetched, every file identical, 33/33",
    "B9": "as before",
    "B10": "model_too_large alone, exit 2",
    "B11": "1/33 to 33/33",
    "B12": "as before",
    "B14": "restarted, 2/33, room made, 33/33 in 35 s",
    "B17": "pulled, named in .env, loaded; the file stood for another model, so 15 of its 17 layers",
}
"""How the scenarios ended on a real server (v0.13.5) when they were last played there, by the number in their names."""
