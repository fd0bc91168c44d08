"""Ollama's container: whether it sees the GPU, which settings its server read, and how much memory it has left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.advice.lost_device import lasting_cure
from remediation.diagnosis.units import human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.errors import CallFailed, HostError
from remediation.model.facts import Container, ContainerStats, EngineFacts
from remediation.model.finding import Cause, RuledOut
from remediation.steps.compose.edit import DEVICES, with_devices
from remediation.steps.compose.environment import File, compose_edit, home_of, project_files, resolve_service
from remediation.steps.contract import CheckStep, Step, param, step
from remediation.steps.file_edit import write_edit
from remediation.steps.model.load_state import log_of
from remediation.steps.resolve import resolve_container, resolve_project
from remediation.steps.run_info import is_since, pending_services, run_started

UNKNOWN_ERROR = "Unknown Error"
"""What NVML says in a container whose card systemd has taken away."""
AGAIN = "the next systemctl daemon-reload takes the card away again"
_NOT_THERE = (126, 127)
_GPU = re.compile(r"^GPU \d+: (.+?)(?: \(UUID: .*\))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class GpuVisibility:
    """What a container has of the GPU: the request, ``nvidia-smi`` and libcuda inside, and what the server found.

    ``smi`` is the error of ``nvidia-smi -L``, None if the image has no ``nvidia-smi``. ``library`` is whether libcuda is present,
    None if unknown. ``server`` lists the devices that Ollama found, None if its log does not say. ``lasting`` is what keeps a lost
    card in the container, "" if recreating it is enough.
    """

    container: Container
    since: float
    runtimes: tuple[str, ...]
    cards: tuple[str, ...]
    smi: str | None
    library: bool | None
    server: tuple[str, ...] | None
    file: File | None = None
    service: str = ""
    declared: bool = True
    lasting: str = ""

    @property
    def fresh(self) -> bool:
        """Whether the container was started during this run."""
        return is_since(self.container.started_at, self.since)


@step("container.sees_gpu", risk=Risk.DISRUPTIVE, settle=60.0, once_per_run=True, deadline=600.0, in_container=True)
class ContainerSeesGpu(Step[GpuVisibility]):
    """Ollama's container requests the GPU, and the GPU is visible inside it.

    The devices in Ollama's own log take precedence. NVIDIA's environment variables prove nothing (the CUDA images set them
    themselves), and neither does libcuda alone. A container without a request gets a device reservation in the Compose file. A
    container that has lost the card is recreated once.
    """

    container: str | None = param("container name; defaults to the target's", default=None, example="ai-native-ollama")

    def observe(self, host: Reader) -> GpuVisibility:
        found = _inspect_container(host, self.container)
        cards, smi = smi_inside(host, found)
        log = log_of(host)
        devices = tuple(device.name or device.library for device in log.devices if device.is_gpu)
        server = devices if log.devices else None
        place = _place(host, found)
        engine = host.engine.facts()
        lasting = lasting_for(host, found, engine) if UNKNOWN_ERROR in (smi or "") else ""
        return GpuVisibility(
            found, run_started(host), engine.runtimes, cards, smi, _library(host, found), server, *place, lasting
        )

    def is_met(self, state: GpuVisibility) -> bool:
        """Whether the server found a GPU or, if its log does not say, whether ``nvidia-smi`` did."""
        if not state.container.gpu_requested or not state.container.running:
            return False
        return bool(state.server) if state.server is not None else bool(state.cards) or bool(state.smi is None and state.library)

    def plan(self, state: GpuVisibility) -> Iterator[Change]:
        file = state.file
        if self.is_met(state) or file is None:
            return
        if not state.container.gpu_requested and not state.declared:
            yield compose_edit(
                f"request the GPU for service {state.service} in {file.path}", file, with_devices(file.path, file.text, state.service),
                state.service, risk=Risk.SAFE, before="no device reservation", after=DEVICES,
            )  # fmt: skip
        if not state.container.gpu_requested or not state.fresh:
            yield Change(
                f"recreate {state.service}", subject=state.service, before=state.container.id, data={"recreate": state.service}
            )

    def apply(self, host: Writer, change: Change) -> None:
        if "recreate" in change.data:
            host.compose.up(resolve_project(host), [change.data["recreate"]], recreate=True, deps=False)
        else:
            write_edit(host, change)

    def describe(self, state: GpuVisibility) -> str:
        parts = []
        if not state.container.running:
            parts.append(f"{state.container.name} is {state.container.status}")
        if not state.container.gpu_requested:
            parts.append(f"{state.container.name} does not request a GPU")
        if state.server is not None:
            parts.append(f"Ollama found {', '.join(state.server)}" if state.server else "Ollama found no GPU, only the CPU")
        if state.cards:
            parts.append(f"nvidia-smi inside shows {', '.join(state.cards)}")
        elif state.smi:
            parts.append(f"nvidia-smi inside reports: {state.smi}")
        if state.library is False:
            parts.append("libcuda is missing inside")
        if "nvidia" not in state.runtimes and not self.is_met(state):
            parts.append("the engine has no NVIDIA runtime (it may use CDI)")
        return "; ".join(parts) or f"cannot tell whether {state.container.name} sees a GPU"

    def measured_effect(self, change: Change, before: GpuVisibility, after: GpuVisibility) -> str:
        """Say how long it lasts: a container that lost the card loses it again."""
        return f"{AGAIN}: {before.lasting}" if "recreate" in change.data and before.lasting and not after.smi else ""

    def rules_out(self, state: GpuVisibility) -> Iterator[RuledOut]:
        yield RuledOut(Cause.GPU_NOT_VISIBLE_TO_CONTAINER, self.describe(state))

    def values(self, state: GpuVisibility) -> dict[str, Any]:
        return {
            "requested": state.container.gpu_requested, "cards": list(state.cards), "nvidia_smi": state.smi, "libcuda": state.library,
            "server": None if state.server is None else list(state.server),
        }  # fmt: skip


def _inspect_container(host: Reader, given: str | None) -> Container:
    """Return the container `given`, else the target's. Raises `CallFailed` if it does not exist."""
    name = resolve_container(given, host)
    found = host.engine.inspect(name)
    if found is None:
        raise CallFailed(f"there is no container {name}", host=host.name, next_step="bring the stack up (stack.up)")
    return found


