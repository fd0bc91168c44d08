"""A stand-in for Windows under a real PowerShell: its commands (``windows.psm1``), its folders, and what goes wrong with them.

    host = Windows(tmp_path)
    host.world["console"] = None
    reply = host.probe("session", disturbed=[refused("Get-CimInstance", "Win32_Process")])

A probe runs through the product's own connection. A command of Windows answers from `Windows.world`; a disturbance says which calls
behave otherwise, by the command's name, a part of its arguments and a part of the line that it is called from. Static methods of .NET
that touch the system are disturbed in the same way, by the type's whole name: ``refused("System.IO.File::ReadAllText")``.
Only time does not pass: what a script waits with ``Start-Sleep`` is counted, and its stopwatch includes it.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from remediation.connections.calls import Probe, ProbeReply, Reply
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.facets.scripts import PARAMETERS, script
from tests.powershell import shell

FOLDER = Path(__file__).parent
MODULE = FOLDER / "windows.psm1"
STATE = "windows-state"
STARTED = 1764000000.0
"""When the processes of the world were started, in seconds since the epoch."""
USER = "DEV-07\\ada"
SID = "S-1-5-21-7-1001"
SMI = """#!/bin/sh
fields=; loop=
for word in "$@"; do case "$word" in --query-gpu=*) fields=${word#*=} ;; --loop-ms=*) loop=1 ;; esac; done
line() { out=; for field in $(echo "$fields" | tr , ' '); do
  case "$field" in index) value=0 ;; name) value='NVIDIA RTX 4000' ;; memory.total) value=8192 ;; memory.used) value=1024 ;; memory.free) value=7168 ;;
    utilization.gpu) value=40 ;; uuid) value=GPU-1 ;; driver_version) value=560.94 ;; pci.bus_id) value=00000000:01:00.0 ;; *) value='[N/A]' ;; esac
  out="$out${out:+, }$value"; done; echo "$out"; }
line
while [ "$loop" ] && sleep 0.05; do line; done
"""
TASKKILL = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = /PID ] && touch "ENDED/$2"; shift; done
"""
_PURE = {
    "BitConverter", "Convert", "DateTime", "DateTimeKind", "Diagnostics.Process::GetCurrentProcess", "Environment", "IO.Directory::Exists",
    "IO.File::Exists", "IO.Path", "Management.Automation.Runspaces.RunspaceFactory", "Math", "Net.WebUtility", "NullString", "Regex", "String", "Text.Encoding",
    "TimeSpan", "Threading.Tasks.Task", "Threading.Thread", "double", "guid", "int", "int64", "long", "regex", "string",
}  # fmt: skip
"""Types and static methods that do not fail on any system."""
_STATIC = re.compile(r"\[([\w.]+)\]::(\w+)\(")
_PLAYED = {
    "Diagnostics.Stopwatch": "StandIn.Stopwatch",
    "Security.Principal.WindowsIdentity": "StandIn.WindowsIdentity",
    "Security.Principal.WindowsPrincipal": "StandIn.WindowsPrincipal",
}
_WSMAN = (
    '<cfg:Config xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config"><cfg:MaxEnvelopeSizekb>500</cfg:MaxEnvelopeSizekb>'
    "<cfg:MaxTimeoutms>60000</cfg:MaxTimeoutms><cfg:Service><cfg:MaxConcurrentOperationsPerUser>1500</cfg:MaxConcurrentOperationsPerUser>"
    '<cfg:MaxConnections>300</cfg:MaxConnections></cfg:Service><cfg:Winrs><cfg:IdleTimeout Source="GPO">900000</cfg:IdleTimeout>'
    "<cfg:MaxConcurrentUsers>10</cfg:MaxConcurrentUsers><cfg:MaxProcessesPerShell>25</cfg:MaxProcessesPerShell>"
    "<cfg:MaxMemoryPerShellMB>1024</cfg:MaxMemoryPerShellMB><cfg:MaxShellsPerUser>30</cfg:MaxShellsPerUser></cfg:Winrs></cfg:Config>"
)
MACHINE = "Registry::HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment"
SERVICES = "Registry::HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services"
_COUNTERS = "Win32_PerfFormattedData_GPUPerformanceCounters_"


