"""What the machine says of WinRM's quotas, the classes of counters, and WSL (facts/windows 1.4, 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediation.lab.world.machine import Machine

_CLASS = "Win32_PerfFormattedData_GPUPerformanceCounters_GPU"
_KINDS = ("AdapterMemory", "Engine", "LocalAdapterMemory", "NonLocalAdapterMemory", "ProcessMemory")
_REFUSED = "Access is denied. "


def readiness(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """WinRM's configuration is told to administrators alone; the login has no distributions of its own."""
    login, setup = machine.state.login, machine.state.setup
    there = machine.state.card.counters
    user = login.desktop_user
    return {
        "Quotas": {name: str(value) for name, value in setup.quotas.items()} if login.elevated else None,
        "QuotasProblem": None if login.elevated else _REFUSED,
        "ByPolicy": list(setup.by_policy),
        "GpuClasses": [_CLASS + kind for kind in _KINDS] if there else [],
        "GpuClassesProblem": None,
        "WslService": setup.wsl_service,
        "WslState": None if setup.wsl_service is None else "Running" if machine.state.engine.up else "Stopped",
        "WslVersion": setup.wsl_version,
        "Distributions": [{"Name": name, "Version": 2, "Own": False} for name in setup.distributions] if user else [],
    }
