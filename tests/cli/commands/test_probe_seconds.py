"""``diagnose --probe-seconds`` on the lab: figures of the runner that is loaded, which stays the one it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Remediate

LAB = ("--inventory", "lab")
HOST = "laptop-07"


def diagnosed(remediate: Remediate, *words: str) -> dict[str, Any]:
    done = remediate("diagnose", *LAB, "--json", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def writes(remediate: Remediate) -> dict[str, int]:
    found = json.loads(remediate("lab.status", "--json").stdout)[HOST]["writes"]
    assert isinstance(found, dict)
    return found


def record(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def loads(saved: dict[str, Any]) -> int:
    return sum(piece["text"].count(" offloaded ") for piece in saved["pieces"] if piece["kind"] == "server_log")


def test_a_loaded_model_gets_one_request_and_its_runner_stays_as_it_was(remediate: Remediate, tmp_path: Path) -> None:
    diagnosed(remediate, "--out", "before.json")
    found = diagnosed(remediate, "--probe-seconds", "20")
    diagnosed(remediate, "--out", "after.json")
    figures = found["measured"]
    assert (figures["layers"], figures["tokens_seen"], figures["extrapolated"], figures["reason"]) == ([1, 33], 8, True, "")
    assert figures["first_token_s"] > 0
    assert figures["total_50_tokens_s"] > figures["first_token_s"]
    assert figures["simulated"] is True
    assert writes(remediate) == {"generate": 1}
    before, after = record(tmp_path / "before.json"), record(tmp_path / "after.json")
    assert loads(before) == loads(after) == 1
    ((was,), (is_now,)) = before["runners"], after["runners"]
    assert was["expires_at"].startswith("2319-")  # the application said keep_alive -1, and no other was sent
    assert is_now["expires_at"].startswith("2319-")
    assert {**was, "expires_at": ""} == {**is_now, "expires_at": ""}


def test_people_see_the_figures_and_that_a_lab_made_them(remediate: Remediate) -> None:
    done = remediate("diagnose", *LAB, "--probe-seconds", "20s")
    assert done.returncode == 0, done.stderr
    assert "(simulated)" in done.stdout
    assert "(8 seen)" in done.stdout


def test_nothing_is_loaded_where_nothing_is_loaded(remediate: Remediate) -> None:
    remediate("lab.start")
    remediate("lab.fault", HOST, "not-loaded")
    before = writes(remediate)
    done = remediate("diagnose", *LAB, "--probe-seconds", "20")
    assert "not measured: the model is not loaded" in " ".join(done.stdout.split())
    assert writes(remediate) == before


def test_a_runner_gets_the_request_with_its_own_context(remediate: Remediate, tmp_path: Path) -> None:
    remediate("lab.start")
    remediate("lab.fault", HOST, "context-request")
    diagnosed(remediate, "--out", "before.json")
    found = diagnosed(remediate, "--probe-seconds", "60")
    diagnosed(remediate, "--out", "after.json")
    before, after = record(tmp_path / "before.json"), record(tmp_path / "after.json")
    assert found["measured"]["tokens_seen"] == 8
    assert before["runners"][0]["context_length"] == after["runners"][0]["context_length"] > 4096
    assert loads(before) == loads(after)


def test_without_the_option_there_is_no_request(remediate: Remediate) -> None:
    assert "measured" not in diagnosed(remediate)
    assert writes(remediate) == {}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--probe-seconds", "soon"], "--probe-seconds: expected a time such as 90"),
        (["--probe-seconds", "0"], "--probe-seconds: expected a time above 0"),
        (["--probe-seconds", "2h"], "--probe-seconds: expected a time above 0 and up to 600 s"),
        (["--probe-seconds", "5", "--evidence", "a.log"], "--probe-seconds needs hosts"),
    ],
)
def test_what_means_nothing_is_refused_before_any_host_is_touched(remediate: Remediate, words: list[str], sentence: str) -> None:
    done = remediate("diagnose", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr


def test_dry_asks_no_model(remediate: Remediate) -> None:
    done = remediate("--dry", "diagnose", *LAB, "--probe-seconds", "5")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--dry" in done.stderr
