"""The page of one diagnosed incident."""

from __future__ import annotations

from typing import Any

from remediation.engine.benchmark import unknown_figures
from remediation.report.diagnosis import diagnosis_lines
from remediation.report.text import WIDTH
from tests.report import stream

ASKED: dict[str, Any] = {
    "findings": [
        {
            "cause": "explicit_num_gpu",
            "confidence": 0.95,
            "because": "a client requested one layer",
            "quotes": [{"where": "their-log.txt:812", "text": "msg=offload layers.requested=1 layers.model=33 layers.offload=1"}],
            "cure": "find the client that sends num_gpu, or the Modelfile",
        }
    ],
    "ruled_out": [{"cause": "vram_occupied", "because": "5.6 GiB free"}, {"cause": "driver_too_old", "because": "535.104"}],
    "settings": [],
    "offloaded": [1, 33],
    "predicted": [33, 33],
    "need": "all 33 would fit (5.4 GiB), one was requested",
    "collect": ["the client's request, by OLLAMA_DEBUG_LOG_REQUESTS=1"],
    "notes": [],
}


def rows(diagnosis: dict[str, Any], *, verbose: bool = False) -> list[str]:
    found = [row for line in diagnosis_lines("their-log.txt", diagnosis, verbose=verbose) for row in line.rows()]
    assert all(len(row) <= WIDTH for row in found)
    return found


def test_cause_proof_cure_and_what_it_is_not() -> None:
    text = "\n".join(rows(ASKED))
    order = ["explicit_num_gpu", "0.95", "their-log.txt:812", "so ", "all 33 would fit", "1/33", "cure", "find the client",
             "not", "vram_occupied (5.6 GiB free)", "collect"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_nothing_proven_is_called_unknown_and_says_what_to_collect() -> None:
    text = "\n".join(rows({"findings": [], "collect": ["docker logs ai-native-ollama"]}))
    assert "unknown" in text
    assert "the evidence proves no cause" in text
    assert "docker logs ai-native-ollama" in text


def test_a_quote_is_whole_only_on_request() -> None:
    short, long = rows(stream.DIAGNOSIS), rows(stream.DIAGNOSIS, verbose=True)
    assert len(long) > len(short)
    assert "…" in "".join(short)
    assert "…" not in "".join(long)


def test_figures_of_the_loaded_model_stand_in_their_table_and_a_reason_where_there_are_none() -> None:
    asked = unknown_figures("", layers=(1, 33), simulated=True) | {
        "first_token_s": 0.8, "total_50_tokens_s": 12.0, "extrapolated": True, "tokens_seen": 8,
    }  # fmt: skip
    text = "\n".join(rows({**ASKED, "measured": asked}))
    assert "now   (simulated)" in text
    assert "≈ 12 s (8 seen)" in text
    assert "not measured" not in text
    why = "not measured: the model is not loaded, and loading it would be a change"
    assert f"asked   {why}" in "\n".join(rows({**ASKED, "measured": unknown_figures(why)}))
