"""Every runbook on the lab with the fault that it is for: the steps that change something, and the layers afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.preloaded_python import python

ROOT = Path(__file__).parents[2]
HOST = "laptop-07"

Lab = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Put a fault in, play a runbook, and return its exit code and events; one lab for all."""
    folder = tmp_path_factory.mktemp("lab")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "XDG_", "REMEDIATION_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)}

    def start(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*python(environment), "-m", "remediation.cli.main", *words], cwd=folder, env=environment, capture_output=True,
            text=True, encoding="utf-8", check=False, timeout=110,
        )  # fmt: skip

    def play(fault: str | None, book: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
        if fault is not None:
            broken = start("lab.fault", HOST, fault)
            assert broken.returncode == 0, broken.stderr
        done = start("play", book, "--inventory", "lab", "--json", *words)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    started = start("lab.start")
    assert started.returncode == 0, started.stderr
    yield play
    start("lab.stop")


def steps(events: list[dict[str, Any]]) -> list[str]:
    """Return the steps that changed something, each once, in order."""
    return list(dict.fromkeys(event["step"] for event in events if event["event"] == "change_end" and event["applied"]))


def layers(events: list[dict[str, Any]]) -> list[int] | None:
    """Return the layers that were last seen."""
    known = [event["result"].get("layers") for event in events if event["event"] == "task_result"]
    known += [event["values"].get("layers") for event in events if event["event"] == "goal"]
    return next((one for one in reversed([one for one in known if one])), None)


def excerpt(events: list[dict[str, Any]]) -> str:
    kinds = {"task_result", "note", "change_end", "rung_skipped"}
    return json.dumps([event for event in events if event["event"] in kinds], indent=1)


CASES = [
    ("vram-occupied", "fix-offload", ["vram.free", "model.reloaded"]),
    ("num-gpu-1", "fix-offload", ["model.reloaded"]),
    ("num-gpu-1-model", "fix-offload", ["model.parameter", "model.reloaded"]),
    ("visible-devices", "fix-offload", ["ollama.environment", "ollama.reconfigured", "model.reloaded"]),
    ("gpu-overhead", "fix-offload", ["ollama.environment", "ollama.reconfigured", "model.reloaded"]),
    ("num-parallel-8", "fix-offload", ["ollama.environment", "ollama.reconfigured", "model.reloaded"]),
    ("context-32768", "fix-offload", ["ollama.environment", "ollama.reconfigured", "model.reloaded"]),
    ("context-request", "fix-offload", ["model.reloaded"]),
    ("other-model", "fix-offload", ["model.reloaded"]),
    ("no-gpu-request", "fix-offload", ["container.sees_gpu", "model.reloaded"]),
    ("model-corrupt", "fix-offload", ["model.repulled", "model.reloaded"]),
    ("engine-down", "fix-offload", ["docker_desktop.restarted", "model.reloaded"]),
    ("healthy", "fix-offload", []),
    ("vram-occupied", "free-vram", ["vram.free", "model.reloaded"]),
    ("healthy", "restart-docker-desktop", ["docker_desktop.restarted", "model.reloaded"]),
    ("vram-occupied", "start-clean", ["stack.stopped", "vram.at_most", "stack.ordered_start", "model.responds"]),
    ("model-truncated", "repull-model", ["model.repulled", "model.reloaded"]),
    ("healthy", "switch-model", ["model.present", "env_file.set", "service.recreated", "model.reloaded"]),
    ("healthy", "quantise-down", []),
    ("card-tight", "quantise-down", ["model.smaller", "env_file.set", "service.recreated", "model.reloaded"]),
    ("card-tight", "fix-offload", ["model.smaller", "env_file.set", "service.recreated", "model.reloaded"]),
]


ALIKE = ("visible-devices", "gpu-overhead", "num-parallel-8", "context-32768", "context-request")
"""Faults that fix-offload cures by the same steps as another one here."""


@pytest.mark.parametrize(
    ("fault", "book", "expected"),
    [pytest.param(*case, id=f"{case[1]}-{case[0]}", marks=[pytest.mark.every] if case[0] in ALIKE else []) for case in CASES],
)
def test_the_right_steps_and_no_others(lab: Lab, fault: str, book: str, expected: list[str]) -> None:
    code, events = lab(fault, f"{book}.yml")
    assert code == 0, excerpt(events)
    assert steps(events) == expected, excerpt(events)
    assert layers(events) == [33, 33]


def test_what_would_help_names_no_program_that_is_never_closed(lab: Lab) -> None:
    _, events = lab("card-tight", "fix-offload.yml", "--check")
    (need,) = {event["diagnosis"]["need"] for event in events if event["event"] == "findings"}
    assert need.endswith("; Q3_K_M fits whole")  # dwm.exe holds the largest part besides, and is the desktop itself
    assert "closing" not in need


def test_the_volume_is_recreated_with_the_hosts_name_alone(lab: Lab) -> None:
    code, events = lab("healthy", "recreate-volume.yml")
    assert (code, steps(events)) == (5, []), excerpt(events)
    code, events = lab(None, "recreate-volume.yml", "--yes-destroy", HOST)
    assert code == 0, excerpt(events)
    assert steps(events) == ["volume.recreated", "model.reloaded"]
    assert layers(events) == [33, 33]


def test_an_edit_is_rolled_back(lab: Lab) -> None:
    code, events = lab("llm-library-cuda", "fix-offload.yml")
    assert (code, layers(events)) == (0, [33, 33]), excerpt(events)
    assert steps(events) == ["ollama.environment", "ollama.reconfigured", "model.reloaded"]
    code, events = lab(None, "rollback.yml")
    assert code == 0, excerpt(events)
    assert steps(events) == ["file.restored", "stack.up", "model.reloaded"]
    assert layers(events) == [0, 33]


def test_verify_says_what_does_not_hold(lab: Lab) -> None:
    code, events = lab("vram-occupied", "verify.yml")
    assert (code, steps(events)) == (2, ["model.responds"])
    assert "ask first: name it in close" in excerpt(events)
    assert held(events) == {
        "before, driver": True, "before, room": False, "at the start, settings": True, "at the start, running settings": True,
        "at the start, GPU in the container": True, "afterwards, layers": False, "afterwards, speed": False,
    }  # fmt: skip


def test_verify_shows_every_point_where_nothing_answers(lab: Lab) -> None:
    code, events = lab("engine-down", "verify.yml")
    assert (code, steps(events)) == (2, [])
    assert len(held(events)) == 7
    assert not any(holds for point, holds in held(events).items() if point.startswith("afterwards"))


def held(events: list[dict[str, Any]]) -> dict[str, bool]:
    """Return the points of the checklist and whether they are held."""
    results = [event for event in events if event["event"] == "task_result" and event["task"] == "The checklist holds"]
    said = [event["msg"] for event in results if event.get("item")]
    return {text.split(": ")[0]: "NOT HELD" not in text for text in said}


def test_what_survives_a_restart_is_said(lab: Lab) -> None:
    code, events = lab("healthy", "verify.yml", "-e", '{"survives_restart": true}')
    assert code == 0, excerpt(events)
    assert steps(events) == ["model.responds", "ollama.restarted", "model.loaded"]
    assert (
        "survives: 33/33 layers before the restart, 33/33 layers after it; lost: that the model stays loaded for good"
        in excerpt(events)
    )
    code, events = lab("vram-occupied", "verify.yml", "-e", '{"survives_restart": true}')
    assert (code, "ollama.restarted" in steps(events)) == (2, False)  # what does not hold needs no restart


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("nobody-logged-on", 5, "a user logged in at the desktop"),
        ("chrome-immortal", 2, "did not close within 15 s"),
        ("no-gpu-counters", 2, "nothing is closed"),
        ("engine-down", 2, ""),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_stronger_is_tried(lab: Lab, fault: str, code: int, said: str) -> None:
    ended, events = lab(fault, "free-vram.yml")
    assert ended == code, excerpt(events)
    assert said in excerpt(events)
    assert set(steps(events)) <= {"vram.free"}