def played(name: str) -> str:
    """Return a probe's text with the stand-in loaded before it, and with the types replaced that no module can shadow."""
    if name == STATE:
        return f"{PARAMETERS}ConvertTo-Json -Depth 20 -Compress -InputObject (Get-WindowsState)"
    text = script(name)
    for real, ours in _PLAYED.items():
        text = re.sub(rf"(?<=\[|\s){re.escape(real)}(?=\]|\s)", ours, text)
    text = "\n".join(_STATIC.sub(partial(_passed, number), line) for number, line in enumerate(text.split("\n")))
    head, parameters, body = text.partition(PARAMETERS)
    return f"{head}{parameters}Import-Module '{MODULE}' -DisableNameChecking -Global; Initialize-Windows\n{body}"


def _passed(number: int, match: re.Match[str]) -> str:
    kind, method = match[1], match[2]
    if kind in _PURE or f"{kind}::{method}" in _PURE or kind.startswith("StandIn.") or kind == "PowerShell":
        return match[0]
    return f"([StandIn.State]::Pass([{kind}], {{{method}}}, {{L{number};}}))::{method}("


def disturbance(how: str, command: str, words: str = "", *, line: str = "", **more: object) -> dict[str, Any]:
    """Return what makes a command behave as `how` says: refused, gone, null, empty, one, many, slow or vanishing.

    ``Message`` and ``Code`` say what is refused (``0x80070005`` by default), ``Seconds`` how long a slow command takes.
    """
    return {"How": how, "Command": command, "With": words, "Line": line, **more}


def refused(command: str, words: str = "", **more: object) -> dict[str, Any]:
    """Return what makes Windows refuse a command."""
    return disturbance("refused", command, words, **more)  # type: ignore[arg-type]  # the fields of a disturbance


def process(
    pid: int, name: str, *, parent: int = 4, session: int = 1, owner: str | None = USER, **more: object
) -> dict[str, Any]:
    """Return one row of `Windows.world`: ``window`` is the handle of its window, ``closes`` whether it ends on a request to close."""
    return {
        "ProcessId": pid, "Name": name, "ParentProcessId": parent, "SessionId": session, "ExecutablePath": f"C:\\Programs\\{name}",
        "CreationDate": STARTED + pid, "Owner": owner, "Sid": SID, "window": 0, "closes": False, **more,
    }  # fmt: skip


