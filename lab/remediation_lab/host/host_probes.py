"""The probes about the desktop, files and loads: Docker Desktop's state and actions, messages, folders, samples."""

from __future__ import annotations

import codecs
import hashlib
import ntpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from remediation_lab.host.stats import stat
from remediation_lab.programs import nvidia_smi
from remediation_lab.wire import Refusal
from remediation_lab.world import booting, rights
from remediation_lab.world.rights import Parts
from remediation_lab.world.scheduler import RUNNING, Ran
from remediation_lab.world.state import Due

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_BODY = 1024**2
_ADMIN = "C:\\ProgramData\\DockerDesktop\\admin-settings.json"
_SETTINGS = "\\AppData\\Roaming\\Docker\\settings-store.json"
_TASK_WAIT = 20.0
_STATUS = "Path Name Extension Folder Link Junction Target Length Attributes Hidden Archive ReadOnly Created Accessed Written Owner Sum".split()
_NO_PROGRAM = 2
"""What the task's action ends with where Docker Desktop is not installed."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
"""Marks at the beginning of a text, the longer ones before those that they begin with."""


def desktop(machine: Machine, _: Mapping[str, Any]) -> dict[str, Any]:
    """Docker Desktop as files and processes show it; whether the engine answers is not asked here."""
    parts = Parts()
    parts.read("Profile", lambda: _owner(machine))
    version = machine.state.engine.desktop
    return {
        "Installed": version is not None,
        "Version": version,
        "Processes": parts.read("Processes", lambda: _processes(machine), []),
        "Now": machine.clock.now(),
        "SettingsPath": parts.read("SettingsPath", lambda: _profile(machine) + _SETTINGS),
        "Settings": parts.read("Settings", lambda: text(machine, _profile(machine) + _SETTINGS)),
        "AdminSettings": parts.read("AdminSettings", lambda: text(machine, _ADMIN)),
        "WslConfigPath": parts.read("WslConfigPath", lambda: f"{_profile(machine)}\\.wslconfig"),
        "WslConfig": parts.read("WslConfig", lambda: text(machine, f"{_profile(machine)}\\.wslconfig")),
        "Problems": parts.problems,
    }


def _owner(machine: Machine) -> str:
    """Return the user whose files are read: the one at the desktop, else the login; raises Refusal where Windows does not name him."""
    login = machine.state.login
    user = login.desktop_user or login.user
    if login.restricted:
        raise Refusal("denied", rights.CIM)
    if user != login.user and not login.elevated:
        raise Refusal("denied", rights.UNNAMED)
    return user


def _profile(machine: Machine) -> str:
    """Return that user's home folder."""
    try:
        return f"C:\\Users\\{_owner(machine).rpartition(chr(92))[2]}"
    except Refusal as refusal:
        raise Refusal("denied", f"the profile of the desktop user is not known: {refusal.message}") from None


def _processes(machine: Machine) -> list[dict[str, Any]]:
    rights.cim(machine.state)
    timeless = "CreationDate" in machine.state.unknown
    return [
        {
            "Name": each.name,
            "ProcessId": each.pid,
            "SessionId": each.session,
            "CreationDate": None if timeless else each.started,
        }
        for each in machine.state.programs
        if booting.of_docker_desktop(each.name)
    ]


