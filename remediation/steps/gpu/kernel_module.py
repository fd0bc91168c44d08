"""Reloads a module of NVIDIA's driver on a Linux host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, needs
from remediation.model.errors import Blocked, HostError, NotApplicable
from remediation.model.facts import KernelModule, Manager, Process, Serving
from remediation.steps.contract import Step, param, step
from remediation.steps.run_info import run_started


@dataclass(frozen=True, slots=True)
class ModuleUse:
    """A module, what serves Ollama, the other programs with GPU memory, and the running containers that use the GPU.

    ``done`` is whether the module was reloaded: the server of Ollama was started in this run and the module is loaded.
    """

    name: str
    module: KernelModule | None
    serving: Serving
    holders: tuple[Process, ...]
    containers: tuple[str, ...]
    fresh: bool


@step("kernel_module.reloaded", risk=Risk.DISRUPTIVE, needs=needs(Need.ELEVATED), settle=60.0, once_per_run=True, deadline=300.0)
class KernelModuleReloaded(Step[ModuleUse]):
    """The CUDA module of NVIDIA's driver was reloaded during this run, as after a suspend that lost the GPU.

    Ollama's unit is stopped for that and started again. The step is blocked while another program or container uses the GPU, and
    never forces the module out.
    """

    module: str = param("name of the module", default="nvidia_uvm", example="nvidia_uvm")

    def observe(self, host: Reader) -> ModuleUse:
        """Read the users of the module. Raises `Blocked` if a process outside Ollama's unit uses it."""
        found = host.daemon.software()
        if not found.modules:
            raise NotApplicable("does not apply, because no NVIDIA module is loaded", host=host.name)
        serving = host.services.serving()
        try:
            holders = tuple(
                one for one in host.gpu.use().processes if one.program not in {"ollama", "llama-server", "ollama_llama_server"}
            )
            fresh = _fresh(host, serving)
        except HostError:
            holders, fresh = (), False
        try:
            containers = tuple(one.name for one in host.engine.containers() if one.gpu_requested and one.running)
        except HostError:
            containers = ()
        seen = ModuleUse(self.module, found.modules.get(self.module), serving, holders, containers, fresh)
        reason = _obstacle(seen)
        if reason and not self.is_met(seen):
            raise Blocked(
                f"{self.module} cannot be reloaded: {reason}", host=host.name,
                next_step=f"stop what uses the GPU, then sudo rmmod {self.module} && sudo modprobe {self.module}; or restart the host",
            )  # fmt: skip
        return seen

    def is_met(self, state: ModuleUse) -> bool:
        return state.module is not None and state.fresh

    def plan(self, state: ModuleUse) -> Iterator[Change]:
        if self.is_met(state):
            return
        unit = state.serving.name.removesuffix(".service") if state.serving.manager is Manager.SYSTEMD else ""
        around = f", with {state.serving.words} stopped meanwhile: loaded models are lost" if unit else ""
        yield Change(f"reload the kernel module {self.module}{around}", subject=self.module, data={"unit": unit})

    def apply(self, host: Writer, change: Change) -> None:
        host.daemon.reload_module(change.subject, change.data["unit"])

    def describe(self, state: ModuleUse) -> str:
        if state.module is None:
            return f"{self.module} is not loaded"
        return f"{self.module} was {'' if state.fresh else 'not '}reloaded in this run"

    def values(self, state: ModuleUse) -> dict[str, Any]:
        return {"module": self.module, "loaded": state.module is not None}


def _obstacle(state: ModuleUse) -> str:
    if state.containers:
        return f"the container{'s' if len(state.containers) > 1 else ''} {', '.join(state.containers)} use{'' if len(state.containers) > 1 else 's'} the GPU"
    if state.holders:
        return f"{', '.join(f'{one.name} (process {one.pid})' for one in state.holders)} uses the GPU"
    if state.serving.manager is Manager.PROCESS:
        return f"{state.serving.words} uses it, and only its user can start it again"
    return ""


def _fresh(host: Reader, serving: Serving) -> bool:
    pid = serving.process.pid if serving.process is not None else None
    started = next((one.started for one in host.processes.list() if one.pid == pid), None)
    return started is not None and started + 1.0 >= run_started(host)
