"""What Windows itself answers to a real PowerShell: classes, registry, services, tasks, windows and files.

The probes' own answers (`probes`, `host_probes`, `readiness`) are not used here: a test compares the two.
"""

from __future__ import annotations

import base64
import ntpath
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from remediation_lab import programs
from remediation_lab.host import services
from remediation_lab.host.front import Front
from remediation_lab.host.stats import ROOTS, home, stat
from remediation_lab.wire import Json, Refusal
from remediation_lab.world import booting, rights
from remediation_lab.world.scheduler import DENIED
from remediation_lab.world.state import Program, normal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_COUNTERS = "Win32_PerfFormattedData_GPUPerformanceCounters_"
_CLASSES = ("GPUAdapterMemory", "GPUEngine", "GPULocalAdapterMemory", "GPUNonLocalAdapterMemory", "GPUProcessMemory")
_LXSS = "Software\\Microsoft\\Windows\\CurrentVersion\\Lxss"
_PROFILES = "HKLM:\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\"
_SERVICES = "HKLM:\\SYSTEM\\CurrentControlSet\\Services\\"
_ENVIRONMENT = "HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment"
SHELL = "powershell.exe"
_ACCESS_DENIED = 2
"""What GetOwner returns for a process that the login may not open."""


def _of_class(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return a service with the properties of Win32_Service."""
    named = {name: value for name, value in row.items() if name not in {"Pid", "Delayed"}}
    return {**named, "DelayedAutoStart": row["Delayed"], "DesktopInteract": False, "AcceptPause": False}


class Windows:
    """The operating system of one machine, as its own commands and .NET see it."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._front = machine, Front(machine)

    def ask(self, what: str, fields: Mapping[str, Json]) -> Json:
        """Answer one question; raises Refusal."""
        handler = getattr(self, f"ask_{what}", None)
        if handler is None:
            raise Refusal("error", f"unknown question for Windows: {what!r}")
        return handler(**fields)

    def change(self, what: str, fields: Mapping[str, Json]) -> Json:
        """Change something; raises Refusal."""
        handler = getattr(self, f"do_{what}", None)
        if handler is None:
            raise Refusal("error", f"Windows cannot {what!r}")
        return handler(**fields)

    # the login

    def ask_login(self) -> dict[str, Json]:
        """Return who is logged in here, and where."""
        state = self._machine.state
        login, name = state.login, state.name.upper()
        return {
            "user": login.user, "sid": rights.security_id(login.user), "elevated": login.elevated, "session": login.session, "machine": name,
            "version": state.version, "language_mode": login.language_mode, "home": home(login.user), "desktop_home": login.desktop_user and home(login.desktop_user),
        }  # fmt: skip

    def ask_sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._machine.clock.sleep(seconds)

    # classes

    def ask_instances(self, name: str, shell: int) -> list[dict[str, Json]]:
        """Return the instances of a CIM class, with CIM's names; ``no-class`` where there is none. `shell` is the caller's number."""
        rights.cim(self._machine.state)
        classes: Mapping[str, Callable[[], list[dict[str, Json]]]] = {
            "win32_process": lambda: [*self._processes(), self._shell(shell)],
            "win32_service": self._services,
            "win32_computersystem": self._computer,
            "win32_operatingsystem": self._system,
            "win32_perfformatteddata_perfos_processor": self._load,
            f"{_COUNTERS}GPUProcessMemory".lower(): lambda: self._counted(self._machine.memory.process_rows()),
            f"{_COUNTERS}GPUAdapterMemory".lower(): lambda: self._counted(self._machine.memory.adapter_rows()),
        }
        found = classes.get(name.lower())
        if found is None:
            raise Refusal("no-class", "Invalid class ")
        return found()

    def ask_classes(self) -> list[str]:
        """Return the names of the classes of GPU counters."""
        rights.cim(self._machine.state)
        return [f"{_COUNTERS}{each}" for each in _CLASSES] if self._machine.state.card.counters else []

    def ask_owner(self, pid: int) -> dict[str, Json]:
        """Return what GetOwner and GetOwnerSid say of a process."""
        rights.cim(self._machine.state)
        each = self._process(pid)
        if each is None:
            raise Refusal("not-found", "Not found ")
        if not each.owner or not self._sees(each):
            return {"ReturnValue": _ACCESS_DENIED}
        domain, _, user = each.owner.rpartition("\\")
        return {"ReturnValue": 0, "Domain": domain, "User": user, "Sid": rights.security_id(each.owner)}

    def _process(self, pid: int) -> Program | None:
        return next((each for each in self._machine.state.programs if each.pid == pid), None)

    def _sees(self, program: Program) -> bool:
        login = self._machine.state.login
        return login.elevated or program.owner == login.user

    def _processes(self) -> list[dict[str, Json]]:
        timeless = "CreationDate" in self._machine.state.unknown
        return [
            {
                "Name": each.name, "ProcessId": each.pid, "ParentProcessId": each.parent, "SessionId": each.session,
                "ExecutablePath": each.path if self._sees(each) else None,
                "CommandLine": (each.command or (f'"{each.path}"' if each.path else None)) if self._sees(each) else None,
                "CreationDate": None if timeless or each.name == "System" else each.started,
            }
            for each in self._machine.state.programs
        ]  # fmt: skip

    def _shell(self, number: int) -> dict[str, Json]:
        """Return the caller's own process, which is in no other list of the lab."""
        login = self._machine.state.login
        above = next((each.pid for each in self._machine.state.programs if each.name == "winrshost.exe"), 4)
        return {
            "Name": SHELL, "ProcessId": number, "ParentProcessId": above, "SessionId": login.session,
            "ExecutablePath": f"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\{SHELL}", "CreationDate": self._machine.clock.now(),
        }  # fmt: skip

    def _services(self) -> list[dict[str, Json]]:
        running = {each.service: each.pid for each in self._machine.state.programs if each.service}
        known = services.all_of(self._machine)
        rest = [{"Name": name, "ProcessId": pid} for name, pid in running.items() if name.lower() not in known]
        return [*rest, *({**_of_class(row), "ProcessId": running.get(row["Name"], 0)} for row in known.values())]

    def _computer(self) -> list[dict[str, Json]]:
        return [
            {
                "Name": self._machine.state.name.upper(),
                "UserName": self._machine.state.login.desktop_user,
                "Domain": "WORKGROUP",
                "NumberOfProcessors": 1,
                "NumberOfLogicalProcessors": 16,
            }
        ]

    def _system(self) -> list[dict[str, Json]]:
        state = self._machine.state
        row = {
            "Caption": state.caption, "Version": state.version, "CSName": state.name.upper(), "TotalVisibleMemorySize": state.memory_total // 1024,
            "FreePhysicalMemory": state.memory_free // 1024, "LastBootUpTime": state.booted, "ProductType": 1, "OSArchitecture": "64-bit",
        }  # fmt: skip
        return [self._without_unknown(row)]

    def _load(self) -> list[dict[str, Json]]:
        return [{"Name": "_Total", "PercentProcessorTime": self._machine.network.load()[1]}]

    def _counted(self, rows: list[dict[str, Json]]) -> list[dict[str, Json]]:
        if not self._machine.state.card.counters:
            raise Refusal("no-class", "Invalid class ")
        return [self._without_unknown(row) for row in rows]

    def _without_unknown(self, row: Mapping[str, Json]) -> dict[str, Json]:
        return {key: None if key in self._machine.state.unknown else value for key, value in row.items()}

    # services, WinRM's configuration, the registry

    def do_service(self, name: str, action: str) -> None:
        """Start, stop or pause a service."""
        answer = services.service(self._machine, {"name": name, "action": action})
        if answer["Problem"]:
            raise Refusal("error", answer["Problem"])

    def ask_service(self, name: str) -> str | None:
        """Return a service's state, None where there is none or the login may not ask."""
        state = self._machine.state
        row = None if state.login.restricted else services.all_of(self._machine).get(name.lower())
        if row is not None:
            return str(row["State"])
        if state.login.restricted or state.setup.wsl_service is None or name.lower() != state.setup.wsl_service.lower():
            return None
        return "Running" if state.engine.up else "Stopped"

    def ask_wsman(self) -> str:
        """Return ``winrm/config``, which only administrators may read."""
        state = self._machine.state
        if not state.login.elevated:
            raise Refusal("denied", rights.WSMAN)

        def value(name: str) -> str:
            if name in state.unknown:
                return ""
            source = ' Source="GPO"' if name in state.setup.by_policy else ""
            return f"<cfg:{name}{source}>{escape(str(state.setup.quotas[name]))}</cfg:{name}>"

        service = ("MaxConcurrentOperationsPerUser", "MaxConnections")
        shells = ("IdleTimeout", "MaxConcurrentUsers", "MaxProcessesPerShell", "MaxMemoryPerShellMB", "MaxShellsPerUser")
        parts = "".join(value(each) for each in ("MaxEnvelopeSizekb", "MaxTimeoutms"))
        parts += f"<cfg:Service>{''.join(map(value, service))}</cfg:Service><cfg:Winrs>{''.join(map(value, shells))}</cfg:Winrs>"
        return f'<cfg:Config xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config">{parts}</cfg:Config>'

    def ask_key(self, path: str) -> dict[str, Json] | None:
        """Return a registry key's values and subkeys; None where there is no such key, Refusal where it is closed."""
        keys = self._registry()
        path = path.replace("Registry::HKEY_LOCAL_MACHINE", "HKLM:", 1)
        found = {name.lower(): each for name, each in keys.items()}.get(path.rstrip("\\").lower())
        if found is None:
            return None
        if found.pop("closed", False):
            raise Refusal("denied", "Requested registry access is not allowed.")
        below = path.rstrip("\\").lower() + "\\"
        names = [each[len(below) :] for each in keys if each.lower().startswith(below)]
        return {"values": found, "keys": [each for each in names if "\\" not in each]}

    def _registry(self) -> dict[str, dict[str, Json]]:
        state, hives = self._machine.state, "Registry::HKEY_USERS"
        keys: dict[str, dict[str, Json]] = {
            hives: {}, f"{hives}\\S-1-5-18": {}, _ENVIRONMENT: dict(state.variables.get("machine", {})),
        }  # fmt: skip
        if state.setup.wsl_service is not None:
            keys[_SERVICES + state.setup.wsl_service] = {}
        for name in filter(None, {state.login.desktop_user, state.login.user}):
            keys[_PROFILES + rights.security_id(name)] = {"ProfileImagePath": home(name)}
        user = state.login.desktop_user
        if user is not None:
            closed = {} if state.login.elevated or user == state.login.user else {"closed": True}
            hive = f"{hives}\\{rights.security_id(user)}"
            keys[hive] = dict(closed)
            keys[f"{hive}\\Environment"] = {**state.variables.get(user, {}), **closed}
            if state.setup.distributions or closed:
                keys[f"{hive}\\{_LXSS}"] = dict(closed)
            for number, name in enumerate(state.setup.distributions):
                keys[f"{hive}\\{_LXSS}\\{{{number}}}"] = {
                    "DistributionName": name,
                    "Version": state.setup.wsl_generation,
                    **closed,
                }
        return keys

    # processes, windows and tasks

    def ask_windows(self, session: int) -> list[dict[str, Json]]:
        """Return the processes as Get-Process does; only those of the caller's session show their windows."""
        return [
            {
                "Id": each.pid, "Name": each.name.removesuffix(".exe"), "SessionId": each.session,
                "Handle": each.pid * 16 + each.asked % each.windows + 1 if each.windows and each.session == session else 0,
                "Owner": each.owner if self._sees(each) else None,
            }
            for each in self._machine.state.programs
        ]  # fmt: skip

    def do_close_window(self, pid: int) -> None:
        """Ask the main window of a process to close; another of its windows is then the main one."""
        each = self._process(pid)
        if each is None or not each.windows:
            return
        each.asked += 1
        if each.asked % each.windows == 0:
            self._machine.processes.ask(each)

    def do_stop(self, pid: int) -> None:
        """End one process by force."""
        each = self._process(pid)
        if each is None:
            raise Refusal("not-found", f"Cannot find a process with the process identifier {pid}.")
        if not self._sees(each):
            name = each.name.removesuffix(".exe")
            raise Refusal("denied", f'Cannot stop process "{name} ({pid})" because of the following error: Access is denied')
        self._machine.state.wrote(f"kill {each.name}")
        self._machine.processes.end_one(each)

    def do_register(self) -> None:
        """Let the login register a task for the desktop's user, or not."""
        login, tasks = self._machine.state.login, self._machine.state.tasks
        if tasks.refused or (not login.elevated and login.desktop_user != login.user):
            raise Refusal("denied", f"Access is denied. (0x{DENIED:08X})")

    def ask_task(self) -> dict[str, Json]:
        """Return what becomes of a task of this machine."""
        tasks = self._machine.state.tasks
        return {"seconds": tasks.seconds, "queued": tasks.queued, "code": tasks.code, "now": self._machine.clock.now()}

    def do_start(self, path: str, arguments: str) -> None:
        """Start a program at the desktop and do not wait for it."""
        name = ntpath.basename(path).lower()
        if stat(self._machine, path)["kind"] != "file":
            raise Refusal("not-found", "The system cannot find the file specified.")
        if name == booting.DESKTOP.lower():
            self._machine.state.wrote("docker desktop start")
            self._machine.desktop.start()
        elif name == "docker.exe" and arguments.startswith("desktop stop"):
            self._machine.state.wrote("docker desktop stop")
            self._machine.desktop.stop()
        else:
            argv = [path, *arguments.split()]
            programs.find(argv)(self._machine, programs.Call(tuple(argv), b"", "C:\\", {}, self._machine.clock.now() + 60, 1))

    def do_message(self, text: str) -> None:
        """Show a message at the desktop."""
        self._machine.state.messages.append(text)

    # the network

    def ask_connect(self, method: str, url: str) -> dict[str, Json]:
        """Return where a real HTTP client reaches the machine's own network."""
        return self._front.connect(method, url)

    # files

    def ask_stat(self, path: str, session: int = 0) -> dict[str, Json]:
        """Return what is at a path; a task may see what the desktop's user may."""
        return stat(self._machine, path, session)

    def ask_list(self, path: str) -> list[dict[str, Json]]:
        """Return the entries of a folder."""
        self._may_enter(path)
        return [
            {"Name": name, "Length": size, "Folder": below, "Modified": modified}
            for name, size, below, modified in self._machine.files.entries(path)
        ]

    def ask_space(self, path: str) -> list[int] | None:
        """Return total and free bytes of a drive, None where it is not ready."""
        state, drive = self._machine.state, ntpath.splitdrive(path)[0].upper()
        return [state.disk_total, state.disk_free] if drive == "C:" else state.drives.get(drive)

    def ask_read(self, path: str, offset: int, count: int) -> str:
        """Return a part of a file in base64."""
        return base64.b64encode(self._machine.files.part(path, offset, count)).decode()

    def ask_open(self, path: str, new: bool = False, write: bool = False) -> int:
        """Check that a file may be opened, and return its size; `new` creates it, and it must not be there."""
        files = self._machine.files
        rights.may_open(self._machine.state, path)
        size = files.size(path)
        if new and size is not None:
            raise Refusal("exists", f"The file '{path}' already exists.")
        if size is None:
            if files.folder(path):
                raise Refusal("denied", f"Access to the path '{path}' is denied.")
            self._may_enter(ntpath.dirname(path), path)
            if not new and not write:
                raise Refusal("no-file", f"Could not find file '{path}'.")
            files.write_part(path, 0, b"")
        return size or 0

    def ask_write(self, path: str, offset: int, content: str) -> None:
        """Write a part of a file that is open; it is saved with the machine once it is closed or moved."""
        if self._machine.files.size(path) is None:  # its folder was removed meanwhile
            raise Refusal("no-file", f"Could not find file '{path}'.")
        self._machine.files.write_part(path, offset, base64.b64decode(content))

    def ask_length(self, path: str, size: int) -> None:
        """Cut a file that is open, or fill it with zeros."""
        self._machine.files.cut(path, size)

    def do_delete(self, path: str) -> None:
        """Delete a file; a missing one is none of .NET's concern, a missing folder is."""
        rights.may_open(self._machine.state, path)
        if self._machine.files.size(path) is not None:
            self._count("remove", path)
            self._machine.files.remove(path)
        elif self._machine.files.folder(path):
            raise Refusal("denied", f"Access to the path '{path}' is denied.")
        else:
            self._may_enter(ntpath.dirname(path), path)

    def do_move(self, path: str, to: str, replace: bool = False) -> None:
        """Rename a file or a folder."""
        files = self._machine.files
        for each in (path, to):
            rights.may_open(self._machine.state, each)
        if files.size(to) is None or not replace:
            if files.size(to) is not None or files.folder(to):
                raise Refusal("exists", "Cannot create a file when that file already exists.")
            if not (files.folder(ntpath.dirname(to)) or normal(ntpath.dirname(to)) in ROOTS):
                raise Refusal("no-folder", "Could not find a part of the path.")
        if files.size(path) is None and not files.folder(path):
            raise Refusal("no-file", f"Could not find file '{path}'.")
        self._count("file" if files.is_part(path) else "rename", to if files.is_part(path) else path)
        files.move(path, to)

    def do_copy(self, path: str, to: str) -> None:
        """Copy a file over another one."""
        files = self._machine.files
        for each in (path, to):
            rights.may_open(self._machine.state, each)
        self._may_enter(ntpath.dirname(to), to)
        content = files.get(path)
        if content is None:
            raise Refusal("no-file", f"Could not find file '{path}'.")
        if files.size(to) is None and files.folder(to):
            raise Refusal("denied", f"Access to the path '{to}' is denied.")
        files.put(to, content)

    def do_make(self, path: str) -> None:
        """Make a folder and those above it."""
        rights.may_open(self._machine.state, path)
        if self._machine.files.size(path) is not None:
            raise Refusal("exists", f"Cannot create '{path}' because a file or directory with the same name already exists.")
        if self._machine.files.make_folder(path):
            self._count("mkdir", path)

    def do_remove(self, path: str, below: bool) -> None:
        """Remove a folder; `below`: with all in it."""
        rights.may_open(self._machine.state, path)
        if not self._machine.files.folder(path):
            raise Refusal("no-folder", f"Could not find a part of the path '{path}'.")
        if not below and self._machine.files.holds(path):
            raise Refusal("error", f"The directory is not empty. : '{path}'")
        self._machine.files.remove_folder(path)

    def _may_enter(self, folder: str, path: str | None = None) -> None:
        if rights.closed(self._machine.state, folder):
            raise Refusal("denied", f"Access to the path '{path or folder}' is denied.")
        if not self._machine.files.folder(folder) and normal(folder) not in ROOTS:
            raise Refusal("no-folder", f"Could not find a part of the path '{path or folder}'.")

    def _count(self, what: str, path: str) -> None:
        """Count a write, as the stand-in does: neither leases nor the answers of tasks."""
        if "\\remediation" not in path.lower() and not self._machine.files.is_part(path):
            self._machine.state.wrote(f"{what} {ntpath.basename(path)}")
