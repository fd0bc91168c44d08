"""`docker info`: the engine about itself, or its absence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remediation_lab.programs.docker.formats import instant
from remediation_lab.programs.docker.versions import COMPOSE_PATH, KERNEL, client

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

DOWN = (
    "error during connect: this error may indicate that the docker daemon is not running: "
    'Get "http://%2F%2F.%2Fpipe%2FdockerDesktopLinuxEngine/v1.47/info": open //./pipe/dockerDesktopLinuxEngine: '
    "The system cannot find the file specified."
)
REFUSED = (
    'error during connect: Get "http://%2F%2F.%2Fpipe%2FdockerDesktopLinuxEngine/v1.47/info": '
    "open //./pipe/dockerDesktopLinuxEngine: Access is denied."
)
"""The pipe admits administrators and the user who started Docker Desktop (facts/windows 2)."""
_FLAGS = "MemoryLimit SwapLimit KernelMemory KernelMemoryTCP CpuCfsPeriod CpuCfsQuota CPUShares CPUSet PidsLimit IPv4Forwarding OomKillDisable"
_TEXTS = (
    "ID Driver SystemTime LoggingDriver CgroupDriver KernelVersion OperatingSystem OSVersion OSType Architecture IndexServerAddress "
    "DockerRootDir HttpProxy HttpsProxy NoProxy Name ServerVersion DefaultRuntime Isolation InitBinary"
)
_COUNTS = "Containers ContainersRunning ContainersPaused ContainersStopped Images NFd NGoroutines NEventsListener NCPU MemTotal"
_NOTHING = "DriverStatus RegistryConfig GenericResources Labels Runtimes SecurityOptions CDISpecDirs Warnings"


def problem(machine: Machine) -> str:
    """Return why the engine does not answer this login, nothing where it does."""
    if not machine.state.engine.up:
        return DOWN
    return REFUSED if machine.state.login.restricted else ""


def info(machine: Machine) -> dict[str, Any]:
    """Return what `docker info --format json` prints; all empty with `ServerErrors` when the engine is down."""
    state = machine.state
    unanswered = problem(machine)
    flags = dict.fromkeys(_FLAGS.split(), not unanswered)
    base: dict[str, Any] = {
        **flags, **dict.fromkeys(_TEXTS.split(), ""), **dict.fromkeys(_COUNTS.split(), 0), **dict.fromkeys(_NOTHING.split()),
        "Plugins": dict.fromkeys(("Volume", "Network", "Authorization", "Log")), "Debug": False, "ExperimentalBuild": False,
        "LiveRestoreEnabled": False, "ContainerdCommit": {"ID": ""}, "RuncCommit": {"ID": ""}, "InitCommit": {"ID": ""},
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "", "ControlAvailable": False, "Error": "", "RemoteManagers": None},
    }  # fmt: skip
    about = {key: value for key, value in client(machine).items() if key != "ApiVersion"}
    plugin = {
        "SchemaVersion": "0.1.0", "Vendor": "Docker Inc.", "Version": f"v{state.engine.compose}", "ShortDescription": "Docker Compose",
        "Name": "compose", "Path": COMPOSE_PATH,
    }  # fmt: skip
    base["ClientInfo"] = {"Debug": False, **about, "Plugins": [plugin], "Warnings": None}
    if unanswered:
        return {**base, "ServerErrors": [unanswered]}
    running = sum(each.running for each in state.containers)
    runtimes = {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}}
    if state.engine.gpu_support:
        runtimes["nvidia"] = {"path": "nvidia-container-runtime"}
    return {
        **base,
        "ID": "5a1f3b0e-8f27-4a47-8a43-2b7f6f1f9a10",
        "Containers": len(state.containers),
        "ContainersRunning": running,
        "ContainersStopped": len(state.containers) - running,
        "Images": 2,
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"], ["Native Overlay Diff", "true"], ["userxattr", "false"]],
        "Plugins": {
            "Volume": ["local"], "Network": ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"], "Authorization": None,
            "Log": ["awslogs", "fluentd", "gcplogs", "gelf", "journald", "json-file", "local", "splunk", "syslog"],
        },
        "NFd": 74, "NGoroutines": 98, "SystemTime": instant(machine.clock.now()), "LoggingDriver": "json-file", "CgroupDriver": "cgroupfs",
        "CgroupVersion": "1", "NEventsListener": 12, "KernelVersion": KERNEL, "OperatingSystem": "Docker Desktop",
        "OSVersion": "", "OSType": "linux", "Architecture": "x86_64", "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "IndexConfigs": {"docker.io": {"Mirrors": [], "Name": "docker.io", "Official": True, "Secure": True}},
            "InsecureRegistryCIDRs": ["127.0.0.0/8"], "Mirrors": [],
        },
        "NCPU": state.engine.cpus, "MemTotal": state.engine.memory, "DockerRootDir": "/var/lib/docker", "Name": "docker-desktop",
        "Labels": ["com.docker.desktop.address=npipe://\\\\.\\pipe\\docker_cli"], "ServerVersion": state.engine.version, "Runtimes": runtimes,
        "DefaultRuntime": "runc", "InitBinary": "docker-init",
        "Swarm": {**base["Swarm"], "LocalNodeState": "inactive"},
        "ContainerdCommit": {"ID": "472731909fa34bd7bc9c087e4c27943f9835f111", "Expected": "472731909fa34bd7bc9c087e4c27943f9835f111"}, "RuncCommit": {"ID": "v1.1.13-0-g58aa920", "Expected": "v1.1.13-0-g58aa920"},
        "InitCommit": {"ID": "de40ad0"}, "SecurityOptions": ["name=unconfined"],
    }  # fmt: skip


def text(machine: Machine) -> str:
    """Return the part of `docker info` for people that this lab's users look at."""
    known = info(machine)
    lines = [
        "Client:", f" Version:    {machine.state.engine.version}", " Context:    desktop-linux", " Debug Mode: false", " Plugins:",
        "  compose: Docker Compose (Docker Inc.)", f"    Version:  v{machine.state.engine.compose}", f"    Path:     {COMPOSE_PATH}", "", "Server:",
    ]  # fmt: skip
    if not problem(machine):
        lines += [
            f" Containers: {known['Containers']}", f"  Running: {known['ContainersRunning']}", "  Paused: 0",
            f"  Stopped: {known['ContainersStopped']}", f" Images: {known['Images']}", f" Server Version: {known['ServerVersion']}",
            f" Runtimes: {' '.join(sorted(known['Runtimes']))}", f" Operating System: {known['OperatingSystem']}", f" CPUs: {known['NCPU']}",
            f" Total Memory: {known['MemTotal'] / 1024**3:.2f}GiB", f" Name: {known['Name']}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"
