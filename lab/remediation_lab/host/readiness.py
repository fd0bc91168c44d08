"""What the machine says of WinRM's quotas, the classes of counters, and WSL (facts/windows 1.4, 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from remediation_lab.wire import Refusal
from remediation_lab.world.rights import WSMAN_REASON, Parts, cim

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_CLASS = "Win32_PerfFormattedData_GPUPerformanceCounters_GPU"
_KINDS = ("AdapterMemory", "Engine", "LocalAdapterMemory", "NonLocalAdapterMemory", "ProcessMemory")
_KEYS = "Requested registry access is not allowed."
_HIDDEN = "WSL is there, and Windows does not tell this login of its service"
"""To a login that may not ask for a service, Windows says that there is none; the files and the registry show it."""


def readiness(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Only administrators can read WinRM's configuration, and only the user himself his part of the registry."""
    login, setup, parts = machine.state.login, machine.state.setup, Parts()
    own = login.desktop_user == login.user

    def classes() -> list[str]:
        cim(machine.state)
        return [_CLASS + kind for kind in _KINDS] if machine.state.card.counters else []

    def service() -> str | None:
        if login.restricted:
            if setup.wsl_service is None:
                return None
            raise Refusal("denied", _HIDDEN)
        return setup.wsl_service

    def distributions() -> list[dict[str, Any]]:
        if login.desktop_user is None:
            return []
        if not login.elevated and not own:
            raise Refusal("denied", _KEYS)
        return [{"Name": name, "Version": setup.wsl_generation, "Own": own} for name in setup.distributions]

    def quotas() -> dict[str, str | None]:
        if not login.elevated:
            raise Refusal("denied", WSMAN_REASON)
        return {name: None if name in machine.state.unknown else str(value) for name, value in setup.quotas.items()}

    named = parts.read("WslService", service)
    registered = parts.read("Distributions", distributions, [])
    listed = parts.read("GpuClasses", classes, [])
    read = parts.read("Quotas", quotas)
    return {
        "Quotas": read,
        "QuotasProblem": parts.problems.get("Quotas"),
        "ByPolicy": [] if read is None else list(setup.by_policy),
        "GpuClasses": listed,
        "GpuClassesProblem": parts.problems.get("GpuClasses"),
        "WslService": named,
        "WslState": None if named is None else "Running" if machine.state.engine.up else "Stopped",
        "WslVersion": setup.wsl_version,
        "Distributions": registered,
        "Problems": parts.problems,
    }
