"""What the stand-in answers and logs, on a card of 6 GiB."""

from __future__ import annotations

import json

import pytest

from remediation_lab.ollama.answers import NoAnswer
from remediation_lab.ollama.models import ModelStore
from remediation_lab.ollama.releases.base import Memory
from remediation_lab.ollama.server import OllamaServer
from tests.lab.ollama.play import DEVICE, MIB, MISTRAL, PHI, offloaded, play

VERSIONS = ("0.9.6", "0.12.10", "0.13.5")

TOLD_BY_REQUEST = VERSIONS[1:]
"""Those whose runner gets its layers in a request and not on its command line."""


@pytest.mark.parametrize("version", VERSIONS)
def test_num_gpu_of_one_request_sticks_until_the_model_is_unloaded(version: str) -> None:
    played = play(version=version)
    played.load(num_gpu=1)
    played.load()
    played.load(num_gpu=-1)
    assert offloaded(played.log) == ["1/33"]
    played.ask("/api/generate", {"model": MISTRAL, "keep_alive": 0})
    played.clock.sleep(1)
    assert played.ps() == []
    played.load(num_gpu=-1)
    assert offloaded(played.log) == ["1/33", "33/33"]
    assert played.ps()[0]["size"] == played.ps()[0]["size_vram"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_runner_that_is_leaving_is_listed_as_long_as_it_holds_memory(version: str) -> None:
    played = play(version=version)
    before = played.memory.free()
    played.load()
    played.ask("/api/generate", {"model": MISTRAL, "keep_alive": 0})
    assert (len(played.ps()), played.memory.free() < before) == (1, True)
    played.clock.sleep(1)
    assert (len(played.ps()), played.memory.free() < before) == (0, False)


@pytest.mark.parametrize("version", TOLD_BY_REQUEST)
def test_another_explicit_number_or_context_reloads(version: str) -> None:
    played = play(version=version)
    for number in (1, 5, 0):
        played.load(num_gpu=number)
    played.load(num_gpu=0, num_ctx=2048)
    assert offloaded(played.log) == ["1/33", "5/33"]  # num_gpu 0: no line
    assert played.log.count("GPULayers:[]") == 2
    assert played.ps()[0]["context_length"] == 2048


@pytest.mark.parametrize("version", VERSIONS)
def test_the_runner_holds_its_memory_until_keep_alive_is_over(version: str) -> None:
    played = play(version=version)
    before = played.memory.free()
    played.ask("/api/generate", {"model": MISTRAL, "stream": False, "keep_alive": "2m"})
    assert before - played.memory.free() > 4600 * MIB
    played.clock.sleep(119)
    played.server.tick()
    assert played.memory.free() < before
    played.clock.sleep(2)
    played.server.tick()
    assert (played.memory.free(), played.ps()) == (before, [])


def test_keep_alive_takes_durations_numbers_and_for_ever() -> None:
    played = play(OLLAMA_KEEP_ALIVE="1h")
    played.load()
    assert played.ps()[0]["expires_at"].startswith("2027-01-15T09:00:0")
    played.ask("/api/generate", {"model": MISTRAL, "keep_alive": -1})
    assert played.ps()[0]["expires_at"].startswith("2319-")
    played.ask("/api/generate", {"model": MISTRAL, "prompt": "Why?", "stream": False})
    assert played.ps()[0]["expires_at"].startswith("2319-")  # a request that names none leaves the runner its own
    assert played.ask("/api/generate", {"model": MISTRAL, "keep_alive": "soon"}) == (
        400,
        {"error": 'time: invalid duration "soon"'},
    )


@pytest.mark.parametrize("version", TOLD_BY_REQUEST)
def test_a_library_name_that_is_no_folder_turns_the_gpu_off(version: str) -> None:
    played = play(version=version, OLLAMA_LLM_LIBRARY="cuda", OLLAMA_DEBUG="1")
    played.load()
    assert offloaded(played.log) == []
    assert 'msg="inference compute" id=cpu' in played.log
    assert "requested=cuda libDir=/usr/lib/ollama/cuda_v12" in played.log
    assert played.ps()[0]["size_vram"] == 0
    assert offloaded(play(version=version, OLLAMA_LLM_LIBRARY="cuda_v12").log) == []


@pytest.mark.parametrize(
    ("variable", "seen"), [("0", True), ("-1", False), ("", False), (DEVICE.uuid, True), ("GPU-other", False)]
)
def test_visible_devices_can_hide_the_card(variable: str, seen: bool) -> None:
    played = play(CUDA_VISIBLE_DEVICES=variable)
    assert ("library=CUDA" in played.log) is seen


def test_without_a_card_the_server_says_cpu_and_nothing_of_layers() -> None:
    played = play(device=None)
    assert played.load()[0] == 200
    assert 'id=cpu library=cpu compute="" name=cpu' in played.log
    assert '"total vram"="0 B"' in played.log
    assert offloaded(played.log) == []


@pytest.mark.parametrize(("free", "layers"), [(5744, 33), (4970, 29), (3644, 19), (1100, 1), (1000, 0)])
def test_free_memory_decides_the_layers(free: int, layers: int) -> None:
    played = play(free=free)
    played.load()
    assert offloaded(played.log) == [f"{layers}/33"]


def test_overhead_parallel_slots_and_context_take_layers() -> None:
    for environment in (
        {"OLLAMA_GPU_OVERHEAD": str(4500 * MIB)},
        {"OLLAMA_NUM_PARALLEL": "8"},
        {"OLLAMA_CONTEXT_LENGTH": "32768"},
    ):
        played = play(free=5744, **environment)
        played.load()
        assert int(offloaded(played.log)[0].split("/")[0]) < 25, environment


def test_the_quantized_cache_needs_the_flash_attention_variable() -> None:
    halved, refused = (play(OLLAMA_KV_CACHE_TYPE="q8_0", **more) for more in ({"OLLAMA_FLASH_ATTENTION": "1"}, {}))
    for played in (halved, refused):
        played.load()
    assert refused.ps()[0]["size"] - halved.ps()[0]["size"] == 256 * MIB
    assert "OLLAMA_FLASH_ATTENTION must be enabled" in refused.log
    assert "KvCacheType:q8_0" in halved.log


@pytest.mark.parametrize("version", TOLD_BY_REQUEST)
def test_a_model_that_does_not_fit_with_another_evicts_it_even_when_kept_for_ever(version: str) -> None:
    played = play(version=version, models=(MISTRAL, PHI))
    played.ask("/api/generate", {"model": PHI, "stream": False, "keep_alive": -1})
    played.load()
    assert [each["name"] for each in played.ps()] == [MISTRAL]
    assert "evicting a model to make space" in played.log
    assert offloaded(played.log) == ["33/33", "33/33"]


def test_an_explicit_small_number_fits_with_another_model() -> None:
    played = play(models=(MISTRAL, PHI))
    played.ask("/api/generate", {"model": PHI, "stream": False, "keep_alive": -1})
    played.load(num_gpu=1)
    assert {each["name"] for each in played.ps()} == {MISTRAL, PHI}


def test_one_model_at_most_means_the_first_goes() -> None:
    played = play(models=(MISTRAL, PHI), OLLAMA_MAX_LOADED_MODELS="1")
    played.load(PHI)
    played.load(num_gpu=1)
    assert [each["name"] for each in played.ps()] == [MISTRAL]


def test_forcing_layers_with_little_memory_hangs_the_scheduler_but_not_the_server() -> None:
    played = play(free=1100, models=(MISTRAL, PHI))
    with pytest.raises(NoAnswer):
        played.load(num_gpu=99)
    with pytest.raises(NoAnswer):
        played.load(PHI)
    assert played.ps() == []
    assert played.ask("/api/version", method="GET") == (200, {"version": "0.13.5"})
    assert "requested=99" in played.log
    assert "msg=load request" not in played.log


def test_ram_that_does_not_suffice_is_an_error_of_the_load() -> None:
    played = play(ram=Memory(2 * 1024**3, 1024**3))
    status, body = played.load(num_gpu=0)
    assert (status, body["error"]) == (500, "model requires more system memory (4.5 GiB) than is available (1.0 GiB)")
    assert 'msg="model request too large for system"' in played.log


def test_more_layers_on_the_card_answer_faster() -> None:
    rates = []
    for number in (0, 1, 16, 33):
        body = {"model": MISTRAL, "prompt": "Why?", "stream": False, "options": {"num_gpu": number, "num_predict": 10}}
        answer = play().ask("/api/generate", body)[1]
        rates.append(answer["eval_count"] / answer["eval_duration"])
        assert answer["total_duration"] >= answer["load_duration"] + answer["prompt_eval_duration"] + answer["eval_duration"]
    assert rates == sorted(rates)
    assert rates[-1] > 5 * rates[0]


def test_a_stream_ends_with_the_counts_and_time_passes_between_words() -> None:
    played = play()
    _, lines = played.ask(
        "/api/chat", {"model": MISTRAL, "messages": [{"role": "user", "content": "Hi"}], "options": {"num_predict": 3}}
    )
    assert [each["done"] for each in lines] == [False, False, False, True]
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("length", 3)
    assert len({each["created_at"] for each in lines[:3]}) == 3


def test_a_stream_that_is_broken_off_gives_the_runner_back() -> None:
    played = play()
    answer = played.server.handle("POST", "/api/generate", json.dumps({"model": MISTRAL, "prompt": "Why?"}).encode())
    next(answer.chunks)
    assert played.server.generating
    answer.close()
    assert not played.server.generating
    played.load(num_gpu=1)
    assert offloaded(played.log)[-1] == "1/33"


def test_a_runner_that_dies_ends_the_stream_with_an_error_and_is_loaded_again() -> None:
    played = play()
    played.server.kill_runner(after_tokens=2)
    _, lines = played.ask("/api/generate", {"model": MISTRAL, "prompt": "Why?"})
    assert lines[-1] == {"error": "an error was encountered while running the model: unexpected EOF"}
    assert len(played.ps()) == 1
    played.load()
    assert offloaded(played.log) == ["33/33", "33/33"]


def test_a_fraction_is_cut_and_null_keeps_the_lower_value() -> None:
    played = play()
    played.load(num_gpu=1.5)
    played.load(num_gpu=None)
    assert offloaded(played.log) == ["1/33"]


def test_a_model_made_from_another_inherits_parameters_that_can_only_be_overwritten() -> None:
    played = play()
    played.ask(
        "/api/create", {"model": "one", "from": MISTRAL, "parameters": {"num_gpu": 1, "num_ctx": 1048576}, "stream": False}
    )
    shown = played.ask("/api/show", {"model": "one"})[1]["parameters"]
    assert "num_gpu                        1" in shown
    assert "num_ctx                        1.048576e+06" in shown
    played.ask("/api/create", {"model": "one", "from": "one", "parameters": {"num_gpu": -1, "num_ctx": 4096}, "stream": False})
    played.load("one")
    assert offloaded(played.log) == ["33/33"]


def test_pull_streams_progress_and_delete_leaves_the_runner_until_its_time_is_over() -> None:
    played = play(models=())
    _, lines = played.ask("/api/pull", {"model": MISTRAL})
    assert [lines[0], lines[-1]] == [{"status": "pulling manifest"}, {"status": "success"}]
    completed = [each["completed"] for each in lines if "completed" in each]
    assert completed == sorted(completed)
    assert completed[-1] == lines[1]["total"]
    played.load(MISTRAL)
    assert played.ask("/api/delete", {"model": MISTRAL}, "DELETE")[0] == 200
    assert played.ask("/api/tags", method="GET") == (200, {"models": []})
    assert [each["name"] for each in played.ask("/api/ps", method="GET")[1]["models"]] == [MISTRAL]
    assert played.ask("/api/generate", {"model": MISTRAL, "keep_alive": 0})[0] == 404  # nothing unloads it any more


def test_the_environment_is_logged_as_it_was_parsed() -> None:
    played = play(
        OLLAMA_CONTEXT_LENGTH="4k", OLLAMA_FLASH_ATTENTION="off", OLLAMA_NUM_GPU="99", OLLAMA_KEEP_ALIVE="90", OLLAMA_DEBUG="2"
    )
    config = next(text for text in played.log.splitlines() if "server config" in text)
    assert "OLLAMA_CONTEXT_LENGTH:4096 " in config
    assert "OLLAMA_FLASH_ATTENTION:true " in config  # what does not parse counts as true
    assert "OLLAMA_KEEP_ALIVE:1m30s " in config
    assert "OLLAMA_DEBUG:DEBUG-4 " in config
    assert "OLLAMA_NUM_GPU" not in played.log
    assert played.log.count("invalid environment variable, using default") == 2


def test_access_lines_go_to_stdout() -> None:
    played = play()
    played.ask("/api/version", method="GET")
    played.ask("/api/nosuch", method="GET")
    out = [text for stream, text in played.written if stream == "stdout"]
    assert [text.split("|")[1].strip() for text in out] == ["200", "404"]
    assert out[0].endswith('| GET      "/api/version"')


def test_a_later_process_plays_on_from_the_state() -> None:
    played = play()
    played.load(num_gpu=1)
    state = json.loads(json.dumps(played.server.state()))
    later = OllamaServer(
        version="0.13.5",
        environment={},
        device=DEVICE,
        memory=played.memory,
        clock=played.clock,
        models=ModelStore(),
        log=lambda *_: None,
    )
    later.restore(state)
    assert [each.layers for each in later.runners] == [1]
    assert json.loads(later.handle("GET", "/api/tags", b"").read())["models"][0]["name"] == MISTRAL