def smi_inside(host: Reader, container: Container) -> tuple[tuple[str, ...], str | None]:
    """Return the cards that ``nvidia-smi`` lists inside the container, and its error (None if the image has no ``nvidia-smi``)."""
    if not container.running:
        return (), None
    done = host.engine.exec(container.name, ("nvidia-smi", "-L"))
    if done.code in _NOT_THERE:
        return (), None
    cards = tuple(_GPU.findall(done.stdout)) if done.code == 0 else ()
    lines = (done.stderr or done.stdout).strip().splitlines()
    return cards, "" if cards else (lines[0] if lines else f"exit code {done.code}")


def lasting_for(host: Reader, container: Container, engine: EngineFacts) -> str:
    """Return what keeps the card in a container that has lost it, "" if nothing more is needed."""
    try:
        release = host.daemon.software().toolkit.release
    except HostError:
        release = ""
    return lasting_cure(engine, container.raw.get("HostConfig") or {}, service=container.service or "", toolkit=release)


def _library(host: Reader, container: Container) -> bool | None:
    if not container.running:
        return None
    done = host.engine.exec(container.name, ("ldconfig", "-p"))
    return None if done.code != 0 else "libcuda.so" in done.stdout


def _place(host: Reader, container: Container) -> tuple[File | None, str, bool]:
    """Return the file for a device reservation, the service, and whether a reservation already exists."""
    if container.service is None or host.target().project is None:
        return None, "", True
    project = resolve_project(host)
    services = host.compose.config(project).get("services") or {}
    service = resolve_service(host, services, container.service)
    file = home_of(tuple(project_files(host, project, service)), service, "")
    definition = services[service]
    reserved = (((definition.get("deploy") or {}).get("resources") or {}).get("reservations") or {}).get("devices")
    declared = bool(reserved or definition.get("gpus")) or service in pending_services(host)
    return file, service, declared


@dataclass(frozen=True, slots=True)
class Read:
    """Settings in the container's environment, and as printed by the server (empty if the log does not contain them)."""

    given: Mapping[str, str]
    read: Mapping[str, str]


