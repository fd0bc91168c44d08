"""wsl.restarted: which distributions it ends and starts, and that its plan names them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediation.model.change import Risk
from remediation.model.errors import CallFailed
from remediation.model.facts import WslDistribution
from remediation.model.outcome import Outcome
from tests.engine.fakes.examples import on_desktop, stack
from tests.engine.fakes.host import World
from tests.engine.fakes.world import BOOT
from tests.steps.step_runner import run, seen, summaries

UBUNTU, DEBIAN = (
    WslDistribution("Ubuntu", 2, running=True, started=BOOT),
    WslDistribution("Debian", 2, running=True, started=BOOT),
)
DOCKER = WslDistribution("docker-desktop", 2, running=True, started=BOOT)


def host(*distributions: WslDistribution, world: World | None = None) -> World:
    made = world or stack()
    made.distributions = list(distributions)
    return made


def test_shutdown_names_what_it_ends_and_starts_it_again() -> None:
    world = host(UBUNTU, replace(DEBIAN, running=False, started=None))
    result = run(world, "wsl.restarted")
    assert result.outcome is Outcome.CHANGED
    assert summaries(result) == ["wsl --shutdown: ends Ubuntu, with all programs and unsaved work in them; starts Ubuntu again"]
    assert [each.running for each in world.distributions] == [True, False]
    assert run(world, "wsl.restarted").outcome is Outcome.OK


def test_one_distribution_is_terminated_and_the_others_stay() -> None:
    world = host(UBUNTU, DEBIAN)
    assert run(world, "wsl.restarted", {"distribution": "Ubuntu"}).outcome is Outcome.CHANGED
    assert world.writes == ["stop Ubuntu", "start Ubuntu"]
    assert world.distributions[1] == DEBIAN


def test_a_stopped_distribution_is_only_started() -> None:
    world = host(replace(UBUNTU, running=False, started=None), DEBIAN)
    result = run(world, "wsl.restarted", {"distribution": "Ubuntu"}, max_risk=Risk.SAFE)
    assert (result.outcome, world.writes) == (Outcome.CHANGED, ["start Ubuntu"])


def test_containers_are_stopped_first_and_docker_desktop_starts_them_again() -> None:
    world = host(DOCKER, UBUNTU, world=on_desktop())
    running = [name for name, each in world.containers.items() if each.status == "running"]
    (said,) = summaries(run(world, "wsl.restarted"))
    assert said.startswith(
        f"wsl --shutdown: ends docker-desktop, Ubuntu, with all programs and unsaved work in them; stops the containers {', '.join(running)}"
    )
    assert said.endswith("; starts Ubuntu again")
    assert [each.running for each in world.distributions] == [False, True]
    assert all(world.containers[name].status != "running" for name in running)
    assert run(world, "docker_desktop.restarted").outcome is Outcome.CHANGED
    assert [name for name, each in world.containers.items() if each.status == "running"] == running


def test_nothing_is_ended_without_permission() -> None:
    world = host(UBUNTU)
    result = run(world, "wsl.restarted", max_risk=Risk.SAFE)
    assert (result.outcome.bad, world.writes) == (True, [])


@pytest.mark.parametrize(
    ("distributions", "params", "words"),
    [((), {}, "no distributions of WSL"), ((UBUNTU,), {"distribution": "Arch"}, "Arch is not a distribution here: Ubuntu")],
)
def test_hosts_without_it(distributions: tuple[WslDistribution, ...], params: dict[str, Any], words: str) -> None:
    assert words in run(host(*distributions), "wsl.restarted", params).reason


def test_a_distribution_that_does_not_report_its_start_is_restarted_and_not_called_fresh() -> None:
    _, found, plan = seen(host(replace(UBUNTU, started=None)), "wsl.restarted")
    assert (found.old, found.unknown, len(plan)) == (("Ubuntu",), ("Ubuntu",), 1)


def test_a_refused_shutdown_is_reported() -> None:
    world = host(UBUNTU)
    world.fails["system.stop_distributions"] = [CallFailed("wsl --shutdown failed: Access is denied.")]
    result = run(world, "wsl.restarted")
    assert result.outcome.bad
    assert "Access is denied" in result.reason
