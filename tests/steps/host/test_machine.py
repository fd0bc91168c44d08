"""The machine itself: its driver, its restart, and what else holds the card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediation.model.facts import Gpu, GpuUse
from remediation.model.outcome import Outcome
from tests.engine.fakes.examples import (
    healthy,
    on_desktop,
    stack,
)
from tests.engine.fakes.host import World
from tests.engine.fakes.machine import FakeGpu
from tests.steps.step_runner import run


@pytest.mark.parametrize(
    ("driver", "ollama", "os", "capability", "met"),
    [
        ("551.86", "0.13.5", "windows", "8.6", True),
        ("472.12", "0.13.5", "windows", "8.6", False),
        ("525.60.13", "0.13.5", "linux", "8.6", False),  # the guide's floor is not Ollama's
        ("551.60", "0.30.11", "windows", "8.6", False),
        ("550.54.14", "0.30.11", "linux", "8.6", True),
        ("560.10", "0.30.11", "windows", "6.1", False),
        ("460.32.03", "0.9.0", "linux", "8.6", True),
    ],
)
def test_which_driver_is_needed_depends_on_system_release_and_card(
    driver: str, ollama: str, os: str, capability: str, met: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = stack()
    world.driver, world.version, world.os = driver, ollama, os
    honest = FakeGpu.use

    def use(self: FakeGpu) -> GpuUse:
        found = honest(self)
        gpus: tuple[Gpu, ...] = tuple(replace(gpu, compute_capability=capability) for gpu in found.gpus)
        return replace(found, gpus=gpus)

    monkeypatch.setattr(FakeGpu, "use", use)
    result = run(world, "driver.at_least")
    assert result.outcome is (Outcome.OK if met else Outcome.FAILED), result.reason
    assert met or "restarted afterwards" in result.reason


def test_a_reboot_is_blocked_where_docker_desktop_needs_a_login() -> None:
    world = on_desktop()
    result = run(world, "host.rebooted")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert "after_login" in result.next_step


def test_a_reboot_waits_for_the_login_on_request() -> None:
    world = on_desktop()

    def login() -> None:
        assert world.docker is not None
        world.docker, world.engine_up, world.desktop_user = (
            replace(world.docker, state="running", started=world.clock.now()),
            True,
            "ana",
        )

    world.clock.after(200.0, login)
    result = run(world, "host.rebooted", {"after_login": True})
    assert (result.outcome, world.writes) == (Outcome.CHANGED, ["reboot"])
    assert run(world, "host.rebooted", {"after_login": True}).outcome is Outcome.OK


def test_a_reboot_needs_administrator_rights() -> None:
    world = stack()
    world.elevated = False
    assert run(world, "host.rebooted").outcome is Outcome.BLOCKED


def test_a_busy_card_is_a_check() -> None:
    assert run(healthy(), "gpu.sample", {"busy": 80}).outcome is Outcome.OK
    idle = run(World(), "gpu.sample", {"busy": 80})
    assert (idle.outcome, "3 % load" in idle.reason) == (Outcome.FAILED, True)
    assert run(World(), "gpu.sample", {"idle": 10}).outcome is Outcome.OK
