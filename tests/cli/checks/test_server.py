"""What `check-host` says of each way to serve Ollama: a healthy one lacks nothing, and each gap has its cure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediation.cli.checks.preflight import engine_hangs, run_check, server_checks
from remediation.model.errors import CallFailed, DeadlineExceeded, HostError
from remediation.model.facts import Elsewhere, Manager, ServerProcess, ServiceUnit, Serving, SourcedSetting
from tests.engine.fakes.host import FakeReader, World

UNIT = ServiceUnit("llm.service", "active", 7, "/etc/systemd/system/llm.service")
RUNS = ServerProcess(7, "ollama", "/usr/local/bin/ollama", environment={})
NATIVE = Serving(Manager.SYSTEMD, "llm.service", RUNS, UNIT)
HAND = Serving(Manager.PROCESS, process=ServerProcess(9, "ana", environment={}))


def checks(serving: Serving, *, log: bool = True) -> dict[str, tuple[Any, str, str]]:
    world = World(os="linux")
    reader = FakeReader(world)
    reader.services.serving = lambda: serving  # type: ignore[method-assign]
    if not log:
        world.fails["ollama.log"] = [CallFailed("the journal has no entries of the unit llm")]
    return {one.name: (one.ok, one.text, one.cure) for one in server_checks(reader)}


@pytest.mark.parametrize(
    "serving",
    [
        NATIVE,
        replace(NATIVE, wsl=True),
        Serving(Manager.COMPOSE, "ollama"),
        Serving(Manager.WINDOWS_APP),
    ],
    ids=["systemd", "wsl", "compose", "windows"],
)
def test_a_healthy_server_of_each_kind_lacks_nothing(serving: Serving) -> None:
    assert all(ok is True for ok, _, _ in checks(serving).values())


@pytest.mark.parametrize(
    ("serving", "ok", "text", "cure"),
    [
        (
            replace(NATIVE, process=None, unit=replace(UNIT, state="failed", pid=None)),
            False,
            "the service llm is failed",
            "systemctl start llm",
        ),
        (
            replace(NATIVE, process=None, unit=ServiceUnit("llm.service", "masked", masked=True)),
            False,
            "the service llm is masked",
            "systemctl unmask llm && sudo systemctl start llm",
        ),
        (replace(NATIVE, unit=replace(UNIT, needs_reload=True)), None, "has not read its changed unit files", "daemon-reload"),
        (replace(NATIVE, process=replace(RUNS, environment=None)), None, "cannot read the environment", "ansible_become"),
        (
            Serving(Manager.NOTHING, contained=replace(RUNS, engine="Podman")),
            None,
            "a container of Podman that this login does not reach",
            "quadlet",
        ),
        (
            replace(HAND, process=ServerProcess(9, "ana", unit="homebrew.ollama.service", of_user=True)),
            None,
            "the user service homebrew.ollama of ana",
            "log in as ana",
        ),
        (HAND, None, "the process 9 that ana started", "kill 9"),
        (Serving(Manager.CONTAINER, "ollama"), None, "created without Compose", "Compose file"),
    ],
    ids=["stopped", "masked", "edited", "no rights", "podman", "another user", "by hand", "no compose"],
)
def test_each_gap_is_named_with_its_cure(serving: Serving, ok: bool | None, text: str, cure: str) -> None:
    found = checks(serving)["server"]
    assert found[0] is ok
    assert text in found[1]
    assert cure in found[2]


def test_where_the_settings_live_is_said() -> None:
    setting = SourcedSetting("OLLAMA_HOST", "0.0.0.0", "f", wins=True, file="/etc/systemd/system/llm.service.d/override.conf")
    assert checks(replace(NATIVE, unit=replace(UNIT, settings=(setting,))))["server"][1] == (
        "the service llm, settings from /etc/systemd/system/llm.service.d/override.conf"
    )


def test_a_second_server_is_named() -> None:
    found = checks(replace(NATIVE, others=(ServerProcess(11, "ana", "/opt/ollama"),)))["second server"]
    assert (found[0], "process 11 of ana (/opt/ollama)" in found[1]) == (None, True)


@pytest.mark.parametrize(("serving", "cure"), [(NATIVE, "systemd-journal"), (HAND, "ollama serve > ollama.log")])
def test_a_log_that_cannot_be_read_is_no_fault_and_has_its_cure(serving: Serving, cure: str) -> None:
    ok, _, found = checks(serving, log=False)["server log"]
    assert (ok, cure in found) == (None, True)


def test_where_nothing_serves_the_check_of_ollama_says_it() -> None:
    assert checks(Serving(Manager.NOTHING)) == {}


def test_a_server_at_another_port_than_the_addressed_one_is_named_with_what_to_do() -> None:
    found = checks(Serving(Manager.NOTHING, elsewhere=Elsewhere(11500, 11434, "the process 812 of maria")))["server"]
    assert found[:2] == (None, "no Ollama server was found here at port 11500; the process 812 of maria listens at port 11434")
    assert found[2].startswith("set endpoint: http://127.0.0.1:11434")


@pytest.mark.parametrize(
    ("name", "error", "cure"),
    [
        ("GPU", DeadlineExceeded("nvidia-smi did not end within 30 s"), "look for the driver's messages"),
        ("Docker engine", DeadlineExceeded("docker did not end within 30 s"), "restart the engine"),
        ("GPU", DeadlineExceeded("late", next_step="its own advice"), "its own advice"),
        ("GPU", CallFailed("refused"), ""),
    ],
)
def test_a_program_that_hangs_comes_with_its_cure(name: str, error: HostError, cure: str) -> None:
    def asks(_: object) -> Any:
        raise error

    (found,) = run_check(name, asks, FakeReader(World()))
    assert (found.ok, found.text, bool(found.blocks)) == (False, error.message, True)
    assert found.cure.startswith(cure)
    assert bool(found.cure) == bool(cure)


def test_a_client_whose_engine_hangs_is_given_little_time() -> None:
    world = World()
    assert not engine_hangs(FakeReader(world))
    world.fails["engine.facts"] = [DeadlineExceeded("docker did not end within 30 s"), CallFailed("docker is not installed")]
    assert engine_hangs(FakeReader(world))
    assert not engine_hangs(FakeReader(world))
