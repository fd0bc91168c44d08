"""What each probe script answers, by its name; keys as in docs/worker-protocol.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from remediation_lab.host import host_probes, readiness, services
from remediation_lab.host import server_settings as settings
from remediation_lab.programs import nvidia_smi, powershell
from remediation_lab.wire import Json, Refusal
from remediation_lab.world.rights import CIM, Parts, cim

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

Probe = Callable[["Machine", Mapping[str, Any]], Any]


def session(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Who is logged in here, and who sits at the desktop: only the latter is a CIM query."""
    login, parts = machine.state.login, Parts()

    def at_the_desktop() -> str | None:
        cim(machine.state)
        return login.desktop_user

    return {
        "User": login.user,
        "Elevated": login.elevated,
        "DesktopUser": parts.read("DesktopUser", at_the_desktop),
        "LanguageMode": login.language_mode,
        "PSVersion": login.ps_version,
        "Problems": parts.problems,
    }


def system(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Win32_OperatingSystem, memory in KiB as the class gives it; the machine's name and version are known without the class."""
    state, parts = machine.state, Parts()

    def from_class(name: str, value: Json) -> Json:
        def read() -> Json:
            cim(state)
            if name in state.unknown:
                raise Refusal("error", "Win32_OperatingSystem has no value for it")
            return value

        return parts.read(name, read)

    return {
        "Caption": from_class("Caption", state.caption),
        "Version": state.version,
        "Hostname": state.name.upper(),
        "TotalVisibleMemorySize": from_class("TotalVisibleMemorySize", state.memory_total // 1024),
        "FreePhysicalMemory": from_class("FreePhysicalMemory", state.memory_free // 1024),
        "Now": machine.clock.now(),
        "LastBootUpTime": from_class("LastBootUpTime", state.booted),
        "Problems": parts.problems,
    }


def facts(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Return the machine for Ansible's facts: what Win32_OperatingSystem refuses is null, with the reason."""
    state, parts = machine.state, Parts()

    for each in ("Win32_OperatingSystem", "Win32_ComputerSystem"):
        parts.read(each, lambda: cim(state))

    def from_class(value: Json) -> Json:
        return None if state.login.restricted else value

    return {
        "Caption": from_class(state.caption),
        "Version": state.version,
        "ProductType": from_class(1),
        "Architecture": "AMD64" if state.login.restricted else "64-bit",
        "Hostname": state.name.upper(),
        "Domain": from_class("WORKGROUP"),
        "Manufacturer": None,
        "Model": None,
        "Sockets": from_class(1),
        "LogicalProcessors": from_class(16),
        "TotalVisibleMemorySize": from_class(state.memory_total // 1024),
        "FreePhysicalMemory": from_class(state.memory_free // 1024),
        "Now": machine.clock.now(),
        "OffsetMinutes": 0.0,
        "Zone": "UTC",
        "LastBootUpTime": from_class(state.booted),
        "User": state.login.user,
        "UserProfile": "C:\\Users\\" + state.login.user.rpartition("\\")[2],
        "PSVersion": state.login.ps_version,
        "Environment": {"OS": "Windows_NT", "COMPUTERNAME": state.name.upper()},
        "Addresses": [],
        "Problems": parts.problems,
    }


def gpu(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """nvidia-smi's CSV, with fewer fields where it refuses one, and the CIM rows."""
    fields = list(data.get("fields") or nvidia_smi.FIELDS)
    rc, out, err = None, "", ""
    if machine.state.card.installed:
        done = nvidia_smi.query(machine, fields, units=False, header=False)
        if done.rc == nvidia_smi.BAD_ARGUMENT and data.get("fallback"):
            fields = list(data["fallback"])
            done = nvidia_smi.query(machine, fields, units=False, header=False)
        rc, out, err = done.rc, done.stdout.decode(), done.stderr.decode()
    parts = Parts()

    def counted(rows: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        cim(machine.state)
        if not machine.state.card.counters:
            raise Refusal("error", "Invalid class (0x80041010)")
        return [{key: None if key in machine.state.unknown else value for key, value in row.items()} for row in rows()]

    by_process = parts.read("process_memory", lambda: counted(machine.memory.process_rows), [])
    by_adapter = parts.read("adapter_memory", lambda: counted(machine.memory.adapter_rows), [])
    return {
        "rc": rc,
        "stdout": out,
        "stderr": err,
        "fields": fields,
        "process_memory": by_process,
        "adapter_memory": by_adapter,
        "counters_error": parts.problems.get("process_memory"),
        "Problems": parts.problems,
    }


def processes(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Win32_Process with owners and services."""
    parts = Parts()

    def listed() -> list[dict[str, Any]]:
        cim(machine.state)
        return machine.processes.rows()

    rows = parts.read("Processes", listed, [])
    if parts.problems:
        parts.problems["Service"] = CIM
    return {"Processes": rows, "Problems": parts.problems}


def http(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """One HTTP request from the host; a server that does not answer is a value here, as the script catches it."""
    method = str(data.get("method", "GET")).upper()
    try:
        path = str(data["url"]).partition("://")[2].partition("/")[2]
        if method != "GET" and path != "api/show":  # asked by POST, and yet only read (facts/ollama 3)
            machine.state.wrote(f"http {method} {path}")
        return machine.network.request(
            method=method,
            url=data["url"],
            body=data.get("body"),
            timeout=float(data["timeout"]),
            silence=None if data.get("silence") is None else float(data["silence"]),
            on_chunk=data.get("on_chunk"),
        )
    except Refusal as refusal:
        return {"error": {"kind": refusal.kind, "message": refusal.message}}


def generate(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """One request to the model with the loads sampled meanwhile."""
    machine.state.wrote("generate")
    try:
        value = machine.network.generate(
            url=data["url"], body=data["body"], timeout=float(data["timeout"]), sample=bool(data.get("sample"))
        )
    except Refusal as refusal:
        return {"error": {"kind": refusal.kind, "message": refusal.message}, "Problems": {}}
    problems = {}
    if data.get("sample") and machine.state.login.restricted:
        problems["cpu"] = CIM
    if data.get("sample") and not machine.state.card.installed:
        problems["gpu"] = "nvidia-smi was not found"
    return {**value, "Problems": problems}


def close(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a program to close, as the desktop's user."""
    return machine.processes.close(
        int(data["pid"]), float(data["started"]), grace=float(data.get("grace", 10)), force=bool(data.get("force"))
    )


PROBES: Mapping[str, Probe] = {
    "session": session,
    "system": system,
    "facts": facts,
    "gpu": gpu,
    "processes": processes,
    "http": http,
    "generate": generate,
    "close": close,
    "desktop": host_probes.desktop,
    "docker-desktop": host_probes.docker_desktop,
    "notify": host_probes.notify,
    "folder": host_probes.folder,
    "lease": host_probes.lease,
    "file": host_probes.file,
    "sample": host_probes.sample,
    "requests": host_probes.requests,
    "server": settings.server,
    "server-change": settings.change,
    "service": services.service,
    "status": host_probes.status,
    "readiness": readiness.readiness,
    "powershell": lambda machine, data: powershell.streams(machine, dict(data)),
}
