"""With which options a runner was loaded: a request that has others would load it again."""

from __future__ import annotations

import pytest

from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.loaded import keep_alive_left, unlike_ours
from remediation.model.facts import ModelShow

G1 = 'time=… level=INFO source=server.go:438 msg="starting llama server" cmd="/bin/ollama runner --model /m --ctx-size {context} --batch-size {batch} --threads 4 {more}--parallel 1 --port 1"\n'
G2 = 'time=… level=INFO source=runner.go:963 msg=load request="{{Operation:commit LoraPath:[] Parallel:1 BatchSize:{batch} FlashAttention:false KvSize:{context} KvCacheType: NumThreads:4 GPULayers:[] MainGPU:{card} UseMmap:false}}"\n'


def evidence(log: str, *, version: str = "0.13.5", parameters: dict[str, str] | None = None) -> Evidence:
    shows = (ModelShow("m", parameters or {}, {}, {}, ""),)
    return Evidence(ollama_version=version, pieces=(Piece("server_log", log, "server.log"),), shows=shows)


@pytest.mark.parametrize(
    ("log", "named"),
    [
        (G1.format(context=4096, batch=512, more=""), ""),
        (G2.format(context=4096, batch=512, card=0), ""),
        (G2.format(context=256, batch=256, card=0), ""),  # a batch is never larger than the context
        (G1.format(context=4096, batch=1024, more=""), "num_batch 1024"),
        (G2.format(context=4096, batch=64, card=0), "num_batch 64"),
        (G2.format(context=4096, batch=512, card=1), "main_gpu 1"),
        (G1.format(context=4096, batch=512, more="--main-gpu 2 "), "main_gpu 2"),
        (G2.format(context=4096, batch=64, card=0) + G2.format(context=4096, batch=512, card=0), ""),  # the last load counts
        ("nothing of a load\n", ""),
    ],
)
def test_what_a_plain_request_would_not_have_is_named(log: str, named: str) -> None:
    said = unlike_ours(evidence(log))
    assert named in said
    assert bool(said) == bool(named)


def test_what_the_model_itself_brings_is_in_every_request() -> None:
    log = G2.format(context=4096, batch=64, card=0)
    assert unlike_ours(evidence(log, parameters={"num_batch": "64"})) == ""


def test_from_v0_30_the_server_chooses_the_batch_itself() -> None:
    assert unlike_ours(evidence(G1.format(context=4096, batch=1024, more=""), version="0.32.0")) == ""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("2026-02-03T10:00:07.123456789Z", 7.123456),
        ("2026-02-03T11:00:07.123456789+01:00", 7.123456),
        ("2026-02-03T05:30:07-04:30", 7.0),
        ("", None),
        ("2026-02-31T10:00:07Z", None),
    ],
)
def test_how_long_a_runner_stays_is_read_in_any_zone(text: str, left: float | None) -> None:
    assert keep_alive_left(text, 1770112800.0) == (None if left is None else pytest.approx(left))
