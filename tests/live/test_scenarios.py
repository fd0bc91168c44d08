"""The scenarios that were played on a real Ollama server, played on the stand-in: each ends as it should.

`tests.live.scenarios` names the test of each scenario, here or elsewhere. `python scripts/scenarios.py` runs them and prints a table.
"""

from __future__ import annotations

import ast
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.scenarios import SCENARIOS
from tests.live.test_service import FOR_EVER, OTHER, start
from tests.live.test_service_endings import GIB, fixed
from tests.steps.on_engine import excerpt
from tests.support.ages import wait_until_older
from tests.support.project import MODEL
from tests.support.service import Service, service

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[1]
NEWER = "qwen3:4b"
"""A model that the newer engine runs."""
EMBEDS = "nomic-embed-text:latest"
"""A model that only embeds: the server refuses to generate with it, and to load it that way."""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_has_its_test(scenario: str) -> None:
    path, _, name = SCENARIOS[scenario].test.partition("::")
    tests = {node.name for node in ast.parse((ROOT / path).read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}
    assert name in tests
    assert f"| {scenario} | {SCENARIOS[scenario].expected} |" in (ROOT.parent / "docs" / "scenarios.md").read_text("utf-8")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("scenarios") / "gpu-01", models=(MODEL, OTHER, NEWER, EMBEDS)) as host:
        yield host


@pytest.fixture
def host(shared: Service) -> Iterator[Service]:
    """The host with nothing loaded."""
    shared.empty()
    yield shared
    shared.occupy()


def test_a_number_of_layers_in_the_model_itself_is_taken_out(host: Service, tmp_path: Path) -> None:
    host.ask("/api/create", {"model": "few", "from": MODEL, "stream": False, "parameters": {"num_gpu": 1}})
    host.load("few")
    ended = fixed(host, tmp_path, "-e", "model=few")
    assert (ended.code, ended.steps) == (0, ["model.parameter", "model.reloaded"]), ended.summary
    assert host.loaded["few:latest"][0] is True
    assert "num_gpu                        -1" in host.ask("/api/show", {"model": "few"})["parameters"]


def test_a_model_that_was_loaded_while_the_card_was_full_is_reloaded_once_there_is_room(host: Service, tmp_path: Path) -> None:
    host.occupy(5 * GIB)
    host.load()
    assert host.loaded[MODEL][0] is False
    host.occupy()
    ended = fixed(host, tmp_path, "-e", f"model={MODEL}")
    assert (ended.code, ended.steps, host.loaded[MODEL]) == (0, ["model.reloaded"], (True, FOR_EVER)), ended.summary


def test_the_other_model_stays_as_it_is(host: Service, tmp_path: Path) -> None:
    host.load(OTHER, num_gpu=0)
    host.load(MODEL, num_gpu=1)
    before = host.loaded[OTHER]
    ended = fixed(host, tmp_path, "-e", f"model={MODEL}")
    assert (ended.code, host.loaded[MODEL], host.loaded.get(OTHER)) == (0, (True, FOR_EVER), before), ended.summary


def test_a_server_at_another_port_is_found_by_its_environment(host: Service, tmp_path: Path) -> None:
    host.load(num_gpu=1)
    code, events = start(host, tmp_path, "fix-offload", "-e", f"model={MODEL}", endpoint=None)
    assert (code, host.loaded[MODEL][0]) == (0, True), excerpt(events)
    (found,) = [event["target"]["endpoint"] for event in events if event["event"] == "host_facts"]
    assert found == {"value": host.endpoint, "source": "answers at the address in its environment"}


def test_a_server_that_hangs_is_restarted(host: Service, tmp_path: Path) -> None:
    host.load()
    hanging, restarts = host.pid, host.restarts
    wait_until_older(hanging)
    os.kill(hanging, signal.SIGSTOP)
    try:
        code, events = start(host, tmp_path, "fix-offload", "-e", f"model={MODEL}", "--max-risk", "disruptive")
    finally:
        if host.pid == hanging:
            os.kill(hanging, signal.SIGCONT)
    assert (code, host.restarts) == (0, restarts + 1), excerpt(events)
    assert host.loaded[MODEL][0] is True
    assert "accepts connections" in json.dumps(events)


def test_after_the_restart_of_a_server_that_hung_its_log_names_the_model(host: Service, tmp_path: Path) -> None:
    host.restart()
    host.load(NEWER, num_gpu=1)
    hanging = host.pid
    wait_until_older(hanging)  # else it counts as restarted in this run
    os.kill(hanging, signal.SIGSTOP)
    try:
        ended = fixed(host, tmp_path, "--max-risk", "disruptive")
    finally:
        if host.pid == hanging:
            os.kill(hanging, signal.SIGCONT)
    assert (ended.code, ended.steps) == (0, ["ollama.restarted", "model.loaded"]), ended.summary
    assert {name: whole for name, (whole, _) in host.loaded.items()} == {NEWER: True}


def test_a_model_of_the_newer_engine_is_reloaded(host: Service, tmp_path: Path) -> None:
    host.load(NEWER, num_gpu=1)
    assert host.loaded[NEWER][0] is False
    ended = fixed(host, tmp_path, "-e", f"model={NEWER}")
    assert (ended.code, ended.steps, host.loaded[NEWER]) == (0, ["model.reloaded"], (True, FOR_EVER)), ended.summary
    assert ended.kinds("goal")[-1]["values"]["layers"] == [37, 37]


def test_an_embedding_model_is_reloaded(host: Service, tmp_path: Path) -> None:
    host.ask("/api/embed", {"model": EMBEDS, "input": "a text", "keep_alive": -1, "options": {"num_gpu": 1}})
    assert host.loaded[EMBEDS][0] is False
    ended = fixed(host, tmp_path, "-e", f"model={EMBEDS}")
    assert (ended.code, ended.steps, host.loaded[EMBEDS]) == (0, ["model.reloaded"], (True, FOR_EVER)), ended.summary
    assert ended.kinds("goal")[-1]["values"]["layers"] == [13, 13]


def test_a_long_context_of_the_model_itself_is_shortened_without_a_restart(host: Service, tmp_path: Path) -> None:
    """The model's num_ctx takes precedence over OLLAMA_CONTEXT_LENGTH, so that a restart with that setting would change nothing."""
    host.ask("/api/create", {"model": "long", "from": MODEL, "stream": False, "parameters": {"num_ctx": 32768}})
    restarts, units = host.restarts, host.unit_files
    host.load("long")
    assert host.loaded["long:latest"][0] is False
    ended = fixed(host, tmp_path, "-e", "model=long")
    assert (ended.code, ended.steps) == (0, ["model.parameter", "model.reloaded"]), ended.summary
    assert (host.loaded["long:latest"][0], host.restarts, host.unit_files) == (True, restarts, units)