class Windows:
    """The stand-in below `root`, and one PowerShell that sees it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ended = root / "ended"
        self.programs = root / "Program Files"
        self.system = root / "Windows"
        self.profile = root / "Users" / "ada"
        self.data = root / "ProgramData"
        for folder in (self.ended, self.system / "System32", self.programs, self.profile, self.data, root / "Temp"):
            folder.mkdir(parents=True, exist_ok=True)
        self.shown, self.started, self.written = root / "shown", root / "started", root / "written"
        self.world = self._world()
        self._control = root / "windows.json"
        hashed = hashlib.sha256((FOLDER / "windows.cs").read_bytes() + shell.program().encode()).hexdigest()[:16]
        environment = {
            "REMEDIATION_WINDOWS": str(self._control),
            "REMEDIATION_WINDOWS_TYPES": str(Path(tempfile.gettempdir()) / f"remediation-{hashed}-{getpass.getuser()}.dll"),
        }
        self.restore()
        self.control()
        words = ("env", *(f"{name}={value}" for name, value in environment.items()), shell.program())
        self.connection = WorkerConnection(
            "here", ChildChannel("here", before=words), scripts=played, opening=60.0, greeting=60.0
        )

    def close(self) -> None:
        """End the PowerShell."""
        self.connection.close()

    def restore(self) -> None:
        """Let the processes that have ended run again, put the programs back, and forget what was started, shown and left."""
        for left in self.left():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for path in (*self.ended.iterdir(), self.started, self.shown, self.written):
            path.unlink(missing_ok=True)
        self.program(self.system / "System32" / "nvidia-smi.exe", SMI)
        self.program(self.system / "System32" / "taskkill.exe", TASKKILL.replace("ENDED", str(self.ended)))

    def probe(self, name: str, data: Mapping[str, Any] | None = None, *, disturbed: Sequence[Mapping[str, Any]] = ()) -> Reply:
        """Return what a probe replies while some of its calls are disturbed."""
        self.control(disturbed)
        (reply,) = self.connection.exchange([Probe(name, dict(data or {}), timeout=60.0)])
        return reply

    def answer(self, name: str, data: Mapping[str, Any] | None = None, *, disturbed: Sequence[Mapping[str, Any]] = ()) -> Any:
        """Return the value of a probe, which must not fail."""
        reply = self.probe(name, data, disturbed=disturbed)
        assert isinstance(reply, ProbeReply), reply
        return reply.value

    def state(self) -> dict[str, Any]:
        """Return what the last probe left: ``tasks`` that are still registered, ``calls`` (command, arguments and line,
        with tabs between them), and the seconds it ``waited``."""
        (reply,) = self.connection.exchange([Probe(STATE, {})])
        assert isinstance(reply, ProbeReply), reply
        return dict(reply.value)

    def left(self) -> list[Path]:
        """Return the files and folders that a probe made and did not remove: all of the product's have its name."""
        return sorted(self.root.rglob("*remediation*"))

    def control(self, disturbed: Sequence[Mapping[str, Any]] = ()) -> None:
        """Write what the module reads when the next probe begins."""
        self._control.write_text(json.dumps({**self.world, "disturbed": list(disturbed)}), encoding="utf-8")

    @staticmethod
    def program(path: Path, text: str) -> None:
        """Write a shell script that is started by a Windows program's name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def _world(self) -> dict[str, Any]:
        lxss = f"Registry::HKEY_USERS\\{SID}\\Software\\Microsoft\\Windows\\CurrentVersion\\Lxss"
        profiles = "HKLM:\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList"
        return {
            "login": USER,
            "login_sid": SID,
            "elevated": True,
            "rate": 1,
            "console": USER,
            "environment": {
                "SystemRoot": str(self.system), "windir": str(self.system), "ProgramFiles": str(self.programs), "ProgramData": str(self.data),
                "USERPROFILE": str(self.profile), "LOCALAPPDATA": str(self.profile / "AppData" / "Local"),
                "APPDATA": str(self.profile / "AppData" / "Roaming"), "TEMP": str(self.root / "Temp"), "SystemDrive": str(self.root),
            },
            "ended": str(self.ended),
            "shown": str(self.shown),
            "started": str(self.started),
            "written": str(self.written),
            "processes": [
                process(4, "System", parent=0, session=0, owner=None, ExecutablePath=None),
                process(700, "ollama.exe", session=0, owner="NT AUTHORITY\\SYSTEM"),
                process(1000, "explorer.exe"),
                process(2000, "explorer.exe", session=2, owner="DEV-07\\bob", Sid="S-1-5-21-7-1002"),
                process(5000, "game.exe", parent=1000, window=77, closes=True),
                process(5001, "game-child.exe", parent=5000),
                process(6000, "Docker Desktop.exe", parent=1000),
                process(6001, "com.docker.backend.exe", parent=6000),
            ],
            "services": [{"Name": "Ollama", "ProcessId": 700}, {"Name": "Other", "ProcessId": 700}],
            "system": {
                "Caption": "Microsoft Windows 11 Pro", "Version": "10.0.26100", "CSName": "DEV-07",
                "TotalVisibleMemorySize": 33_000_000, "FreePhysicalMemory": 20_000_000, "LastBootUpTime": STARTED - 1000,
            },
            "process_memory": [
                {"Name": f"pid_{pid}_luid_0x00000000_0x0000D1F2_phys_0", "LocalUsage": 1 << 30, "NonLocalUsage": 0, "DedicatedUsage": 1 << 30,
                 "SharedUsage": 1 << 20} for pid in (700, 5000)
            ],
            "adapter_memory": [{"Name": "luid_0x00000000_0x0000D1F2_phys_0", "DedicatedUsage": 2 << 30, "SharedUsage": 1 << 20}],
            "classes": [f"{_COUNTERS}GPUProcessMemory", f"{_COUNTERS}GPUAdapterMemory"],
            "wsman": _WSMAN,
            "wsl": [{"Name": "WSLService", "Status": "Running"}],
            "registry": {
                f"{profiles}\\{SID}": {"ProfileImagePath": str(self.profile)},
                "Registry::HKEY_USERS": {},
                MACHINE: {"Path": "C:\\Windows", "OLLAMA_KEEP_ALIVE": "10m"},
                f"Registry::HKEY_USERS\\{SID}\\Environment": {"OLLAMA_MODELS": "%USERPROFILE%\\models", "TEMP": "x", "OLLAMA_CONTEXT_LENGTH": "8192"},
                f"{SERVICES}\\OllamaNssm": {},
                f"{SERVICES}\\OllamaNssm\\Parameters": {"AppEnvironmentExtra": ["OLLAMA_HOST=0.0.0.0", "A=b"]},
                f"Registry::HKEY_USERS\\{SID}": {},
                lxss: {},
                f"{lxss}\\{{1}}": {"DistributionName": "Ubuntu", "Version": 2},
                f"{lxss}\\{{2}}": {"DistributionName": "docker-desktop", "Version": 2},
            },
            "task": {"seconds": 0, "code": None},
        }  # fmt: skip
