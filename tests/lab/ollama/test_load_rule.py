"""The lab's load rule against the worked numbers of facts/ollama 4.8 and the layer counts of real servers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from remediation_lab.ollama.loadrule import Ending, LoadRule, Wish, plan_g1, plan_g1b, plan_g2
from remediation_lab.ollama.models import REGISTRY, from_table

MIB = 1024**2
LAYERS = (1, 2, 8, 16, 24, 29, 32, 33)
FREE = {  # facts/ollama 4.8: MiB of free memory from which the server loads this number of layers, at a context of 4096
    "mistral:7b-instruct": (1060, 1208, 2068, 3163, 4274, 4970, 5416, 5521),
    "mistral:7b-instruct-q3_K_M": (1009, 1117, 1810, 2734, 3658, 4235, 4597, 4702),
    "mistral:7b-instruct-q4_0": (1029, 1162, 1960, 3024, 4088, 4753, 5153, 5258),
    "phi3:3.8b": (931, 1040, 1692, 2563, 3433, 3977, 4303, 4380),
}
ONE_IN_G2 = {"mistral:7b-instruct-q3_K_M": 1001}
OTHER_CONTEXTS = [  # model, context over all slots, MiB for one layer, MiB for 33
    ("mistral:7b-instruct", 2048, 924, 5137),
    ("mistral:7b-instruct", 8192, 1372, 6329),
    ("mistral:7b-instruct", 16384, 1996, 7945),
    ("mistral:7b-instruct", 32768, 3244, 11177),
    ("phi3:3.8b", 8192, 1283, 6220),
    ("phi3:3.8b", 16384, 1987, 9900),
]


def layers(rule: LoadRule, wish: Wish, mebibytes: int, *, alone: bool = True) -> int:
    return rule(wish, mebibytes * MIB, overhead=0, alone=alone).layers


@pytest.mark.parametrize("rule", [plan_g1b, plan_g2])
@pytest.mark.parametrize("name", FREE)
def test_the_thresholds_are_those_of_the_worked_table(rule: LoadRule, name: str) -> None:
    wish = Wish(REGISTRY[name], 4096)
    for count, mebibytes in zip(LAYERS, FREE[name], strict=True):
        enough = ONE_IN_G2.get(name, mebibytes) if rule is plan_g2 and count == 1 else mebibytes
        assert layers(rule, wish, enough) >= count
        assert layers(rule, wish, enough - 1) < count


@pytest.mark.parametrize(("name", "context", "one", "whole"), OTHER_CONTEXTS)
def test_other_contexts_move_the_thresholds(name: str, context: int, one: int, whole: int) -> None:
    wish = Wish(REGISTRY[name], context)
    assert (layers(plan_g1b, wish, one - 1), layers(plan_g1b, wish, one)) == (0, 1)
    assert layers(plan_g1b, wish, whole - 1) < layers(plan_g1b, wish, whole) == 33


def test_tensor_bytes_are_those_of_the_files() -> None:
    expected = {
        "mistral:7b-instruct": 4372054016,
        "mistral:7b-instruct-q3_K_M": 3522183168,
        "mistral:7b-instruct-q4_0": 4112531456,
        "phi3:3.8b": 2175438336,
    }
    assert {name: REGISTRY[name].weights + REGISTRY[name].embedding_bytes for name in expected} == expected


@pytest.mark.parametrize("rule", [plan_g1b, plan_g2])
def test_num_gpu_asks_for_layers_and_more_memory_never_gives_fewer(rule: LoadRule) -> None:
    file = REGISTRY["mistral:7b-instruct"]
    assert layers(rule, Wish(file, 4096, num_gpu=1), 5744) == 1
    assert layers(rule, Wish(file, 4096, num_gpu=0), 5744) == 0
    assert layers(rule, Wish(file, 4096, num_gpu=99), 5744) == 33
    assert layers(rule, Wish(file, 4096, num_gpu=32), 5744) == 32
    counts = [layers(rule, Wish(file, 4096), free) for free in range(500, 6000, 25)]
    assert counts == sorted(counts)


def test_forcing_layers_with_little_memory_never_ends_in_g2_and_loads_all_in_g1b() -> None:
    wish = Wish(REGISTRY["mistral:7b-instruct"], 4096, num_gpu=99)
    assert plan_g2(wish, 1100 * MIB, overhead=0, alone=True).ending is Ending.HANGS
    assert plan_g2(wish, 1400 * MIB, overhead=0, alone=True).layers == 33
    assert plan_g2(wish, 300 * MIB, overhead=0, alone=True).layers == 0
    assert layers(plan_g1b, wish, 1100) == 33
    assert layers(plan_g1b, wish, 1000) == 0


def test_one_layer_larger_than_free_memory_wraps_in_g2() -> None:
    wish = Wish(REGISTRY["mistral:7b-instruct"], 1_048_576)
    assert layers(plan_g2, wish, 300) == 33
    assert layers(plan_g1b, wish, 300) == 0


@pytest.mark.parametrize("rule", [plan_g1b, plan_g2])
def test_beside_another_model_a_partial_fit_asks_for_room(rule: LoadRule) -> None:
    wish = Wish(REGISTRY["mistral:7b-instruct"], 4096)
    assert rule(wish, 3000 * MIB, overhead=0, alone=False).ending is Ending.CROWDED
    assert rule(wish, 5744 * MIB, overhead=0, alone=False).ending is Ending.LOADS
    assert rule(Wish(wish.model, 4096, num_gpu=5), 3000 * MIB, overhead=0, alone=False).layers == 5


def test_reported_sizes_of_a_plan_with_one_layer() -> None:
    wish = Wish(REGISTRY["mistral:7b-instruct"], 4096, num_gpu=1)
    old, new = (rule(wish, 5744 * MIB, overhead=0, alone=True) for rule in (plan_g1b, plan_g2))
    assert (round(old.vram / MIB), round(old.total / MIB)) == (1059, 5520)
    assert (round(new.vram / MIB), round(new.total / MIB)) == (454, 4915)


@pytest.mark.corpus
def test_every_recorded_layer_count_follows_from_the_rule() -> None:
    folder = os.environ.get("REMEDIATION_CORPUS")
    if not folder:
        pytest.skip("REMEDIATION_CORPUS is not set: the recordings of real servers are not at hand")
    table: dict[str, Any] = json.loads((Path(folder) / "recordings" / "models.json").read_text("utf-8"))
    files = {entry["name"]: from_table(entry) for entry in table["models"]}
    for row in table["estimator_check"]:
        rule = {"0.9.6": plan_g1, "0.12.10": plan_g1b}.get(row["version"], plan_g2)
        plan = rule(Wish(files[row["model"]], row["context"]), row["usable_bytes"], overhead=0, alone=True)
        assert f"{plan.layers}/{files[row['model']].layers}" == row["recorded_layers"], row
    for name, contexts in table["graph_bytes"].items():
        for context, sizes in contexts.items():
            wish = Wish(files[name], int(context))
            assert (*wish.graphs, wish.cache_per_layer) == (sizes["full"], sizes["partial"], sizes["kv_per_layer"])
