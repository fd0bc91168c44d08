"""The state of a host as typed objects, read by facets.

Sizes are in bytes, times in seconds since the epoch by the host's clock. An unknown value is ``None``, never 0: under WDDM an
unknown amount of VRAM must not be summed as nothing.
"""

from __future__ import annotations

from remediation.model.facts.docker import (
    ComposeProject,
    Container,
    ContainerStats,
    DaemonFacts,
    DockerDesktop,
    EngineFacts,
    Executed,
    KernelModule,
    LinuxGpuSoftware,
    ToolkitFacts,
    Volume,
)
from remediation.model.facts.machine import (
    DiskSpace,
    FileEntry,
    FileStatus,
    Gpu,
    GpuSample,
    GpuUse,
    Process,
    ServiceStatus,
    SessionFacts,
    SystemFacts,
    SystemLimits,
    WslDistribution,
)
from remediation.model.facts.ollama import (
    Blob,
    Found,
    GenerationFigures,
    Manifest,
    ModelEntry,
    ModelShow,
    PullProgress,
    Runner,
    Target,
)
from remediation.model.facts.server import Manager, ServerProcess, ServiceUnit, Serving, SourcedSetting, WindowsServer, WslServer

__all__ = [
    "Blob",
    "ComposeProject",
    "Container",
    "ContainerStats",
    "DaemonFacts",
    "DiskSpace",
    "DockerDesktop",
    "EngineFacts",
    "Executed",
    "FileEntry",
    "FileStatus",
    "Found",
    "GenerationFigures",
    "Gpu",
    "GpuSample",
    "GpuUse",
    "KernelModule",
    "LinuxGpuSoftware",
    "Manager",
    "Manifest",
    "ModelEntry",
    "ModelShow",
    "Process",
    "PullProgress",
    "Runner",
    "ServerProcess",
    "ServiceStatus",
    "ServiceUnit",
    "Serving",
    "SessionFacts",
    "SourcedSetting",
    "SystemFacts",
    "SystemLimits",
    "Target",
    "ToolkitFacts",
    "Volume",
    "WindowsServer",
    "WslDistribution",
    "WslServer",
]
