"""The engine's records as typed facts: the same for the Docker SDK and for the CLI's JSON, since both pass the API's on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.model.facts import Container, EngineFacts

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
CONFIG_FILES = "com.docker.compose.project.config_files"
WORKING_DIR = "com.docker.compose.project.working_dir"
CONFIG_HASH = "com.docker.compose.config-hash"
ONE_OFF = "com.docker.compose.oneoff"


def container(record: Mapping[str, Any]) -> Container:
    """Return one container from its ``inspect`` record."""
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
        raw=record,
    )


def engine(info: Mapping[str, Any], version: Mapping[str, Any]) -> EngineFacts:
    """Return the engine from what ``info`` and ``version`` say."""
    server = version.get("Server") or version
    return EngineFacts(
        version=str(info.get("ServerVersion") or server.get("Version") or ""),
        api_version=str(server.get("ApiVersion") or ""),
        os=str(info.get("OperatingSystem") or ""),
        memory_total=info.get("MemTotal") or None,
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        name=str(info.get("Name") or ""),
        server_errors=tuple(info.get("ServerErrors") or ()),
    )


def wants_gpu(host: Mapping[str, Any]) -> bool:
    """Return whether a GPU was asked for, in whichever of the ways there are (facts/windows 3.4)."""
    for request in host.get("DeviceRequests") or ():
        capabilities = {name for group in request.get("Capabilities") or () for name in group}
        cdi = request.get("Driver") == "cdi" and any("nvidia.com/gpu" in each for each in request.get("DeviceIDs") or ())
        if "gpu" in capabilities or request.get("Driver") == "nvidia" or cdi:
            return True
    devices = (str(device.get("PathOnHost")) for device in host.get("Devices") or ())
    return host.get("Runtime") == "nvidia" or any(path.startswith(("/dev/nvidia", "/dev/dxg")) for path in devices)


def pairs(environment: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return ``NAME=value`` lines as a mapping, in order."""
    return dict(each.partition("=")[::2] for each in environment)


def _ports(record: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return where each port is published as ``address:port``; asked for is what counts while the container is stopped."""
    network = (record.get("NetworkSettings") or {}).get("Ports") or {}
    asked = (record.get("HostConfig") or {}).get("PortBindings") or {}
    return {
        port: tuple(f"{each.get('HostIp') or '0.0.0.0'}:{each['HostPort']}" for each in bound or ())  # noqa: S104 - as Docker prints it
        for port, bound in {**asked, **network}.items()
    }
