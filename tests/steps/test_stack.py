"""Stacks, containers, Docker Desktop, settings and the machine: what is done, what is refused, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from remediation.engine.records import build
from remediation.model.change import Need, Risk, StepCall
from remediation.model.errors import CallFailed, UsageError
from remediation.model.facts import ComposeProject, ContainerStats, Executed, Gpu, GpuUse, SystemLimits
from remediation.model.outcome import Outcome
from remediation.steps.moments import moment
from remediation.steps.registry import registry
from remediation.steps.resources import size_of
from tests.engine.fakes import BOOT, GIB, MODEL, OLLAMA, World, stamp
from tests.engine.fakes_docker import FakeCompose
from tests.engine.fakes_host import FakeGpu
from tests.engine.hosts import (
    BASE,
    FOLDER,
    GPU,
    dotenv_changed,
    healthy,
    on_desktop,
    stack,
    stopped,
    with_dotenv,
    without_dotenv,
    without_gpu_request,
)
from tests.steps.running import run, seen, summaries, undo

DOTENV = f"{FOLDER}\\.env"


def test_only_what_differs_is_recreated() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    started = world.containers["ai-native-api"].started_at
    run(world, "compose.environment")
    result = run(world, "stack.up")
    assert summaries(result) == ["recreate ollama (ai-native)"]
    assert result.changes[0].risk is Risk.DISRUPTIVE
    assert world.containers["ai-native-api"].started_at == started


def test_check_mode_foresees_that_an_edited_file_recreates() -> None:
    from remediation.engine.executor import execute  # noqa: PLC0415 - both steps share one context here
    from tests.steps.running import bench  # noqa: PLC0415

    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    context = bench(world).context(check=True, run_started=world.clock.start)
    execute(StepCall("compose.environment", {}), context)
    assert summaries(execute(StepCall("stack.up", {}), context)) == ["recreate ollama (ai-native)"]
    foreseen = execute(StepCall("model.reloaded", {}), context)
    assert foreseen.values["predicted"] == [33, 33]
    assert world.writes == []


def test_an_unset_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def warnings(self: FakeCompose, project: ComposeProject) -> Sequence[str]:  # noqa: ARG001 - the facet's signature
        return ['The "TAG" variable is not set. Defaulting to a blank string.']

    monkeypatch.setattr(FakeCompose, "warnings", warnings)
    world = stack("OLLAMA_DEBUG=1")
    result = run(world, "stack.up")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert '"TAG" variable is not set' in result.reason
    assert ".env" in result.next_step


def test_another_environment_is_refused_before_anything_is_recreated() -> None:
    world = with_dotenv()
    world.texts[DOTENV] = b""  # this session fills in nothing where the user's shell did
    result = run(world, "stack.up")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert f"OLLAMA_MODEL is '' here and '{MODEL}' in the container" in result.reason


def test_a_stopped_service_is_started_without_risk() -> None:
    world = stopped(stack(), "api")
    result = run(world, "stack.up")
    assert summaries(result) == ["start api (ai-native)"]
    assert result.changes[0].risk is Risk.SAFE


def test_a_service_that_is_not_there_is_said() -> None:
    result = run(stack(), "stack.up", {"services": ["olama"]})
    assert "has no service 'olama'; it has ollama, api" in result.reason


def test_the_engine_stopping_in_the_middle_is_a_failure_with_its_words() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    run(world, "compose.environment")
    world.fails["compose.up"] = [CallFailed("the Docker engine does not answer", next_step="start Docker")]
    result = run(world, "stack.up")
    assert (result.outcome, result.reason, result.next_step) == (
        Outcome.FAILED,
        "the Docker engine does not answer",
        "start Docker",
    )
    assert run(world, "stack.up").outcome is Outcome.CHANGED


def test_stopping_waits_for_the_vram_and_keeps_the_volumes() -> None:
    world = healthy()
    volumes = dict(world.volumes)
    result = run(world, "stack.stopped")
    assert (result.outcome, world.volumes) == (Outcome.CHANGED, volumes)
    assert result.values["free"] == 6 * GIB
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert all(item.status == "running" for item in world.containers.values())


def test_down_keeps_the_volumes_too() -> None:
    world = healthy()
    assert summaries(run(world, "stack.stopped", {"remove": True})) == ["take down ollama, api (ai-native); volumes stay"]
    assert (world.containers, "compose down" in world.writes, len(world.volumes)) == ({}, True, 1)


def test_the_model_is_loaded_before_the_rest_starts() -> None:
    world = stopped()
    result = run(world, "stack.ordered_start")
    assert summaries(result) == ["start ollama (ai-native)", f"load {MODEL}", "start api (ai-native)"]
    assert world.writes == ["up ", f"load {MODEL}", "up "]


def test_docker_desktop_is_restarted_once_per_run_and_what_ran_runs_again() -> None:
    world = on_desktop(stopped(stack(), "api"))
    first = run(world, "docker_desktop.restarted")
    assert summaries(first) == [
        "stop ai-native-ollama before Docker Desktop", "stop Docker Desktop", "start Docker Desktop and wait for its engine",
        "start ai-native-ollama again",
    ]  # fmt: skip
    assert world.containers["ai-native-api"].status == "exited"  # it did not run before
    assert run(world, "docker_desktop.restarted").outcome is Outcome.OK
    world.clock.sleep(60.0)
    assert run(world, "docker_desktop.restarted", run_started=world.clock.now()).outcome is Outcome.CHANGED


def test_nobody_at_the_desktop_blocks_it_at_once() -> None:
    world = on_desktop()
    world.desktop_user = None
    result = run(world, "docker_desktop.restarted")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert Need.DESKTOP in (seen(world, "docker_desktop.restarted")[2][1].needs or {Need.DESKTOP})


def test_docker_desktop_that_never_answers_is_a_failure_and_the_next_run_goes_on() -> None:
    from remediation.model.errors import DeadlineExceeded  # noqa: PLC0415 - only here

    world = on_desktop()
    world.fails["desktop.start_docker"] = [DeadlineExceeded("the engine did not answer within 300 s")]
    result = run(world, "docker_desktop.restarted")
    assert (result.outcome, "within 300 s" in result.reason) == (Outcome.TIMED_OUT, True)
    again = run(world, "docker_desktop.restarted")
    assert again.outcome is Outcome.CHANGED
    assert all(item.status == "running" for item in world.containers.values())


def test_docker_desktop_that_is_not_there_is_said() -> None:
    result = run(stack(), "docker_desktop.restarted")
    assert (result.outcome, result.reason) == (Outcome.FAILED, "Docker Desktop is not installed on laptop-07")


def test_a_setting_is_written_while_it_is_stopped_and_can_be_taken_back() -> None:
    world = on_desktop()
    assert world.docker is not None
    world.docker = replace(world.docker, settings={"OpenUIOnStartupDisabled": False})
    result = run(world, "docker_desktop.setting", {"set": {"openUIOnStartupDisabled": True}})
    assert result.outcome is Outcome.CHANGED
    change = next(one for one in result.changes if one.data["action"] == "set")
    assert change.undo is not None
    assert change.undo.params == {"set": {"openUIOnStartupDisabled": False}}
    assert all(item.status == "running" for item in world.containers.values())


def test_a_setting_that_an_administrator_locked_is_refused() -> None:
    world = on_desktop()
    assert world.docker is not None
    world.docker = replace(world.docker, locked=("EnableInference",))
    result = run(world, "docker_desktop.setting", {"set": {"enableInference": False}})
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])


def test_a_container_that_asks_for_no_gpu_gets_a_reservation_and_is_recreated() -> None:
    world = without_gpu_request()
    world.answers["nvidia-smi", "-L"] = Executed(0, "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-1)\n")
    result = run(world, "container.sees_gpu")
    assert summaries(result) == [f"ask for the GPU for service ollama in {GPU}", "recreate ollama"]
    assert b"capabilities: [gpu]" in world.texts[GPU]
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert b"capabilities: [gpu]" not in world.texts[GPU]


def test_a_container_that_lost_the_card_is_recreated_once() -> None:
    world = stack()
    world.answers["nvidia-smi", "-L"] = Executed(255, "", "Failed to initialize NVML: Unknown Error\n")
    result = run(world, "container.sees_gpu")
    assert result.outcome is Outcome.UNVERIFIED
    assert summaries(result) == ["recreate ollama"]
    assert "Failed to initialize NVML" in result.reason


def test_nvidias_variables_prove_nothing() -> None:
    world = stack()
    assert world.containers[OLLAMA].environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert seen(world, "container.sees_gpu")[0].met(seen(world, "container.sees_gpu")[1]) is False


def test_what_ollama_found_counts_first() -> None:
    world = stack()
    world.answers["nvidia-smi", "-L"] = Executed(0, "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-1)\n")
    world.log = 'time=2026-01-01T00:00:01.000Z level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu compute="" name=cpu\n'
    step, found, _ = seen(world, "container.sees_gpu")
    assert step.met(found) is False
    assert "only the processor" in step.explain(found)


def test_what_the_server_ignores_is_said() -> None:
    world = stack("OLLAMA_NUM_GPU=99")
    world.log = 'time=2026-01-01T00:00:00.000Z level=INFO source=routes.go:1 msg="server config" env="map[OLLAMA_DEBUG:INFO OLLAMA_CONTEXT_LENGTH:4096]"\n'
    result = run(world, "container.environment", {"expect": {"OLLAMA_NUM_GPU": "99", "OLLAMA_CONTEXT_LENGTH": "4096"}})
    assert result.outcome is Outcome.FAILED
    assert "OLLAMA_NUM_GPU is ignored by the server" in result.reason


@pytest.mark.parametrize(
    ("used", "limit", "outcome"),
    [(7 * GIB, 8 * GIB, Outcome.OK), (int(7.8 * GIB), 8 * GIB, Outcome.FAILED), (GIB, None, Outcome.OK)],
)
def test_headroom_is_measured_against_what_really_bounds_it(used: int, limit: int | None, outcome: Outcome) -> None:
    world = stack()
    world.stats = ContainerStats(used, limit)
    assert run(world, "container.headroom").outcome is outcome


def test_limits_are_capped_by_what_the_engine_has() -> None:
    world = stack()
    world.limits = SystemLimits(wsl=8 * GIB)
    result = run(world, "compose.resources", {"memory": "12G", "reserve": "4G", "cpus": 6})
    assert b"memory: 7680M" in world.texts[GPU]
    assert b"cpus: '6'" in world.texts[GPU]
    assert b"memory: 4G" in world.texts[GPU]
    assert "more than the engine's machine has" in result.reason
    assert run(world, "compose.resources", {"memory": "12G", "reserve": "4G", "cpus": 6}).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("text", "size"), [("12G", 12 * GIB), ("512m", 512 * 1024**2), ("12884901888", 12 * GIB), ("8gb", 8 * GIB), ("1.5g", 3 * GIB // 2), ("0", None), (None, None)]
)  # fmt: skip
def test_compose_writes_sizes_in_several_ways(text: str | None, size: int | None) -> None:
    assert size_of(text) == size


def test_the_env_file_is_edited_in_place() -> None:
    world = with_dotenv()
    before = world.texts[DOTENV]
    result = run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}})
    assert world.texts[DOTENV] == before.replace(MODEL.encode(), b"phi3:3.8b")
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert world.texts[DOTENV] == before


@pytest.mark.parametrize("value", ["plain", "with space", "quo'te", 'do"uble', "hash # inside", "", "ü"])
def test_whatever_is_set_is_read_back(value: str) -> None:
    world = with_dotenv()
    world.texts[DOTENV] = b"A=1\r\nexport B='two'\r\n"
    for _ in range(2):
        result = run(world, "env_file.set", {"set": {"NEW": value, "B": "3"}})
    assert result.outcome is Outcome.OK
    assert result.values["settings"] == {"NEW": value, "B": "3"}
    assert b"\n" not in world.texts[DOTENV].replace(b"\r\n", b"")


def test_an_env_file_that_is_not_there_is_made() -> None:
    world = stack()
    assert run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}).outcome is Outcome.CHANGED
    assert world.texts[DOTENV] == b"OLLAMA_MODEL=phi3:3.8b\n"


def test_undoing_the_making_of_an_env_file_takes_it_away_and_brings_its_readers_back() -> None:
    world = without_dotenv()
    before = world.containers["ai-native-api"].environment
    change = run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}).changes[0]
    run(world, "service.recreated", {"service": "api"})
    assert world.containers["ai-native-api"].environment["OLLAMA_MODEL"] == "phi3:3.8b"
    undone = undo(world, change)
    assert (undone.outcome, summaries(undone)) == (Outcome.CHANGED, [f"remove {DOTENV}, which the run made", "recreate api"])
    assert DOTENV not in world.texts
    assert world.containers["ai-native-api"].environment == before
    assert undo(world, change).outcome is Outcome.OK
    again = undo(world, undone.changes[0])
    assert (again.outcome, world.texts[DOTENV]) == (Outcome.CHANGED, b"OLLAMA_MODEL=phi3:3.8b\n")
    assert undo(world, change).outcome is Outcome.CHANGED  # although what it says is kept already
    assert DOTENV not in world.texts


def test_an_undo_that_broke_off_after_the_removal_still_brings_the_readers_back() -> None:
    world = without_dotenv()
    change = run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}).changes[0]
    run(world, "service.recreated", {"service": "api"})
    world.fails["compose.up"] = [CallFailed("broken off")]
    assert undo(world, change).outcome is Outcome.FAILED
    assert DOTENV not in world.texts
    assert summaries(undo(world, change)) == ["recreate api"]


def test_an_env_file_that_somebody_else_has_edited_since_stays() -> None:
    world = without_dotenv()
    change = run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}).changes[0]
    world.texts[DOTENV] += b"TOKEN=mine\n"
    refused = undo(world, change)
    assert (refused.outcome.bad, refused.changes) == (True, ())
    assert f"{DOTENV} was edited by somebody else since" in refused.reason
    assert world.texts[DOTENV] == b"OLLAMA_MODEL=phi3:3.8b\nTOKEN=mine\n"


@pytest.mark.parametrize("params", [{}, {"path": DOTENV}, {"path": DOTENV, "expect": "0" * 64, "backup": f"{DOTENV}.bak"}])
def test_no_file_is_taken_away_without_knowing_what_the_run_wrote(params: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="made needs path and expect"):
        build(StepCall("file.restored", {"made": True, **params}), registry())


@pytest.mark.parametrize("settings", [{"1X": "a"}, {"X": "a\nY=b"}, {}])
def test_what_is_no_setting_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        build(StepCall("env_file.set", {"set": settings}), registry())


def test_the_reader_of_the_env_file_is_recreated_because_a_restart_would_not_do() -> None:
    world = dotenv_changed()
    result = run(world, "service.recreated", {"service": "api"})
    assert summaries(result) == ["recreate api"]
    assert world.containers["ai-native-api"].environment["OLLAMA_MODEL"] == "phi3:3.8b"
    assert "restart" not in " ".join(world.writes)


def test_always_recreates_once_per_run() -> None:
    world = stack()
    assert run(world, "service.recreated", {"service": "api", "always": True}).outcome is Outcome.CHANGED
    assert run(world, "service.recreated", {"service": "api", "always": True}).outcome is Outcome.OK


@pytest.mark.parametrize(("version", "level"), [("0.12.3", "1"), ("0.12.4", "2")])
def test_the_debug_level_that_shows_discovery_depends_on_the_release(version: str, level: str) -> None:
    world = stack()
    world.version = version
    before = world.texts[GPU]
    assert run(world, "ollama.debug").outcome is Outcome.CHANGED
    assert world.containers[OLLAMA].environment["OLLAMA_DEBUG"] == level
    assert run(world, "ollama.debug", {"on": False}).outcome is Outcome.CHANGED
    assert world.texts[GPU] == before
    assert "OLLAMA_DEBUG" not in world.containers[OLLAMA].environment


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
def test_which_driver_is_needed_depends_on_system_release_and_card(  # noqa: PLR0913, PLR0917 - the columns of the table above
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


def test_a_reboot_waits_for_the_login_when_told_to() -> None:
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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2023-11-14T22:13:20Z", BOOT), ("2023-11-14T22:13:20.123456789Z", BOOT + 0.123456), ("2023-11-14T23:13:20.5+01:00", BOOT + 0.5), ("0001-01-01T00:00:00Z", None), ("", None), ("soon", None)],
)  # fmt: skip
def test_dockers_times_are_read(text: str, seconds: float | None) -> None:
    found = moment(text)
    assert found == (pytest.approx(seconds) if seconds is not None else None)
    assert moment(stamp(BOOT)) == BOOT


def test_two_services_of_the_same_file_do_not_disturb_each_other() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    world.texts[BASE] = world.texts[BASE].replace(
        b"      - OLLAMA_BASE_URL", b"      - OLLAMA_LLM_LIBRARY=cuda\n      - OLLAMA_BASE_URL"
    )
    base = world.texts[BASE]
    run(world, "compose.environment")
    assert world.texts[BASE] == base
