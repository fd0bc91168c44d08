"""The numbers of facts/ollama 4.8, and the metadata of the recorded models."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import pytest

from remediation.diagnosis.memory import ModelMetadata, fit, metadata, metadata_of, vram_for_all_layers
from remediation.diagnosis.memory.fit import graph
from remediation.diagnosis.memory.prediction import requantise
from remediation.diagnosis.memory.quantisation import more_bits
from remediation.diagnosis.units import MIB
from remediation.model.facts import ModelEntry, ModelShow

G1, G2, G3 = (0, 9, 6), (0, 13, 5), (0, 32, 0)


def info(
    architecture: str, blocks: int, embedding: int, heads: int, kv_heads: int, vocabulary: int, forward: int, kind: int
) -> dict[str, Any]:
    return {
        "general.architecture": architecture,
        "general.file_type": kind,
        f"{architecture}.block_count": blocks,
        f"{architecture}.embedding_length": embedding,
        f"{architecture}.attention.head_count": heads,
        f"{architecture}.attention.head_count_kv": kv_heads,
        f"{architecture}.vocab_size": vocabulary,
        f"{architecture}.feed_forward_length": forward,
    }


def model(data: dict[str, Any]) -> ModelMetadata:
    found = metadata_of(data)
    assert found is not None
    return found


MISTRAL = {
    name: model(info("llama", 32, 4096, 32, 8, 32768, 14336, kind))
    for name, kind in (("Q4_K_M", 15), ("Q3_K_M", 12), ("Q4_0", 2))
}
PHI3 = model(info("phi3", 32, 3072, 32, 32, 32064, 8192, 2))
TINY = model(info("llama", 32, 256, 8, 2, 2048, 768, 15))


def least(one: ModelMetadata, layers: int, version: tuple[int, int, int], context: int = 4096, parallel: int = 1) -> int:
    """Return the smallest free MiB with which so many layers fit."""
    low, high = 0, 20_000
    while low < high:
        middle = (low + high) // 2
        found = fit(one, context=context, parallel=parallel, free=middle * MIB, version=version)
        assert found is not None
        low, high = (low, middle) if found.layers >= layers else (middle + 1, high)
    return low


@pytest.mark.parametrize(
    ("one", "blocks", "output", "weights"),
    [
        (MISTRAL["Q4_K_M"], 3992.5, 105.02, 4097.5),
        (MISTRAL["Q3_K_M"], 3199.0, 105.02, 3304.0),
        (MISTRAL["Q4_0"], 3745.0, 105.02, 3850.0),
        (PHI3, 1944.75, 77.07, 2021.8),
    ],
)
def test_sizes_of_the_parts(one: ModelMetadata, blocks: float, output: float, weights: float) -> None:
    assert sum(one.blocks_bytes) / MIB == pytest.approx(blocks, abs=0.05)
    assert one.output_bytes / MIB == pytest.approx(output, abs=0.05)
    assert one.weights / MIB == pytest.approx(weights, abs=0.05)


def test_graphs_of_the_facts() -> None:
    assert [round(size / MIB) for size in graph(MISTRAL["Q4_K_M"], 4096)] == [296, 305]
    assert [round(size / MIB) for size in graph(PHI3, 4096)] == [256, 256]


@pytest.mark.parametrize(
    ("one", "thresholds"),
    [
        (MISTRAL["Q4_K_M"], {1: 1060, 2: 1208, 8: 2068, 16: 3163, 24: 4274, 29: 4970, 32: 5416, 33: 5521}),
        (MISTRAL["Q3_K_M"], {1: 1009, 2: 1117, 8: 1810, 16: 2734, 24: 3658, 29: 4235, 32: 4597, 33: 4702}),
        (MISTRAL["Q4_0"], {1: 1029, 2: 1162, 8: 1960, 16: 3024, 24: 4088, 29: 4753, 32: 5153, 33: 5258}),
        (PHI3, {1: 931, 2: 1040, 8: 1692, 16: 2563, 24: 3433, 29: 3977, 32: 4303, 33: 4380}),
    ],
)
def test_free_memory_for_so_many_layers(one: ModelMetadata, thresholds: dict[int, int]) -> None:
    assert {layers: least(one, layers, G1) for layers in thresholds} == thresholds
    newer = {layers: least(one, layers, G2) for layers in thresholds}
    assert all(abs(newer[layers] - thresholds[layers]) <= 1 for layers in thresholds if layers > 1)


def test_the_first_layer_of_q3_needs_less_in_g2() -> None:
    assert least(MISTRAL["Q3_K_M"], 1, G2) == 1001


@pytest.mark.parametrize(
    ("context", "parallel", "first", "all_layers"),
    [(2048, 1, 924, 5137), (8192, 1, 1372, 6329), (4096, 4, 1996, 7945), (32768, 1, 3244, 11177)],
)
def test_other_contexts_and_slots(context: int, parallel: int, first: int, all_layers: int) -> None:
    one = MISTRAL["Q4_K_M"]
    assert (least(one, 1, G1, context, parallel), least(one, 33, G1, context, parallel)) == (first, all_layers)


def test_need_is_the_threshold_of_all_layers() -> None:
    for version in (G1, G2, G3):
        need = vram_for_all_layers(TINY, context=4096, version=version)
        assert need is not None
        whole, short = (fit(TINY, context=4096, free=free, version=version) for free in (need, need - 1))
        assert whole is not None
        assert short is not None
        assert whole.whole
        assert not short.whole


def test_the_one_layer_window_and_the_guides_numbers() -> None:
    one = MISTRAL["Q4_K_M"]
    layers = {}
    for free in (200, 1059, 1060, 1207, 1208, 3644, 5118):
        found = fit(one, context=4096, free=free * MIB, version=G2)
        assert found is not None
        layers[free] = found.layers
    assert layers == {200: 0, 1059: 0, 1060: 1, 1207: 1, 1208: 2, 3644: 19, 5118: 29}


def test_a_sentence_explains_it() -> None:
    found = fit(MISTRAL["Q4_K_M"], context=4096, free=3644 * MIB, version=G2)
    assert found is not None
    assert found.sentence == "needs 5.4 GiB at 4096 context, 3.6 GiB are free: 19 of 33 layers"


def test_cache_type_and_overhead_count() -> None:
    one = MISTRAL["Q4_K_M"]
    plain = vram_for_all_layers(one, context=8192, version=G2)
    half = vram_for_all_layers(one, context=8192, version=G2, cache_type="q8_0")
    reserved = vram_for_all_layers(one, context=8192, version=G2, overhead=512 * MIB)
    assert plain is not None
    assert half is not None
    assert reserved is not None
    assert reserved - plain == 512 * MIB
    # half of the cache of 32 layers and of the spare one
    assert plain - half == 33 * one.kv_per_layer(8192, "f16") // 2


def test_g3_ignores_the_overhead_and_keeps_its_margin() -> None:
    plain = vram_for_all_layers(TINY, context=4096, version=G3)
    assert plain == vram_for_all_layers(TINY, context=4096, version=G3, overhead=10**9)
    small = vram_for_all_layers(TINY, context=4096, version=G3, margin=64 * MIB)
    assert plain is not None
    assert small is not None
    assert plain - small == 960 * MIB


def test_what_the_facts_give_no_rule_for_is_not_known() -> None:
    assert metadata_of({**info("llama", 32, 4096, 32, 8, 32768, 14336, 15), "llama.expert_count": 8}) is None
    qwen = model(info("qwen3", 32, 256, 4, 2, 2048, 768, 15))
    assert fit(qwen, context=4096, free=10**10, version=G2) is None
    assert fit(TINY, context=4096, free=10**10, version=None) is None
    assert fit(TINY, context=4096, free=10**10, version=(0, 1, 20)) is None


def test_metadata_from_show_and_tags() -> None:
    show = ModelShow("m", {}, info("llama", 32, 4096, 32, 8, 32768, 14336, 15), {"quantization_level": "Q4_K_M"})
    entry = ModelEntry("m", 4_372_812_000, "sha256:x")
    found = metadata(show, entry)
    assert found is not None
    assert (found.layers, found.exact, found.quantisation) == (33, True, "Q4_K_M")
    assert sum(found.blocks_bytes) + found.output_bytes + found.embedding_bytes == 4_372_054_016


def test_an_unknown_recipe_spreads_the_file_size() -> None:
    data = info("llama", 32, 4096, 32, 8, 32768, 14336, 99)
    assert metadata_of(data) is None
    found = metadata_of(data, level="IQ4_XS", file_size=3_900_000_000)
    assert found is not None
    assert not found.exact
    assert found.weights + found.embedding_bytes == pytest.approx(3_900_000_000, rel=0.01)


def test_a_tied_output_is_found_by_the_parameter_count() -> None:
    data = info("llama", 16, 2048, 32, 8, 128256, 8192, 15)
    untied = metadata_of(data)
    tied = metadata_of({**data, "general.parameter_count": 1_235_814_432})
    assert untied is not None
    assert tied is not None
    assert untied.embedding_bytes > 0
    assert tied.embedding_bytes == 0


def test_the_harder_quantisation_that_fits() -> None:
    other = requantise(MISTRAL["Q4_K_M"], "Q3_K_M")
    assert other is not None
    assert other.weights == MISTRAL["Q3_K_M"].weights


def test_more_bits_of_32_layers() -> None:
    assert [layer for layer in range(32) if more_bits(layer, 32)] == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]


@pytest.mark.corpus
@pytest.mark.skipif("REMEDIATION_CORPUS" not in os.environ, reason="REMEDIATION_CORPUS is not set")
def test_recorded_models_and_layer_counts_are_reproduced() -> None:
    data = json.loads((pathlib.Path(os.environ["REMEDIATION_CORPUS"]) / "recordings" / "models.json").read_text())
    known: dict[str, ModelMetadata] = {}
    for one in data["models"]:
        found = metadata_of(
            info(
                one["architecture"],
                one["block_count"],
                one["embedding_length"],
                one["head_count"],
                one["head_count_kv"],
                one["vocab_size"],
                one["feed_forward_length"],
                one["file_type"],
            )
        )
        assert found is not None
        if one["architecture"] == "llama":
            known[one["name"]] = found
            sizes = one["tensor_bytes"]
            assert list(found.blocks_bytes) == sizes["repeating_layer_bytes"]
            assert found.output_bytes == sizes["output_weight"] + sizes["output_norm"]
            assert found.embedding_bytes == sizes["token_embd"]
    for check in data["estimator_check"]:
        version = tuple(int(part) for part in check["version"].split("."))
        predicted = fit(known[check["model"]], context=check["context"], free=check["usable_bytes"], version=version)  # type: ignore[arg-type]
        assert predicted is not None
        assert f"{predicted.layers}/{predicted.total}" == check["recorded_layers"], check
    for free, layers in data["g3_recorded"]["free_mib_to_layers"].items():
        predicted = fit(known["tiny:32"], context=4096, free=int(free) * MIB, version=G3)
        assert predicted is not None
        assert predicted.layers == layers
