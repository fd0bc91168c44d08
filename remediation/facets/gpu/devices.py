"""The NVIDIA devices through commands: nvidia-smi's CSV output and, on Windows, performance counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.connections.calls import Completed, Failed, Probe, Run
from remediation.connections.posix.sudo import SECURE_PATH
from remediation.facets.checked import SnapshotReader, checked
from remediation.facets.gpu import nvidia_smi, sampling, wddm
from remediation.facets.machine import processes
from remediation.facets.machine.rights import problems
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Gpu, GpuSample, GpuUse, Process

USE_PROBE = Probe("gpu", {"fields": list(nvidia_smi.FIELDS), "fallback": list(nvidia_smi.FALLBACK)}, timeout=60.0)
USE_RUN = Run(nvidia_smi.query_call(nvidia_smi.FIELDS), timeout=30.0)
FALLBACK_RUN = Run(nvidia_smi.query_call(nvidia_smi.FALLBACK), timeout=30.0)
_OLD = "nvidia-smi without newer fields"
APPS_RUN = Run(nvidia_smi.query_apps(), timeout=30.0)
NO_DRIVER = "install the NVIDIA driver; without it no program here can use the GPU"


@checked("gpu")
class WindowsGpu(SnapshotReader):
    """Reads the GPUs with the ``gpu`` probe."""

    def use(self) -> GpuUse:
        """Return devices and processes with resident GPU memory, read in one exchange."""
        return self._snapshot.memoize("gpu.use", self._use)

    def _use(self) -> GpuUse:
        self._snapshot.fetch(USE_PROBE, processes.LIST_PROBE)
        value = self._snapshot.probe(USE_PROBE, "querying the GPU")
        running: Sequence[Process] = ()
        unlisted = ""
        try:
            running = processes.WindowsProcesses(self._snapshot).list()
        except (CallFailed, DeadlineExceeded) as error:
            unlisted = error.message  # the cards are known, only their processes are not
        use = use_from_probe(value, running, self._snapshot.host)
        return replace(use, reliable=False, why_unreliable=unlisted) if unlisted and use.reliable else use

    def sample(self, *, seconds: float, every: float = 1.0) -> Sequence[GpuSample]:
        """Sample every card's load and memory, every `every` seconds for `seconds`."""
        return sampling.by_probe(self._snapshot, seconds, every)


@checked("gpu")
class PosixGpu(SnapshotReader):
    """Reads the GPUs with nvidia-smi."""

    def use(self) -> GpuUse:
        """Return devices and processes with resident GPU memory."""
        first = devices_call(self._snapshot)
        reply, listed, running = self._snapshot.fetch(first, APPS_RUN, processes.LIST_RUN)
        if isinstance(reply, Completed) and reply.rc == nvidia_smi.UNKNOWN_FIELD and first is USE_RUN:
            self._snapshot.hints[_OLD] = True
            first = FALLBACK_RUN
            reply = self._snapshot.fetch(first)[0]
        fields = nvidia_smi.FIELDS if first is USE_RUN else nvidia_smi.FALLBACK
        if isinstance(reply, Failed) and reply.kind == "not-found":
            raise _not_found(reply.message, self._snapshot.host)
        if isinstance(reply, Completed) and reply.rc != 0:
            raise failed_nvidia_smi(reply.rc, reply.text.strip(), self._snapshot.host)
        gpus = nvidia_smi.gpus(self._snapshot.completed(reply, "querying the GPU").text, fields, self._snapshot.host)
        apps = nvidia_smi.apps(listed.text) if isinstance(listed, Completed) and listed.rc == 0 else ()
        known = processes.processes_from_shell(running.text) if isinstance(running, Completed) else ()
        return use_from_apps(gpus, apps, known)

    def sample(self, *, seconds: float, every: float = 1.0) -> Sequence[GpuSample]:
        """Sample every card's load and memory, every `every` seconds for `seconds`."""
        return sampling.by_shell(self._snapshot, seconds, every)