@step("container.environment", in_container=True)
class ContainerEnvironment(CheckStep[Read]):
    """The server itself read these settings. This step only checks.

    A setting that is in the container's environment but missing from the server's printed configuration is not read by this
    release (Ollama's envconfig/config.go).
    """

    expect: dict[str, str] = param("expected values by setting name", example={"OLLAMA_DEBUG": "1"})
    container: str | None = param("container name; defaults to the target's", default=None, example="ai-native-ollama")

    def observe(self, host: Reader) -> Read:
        found = _inspect_container(host, self.container)
        return Read(found.environment, log_of(host).environment)

    def is_met(self, state: Read) -> bool:
        return all(is_same_setting(self._value(state, name), value) for name, value in self.expect.items())

    def describe(self, state: Read) -> str:
        parts = []
        for name, value in self.expect.items():
            now = self._value(state, name)
            if not is_same_setting(now, value):
                ignored = state.read and name in state.given and name not in state.read
                parts.append(f"{name} is {'ignored by the server' if ignored else repr(now)}, expected {value!r}")
        return "; ".join(parts) or f"the server read {', '.join(f'{name}={value}' for name, value in self.expect.items())}"

    def values(self, state: Read) -> dict[str, Any]:
        wanted = ("OLLAMA_", "CUDA_", "NVIDIA_", "GGML_", "LLAMA_ARG_")
        return {
            "server": dict(state.read),
            "container": {name: value for name, value in state.given.items() if name.startswith(wanted)},
        }

    def _value(self, state: Read, name: str) -> str | None:
        return state.read.get(name) if state.read else state.given.get(name)


def is_same_setting(value: str | None, wanted: str) -> bool:
    """Whether a printed value equals the one that was set. The server prints parsed values: ``1`` becomes ``true`` or ``DEBUG``."""
    if value is None:
        return False
    words = {"1": "true", "debug": "true", "0": "false", "info": "false"}
    one, other = value.strip().lower(), wanted.strip().lower()
    return one == other or words.get(one, one) == words.get(other, other)


@dataclass(frozen=True, slots=True)
class Headroom:
    """The memory use of a container. ``limit`` is its own limit or, if ``own`` is False, the memory of the engine's machine."""

    container: Container
    stats: ContainerStats
    limit: int | None
    own: bool

    @property
    def share(self) -> float | None:
        """The used fraction of the limit."""
        return self.stats.memory_used / self.limit if self.limit else None


@step("container.headroom", in_container=True)
class ContainerHeadroom(CheckStep[Headroom]):
    """The container stays below its memory limit. This step only checks; compose.resources sets the limit.

    This is system memory. It never decides how many layers are on the GPU, but a shortage makes loads fail or kills the server.
    The page cache is not counted.
    """

    container: str | None = param("container name; defaults to the target's", default=None, example="ai-native-ollama")
    at_most: float = param("highest used fraction of the limit", default=0.9, gt=0, le=1)

    def observe(self, host: Reader) -> Headroom:
        name = resolve_container(self.container, host)
        found = host.engine.inspect(name)
        if found is None or not found.running:
            raise CallFailed(f"{name} is not running", host=host.name, next_step="bring the stack up (stack.up)")
        stats = host.engine.stats(name)
        machine = host.engine.facts().memory_total
        own = stats.memory_limit is not None and (machine is None or stats.memory_limit < machine)
        return Headroom(found, stats, stats.memory_limit if own else machine, own)

    def is_met(self, state: Headroom) -> bool | None:
        if state.container.oom_killed:
            return False
        return None if state.share is None else state.share <= self.at_most

    def describe(self, state: Headroom) -> str:
        killed = "it was killed for lack of memory; " if state.container.oom_killed else ""
        bound = "its limit" if state.own else "the engine's memory"
        of = f" of {human(state.limit)} ({bound})" if state.limit else ""
        return f"{killed}{state.container.name} uses {human(state.stats.memory_used)}{of}"

    def values(self, state: Headroom) -> dict[str, Any]:
        return {
            "used": state.stats.memory_used,
            "limit": state.limit,
            "share": state.share,
            "cpu_percent": state.stats.cpu_percent,
        }
