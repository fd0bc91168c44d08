"""One part of a host as typed objects: what facets read. Sizes are bytes, times seconds since the epoch by the host's clock.

A value that is not known is ``None``, never 0 (under WDDM an unknown amount of VRAM must not be summed as nothing).
"""

from __future__ import annotations

from remediation.model.facts.docker import ComposeProject, Container, ContainerStats, DockerDesktop, EngineFacts, Executed, Volume
from remediation.model.facts.machine import (
    DiskSpace,
    FileEntry,
    Gpu,
    GpuSample,
    GpuUse,
    Process,
    SessionFacts,
    SystemFacts,
    SystemLimits,
)
from remediation.model.facts.ollama import Blob, GenerationFigures, Manifest, ModelEntry, ModelShow, PullProgress, Runner
from remediation.model.facts.target import Found, Target

__all__ = [
    "Blob",
    "ComposeProject",
    "Container",
    "ContainerStats",
    "DiskSpace",
    "DockerDesktop",
    "EngineFacts",
    "Executed",
    "FileEntry",
    "Found",
    "GenerationFigures",
    "Gpu",
    "GpuSample",
    "GpuUse",
    "Manifest",
    "ModelEntry",
    "ModelShow",
    "Process",
    "PullProgress",
    "Runner",
    "SessionFacts",
    "SystemFacts",
    "SystemLimits",
    "Target",
    "Volume",
]
