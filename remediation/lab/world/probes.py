"""What each probe script answers, by its name; keys as in docs/worker-protocol.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from remediation.lab.programs import nvidia_smi
from remediation.lab.wire import Refusal
from remediation.lab.world import host_probes, readiness

if TYPE_CHECKING:
    from remediation.lab.world.machine import Machine

Probe = Callable[["Machine", Mapping[str, Any]], Any]


def session(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Who is logged in here, and who sits at the desktop."""
    login = machine.state.login
    return {
        "User": login.user,
        "Elevated": login.elevated,
        "DesktopUser": login.desktop_user,
        "LanguageMode": login.language_mode,
        "PSVersion": login.ps_version,
    }


def system(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Win32_OperatingSystem; memory in KiB as the class gives it."""
    state = machine.state
    return {
        "Caption": state.caption,
        "Version": state.version,
        "Hostname": state.name.upper(),
        "TotalVisibleMemorySize": state.memory_total // 1024,
        "FreePhysicalMemory": state.memory_free // 1024,
        "Now": machine.clock.now(),
        "LastBootUpTime": state.booted,
    }


def gpu(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """nvidia-smi's CSV, with fewer fields where it refuses one, and the CIM rows."""
    fields = list(data.get("fields") or nvidia_smi.FIELDS)
    done = nvidia_smi.query(machine, fields, units=False, header=False)
    if done.rc == nvidia_smi.BAD_ARGUMENT and data.get("fallback"):
        fields = list(data["fallback"])
        done = nvidia_smi.query(machine, fields, units=False, header=False)
    counters = machine.state.card.counters
    return {
        "rc": done.rc,
        "stdout": done.stdout.decode(),
        "stderr": done.stderr.decode(),
        "fields": fields,
        "process_memory": machine.memory.process_rows() if counters else [],
        "adapter_memory": machine.memory.adapter_rows() if counters else [],
        "counters_error": None if counters else "Invalid class",
    }


def processes(machine: Machine, _: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Win32_Process with owners and services."""
    return machine.processes.rows()


def http(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """One HTTP request from the host; a server that does not answer is a value here, as the script catches it."""
    method = str(data.get("method", "GET")).upper()
    try:
        path = str(data["url"]).partition("://")[2].partition("/")[2]
        if method != "GET" and path != "api/show":  # asked by POST, and yet only read (facts/ollama 3)
            machine.state.wrote(f"http {method} {path}")
        return machine.network.request(
            method=method, url=data["url"], body=data.get("body"), timeout=float(data["timeout"]), hear=data.get("hear")
        )
    except Refusal as refusal:
        return {"error": {"kind": refusal.kind, "message": refusal.message}}


def generate(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """One request to the model with the loads sampled meanwhile."""
    machine.state.wrote("generate")
    try:
        return machine.network.generate(
            url=data["url"], body=data["body"], timeout=float(data["timeout"]), sample=bool(data.get("sample"))
        )
    except Refusal as refusal:
        return {"error": {"kind": refusal.kind, "message": refusal.message}}


def close(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a program to close, as the desktop's user."""
    return machine.processes.close(
        int(data["pid"]), float(data["started"]), grace=float(data.get("grace", 10)), force=bool(data.get("force"))
    )


PROBES: Mapping[str, Probe] = {
    "session": session,
    "system": system,
    "gpu": gpu,
    "processes": processes,
    "http": http,
    "generate": generate,
    "close": close,
    "desktop": host_probes.desktop,
    "docker-desktop": host_probes.docker_desktop,
    "notify": host_probes.notify,
    "folder": host_probes.folder,
    "file": host_probes.file,
    "sample": host_probes.sample,
    "requests": host_probes.requests,
    "readiness": readiness.readiness,
}