def older_devices(snapshot: Snapshot) -> tuple[Run, ...]:
    """Return the query of older drivers if this snapshot's query was rejected for a newer field."""
    reply = snapshot.fetch(USE_RUN)[0] if snapshot.has_reply(USE_RUN) else None
    return (FALLBACK_RUN,) if isinstance(reply, Completed) and reply.rc == nvidia_smi.UNKNOWN_FIELD else ()


def devices_call(snapshot: Snapshot) -> Run:
    """Return the query of the devices: with the fields of every driver if this host's rejected a newer one before."""
    return FALLBACK_RUN if snapshot.hints.get(_OLD) else USE_RUN


def use_from_probe(value: Mapping[str, Any], running: tuple[Process, ...] | Any, host: str) -> GpuUse:
    """Convert the ``gpu`` probe's answer, joined with the processes. Raises `CallFailed` if nvidia-smi did not answer."""
    if value["rc"] is None:
        raise missing_nvidia_smi(value, host)
    if value["rc"] != 0:
        raise failed_nvidia_smi(int(value["rc"]), f"{value['stdout']} {value['stderr']}".strip(), host)
    gpus = nvidia_smi.gpus(value["stdout"], tuple(value["fields"]), host)
    seen = wddm.residents(value["process_memory"], value["adapter_memory"], gpus, value["counters_error"])
    holders = tuple(
        replace(each, vram=seen.by_pid[each.pid], spilled=seen.spilled.get(each.pid, 0))
        for each in running
        if seen.by_pid.get(each.pid, 0) != 0
    )
    return GpuUse(gpus, holders, seen.reliable, seen.why)


def use_from_apps(gpus: tuple[Gpu, ...], apps: tuple[nvidia_smi.App, ...], running: tuple[Process, ...] | Any) -> GpuUse:
    """Return the devices and the processes with a context on them. Amounts that the driver does not report are None."""
    by_pid = {each.pid: each for each in running}
    memory: dict[int, int | None] = {}
    names: dict[int, str] = {}
    for app in apps:
        before = memory.get(app.pid, 0)
        memory[app.pid] = None if app.memory is None or before is None else before + app.memory
        names[app.pid] = app.name
    holders = tuple(
        replace(by_pid.get(pid) or Process(pid, names[pid].rsplit("/", 1)[-1], 0.0, path=names[pid]), vram=amount)
        for pid, amount in memory.items()
    )
    total, used = sum(each.vram or 0 for each in holders), sum(gpu.used or 0 for gpu in gpus)
    if total > used + wddm.SLACK * len(gpus) and all(gpu.used is not None for gpu in gpus):
        return GpuUse(
            gpus,
            tuple(replace(each, vram=None) for each in holders),
            reliable=False,
            why_unreliable=wddm.contradiction(total, used),
        )
    return GpuUse(gpus, holders)


def _not_found(message: str, host: str) -> CallFailed:
    """Return the error for an nvidia-smi that is not installed, or not where sudo looks, as with that of WSL in /usr/lib/wsl/lib."""
    if SECURE_PATH in message:
        return CallFailed(message, host=host, next_step="add the folder of nvidia-smi to secure_path (sudo visudo)")
    return CallFailed("nvidia-smi is not installed", host=host, next_step=NO_DRIVER)


def missing_nvidia_smi(value: Mapping[str, Any], host: str) -> CallFailed:
    """Return the error for a probe without an exit code of nvidia-smi: it is missing or could not be started."""
    reason = problems(value).get("rc")
    if reason is None:
        return CallFailed("nvidia-smi is not installed", host=host, next_step=NO_DRIVER)
    return CallFailed(f"nvidia-smi could not be started: {reason}", host=host, next_step="check the login's permission to run it")


def failed_nvidia_smi(rc: int, output: str, host: str) -> CallFailed:
    """Return the error for an nvidia-smi that exited with `rc`."""
    words = " ".join(output.split())
    reason = nvidia_smi.refusal(rc, words)
    return CallFailed(f"the GPU does not answer: {reason}", host=host, next_step=NEXT.get(rc, ""), status=rc, output=words)


NEXT: Mapping[int, str] = {
    9: "load or install the NVIDIA driver",
    15: "restart the machine; the driver has lost the card",
}
