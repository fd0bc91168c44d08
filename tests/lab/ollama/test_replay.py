"""Recordings of real servers, replayed on the stand-in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remediation_lab.ollama import replay

pytestmark = pytest.mark.corpus

_NEW_ENGINE = "another engine (from 0.12.11): measured layouts in rounds, which the lab does not play"
_QUEUE = "six requests at once; a replay is sequential. test_concurrency.py has the case"
_EXPIRED = "the recorder waited until the two seconds were over"
EXCEPTIONS = {
    **{
        f"{version} newengine-{name}": _NEW_ENGINE
        for version in ("0.12.10", "0.13.5", "0.24.0")
        for name in ("healthy", "num-gpu-1", "vram-occupied", "vram-shortage")
    },
    **{f"{version} queue-full": _QUEUE for version in ("0.12.10", "0.13.5", "0.24.0")},
    **{
        f"{version} create-and-cli": "a model deleted while it is loaded stays so; what it holds is logged at the next load once more"
        for version in ("0.12.10", "0.13.5", "0.24.0")
    },
    "0.24.0 corrupt-data-flipped": "what damaged weights say is chance; there they ended the answer",
    "0.24.0 layer-larger-than-free-vram": "the recorder's RAM was too small for the compute buffer of 262144 tokens",
    "0.24.0 other-model-loaded": "/api/ps came while the unload was under way",
    **{f"{version} keep-alive-shapes": _EXPIRED for version in ("0.9.6", "0.32.0")},
    "0.32.0 newengine-num-gpu-1": "qwen3's compute buffer is some 5% larger than the lab's formula says",
    "0.32.0 newengine-vram-shortage": "as newengine-num-gpu-1",
}


def folder() -> Path:
    named = os.environ.get("REMEDIATION_CORPUS")
    if not named:
        pytest.skip("REMEDIATION_CORPUS is not set: the recordings of real servers are not at hand")
    return Path(named) / "recordings"


def test_the_scenarios_of_the_first_issue_agree_in_everything() -> None:
    root = folder()
    results = [replay.Scenario(path, root / "models.json").play() for path in replay.scenarios(root, everything=False)]
    assert len(results) == 35
    assert {f"{each.version} {each.scenario}": each.differences for each in results if not each.agrees} == {}


def test_all_others_agree_but_for_those_with_a_reason() -> None:
    root = folder()
    results = [replay.Scenario(path, root / "models.json").play() for path in replay.scenarios(root, everything=True)]
    differing = {f"{each.version} {each.scenario}" for each in results if not each.agrees}
    assert differing == EXCEPTIONS.keys()
    assert sum(each.agrees for each in results) >= 0.9 * len(results)


def test_a_wrong_rule_shows_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The comparison itself: a recording changed in one number of each kind is noticed in each column."""
    root = folder()
    copy = tmp_path / "v0.13.5" / "vram-occupied-10"
    copy.mkdir(parents=True)
    for version in ("v0.9.6", "v0.12.10", "v0.24.0", "v0.32.0"):
        (tmp_path / version).mkdir()
    (tmp_path / "models.json").write_text((root / "models.json").read_text("utf-8"), "utf-8")
    for path in (root / "v0.13.5" / "vram-occupied-10").iterdir():
        text = path.read_text("utf-8")
        if path.name == "server.log":
            text = text.replace("offloaded 10/33", "offloaded 11/33").replace('msg="gpu memory"', 'msg="other"', 1)
        if path.name.startswith("02-ps"):
            text = text.replace('"size_vram": 9', '"size_vram": 8').replace('"digest"', '"digests"')
        if path.name.startswith("03-unload"):
            text = text.replace('"status": 200', '"status": 503')
        (copy / path.name).write_text(text, "utf-8")
    assert replay.main([str(tmp_path)]) == 1
    row = next(line for line in capsys.readouterr().out.splitlines() if "vram-occupied-10" in line)
    assert "ok" not in row