def docker_desktop(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Start it or stop it by a task in the desktop user's session, or end its processes; does not wait for the engine."""
    action = data["action"]
    if action == "kill":
        return _acted(_killed(machine))
    if action not in {"start", "stop"}:
        return _acted(f"there is no action {action}")

    def act() -> int:
        if machine.state.engine.desktop is None:
            return _NO_PROGRAM
        machine.state.wrote(f"docker desktop {action}")
        if action == "stop":
            machine.desktop.stop()
        else:
            machine.desktop.start()
        return 0

    wait = max(_TASK_WAIT, float(data.get("seconds") or 0)) if action == "start" else _TASK_WAIT
    ran = machine.processes.tasks.run(act, Due(0.0, f"docker {action}"), wait=wait)
    messages = {
        "ended": "Docker Desktop is neither in Program Files nor among the programs of the desktop user",
        "no-user": "nobody is logged on at the desktop",
        "refused": f"the task of the desktop user could not be started: {ran.why}",
        "running": "the task of the desktop user is still under way",
    }
    done = ran.task == "ended" and ran.answer == 0
    return _acted(None if done else messages.get(ran.task, f"the task of the desktop user ended with 0x{ran.code or 0:08X}"), ran)


def _acted(problem: str | None, ran: Ran | None = None) -> dict[str, Any]:
    result = None if ran is None else ran.answer if ran.task == "ended" else ran.code
    return {
        "done": problem is None,
        "problem": problem,
        "task_result": result,
        "task": None if ran is None else ran.task,
        "task_code": None if ran is None else ran.code,
        "Problems": {} if ran is None else ran.problems,
    }


def _killed(machine: Machine) -> str | None:
    """End what runs of Docker Desktop; return why not all of it could be."""
    state = machine.state
    try:
        rights.cim(state)
    except Refusal as refusal:
        return refusal.message
    mine = [each for each in state.programs if booting.of_docker_desktop(each.name)]
    kept = [each for each in mine if not state.login.elevated and each.owner != state.login.user]
    if kept:
        why = 'Cannot stop process "{0} ({1})" because of the following error: Access is denied'
        return "; ".join(f"{each.name} ({each.pid}): {why.format(each.name.removesuffix('.exe'), each.pid)}" for each in kept)
    machine.state.wrote("docker desktop kill")
    machine.desktop.stop(forced=True)
    return None


def notify(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Show a message to the user at the desktop."""

    def show() -> int:
        machine.state.messages.append(str(data["message"]))
        return 0

    ran = machine.processes.tasks.run(show, Due(0.0, "message", programs=[{"message": str(data["message"])}]), wait=10.0)
    if ran.task == "ended":  # while the message stands there, its task runs
        ran = Ran("running", RUNNING)
    if ran.task == "refused" and machine.state.login.restricted:  # no task was made: Windows names no user for it
        return {"shown": False}
    return {"shown": ran.code == RUNNING, "task": ran.task, "task_code": ran.code, "Problems": ran.problems}


def folder(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a folder, and the space of its drive; a folder that may not be listed does not hide the space."""
    path, parts = str(data["path"]), Parts()
    total, free = _space(machine, path)
    if total is None:
        drive = ntpath.splitdrive(ntpath.normpath(path))[0]
        parts.problems |= dict.fromkeys(("Total", "Free"), f"the drive {drive}\\ is not ready")
    return {
        "Entries": None if data.get("entries") is False else parts.read("Entries", lambda: _entries(machine, path)),
        "Total": total,
        "Free": free,
        "Problems": parts.problems,
    }


def _entries(machine: Machine, path: str) -> list[dict[str, Any]] | None:
    if rights.closed(machine.state, path):
        raise Refusal("denied", f"Access to the path '{path}' is denied.")
    if not machine.files.folder(path):
        return None
    return [
        {"Name": name, "Length": size, "LastWriteTime": modified, "Folder": below}
        for name, size, below, modified in machine.files.entries(path)
    ]


def _space(machine: Machine, path: str) -> tuple[int | None, int | None]:
    state, drive = machine.state, ntpath.splitdrive(ntpath.normpath(path))[0].upper()
    if drive == "C:":
        return state.disk_total, state.disk_free
    total, free = state.drives.get(drive, (None, None))
    return total, free


def requests(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model and layers that request bodies name."""
    rows, refused, parts = [], [], Parts()
    for path in map(str, data["paths"]):
        content = machine.files.get(path)
        if content is not None and len(content) > _BODY:
            continue
        logged = parts.read(path, lambda path=path: text(machine, path))  # type: ignore[misc]  # bound now, not after the loop
        if rights.closed(machine.state, path):
            refused.append(path)
        elif logged is not None:
            rows.append({"Path": path, "Text": ", ".join(re.findall(r'"(?:model|num_gpu)" *: *(?:"[^"]*"|-?[0-9]+)', logged))})
    return {"Rows": rows, "Refused": refused, "Problems": parts.problems}


def file(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Make a folder, rename a file to a name that is free, or remove it; a missing one counts as removed."""
    actions = {
        "make": _make, "remove": _remove, "rename": _rename, "remove-folder": _remove_folder, "remove-empty": _remove_empty, "touch": _touch,
    }  # fmt: skip
    action = actions.get(str(data["action"]))
    if action is None:
        return {"Done": False, "Problem": f"unknown action {data['action']}"}
    try:
        action(machine, str(data["path"]), str(data.get("to")))
    except Refusal as refusal:
        return {"Done": False, "Problem": refusal.message}
    return {"Done": True, "Problem": None}


def lease(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Make, remove and list the numbered directories of a folder; of two clients that make one, only one succeeds."""
    folder, parts = str(data["folder"]), Parts()
    made, names, kept = None, None, []
    if data.get("make") is not None:
        made = parts.read("Made", lambda: _lease_made(machine, folder, int(data["make"])))
    for number in map(int, data.get("remove") or ()):
        if rights.closed(machine.state, folder):
            kept.append(number)
            parts.problems["Kept"] = f"Access to the path '{ntpath.join(folder, str(number))}' is denied."
        else:
            machine.files.remove_folder(ntpath.join(folder, str(number)))
    if data.get("list"):
        names = parts.read("Names", lambda: [each["Name"] for each in _entries(machine, folder) or [] if each["Folder"]])
    return {"Made": made, "Kept": kept, "Names": names, "Problems": parts.problems}


def _lease_made(machine: Machine, folder: str, number: int) -> bool:
    path = ntpath.join(folder, str(number))
    if rights.closed(machine.state, folder):
        raise Refusal("denied", f"Access to the path '{path}' is denied.")
    return machine.files.make_folder(path)


def _make(machine: Machine, path: str, _: str) -> None:
    rights.may_open(machine.state, path)
    if machine.files.make_folder(path):
        machine.state.wrote(f"mkdir {ntpath.basename(path)}")


def _remove(machine: Machine, path: str, _: str) -> None:
    rights.may_open(machine.state, path)
    if machine.files.get(path) is not None:
        machine.files.remove(path)
        machine.state.wrote(f"remove {ntpath.basename(path)}")
    elif machine.files.folder(path):
        raise Refusal("denied", f"Access to the path '{path}' is denied.")


def _remove_folder(machine: Machine, path: str, _: str) -> None:
    rights.may_open(machine.state, path)
    if machine.files.folder(path):
        machine.files.remove_folder(path)
        machine.state.wrote(f"remove {ntpath.basename(path)}")


def _remove_empty(machine: Machine, path: str, to: str) -> None:
    if any(name != "~folder" for name in machine.files.names(path)):
        raise Refusal("error", "The directory is not empty.")
    _remove_folder(machine, path, to)


def _touch(machine: Machine, path: str, _: str) -> None:
    rights.may_open(machine.state, path)
    machine.files.put(path, machine.files.get(path) or b"")
    machine.state.wrote(f"touch {ntpath.basename(path)}")


def status(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is at a path."""
    path = ntpath.normpath(str(data["path"]))
    if rights.closed(machine.state, path):
        refused = f"Access to the path '{path}' is denied."
        return {"Exists": None, **dict.fromkeys(_STATUS), "Problems": {"Exists": refused}}
    found = stat(machine, path)
    if found["kind"] is None:
        return {"Exists": False, **dict.fromkeys(_STATUS), "Problems": {}}
    name, content, folder = data.get("algorithm"), machine.files.get(path), found["kind"] == "folder"
    summed = None if content is None or not name else hashlib.new(str(name), content).hexdigest()
    stem = ntpath.basename(path)
    return {
        "Exists": True, "Path": path, "Name": stem, "Extension": f".{stem.rpartition('.')[2]}" if "." in stem else "", "Folder": folder,
        "Link": False, "Junction": False, "Target": None, "Length": found["size"], "Attributes": "Directory" if folder else "Archive",
        "Hidden": False, "Archive": not folder, "ReadOnly": False, "Created": found["created"], "Accessed": machine.clock.now(),
        "Written": found["modified"], "Owner": found["owner"], "Sum": summed, "Problems": {},
    }  # fmt: skip


def _rename(machine: Machine, path: str, to: str) -> None:
    for each in (path, to):
        rights.may_open(machine.state, each)
    content = machine.files.get(path)
    if content is None:
        raise Refusal("not-found", f"Could not find file '{path}'.")
    if not machine.files.folder(ntpath.dirname(ntpath.normpath(to))):
        raise Refusal("not-found", "Could not find a part of the path.")
    if machine.files.get(to) is not None or machine.files.folder(to):
        raise Refusal("error", "Cannot create a file when that file already exists.")
    machine.files.put(to, content)
    machine.files.remove(path)
    machine.state.wrote(f"rename {ntpath.basename(path)}")


def sample(machine: Machine, data: Mapping[str, Any]) -> dict[str, Any]:
    """nvidia-smi's CSV again and again."""
    if not machine.state.card.installed:
        return {"rc": None, "stderr": "", "rows": [], "Problems": {}}
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
    errors = (done.stderr or (done.stdout if done.rc else b"")).decode()
    return {"rc": done.rc, "stderr": errors, "rows": rows, "Problems": {}}


def text(machine: Machine, path: str) -> str | None:
    """Return a file's text, decoded by the mark at its beginning, else as UTF-8; raises Refusal where it may not be opened."""
    rights.may_open(machine.state, path)
    content = machine.files.get(path)
    if content is None:
        return None
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    return content.decode("utf-8", "replace")
