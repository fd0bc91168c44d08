"""The probes of a native server's settings: the registry and the app's database, read and changed (docs/worker-protocol.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from remediation_lab.wire import Refusal
from remediation_lab.world.native import database
from remediation_lab.world.native.servers import NativeServers
from remediation_lab.world.rights import UNNAMED, Parts, cim, security_id
from remediation_lab.world.setup import Installation

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_COLUMNS = ("schema_version", "expose", "browser", "models", "context_length")
_READ = ("OLLAMA_", "CUDA_", "GPU_", "NVIDIA_", "ROCR_", "HIP_", "HSA_", "GGML_", "LLAMA_ARG_")
_SERVICES = r"Registry::HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services"


def server(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the servers of the machine get their settings from."""
    state, parts = machine.state, Parts()
    user = state.login.desktop_user
    service = next((each for each in state.installations if each.kind == "service" and each.name == data.get("service")), None)

    def sid() -> str | None:
        cim(state)
        if user and user != state.login.user and not state.login.elevated:
            raise Refusal("denied", UNNAMED)
        return security_id(user) if user else None

    known = parts.read("Sid", sid)
    if "Sid" in parts.problems:
        parts.problems["User"] = parts.problems["Profile"] = parts.problems["Sid"]
        unknown = f"the profile of the desktop user is not known: {parts.problems['Sid']}"
        parts.problems["Database"] = parts.problems["App"] = unknown
    app = next((each for each in state.installations if each.kind == "app" and each.account == user), None) if known else None
    path = NativeServers.database(app) if app is not None else None
    content = machine.files.get(path) if path is not None else None
    row = database.settings(content) if content is not None else {}
    started = next((each for each in state.installations if each.pid and each.pid == data.get("process")), None)
    writes = service or started
    extra = _rows(service.environment, "MultiString") if service is not None else []
    return {
        "Machine": _rows(state.variables.get("machine", {}), "String"),
        "User": _rows(state.variables.get(user or "", {}), "String") if known else [],
        "Service": [{**each, "Key": rf"{_SERVICES}\{data['service']}\Parameters"} for each in extra],
        "Log": (writes.log or None) if writes is not None else None,
        "Sid": known,
        "Database": path if content is not None else None,
        "App": {name: None if row[name] is None else str(row[name]) for name in _COLUMNS} if row else None,
        "Problems": parts.problems,
    }


def _rows(variables: Mapping[str, str], kind: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value, "Kind": kind} for name, value in variables.items() if name.startswith(_READ)]


def change(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Write settings and restart the server, by what started it."""
    steps: list[str] = []
    problem = None
    try:
        cim(machine.state)
        for each in data["values"]:
            _write(machine, each)
            steps.append(f"wrote {each['name']}")
        if data["kind"] is not None:
            machine.state.wrote(f"restart {data['kind']}")
            _restart(machine, data, steps)
    except Refusal as refusal:
        problem = refusal.message
    return {"Steps": steps, "Problem": problem, "Problems": {}}


def _write(machine: Machine, value: Mapping[str, Any]) -> None:
    key = str(value["key"])
    machine.state.wrote(f"registry {value['name']}")
    if value["list"]:
        name = key.removesuffix(r"\Parameters").rpartition("\\")[2]
        known = next(each.environment for each in machine.state.installations if each.name == name)
    else:
        if not machine.state.login.elevated:
            raise Refusal("denied", "Requested registry access is not allowed.")
        owner = "machine" if key.startswith("Registry::HKEY_LOCAL_MACHINE") else str(machine.state.login.desktop_user)
        known = machine.state.variables.setdefault(owner, {})
    if value["value"] is None:
        known.pop(value["name"], None)
    else:
        known[value["name"]] = str(value["value"])


def _restart(machine: Machine, data: Mapping[str, Any], steps: list[str]) -> None:
    found = next((each for each in machine.state.installations if each.kind == data["kind"] and _named(each, data)), None)
    if found is None:
        raise Refusal("error", f"there is no {data['kind']} {data['name']}")
    if data["kind"] == "app" and machine.state.login.desktop_user is None:
        raise Refusal("error", "no user is logged on at the desktop, so the app could not be started again")
    machine.native.stop(found)
    if data["kind"] == "app":
        steps.append("stopped the app")
        if data["columns"]:
            path = NativeServers.database(found)
            content = machine.files.get(path) or database.new(found.version)
            machine.files.put(path, database.updated(content, data["columns"]))
            steps += [f"wrote {each}" for each in data["columns"]]
    machine.native.start(found)
    steps.append("started the app" if data["kind"] == "app" else f"restarted the {data['kind']}")


def _named(installation: Installation, data: Mapping[str, Any]) -> bool:
    return installation.kind == "app" or installation.name.strip("\\").lower() == str(data["name"]).strip("\\").lower()
