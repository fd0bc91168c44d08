"""The state of a host as typed objects, read by facets.

Sizes are in bytes, times in seconds since the epoch by the host's clock. An unknown value is ``None``, never 0: under WDDM an
unknown amount of VRAM must not be summed as nothing.
"""

from __future__ import annotations

from remediation.model.facts.daemon import DaemonFacts, KernelModule, LinuxGpuSoftware, ToolkitFacts
from remediation.model.facts.docker import (
    ComposeProject,
    Container,
    ContainerStats,
    DockerDesktop,
    EngineFacts,
    ExecResult,
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
from remediation.model.facts.ollama import Blob, GenerationFigures, Manifest, ModelEntry, ModelShow, PullProgress, Runner
from remediation.model.facts.server import (
    Elsewhere,
    Manager,
    ServerProcess,
    ServiceUnit,
    Serving,
    SourcedSetting,
    WindowsServer,
    WslConfig,
    WslServer,
)
from remediation.model.facts.target import Found, Target

__all__ = [
    "Blob",
    "ComposeProject",
    "Container",
    "ContainerStats",
    "DaemonFacts",
    "DiskSpace",
    "DockerDesktop",
    "Elsewhere",
    "EngineFacts",
    "ExecResult",
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
    "WslConfig",
    "WslDistribution",
    "WslServer",
]
