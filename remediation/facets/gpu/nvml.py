"""The local NVIDIA devices through NVML, without starting a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from remediation.facets.checked import checked
from remediation.facets.gpu import sampling
from remediation.facets.gpu.devices import NO_DRIVER, PosixGpu, use_from_apps
from remediation.facets.gpu.nvidia_smi import App
from remediation.facets.machine.processes import PosixProcesses
from remediation.facets.snapshot import Snapshot
from remediation.model.clock import Clock
from remediation.model.errors import CallFailed
from remediation.model.facts import Gpu, GpuSample, GpuUse

_NEXT = {
    "NVMLError_DriverNotLoaded": "load or install the NVIDIA driver",
    "NVMLError_GpuIsLost": "restart the machine; the driver has lost the card",
    "NVMLError_LibRmVersionMismatch": "restart the machine: the driver was updated and the old one is still loaded",
}


@checked("nvml")
class NvmlGpu:
    """Reads the GPUs with nvidia-ml-py, or with nvidia-smi if this machine has no NVML library."""

    def __init__(self, snapshot: Snapshot, clock: Clock) -> None:
        self._snapshot, self._clock = snapshot, clock

    def use(self) -> GpuUse:
        """Return devices and the processes with a context on them."""
        return self._snapshot.memoize("gpu", self._use)

    def sample(self, *, seconds: float, every: float = 1.0) -> Sequence[GpuSample]:
        """Sample every card's load and memory, every `every` seconds for `seconds`."""
        try:
            with session(self._snapshot.host) as nvml:
                return sampling.by_library(nvml, self._clock, seconds, every)
        except NoLibrary:
            return sampling.by_shell(self._snapshot, seconds, every)

    def _use(self) -> GpuUse:
        try:
            with session(self._snapshot.host) as nvml:
                cards = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
                driver = nvml.nvmlSystemGetDriverVersion()
                gpus = tuple(_gpu(nvml, index, card, driver) for index, card in enumerate(cards))
                apps = {(index, app.pid): app for index, card in enumerate(cards) for app in _apps(nvml, card)}
        except NoLibrary:
            return PosixGpu(self._snapshot).use()
        return use_from_apps(gpus, tuple(apps.values()), PosixProcesses(self._snapshot).list())


class NoLibrary(Exception):
    """There is no NVML library on this machine."""


@contextmanager
def session(host: str) -> Iterator[Any]:
    """Initialize NVML and yield pynvml. Raises `NoLibrary`, or `CallFailed` with NVML's message."""
    import pynvml  # type: ignore[import-untyped]

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            raise NoLibrary from error
        raise _nvml_failure(error, host) from error
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        raise _nvml_failure(error, host) from error
    finally:
        pynvml.nvmlShutdown()


def _nvml_failure(error: Exception, host: str) -> CallFailed:
    kind = type(error).__name__
    return CallFailed(f"the GPU does not answer: {error}", host=host, next_step=_NEXT.get(kind, NO_DRIVER), output=kind)


def _gpu(nvml: Any, index: int, card: Any, driver: str) -> Gpu:
    # only the newer structure contains the reserved memory; old drivers lack it
    newer = _maybe(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(card, version=nvml.nvmlMemory_v2))
    memory = newer or nvml.nvmlDeviceGetMemoryInfo(card)
    busy = _maybe(nvml, lambda: nvml.nvmlDeviceGetUtilizationRates(card))
    capability = _maybe(nvml, lambda: nvml.nvmlDeviceGetCudaComputeCapability(card))
    return Gpu(
        index=index,
        uuid=nvml.nvmlDeviceGetUUID(card),
        name=nvml.nvmlDeviceGetName(card),
        driver_version=driver,
        total=memory.total,
        used=memory.used,
        free=memory.free,
        reserved=newer.reserved if newer else None,
        utilization=busy.gpu if busy else None,
        compute_capability=".".join(map(str, capability)) if capability else None,
    )


def _apps(nvml: Any, card: Any) -> Iterator[App]:
    compute = _maybe(nvml, lambda: nvml.nvmlDeviceGetComputeRunningProcesses(card))
    graphics = _maybe(nvml, lambda: nvml.nvmlDeviceGetGraphicsRunningProcesses(card))
    for each in (*(compute or ()), *(graphics or ())):
        yield App(each.pid, f"pid {each.pid}", each.usedGpuMemory)


def _maybe(nvml: Any, read: Callable[[], Any]) -> Any:
    """Return what `read` returns, or None if the card or driver does not support it."""
    try:
        return read()
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_ArgumentVersionMismatch):
        return None


def utilization(host: str) -> int | None:
    """Return the first card's load in percent, or None if unknown."""
    try:
        with session(host) as nvml:
            return int(nvml.nvmlDeviceGetUtilizationRates(nvml.nvmlDeviceGetHandleByIndex(0)).gpu)
    except (NoLibrary, CallFailed):
        return None
