"""The probes about the desktop, files and loads: Docker Desktop's state and actions, messages, folders, samples."""

from __future__ import annotations

import ntpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from remediation.lab.programs import nvidia_smi
from remediation.lab.programs.cmd import KEEPER
from remediation.lab.world.processes import TASK_NOT_LOGGED_ON, TASK_OK

if TYPE_CHECKING:
    from remediation.lab.world.machine import Machine

_NAMES = {
    "docker desktop",
    "com.docker.backend",
    "com.docker.build",
    "com.docker.dev-envs",
    "com.docker.proxy",
    "vpnkit",
    "docker-agent",
}
_BODY = 1024**2
_ADMIN = "C:\\ProgramData\\DockerDesktop\\admin-settings.json"


def desktop(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Docker Desktop as files and processes show it; whether the engine answers is not asked here."""
    path = machine.desktop.settings_path
    user = (machine.state.login.desktop_user or "LAB\\maria").rpartition("\\")[2]
    wsl = f"C:\\Users\\{user}\\.wslconfig"
    rows = [each for each in machine.state.programs if each.name.lower().removesuffix(".exe") in _NAMES]
    return {
        "Installed": True,
        "Version": machine.state.engine.desktop,
        "Processes": [
            {"Name": each.name, "ProcessId": each.pid, "SessionId": each.session, "CreationDate": each.started} for each in rows
        ],
        "Now": machine.clock.now(),
        "SettingsPath": path,
        "Settings": _text(machine, path),
        "AdminSettings": _text(machine, _ADMIN),
        "WslConfigPath": wsl,
        "WslConfig": _text(machine, wsl),
    }


def docker_desktop(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Start it or stop it by a task in the desktop user's session, or end its processes; does not wait for the engine."""
    action = data["action"]
    if action == "kill":
        machine.state.wrote("docker desktop kill")
        machine.desktop.stop(forced=True)
        return {"task_result": None, "done": True, "problem": None}
    task = machine.processes.task()
    if task != TASK_OK:
        problem = "nobody is logged on" if task == TASK_NOT_LOGGED_ON else "Access is denied."
        return {"task_result": task, "done": False, "problem": problem}
    if action not in {"start", "stop"}:
        return {"task_result": None, "done": False, "problem": f"no action {action!r}"}
    machine.state.wrote(f"docker desktop {action}")
    if action == "stop":
        machine.desktop.stop()
    else:
        machine.desktop.start()
    return {"task_result": TASK_OK, "done": True, "problem": None}


def notify(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Show a message to whoever sits at the desktop."""
    if machine.processes.task() != TASK_OK:
        return {"shown": False}
    machine.state.messages.append(str(data["message"]))
    return {"shown": True}


def folder(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a folder, and the space of its drive."""
    path = str(data["path"])
    drive = ntpath.splitdrive(ntpath.normpath(path))[0].upper() == "C:"
    entries = machine.files.entries(path) if machine.files.folder(path) else None
    rows = None if entries is None else [
        {"Name": name, "Length": size, "LastWriteTime": machine.state.booted, "Folder": below} for name, size, below in entries
    ]  # fmt: skip
    return {
        "Entries": rows,
        "Total": machine.state.disk_total if drive else None,
        "Free": machine.state.disk_free if drive else None,
    }


def requests(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Tell what request bodies say of model and layers."""
    rows = []
    for path in data["paths"]:
        text = _text(machine, str(path))
        if text is not None and len(text) <= _BODY:
            rows.append({"Path": path, "Text": ", ".join(re.findall(r'"(?:model|num_gpu)" *: *(?:"[^"]*"|-?[0-9]+)', text))})
    return {"Rows": rows, "Refused": []}


def file(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Rename a file to a name that is free, or remove it; a missing one counts as removed."""
    path, to = str(data["path"]), data.get("to")
    if data["action"] == "make":
        if machine.files.make_folder(path, KEEPER):
            machine.state.wrote(f"mkdir {ntpath.basename(path)}")
        return {"Done": True, "Problem": None}
    content = machine.files.get(path)
    if data["action"] == "remove":
        if content is not None:
            machine.files.remove(path)
            machine.state.wrote(f"remove {ntpath.basename(path)}")
        return {"Done": True, "Problem": None}
    if content is None:
        return {"Done": False, "Problem": f"Could not find file '{path}'."}
    if machine.files.get(str(to)) is not None:
        return {"Done": False, "Problem": "Cannot create a file when that file already exists."}
    machine.files.put(str(to), content)
    machine.files.remove(path)
    machine.state.wrote(f"rename {ntpath.basename(path)}")
    return {"Done": True, "Problem": None}


def sample(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """nvidia-smi's CSV again and again."""
    fields, count, every = list(data["fields"]), int(data["count"]), float(data["every"])
    rows: list[dict[str, Any]] = []
    done = nvidia_smi.query(machine, fields, units=False, header=False)
    for number in range(count):
        if number:
            machine.clock.sleep(every)
            done = nvidia_smi.query(machine, fields, units=False, header=False)
        if done.rc:
            break
        rows.append({"At": machine.clock.now(), "Text": done.stdout.decode()})
    return {"rc": done.rc, "stderr": (done.stderr or (done.stdout if done.rc else b"")).decode(), "rows": rows}


def _text(machine: Machine, path: str) -> str | None:
    content = machine.files.get(path)
    return None if content is None else content.decode("utf-8", "replace")
