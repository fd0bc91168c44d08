"""The services of a simulated machine: Windows' own, Docker's helper, and those that a test creates."""

from __future__ import annotations

import ntpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from remediation_lab.wire import Refusal
from remediation_lab.world.rights import cim
from remediation_lab.world.setup import Installation
from remediation_lab.world.state import Program

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_OWN = {
    "WinRM": "Windows Remote Management (WS-Management)",
    "Schedule": "Task Scheduler",
    "Winmgmt": "Windows Management Instrumentation",
    "NVDisplay.ContainerLocalSystem": "NVIDIA Display Container LS",
    "com.docker.service": "Docker Desktop Service",
    "Spooler": "Print Spooler",
}
_STATES = {"start": "Running", "stop": "Stopped", "pause": "Paused"}
_MODES = {"auto": "Auto", "delayed": "Auto", "manual": "Manual", "disabled": "Disabled"}


def service(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Read or change a service."""
    problem = None
    try:
        cim(machine.state)
        problem = _acted(machine, str(data["name"]), str(data["action"]), data)
        row = _found(machine, str(data["name"]))
    except Refusal as refusal:
        return {"Exists": False, "Problem": refusal.message, "Problems": {}}
    if row is None:
        return {"Exists": False, "Problem": problem, "Problems": {}}
    return {
        "Exists": True, **{name: value for name, value in row.items() if name != "Pid"}, "DesktopInteract": False, "Dependencies": [],
        "DependedBy": [], "AcceptPause": False, "Problem": problem, "Problems": {},
    }  # fmt: skip


def all_of(machine: Machine) -> dict[str, dict[str, Any]]:
    """Return the services by their names in small letters."""
    known = machine.state.services
    for own, shown in _OWN.items():
        running = any(each.service == own for each in machine.state.programs) or own == "Spooler"
        if running or own.lower() in known:
            known.setdefault(
                own.lower(),
                listed(own, shown, f"C:\\Windows\\System32\\svchost.exe -k {own}", "Running" if running else "Stopped"),
            )
    return known


def _found(machine: Machine, name: str) -> dict[str, Any] | None:
    known, wanted = all_of(machine), name.lower()
    return known.get(wanted) or next((each for each in known.values() if each["DisplayName"].lower() == wanted), None)


def listed(name: str, shown: str, path: str, state: str) -> dict[str, Any]:
    """Return a service with CIM's properties."""
    return {
        "Name": name, "DisplayName": shown, "Description": "", "State": state, "StartMode": "Auto", "Delayed": False, "PathName": path,
        "StartName": "LocalSystem",
    }  # fmt: skip


def _acted(machine: Machine, name: str, action: str, data: Mapping[str, Any]) -> str | None:
    """Carry the action out; return why it could not be, None if it was."""
    row = _found(machine, name)
    if action == "read":
        return None
    if not machine.state.login.elevated:
        raise Refusal("denied", f"Cannot open {name} service on computer '.'.")
    machine.state.wrote(f"service {action} {name}")
    if action == "create" and row is None:
        row = machine.state.services[name.lower()] = listed(name, name, str(data.get("path")), "Stopped")
    if row is None:
        return None if action == "remove" else f"there is no service {name}"
    if action in {"create", "configure"}:
        _configure(row, data)
    elif action == "remove":
        _stop(machine, row)
        del machine.state.services[row["Name"].lower()]
    elif action == "start" and row["StartMode"] == "Disabled":
        return f"Service '{row['DisplayName']} ({row['Name']})' cannot be started due to the following error: it is disabled"
    elif action in _STATES:
        _stop(machine, row)
        row["State"] = _STATES[action]
        if action == "start":
            _start(machine, row)
    return None


def _configure(row: dict[str, Any], data: Mapping[str, Any]) -> None:
    for key, name in (
        ("path", "PathName"),
        ("display_name", "DisplayName"),
        ("description", "Description"),
        ("username", "StartName"),
    ):
        if data.get(key) is not None:
            row[name] = str(data[key])
    if data.get("start_mode") is not None:
        row["StartMode"], row["Delayed"] = _MODES[str(data["start_mode"])], data["start_mode"] == "delayed"


def _ollama(machine: Machine, row: Mapping[str, Any]) -> Installation | None:
    """Return the installation whose server the service runs."""
    services = (each for each in machine.state.installations if each.kind == "service")
    return next((each for each in services if each.name.lower() == str(row["Name"]).lower()), None)


def _start(machine: Machine, row: Mapping[str, Any]) -> None:
    """Start the service's program."""
    server = _ollama(machine, row)
    if server is not None:
        machine.native.start(server)
        return
    path = str(row["PathName"]).strip('"').split(".exe")[0] + ".exe"
    state = machine.state
    state.programs.append(
        Program(
            state.pid(), 4, ntpath.basename(path), path, 0, machine.clock.now(), "NT AUTHORITY\\SYSTEM", service=str(row["Name"])
        )
    )


def _stop(machine: Machine, row: Mapping[str, Any]) -> None:
    server = _ollama(machine, row)
    if server is not None:
        machine.native.stop(server)
        return
    machine.state.programs = [each for each in machine.state.programs if each.service != row["Name"]]
