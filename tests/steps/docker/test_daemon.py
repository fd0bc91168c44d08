"""The steps on a Linux host's Docker daemon and on NVIDIA's toolkit: what they refuse, what they keep, and what they take back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from remediation.model.change import Risk
from remediation.model.errors import CallFailed
from remediation.model.facts import ToolkitFacts
from remediation.model.outcome import Outcome
from tests.engine.fakes.daemon import CONFIG
from tests.engine.fakes.examples import linux_engine
from tests.engine.fakes.world import TOOLKIT
from tests.steps.step_runner import run, seen, summaries, undo

CONFIGURED = "container_toolkit.configured"
KEYS = "docker_daemon.configured"
TOML = "/etc/nvidia-container-runtime/config.toml"
REGISTERED = {"runtimes": {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}}


@pytest.mark.parametrize(
    ("flags", "keys"),
    [
        (("--data-root=/srv",), {"data-root": "/mnt"}),
        (("-g", "/srv"), {"data-root": "/mnt"}),
        (("--label", "a=b"), {"labels": ["c=d"]}),
        (("--live-restore",), {"live-restore": True}),
    ],
)
def test_a_key_that_is_also_a_flag_is_refused(flags: tuple[str, ...], keys: dict[str, object]) -> None:
    world = linux_engine()
    world.daemon_flags = flags
    step, state, plan = seen(world, KEYS, {"set": keys})
    assert plan == []
    assert f"{next(iter(keys))} is also given as a flag of dockerd" in step.describe(state)
    assert "systemctl cat docker" in step.advice(state)
    assert run(world, KEYS, {"set": keys}).outcome is not Outcome.CHANGED
    assert CONFIG not in world.texts


def test_a_file_with_which_the_daemon_does_not_start_is_taken_back_and_the_containers_run_again() -> None:
    world = linux_engine(debug=True)
    before = world.texts[CONFIG]
    world.fails["daemon.restart"] = [CallFailed("docker.service did not start")]
    result = run(world, KEYS, {"set": {"data-root": "/mnt"}})
    assert result.outcome is Outcome.FAILED
    assert "is as before, and the daemon runs with it" in result.reason
    assert world.texts[CONFIG] == before
    assert world.writes.count("restart dockerd") == 2
    assert all(item.status == "running" for item in world.containers.values())


@pytest.mark.parametrize("text", ["{", "[]", "5"])
def test_a_file_that_is_no_object_is_named_and_left(text: str) -> None:
    world = linux_engine(text)
    result = run(world, KEYS, {"set": {"live-restore": True}})
    assert result.outcome is Outcome.FAILED
    assert f"{CONFIG} is not valid JSON" in result.reason
    assert world.texts[CONFIG] == text.encode()


def test_a_key_that_only_waits_for_a_reload_is_taken_over_without_another_file() -> None:
    world = linux_engine(json.dumps(REGISTERED))
    for step in (KEYS, CONFIGURED):
        world.daemon_keys = {}
        result = run(world, step, {"set": REGISTERED} if step == KEYS else None)
        assert (result.outcome, world.texts[CONFIG]) == (Outcome.CHANGED, json.dumps(REGISTERED).encode())
        assert [text for text in summaries(result) if "reload" not in text] == []


def test_a_toolkit_that_is_missing_is_not_installed() -> None:
    world = linux_engine()
    world.toolkit = ToolkitFacts()
    step, state, plan = seen(world, CONFIGURED)
    assert (step.is_met(state), plan) == (False, [])
    assert step.describe(state) == "NVIDIA's container toolkit is not installed"
    assert "install" in step.advice(state).lower()


def test_a_toolkit_without_the_hook_says_which_engines_need_it() -> None:
    world = linux_engine(**REGISTERED)
    world.toolkit = ToolkitFacts(TOOLKIT[:-1])
    step, state, _ = seen(world, CONFIGURED)
    assert step.is_met(state)
    assert "which --gpus needs before Docker 29.2" in step.describe(state)


def test_the_runtime_is_not_registered_in_a_file_that_dockerd_refuses() -> None:
    world = linux_engine('{"nonsense": 1}')
    step, state, plan = seen(world, CONFIGURED)
    assert plan == []
    assert step.describe(state) == f"dockerd would not start with the runtime in {CONFIG}: no such option: nonsense"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (
            '[nvidia-container-cli]\nno-cgroups = true\nldconfig = "x"\n',
            '[nvidia-container-cli]\nno-cgroups = false\nldconfig = "x"\n',
        ),
        ("disable-require = false\n", None),
    ],
)
def test_device_rules_are_added_where_the_daemon_of_root_needs_them(text: str, after: str | None) -> None:
    world = linux_engine(**REGISTERED)
    world.texts[TOML] = text.encode()
    world.toolkit = replace(world.toolkit, config=text)
    step, state, plan = seen(world, CONFIGURED)
    if after is None:
        assert (step.is_met(state), plan) == (True, [])
        return
    assert (step.values(state)["no_cgroups"], plan[0].risk) == (True, Risk.SAFE)
    assert f"no-cgroups is true in {TOML}, wrong for a rootful daemon" in step.describe(state)
    result = run(world, CONFIGURED)
    assert world.texts[TOML].decode() == after
    undo(world, result.changes[0])
    assert world.texts[TOML].decode() == text
