"""Ollama as a service of a Linux host, over a real sshd: diagnosed, repaired, and restarted by systemctl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remediation_lab.linux.programs import NOT_FOUND, REFUSED
from tests.steps.on_engine import changes, excerpt
from tests.support.preloaded_python import python
from tests.support.project import MODEL
from tests.support.requirements import need_program
from tests.support.service import Service, service

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
WITH_ROOT = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="sudo without a password takes root here")
GONE = "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down"
BROKEN = 'Job for ollama.service failed because the control process exited with error code.\nSee "systemctl status ollama.service" for details.'


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "gpu-01") as running:
        yield running


def start(
    host: Service, folder: Path, *words: str, timeout: float = 110.0, **variables: object
) -> tuple[int, list[dict[str, Any]]]:
    """Run `remediate` against the host, and return its exit code and events."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "REMEDIATION_", "OLLAMA_", "DOCKER_"))
    }
    own = {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "REMEDIATION_LEASE_FOLDER": str(folder / "lease"),
        "PYTHONPATH": str(ROOT),
    }
    where = () if words[0] in {"resume", "undo"} else ("--inventory", host.inventory(folder, **variables))
    done = subprocess.run(
        [*python({**kept, **own}), "-m", "remediation.cli.main", *words, *where, "--json"],
        cwd=folder, env={**kept, **own}, capture_output=True, text=True, encoding="utf-8", check=False, timeout=timeout,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def restart(host: Service, folder: Path, **keywords: object) -> tuple[int, list[dict[str, Any]]]:
    """Play a restart that is requested twice."""
    tasks = [{"name": name, "ollama.restarted": {}, **keywords} for name in ("once", "twice")]
    book = folder / "restart.yml"
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    return start(host, folder, "play", str(book), "--max-risk", "disruptive")


def outcomes(events: list[dict[str, Any]]) -> list[str]:
    return [event["outcome"] for event in events if event["event"] == "task_result"]


def test_the_service_is_restarted_once_per_run_and_awaited(host: Service, tmp_path: Path) -> None:
    host.load()
    before = host.pid
    code, events = restart(host, tmp_path)
    assert (code, outcomes(events)) == (0, ["changed", "ok"]), excerpt(events)
    assert (host.restarts, host.pid == before) == (1, False)
    assert host.ask("/api/ps") == {"models": []}
    code, events = restart(host, tmp_path)
    assert (code, outcomes(events), host.restarts) == (0, ["changed", "ok"], 2), excerpt(events)


@pytest.mark.parametrize(
    ("words", "said", "next_step"),
    [
        (NOT_FOUND, "Unit ollama.service not found", "restart Ollama the way it was started"),
        (REFUSED, "Interactive authentication required", "become: true"),
        ("Failed to restart ollama.service: Access denied\n", "Access denied", "become: true"),
        (GONE, "has not been booted with systemd", "restart Ollama the way it was started"),
        (BROKEN, "exited with error code", "journalctl -u ollama -n 50"),
    ],
    ids=["no unit", "polkit", "dbus", "no systemd", "the server fails"],
)
def test_what_systemctl_refuses_is_one_sentence_with_the_next_step(
    host: Service, tmp_path: Path, words: str, said: str, next_step: str
) -> None:
    host.fails(words)
    before = host.pid
    code, events = restart(host, tmp_path)
    (result,) = [event for event in events if event["event"] == "task_result"]
    assert (code, result["outcome"], host.restarts, host.pid) == (2, "failed", 1, before), excerpt(events)
    assert said in result["msg"]
    assert "\n" not in result["msg"]
    assert next_step in json.dumps(result), excerpt(events)
    assert host.ask("/api/version") == {"version": "0.13.5"}


@WITH_ROOT
def test_with_become_it_goes_through_sudo(host: Service, tmp_path: Path) -> None:
    need_program("sudo", "sudo")
    host.fails(REFUSED)
    before = host.pid
    code, events = restart(host, tmp_path, become=True)
    assert (code, outcomes(events), host.restarts) == (0, ["changed", "ok"], 1), excerpt(events)
    assert host.pid != before


def test_a_runner_left_with_one_layer_is_reloaded_on_a_host_without_docker(host: Service, tmp_path: Path) -> None:
    host.load(num_gpu=1)
    assert "offloaded 1/33" in host.journal
    before = host.pid
    code, events = start(host, tmp_path, "fix-offload")
    assert code == 0, excerpt(events)
    assert {event["step"] for event in events if event["event"] == "change_end" and event["applied"]} == {"model.reloaded"}
    assert host.journal.rpartition("offloaded ")[2].startswith("33/33")
    assert host.pid == before
    (found,) = [event for event in events if event["event"] == "goal"][-1:]
    assert (found["state"], found["values"]["layers"]) == ("met", [33, 33]), excerpt(events)
    again, events = start(host, tmp_path, "fix-offload")
    assert (again, changes(events)) == (0, []), excerpt(events)


def test_verify_leaves_out_what_only_a_container_has_and_survives_a_restart(host: Service, tmp_path: Path) -> None:
    host.load()
    code, events = start(host, tmp_path, "verify")
    points = {event["item"]["what"]: event["msg"] for event in events if event["event"] == "task_result" and "item" in event}
    assert (code, len(points)) == (0, 7), excerpt(events)
    assert [what for what, said in points.items() if "held - " not in said] == ["GPU in the container"]
    assert points["settings"].endswith("held - no harmful setting of the service ollama")
    assert points["running settings"].endswith("held - the service ollama runs with its declared settings")
    before = host.pid
    code, events = start(host, tmp_path, "verify", "--survives-restart", "--max-risk", "disruptive")
    assert (code, host.restarts, host.pid == before) == (0, 1, False), excerpt(events)
    assert "survives: 33/33 layers before the restart, 33/33 after it" in excerpt(events).replace(" layers after", " after")


def test_verify_fails_where_a_client_left_one_layer(host: Service, tmp_path: Path) -> None:
    host.load(num_gpu=1)
    code, events = start(host, tmp_path, "verify")
    said = " ".join(event["msg"] for event in events if event["event"] == "task_result" and event["outcome"] == "failed")
    assert code == 2, excerpt(events)
    assert "afterwards, layers: NOT HELD" in said
    assert "1/33 layers on the GPU; wanted 33/33" in said


OTHER = "phi3:3.8b"
FOR_EVER = "2319"


def test_a_model_that_nothing_names_stays_the_target_while_it_is_unloaded_and_stays_loaded_for_ever(tmp_path: Path) -> None:
    with service(tmp_path / "gpu-01", models=(MODEL, OTHER)) as host:
        host.load(num_gpu=1)
        code, events = start(host, tmp_path, "fix-offload")
        assert (code, host.loaded) == (0, {MODEL: (True, FOR_EVER)}), excerpt(events)
        assert [event["applied"] for event in events if event["event"] == "change_end"] == [True, True]
        again, events = start(host, tmp_path, "fix-offload")
        assert (again, changes(events)) == (0, []), excerpt(events)


@pytest.mark.parametrize("both_loaded", [False, True])
def test_two_models_without_a_named_one_are_an_error_and_nothing_is_changed(tmp_path: Path, both_loaded: bool) -> None:
    with service(tmp_path / "gpu-01", models=(MODEL, OTHER)) as host:
        for model in (MODEL, OTHER) if both_loaded else ():
            host.load(model, num_gpu=1)
        before = host.loaded
        code, events = start(host, tmp_path, "fix-offload")
        assert (code, changes(events), host.loaded) == (2, [], before), excerpt(events)
        (end,) = [event for event in events if event["event"] == "task_result" and event["outcome"] == "failed"]
        assert "cannot determine the model" in end["msg"]
        assert f"-e model={MODEL}" in end["next_step"]
        assert f"-e model={OTHER}" in end["next_step"]
        assert not [event for event in events if event["event"] == "rung_start"]
        code, events = start(host, tmp_path, "fix-offload", "-e", f"model={OTHER}")
        assert (code, host.loaded[OTHER][0]) == (0, True), excerpt(events)


def test_a_run_that_was_killed_after_it_unloaded_the_model_loads_that_very_one_when_it_is_resumed(tmp_path: Path) -> None:
    with service(tmp_path / "gpu-01", models=(MODEL, OTHER)) as host:
        host.load(num_gpu=1)
        code, events = start(host, tmp_path, "fix-offload")
        assert code == 0, excerpt(events)
        run = next((tmp_path / "state").rglob("events.jsonl"))
        lines = run.read_text("utf-8").splitlines(keepends=True)
        cut = next(number for number, line in enumerate(lines) if '"change_end"' in line and "unload" in line)
        run.write_text("".join(lines[: cut + 1]), "utf-8")  # as on disk when it was killed
        host.ask("/api/generate", {"model": MODEL, "keep_alive": 0})
        code, events = start(host, tmp_path, "resume", run.parent.name)
        assert (code, host.loaded) == (0, {MODEL: (True, FOR_EVER)}), excerpt(events)


def test_without_a_log_the_api_suffices_to_repair_and_to_verify(host: Service, tmp_path: Path) -> None:
    host.hides_its_journal()
    host.load(num_gpu=1)
    code, events = start(host, tmp_path, "fix-offload")
    assert (code, host.loaded) == (0, {MODEL: (True, FOR_EVER)}), excerpt(events)
    assert not [event for event in events if event["event"] == "task_result" and event["outcome"] == "failed"], excerpt(events)
    code, events = start(host, tmp_path, "verify")
    assert (code, "NOT HELD" in excerpt(events)) == (0, False), excerpt(events)


@pytest.mark.parametrize("logged", [True, False])
def test_a_server_that_a_user_started_by_hand_is_repaired(host: Service, tmp_path: Path, logged: bool) -> None:
    host.load()  # what the journal of the stopped unit holds says nothing about the server
    with host.started_by_hand(logged=logged):
        host.load(num_gpu=1)
        code, events = start(host, tmp_path, "fix-offload")
        assert (code, host.loaded) == (0, {MODEL: (True, FOR_EVER)}), excerpt(events)


def test_a_server_that_keeps_no_model_is_not_left_with_one_for_long(tmp_path: Path) -> None:
    with service(tmp_path / "gpu-01", OLLAMA_KEEP_ALIVE="0") as host:
        code, events = start(host, tmp_path, "fix-offload")
        (change,) = [event for event in events if event["event"] == "change_end"]
        assert (code, change["applied"]) == (0, True), excerpt(events)
        assert "kept for 2m" in change["effect"]


def test_nothing_of_compose_is_tried_or_said_to_a_service_and_its_unit_is_not_edited_unasked(
    host: Service, tmp_path: Path
) -> None:
    host.ask("/api/create", {"model": "big", "from": MODEL, "stream": False, "parameters": {"num_ctx": 131072}})
    files = host.unit_files
    code, events = start(host, tmp_path, "fix-offload", "-e", "model=big")
    assert (code, host.unit_files, host.restarts) == (5, files, 0), excerpt(events)
    failed = [event for event in events if event["event"] == "task_result" and "Compose" in event.get("msg", "")]
    assert failed == []
    assert "compose" not in json.dumps([event.get("next_step", "") for event in events]).lower()


def test_a_healthy_host_without_docker_lacks_nothing(host: Service, tmp_path: Path) -> None:
    code, found = check_host(host, tmp_path)
    assert (code, [each["name"] for each in found if each["ok"] is False]) == (0, []), found
    (engine,) = [each for each in found if each["name"] == "Docker engine"]
    assert engine["text"].startswith("not needed: Ollama runs without a container")
    os.kill(host.pid, 9)
    code, found = check_host(host, tmp_path)
    assert code == 2
    failed = {each["name"]: each for each in found if each["ok"] is False}
    assert "Ollama" in failed, found
    assert "Docker engine" not in failed, "the unit is still there, and needs no engine"


def check_host(host: Service, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    words = ("-m", "remediation.cli.main", "check-host", "--inventory", host.inventory(folder), "--json")
    environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*python(environment), *words], env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout, done.stderr
    assert "Errno" not in done.stdout
    return done.returncode, json.loads(done.stdout)[0]["checks"]
