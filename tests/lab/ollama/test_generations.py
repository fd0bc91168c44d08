"""Each generation of Ollama: how it plans, tells its runner, and makes room."""

from __future__ import annotations

import pytest

from tests.lab.ollama.play import MISTRAL, PHI, offloaded, play


def test_other_releases_of_a_played_generation_and_unknown_ones() -> None:
    assert "(version 0.13.2)" in play(version="0.13.2").log
    with pytest.raises(ValueError, match=r"does not play Ollama 0\.5\.7: choose one of 0\.9\.6, 0\.12\.10, 0\.13\.5"):
        play(version="0.5.7")


@pytest.mark.parametrize(
    ("free", "asked", "planned", "command", "loaded"),
    [
        (5744, None, "33", "--n-gpu-layers 33", "33/33"),
        (5500, None, "32", "--n-gpu-layers 32", "32/33"),
        (5500, 1, "1", "--n-gpu-layers 1", "1/33"),
        (5500, 999, "32", "--n-gpu-layers 999", "33/33"),  # the command asks for all of them (recordings, surprise 15)
    ],
)
def test_the_oldest_generation_gives_its_runner_the_layers_on_the_command_line(
    free: int, asked: int | None, planned: str, command: str, loaded: str
) -> None:
    played = play(version="0.9.6", free=free, OLLAMA_NUM_PARALLEL="1", OLLAMA_LLM_LIBRARY="cuda")
    assert played.load(**({} if asked is None else {"num_gpu": asked}))[0] == 200
    assert f"layers.offload={planned} " in played.log
    assert command in played.log
    assert offloaded(played.log) == [loaded]


@pytest.mark.parametrize(("free", "slots"), [(8000, 2), (5744, 1)])
def test_the_oldest_generation_takes_two_slots_where_all_layers_then_fit(free: int, slots: int) -> None:
    played = play(version="0.9.6", free=free, total=8192)
    played.load()
    assert f"--ctx-size {4096 * slots} " in played.log
    assert f"--parallel {slots} " in played.log
    assert offloaded(played.log) == ["33/33"]
    assert "context_length" not in played.ps()[0]


def test_what_was_planned_for_a_card_runs_on_the_processor_where_its_build_is_missing() -> None:
    played = play(version="0.9.6", gpu_runner=False)
    before = played.memory.free()
    played.load()
    assert "layers.offload=33 " in played.log
    assert offloaded(played.log) == []
    assert (played.memory.free(), played.server.runners[0].layers) == (before, 0)
    assert played.ps()[0]["size_vram"] > 0  # it tells the plan


def test_llama_server_leaves_a_gibibyte_free_by_default() -> None:
    """Facts/ollama 4.5: all layers from projected + 1024 MiB on; what the older generation would have taken whole is one layer short."""
    for free, layers in ((5719, 33), (5717, 32)):
        played = play(version="0.32.0", free=free)
        assert played.load()[1]["done_reason"] == "load"
        assert f"offloaded {layers}/33 layers to GPU" in played.log
    assert "cannot meet free memory target of 1024 MiB, need to reduce device memory by" in played.log
    server = play(version="0.32.0", free=5300, LLAMA_ARG_FIT_TARGET="512")
    server.load()
    assert "offloaded 33/33 layers to GPU" in server.log
    assert server.ps()[0]["size"] == server.ps()[0]["size_vram"]


def test_llama_server_takes_the_requested_layers_and_dies_where_they_do_not_fit() -> None:
    played = play(version="0.32.0", free=2000)
    assert played.load(num_gpu=999)[0] == 500
    assert "n_gpu_layers already set by user to 999, abort" in played.log
    assert " -ngl 999 " in played.log
    assert played.ps() == []
    assert played.load(num_gpu=1)[0] == 200
    assert "offloaded 1/33 layers to GPU" in played.log
    assert "offloading 0 repeating layers to GPU" in played.log  # the one is the output layer


def test_in_the_third_generation_another_model_stays_and_this_one_gets_what_is_left() -> None:
    played = play(version="0.32.0", total=12288, free=9480, models=(MISTRAL, PHI))
    played.load()
    played.load(PHI)
    assert [each["name"] for each in played.ps()] == [PHI, MISTRAL]
    assert played.ps()[0]["size_vram"] < played.ps()[0]["size"]
    assert "evicting" not in played.log


def test_the_context_follows_the_size_of_the_card_from_0_15_5_on() -> None:
    for version, context in (("0.15.4", 4096), ("0.15.5", 32768), ("0.24.0", 32768), ("0.32.0", 32768)):
        played = play(version=version, total=24576, free=24000)
        played.load()
        assert played.ps()[0]["context_length"] == context
