"""Converts the Docker API's records to typed facts. The SDK and the CLI's JSON output contain the same records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from remediation.model.facts import Container, ContainerStats, EngineFacts, ExecResult, Volume

PROJECT = "com.docker.compose.project"
HELPER = "remediation.helper"
"""Label of the one-off containers that this package creates."""
SERVICE = "com.docker.compose.service"
CONFIG_FILES = "com.docker.compose.project.config_files"
WORKING_DIR = "com.docker.compose.project.working_dir"
CONFIG_HASH = "com.docker.compose.config-hash"
ONE_OFF = "com.docker.compose.oneoff"
NOT_FOUND, NOT_RUNNABLE = 127, 126
_SIZES = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


def container(record: Mapping[str, Any]) -> Container:
    """Convert an ``inspect`` record to a container."""
    config, state, host = record.get("Config") or {}, record.get("State") or {}, record.get("HostConfig") or {}
    return Container(
        id=str(record["Id"]),
        name=str(record["Name"]).lstrip("/"),
        image=str(config.get("Image") or ""),
        status=str(state.get("Status") or ""),
        environment=pairs(config.get("Env") or ()),
        labels=dict(config.get("Labels") or {}),
        gpu_requested=wants_gpu(host),
        ports=_ports(record),
        started_at=str(state.get("StartedAt") or ""),
        exit_code=state.get("ExitCode"),
        oom_killed=bool(state.get("OOMKilled")),
        created_at=str(record.get("Created") or ""),
        finished_at=str(state.get("FinishedAt") or ""),
        volumes=tuple(
            str(each["Name"]) for each in record.get("Mounts") or () if each.get("Type") == "volume" and each.get("Name")
        ),
        raw=record,
    )


def engine(info: Mapping[str, Any], version: Mapping[str, Any]) -> EngineFacts:
    """Convert ``info`` and ``version`` to facts about the engine."""
    server = version.get("Server") or version
    return EngineFacts(
        version=str(info.get("ServerVersion") or server.get("Version") or ""),
        os=str(info.get("OperatingSystem") or ""),
        memory_total=info.get("MemTotal") or None,
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        name=str(info.get("Name") or ""),
        server_errors=tuple(info.get("ServerErrors") or ()),
        live_restore=info.get("LiveRestoreEnabled") is True,
        cgroup_driver=str(info.get("CgroupDriver") or ""),
        default_runtime=str(info.get("DefaultRuntime") or ""),
        cdi_devices=tuple(str(each.get("ID")) for each in info.get("DiscoveredDevices") or () if each.get("Source") == "cdi"),
    )


def helper(target: str) -> str:
    """Return the name of the one-off container that copies into a volume, by which an abandoned one is found."""
    return f"remediation-copy-{target}"


def volume(record: Mapping[str, Any], users: Sequence[Container]) -> Volume:
    """Convert an ``inspect`` record to a volume, with the containers of `users` that mount it."""
    name = str(record["Name"])
    return Volume(
        name=name,
        driver=str(record.get("Driver") or "local"),
        created_at=str(record.get("CreatedAt") or ""),
        labels=dict(record.get("Labels") or {}),
        users=tuple(each.name for each in users if name in each.volumes),
    )


def exec_result(code: int, stdout: str, stderr: str) -> ExecResult:
    """Return the result of a program in a container. A program that could not be started gets a shell's exit code.

    Depending on its version, the CLI then exits with 126 or 127 and prints the runtime's error to either stream.
    """
    words = f"{stdout}\n{stderr}"
    if code in {NOT_FOUND, NOT_RUNNABLE} and ("OCI runtime exec failed" in words or "exec failed" in words):
        missing = "executable file not found" in words or "no such file or directory" in words
        return ExecResult(NOT_FOUND if missing else NOT_RUNNABLE, "", words.strip())
    return ExecResult(code, stdout, stderr)


def stats(value: Mapping[str, Any], limit: int | None) -> ContainerStats | None:
    """Compute a container's resource use from the API's two samples, as the CLI does. None if memory is not accounted."""
    memory = value.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    used = memory["usage"] - cache if cache < memory["usage"] else memory["usage"]
    now, before = value.get("cpu_stats") or {}, value.get("precpu_stats") or {}
    cpu = (now.get("cpu_usage") or {}).get("total_usage", 0) - (before.get("cpu_usage") or {}).get("total_usage", 0)
    system = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = now.get("online_cpus") or 1
    return ContainerStats(int(used), limit, cpu / system * count * 100.0 if system > 0 and cpu >= 0 else None)


def parse_stats(value: Mapping[str, Any], limit: int | None) -> ContainerStats | None:
    """Parse the JSON output of ``docker stats``. None if it contains no memory."""
    used = size_of(str(value.get("MemUsage", "")).partition("/")[0])
    percent = re.match(r"[\d.]+", str(value.get("CPUPerc", "")))
    return None if used is None else ContainerStats(used, limit, float(percent[0]) if percent else None)


def memory_limit(found: Container) -> int | None:
    """Return a container's own memory limit, or None."""
    return (found.raw.get("HostConfig") or {}).get("Memory") or None


def size_of(text: str) -> int | None:
    """Parse a size printed by Docker (``12.3MiB``) into bytes."""
    match = re.fullmatch(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([kKMGT]?i?B)\s*", text)
    return round(float(match[1]) * _SIZES[match[2]]) if match and match[2] in _SIZES else None


def wants_gpu(host: Mapping[str, Any]) -> bool:
    """Return whether a container requests a GPU: by device request, CDI, runtime or device node."""
    for request in host.get("DeviceRequests") or ():
        capabilities = {name for group in request.get("Capabilities") or () for name in group}
        cdi = request.get("Driver") == "cdi" and any("nvidia.com/gpu" in each for each in request.get("DeviceIDs") or ())
        if "gpu" in capabilities or request.get("Driver") == "nvidia" or cdi:
            return True
    devices = (str(device.get("PathOnHost")) for device in host.get("Devices") or ())
    return host.get("Runtime") == "nvidia" or any(path.startswith(("/dev/nvidia", "/dev/dxg")) for path in devices)


def pairs(environment: Sequence[str]) -> dict[str, str]:
    """Convert ``NAME=value`` lines to a mapping, in order."""
    return dict(each.partition("=")[::2] for each in environment)


def _ports(record: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the published addresses of each port as ``address:port``. A stopped container has only its requested bindings."""
    network = (record.get("NetworkSettings") or {}).get("Ports") or {}
    configured = (record.get("HostConfig") or {}).get("PortBindings") or {}
    return {
        port: tuple(f"{each.get('HostIp') or '0.0.0.0'}:{each['HostPort']}" for each in bound or ())
        for port, bound in {**configured, **network}.items()
    }
