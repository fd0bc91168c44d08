"""The score's numbers on the corpus, as its own program counts them."""

from __future__ import annotations

import functools
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
from types import ModuleType

import pytest

ROOT = pathlib.Path(__file__).parents[2]
CORPUS = os.environ.get("REMEDIATION_CORPUS")

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not CORPUS, reason="REMEDIATION_CORPUS is not set"),
]


@functools.cache
def checker() -> ModuleType:
    """Return the program as a module, one for all tests: what it reads and converts it keeps."""
    spec = importlib.util.spec_from_file_location("check_corpus", pathlib.Path(__file__).with_name("check_corpus.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def score(*arguments: str) -> str:
    command = f"{pathlib.Path(sys.executable).with_name('remediate')} diagnose --json"
    program = checker().program(pathlib.Path(CORPUS or ".") / "incidents" / "score", *arguments, "--command", command)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        program,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_incidents() -> None:
    score("--check")


def test_incidents_without_the_reporters_sentence() -> None:
    score("--no-symptom", "--min-top1", "0.92", "--min-top3", "0.95", "--check")


def test_recordings_are_named_and_healthy_only_where_they_are() -> None:
    printed = score(str(checker().converted()), "-v", "--min-top1", "0.97", "--check")
    assert not re.search(r"got \['healthy'", printed)


def test_offloaded_layers() -> None:
    module = checker()
    for items in (module.incidents(), module.recordings()):
        total, wrong = module.wrong_offloaded(items)
        assert total > 10
        assert wrong == []


def test_incidents_hold_under_removal_and_transport() -> None:
    module = checker()
    total, bad = module.fragile([(name, data) for name, data in module.incidents() if data["strength"] == "strong"])
    assert total > 300
    assert bad == []


@pytest.mark.timeout(400)
@pytest.mark.parametrize("first", [0, *(pytest.param(each, marks=pytest.mark.every) for each in (1, 2, 3))])
def test_recordings_hold_under_removal_and_transport(first: int) -> None:
    module = checker()
    total, bad = module.fragile(list(module.recordings())[first::4])
    assert total > 300
    assert len(bad) <= 1, bad  # without the answer of /api/ps, a runner that crashed earlier is all that one log shows


def test_predictions_lie_within_one_layer() -> None:
    module = checker()
    table = module.memory_table(module.recordings())
    assert len(table.rows) >= 0.9 * (len(table.rows) + len(table.unknown)), table.summary()
    assert [row for row in table.rows if row.endswith("<<")] == []
    # two recordings of v0.9.6 print free memory to a tenth of a GiB, which is several layers of so small a model
    assert [row.split()[0] for row in table.ranges] == ["v0.9.6-cuda-context-too-large", "v0.9.6-cuda-overhead"]
    assert [row for row in table.ranges if row.endswith("<<")] == []
    assert table.median <= 0.05, table.summary()
    incidents = module.memory_table(module.incidents())
    assert incidents.good == len(incidents.rows), incidents.rows
