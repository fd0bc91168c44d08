"""`docker version`: the client and the engine about themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

KERNEL = "5.15.167.4-microsoft-standard-WSL2"
COMPOSE_PATH = "C:\\Program Files\\Docker\\cli-plugins\\docker-compose.exe"
_BUILT = "Sat Dec  7 10:39:16 2024"


def client(machine: Machine) -> dict[str, Any]:
    """Return the client's half of `docker version`."""
    engine = machine.state.engine
    return {
        "Version": engine.version, "ApiVersion": engine.api, "DefaultAPIVersion": engine.api, "GitCommit": "bde2b89", "GoVersion": "go1.22.10",
        "Os": "windows", "Arch": "amd64", "BuildTime": _BUILT, "Context": "desktop-linux",
    }  # fmt: skip


def server(machine: Machine) -> dict[str, Any]:
    """Return the engine's half of `docker version`."""
    engine = machine.state.engine
    details = {
        "ApiVersion": engine.api, "Arch": "amd64", "BuildTime": _BUILT, "Experimental": "false", "GitCommit": "92a8393",
        "GoVersion": "go1.22.10", "KernelVersion": KERNEL, "MinAPIVersion": "1.24", "Os": "linux",
    }  # fmt: skip
    return {
        "Platform": {"Name": "Docker Desktop 4.37.1 (178610)"},
        "Components": [
            {"Name": "Engine", "Version": engine.version, "Details": details},
            {"Name": "containerd", "Version": "1.7.21", "Details": {"GitCommit": "472731909fa34bd7bc9c087e4c27943f9835f111"}},
            {"Name": "runc", "Version": "1.1.13", "Details": {"GitCommit": "v1.1.13-0-g58aa920"}},
            {"Name": "docker-init", "Version": "0.19.0", "Details": {"GitCommit": "de40ad0"}},
        ],
        "Version": engine.version, "ApiVersion": engine.api, "MinAPIVersion": "1.24", "GitCommit": "92a8393", "GoVersion": "go1.22.10",
        "Os": "linux", "Arch": "amd64", "KernelVersion": KERNEL, "BuildTime": "2024-12-07T10:38:57.000000000+00:00",
    }  # fmt: skip
