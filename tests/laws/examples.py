"""One example at least for every registered step; a step without one fails the laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediation.model.errors import CallFailed
from remediation.model.facts import ContainerStats, ExecResult, ServiceStatus, SystemLimits, WslDistribution
from remediation.steps.file_edit import digest
from tests.engine.fakes.daemon import CONFIG
from tests.engine.fakes.examples import (
    BASE,
    FOLDER,
    GPU,
    LOCAL,
    USER_KEY,
    WEIGHTS,
    baked,
    by_docker_run,
    damaged,
    dotenv_changed,
    healthy,
    left_by_a_client,
    linux_engine,
    manifest,
    native_unit,
    occupied,
    on_desktop,
    stack,
    stopped,
    stored,
    unit,
    windows,
    with_dotenv,
    without_dotenv,
    without_gpu_request,
)
from tests.engine.fakes.host import GIB, MODEL, OLLAMA, World, container
from tests.engine.fakes.world import BOOT, blob_path
from tests.laws.laws import Example
from tests.steps.step_runner import run

DOTENV = f"{FOLDER}\\.env"
CARDS = ExecResult(0, "GPU 0: NVIDIA GeForce RTX 3060 Laptop GPU (UUID: GPU-1)\n")


def edited_but_not_up() -> World:
    """Return the host whose file was repaired while the container still runs with what it said before."""
    world = stack()
    old = world.containers[OLLAMA].environment
    world.containers[OLLAMA] = container("ollama", {**old, "OLLAMA_LLM_LIBRARY": "cuda"})
    return world


def wsl(text: str | None) -> World:
    """Return the host whose desktop user has this ``.wslconfig``."""
    world = stack()
    path = "C:\\Users\\ana\\.wslconfig"
    world.limits = SystemLimits(host=16 * GIB, wslconfig=path)
    if text is not None:
        world.texts[path] = text.encode()
    return world


def with_distributions(*names: str) -> World:
    """Return the host on which these distributions of WSL run since the boot."""
    world = stack()
    world.distributions = [WslDistribution(name, 2, running=True, started=BOOT) for name in names]
    return world


def edited_with_a_backup() -> World:
    """Return the host whose file was edited, with a backup of its former content."""
    world = stack()
    world.texts[f"{GPU}.bak"] = world.texts[GPU].replace(b"4096", b"8192")
    return world


def crowded_for_quantisation() -> World:
    """Return the host with too little VRAM for the model, and a registry that holds a harder quantisation of it."""
    world = stored()
    world.start("game.exe", vram=GIB)
    world.registry["mistral:7b-instruct-q3_K_M"] = manifest(
        "mistral:7b-instruct-q3_K_M", "sha256:" + "3" * 64, size=3_522_183_168
    )
    return world


def dotenv_made() -> World:
    """Return the host whose ``.env`` was made by a run, and whose application has read it."""
    world = without_dotenv()
    run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}})
    run(world, "service.recreated", {"service": "api"})
    world.writes.clear()
    return world


def built_from_source() -> World:
    """Return the host whose application is built from its sources."""
    world = stack()
    world.texts[BASE] = world.texts[BASE].replace(b"    image: activia/api\n", b"    image: activia/api\n    build: ./api\n")
    return world


def missing_model() -> World:
    """Return the host without a model that its registry holds."""
    world = stored()
    world.registry["phi3:3.8b"] = manifest("phi3:3.8b", "sha256:" + "b" * 64, size=2_175_438_336)
    return world


def quarantine() -> World:
    """Return the host with a layer moved aside and a replacement fetched."""
    world = damaged()
    world.aside[WEIGHTS] = world.store.pop(blob_path(WEIGHTS))
    return world


def sees(world: World) -> World:
    """Let nvidia-smi work inside the container."""
    world.answers["nvidia-smi", "-L"] = CARDS
    return world


def slow() -> World:
    """Return a host whose model answers as slowly as on the processor."""
    world = healthy()
    world.eval_rate = 2.0
    return world


def half_made(point: str) -> World:
    """Return the host on which a call failed while its volume was recreated."""
    world = stored()
    world.fails[point] = [CallFailed("broken off")]
    run(world, "volume.recreated")
    world.writes.clear()
    return world


def holding(text: str | None) -> World:
    """Return a host with this file, or without it."""
    world = World(folders={"C:\\app"})
    if text is not None:
        world.texts["C:\\app\\one.txt"] = text.encode()
        world.modes["C:\\app\\one.txt"] = 0o644
    return world


def serving(state: str, **more: Any) -> World:
    """Return a host with this service."""
    return World(services={"ollama": ServiceStatus("ollama", state, **more)})


EXAMPLES: Mapping[str, Sequence[Example]] = {
    "compose.environment": (
        Example({}, lambda: stack("OLLAMA_LLM_LIBRARY=cuda"), stack),
        Example({"set": {"OLLAMA_MAX_LOADED_MODELS": 1}, "remove": ["OLLAMA_CONTEXT_LENGTH"]}, stack),
        Example({"prune": True}, lambda: stack("OLLAMA_NUM_GPU=99", "OLLAMA_GPU_MEMORY_FRACTION=0.85"), stack),
    ),
    "compose.resources": (Example({"memory": "12 GiB", "reserve": "4 GiB", "cpus": 6}, stack),),
    "container.environment": (
        Example({"expect": {"OLLAMA_CONTEXT_LENGTH": "8192"}}, stack, looks=True),
        Example({"expect": {"OLLAMA_CONTEXT_LENGTH": "8192"}}, lambda: stack("OLLAMA_CONTEXT_LENGTH=8192"), looks=True),
    ),
    "container.headroom": (
        Example(
            {},
            lambda: World(containers=stack().containers, project=stack().project, stats=ContainerStats(8 * GIB, 8 * GIB)),
            looks=True,
        ),
        Example({}, stack, stack, looks=True),
    ),
    "container.recreated": (
        Example({}, by_docker_run, lambda: sees(by_docker_run(DeviceRequests=[{"Driver": "nvidia"}]))),
        Example({"gpus": "cdi"}, by_docker_run),
    ),
    "container.sees_gpu": (Example({}, lambda: sees(without_gpu_request()), lambda: sees(stack())),),
    "container_toolkit.configured": (
        Example({}, linux_engine, lambda: linux_engine(runtimes={"nvidia": {"path": "nvidia-container-runtime"}})),
    ),
    "docker.restarted": (Example({}, linux_engine),),
    "docker_daemon.configured": (
        Example({"set": {"live-restore": True}}, linux_engine, lambda: linux_engine(**{"live-restore": True})),
        Example({"set": {"data-root": "/srv/docker"}}, lambda: linux_engine(debug=True)),
        Example({"remove": ["features.cdi"]}, lambda: linux_engine(features={"cdi": True}), linux_engine),
    ),
    "docker_daemon.restored": (
        Example({"path": CONFIG, "made": True, "expect": digest("{}")}, lambda: linux_engine("{}"), linux_engine),
    ),
    "docker_desktop.restarted": (Example({}, on_desktop),),
    "docker_desktop.setting": (Example({"set": {"openUIOnStartupDisabled": True}}, on_desktop),),
    "driver.at_least": (Example({"version": "560"}, stack, looks=True), Example({}, stack, stack, looks=True)),
    "env_file.set": (Example({"set": {"OLLAMA_MODEL": "phi3:3.8b"}}, with_dotenv, dotenv_changed),),
    "file.managed": (
        Example({"path": "C:\\app\\one.txt", "content": "new\n"}, lambda: holding("old\n"), lambda: holding("new\n")),
        Example({"path": "C:\\app\\one.txt", "content": "new\n", "mode": 0o600}, lambda: holding(None)),
        Example({"path": "C:\\app\\one.txt", "content": "new\n", "private": True}, lambda: holding("old\n")),
        Example({"path": "C:\\app\\one.txt", "mode": 0o600}, lambda: holding("old\n")),
        Example({"path": "C:\\app\\one.txt", "state": "absent"}, lambda: holding("old\n"), lambda: holding(None)),
        Example({"path": "C:\\app", "state": "absent"}, lambda: holding("old\n")),
        Example({"path": "C:\\app\\a\\b", "state": "directory"}, lambda: holding("old\n")),
        Example({"path": "C:\\app\\ln", "state": "link", "target": "one.txt"}, lambda: holding("old\n")),
    ),
    "file.restored": (
        Example({"path": GPU, "backup": f"{GPU}.bak"}, edited_with_a_backup),
        Example(
            {"path": DOTENV, "made": True, "expect": digest("OLLAMA_MODEL=phi3:3.8b\n"), "readers": True},
            dotenv_made,
            without_dotenv,
        ),
    ),
    "gpu.sample": (Example({"busy": 80}, stack, healthy, looks=True),),
    "host.rebooted": (Example({}, stack),),
    "kernel_module.reloaded": (Example({}, native_unit),),
    "model.absent": (Example({"model": LOCAL}, stored, stack),),
    "model.layer_restored": (Example({"digest": WEIGHTS}, quarantine, stored),),
    "model.loaded": (Example({}, stack, healthy),),
    "model.offloaded": (Example({}, left_by_a_client, healthy, looks=True),),
    "model.parameter": (Example({}, baked, stack), Example({"set": {"num_ctx": 2048}}, stack)),
    "model.present": (Example({"model": "phi3:3.8b"}, missing_model),),
    "model.reloaded": (Example({}, left_by_a_client),),
    "model.repulled": (Example({"model": MODEL}, damaged, stored),),
    "model.responds": (Example({"samples": 2}, slow, looks=True),),
    "model.smaller": (Example({"model": MODEL}, crowded_for_quantisation, stored),),
    "model.unloaded": (Example({}, healthy, stack),),
    "ollama.debug": (Example({}, stack), Example({"on": False}, lambda: stack("OLLAMA_DEBUG=1"), stack)),
    "ollama.environment": (
        Example({}, lambda: stack("OLLAMA_LLM_LIBRARY=cuda"), stack),
        Example({}, lambda: unit("OLLAMA_LLM_LIBRARY=cuda"), unit),
        Example(
            {"set": {"OLLAMA_NUM_PARALLEL": 1}}, lambda: unit("OLLAMA_NUM_PARALLEL=8"), lambda: unit("OLLAMA_NUM_PARALLEL=1")
        ),
        Example(
            {"remove": ["OLLAMA_GPU_OVERHEAD"]}, lambda: unit(override="[Service]\nEnvironment=OLLAMA_GPU_OVERHEAD=1\n"), unit
        ),
        Example({}, lambda: windows(OLLAMA_LLM_LIBRARY="cuda"), windows),
        Example(
            {"set": {"OLLAMA_CONTEXT_LENGTH": 4096}},
            lambda: windows({"context_length": "32768"}),
            lambda: windows({"context_length": "4096"}),
        ),
    ),
    "ollama.reconfigured": (
        Example({}, edited_but_not_up, stack),
        Example({}, lambda: unit("OLLAMA_NUM_PARALLEL=1", served=("OLLAMA_NUM_PARALLEL=8",)), unit),
    ),
    "ollama.restarted": (Example({}, healthy),),
    "ollama.setting_restored": (
        Example(
            {"key": USER_KEY, "setting": "OLLAMA_LLM_LIBRARY", "value": "cuda", "kind": "ExpandString"},
            windows,
            lambda: windows(OLLAMA_LLM_LIBRARY="cuda"),
        ),
        Example(
            {"key": "app", "columns": {"context_length": "0"}, "expect_columns": {"context_length": "4096"}},
            lambda: windows({"context_length": "4096"}),
            windows,
        ),
    ),
    "program.closed": (Example({"program": "chrome"}, occupied, stack),),
    "service.state": (
        Example(
            {"service": "ollama", "state": "running", "enabled": True},
            lambda: serving("stopped"),
            lambda: serving("running", enabled=True),
        ),
        Example({"service": "ollama", "state": "restarted", "instance": "1"}, lambda: serving("running", instance="1")),
        Example({"service": "ollama", "state": "stopped", "start_mode": "manual"}, lambda: serving("running", start_mode="auto")),
        Example({"service": "ollama", "state": "running", "path": "C:\\ollama.exe serve", "start_mode": "auto"}, World),
        Example({"service": "ollama", "state": "absent"}, lambda: serving("stopped"), World),
        Example({"service": "ollama", "masked": True}, lambda: serving("stopped")),
    ),
    "service.recreated": (Example({"service": "api"}, dotenv_changed, with_dotenv),),
    "stack.built": (Example({}, built_from_source), Example({}, stack, stack, looks=True)),
    "stack.ordered_start": (Example({}, stopped, healthy), Example({}, stack)),
    "stack.stopped": (Example({}, stack, stopped), Example({"remove": True}, stack)),
    "stack.up": (Example({}, edited_but_not_up, stack), Example({}, lambda: stopped(stack(), "api"))),
    "volume.completed": (
        Example({}, lambda: half_made("compose.up"), stored),
        Example({}, lambda: half_made("engine.remove_volume")),
    ),
    "volume.recreated": (Example({}, stored),),
    "wsl.configured": (
        Example({"memory": "12 GiB"}, lambda: wsl("[wsl2]\r\nswap=4GB\r\n"), lambda: wsl("[wsl2]\nmemory=12GB\n")),
        Example({"memory": "12 GiB"}, lambda: wsl(None)),
    ),
    "wsl.restarted": (
        Example({}, lambda: with_distributions("Ubuntu")),
        Example({"distribution": "Ubuntu"}, lambda: with_distributions("Ubuntu", "Debian")),
    ),
    "vram.at_most": (Example({"used": "1500 MiB"}, occupied, stack),),
    "vram.free": (Example({"want": "4.5 GiB", "close": ["chrome", "discord"]}, occupied, stack), Example({}, occupied, healthy)),
}
