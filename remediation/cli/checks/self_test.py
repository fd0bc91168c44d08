"""The self-test of a Windows host: what ``docs/windows.md`` calls unproven, tried there. Reads only.

A trial compares what the project's scripts answer with what Windows says in another way, or with what must be true. What would change
the host, or needs another login, is left to a person, with its command. No name, path or value of the host is part of the report.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from remediation.connections.calls import Completed, Connection, Failed, Http, HttpReply, Probe, ProbeReply, Reply, Run
from remediation.model.clock import Clock
from remediation.model.text.words import plural

IDLE = 5.0
"""Seconds without a request, after which the worker must still read its input at once."""
_PROMPT = 10.0
_HIGH = "S-1-16-12288"
"""The label of a process with administrator's rights (well-known SIDs)."""
_EVERY = 1.0
_FIELDS = ("index", "memory.used", "memory.total")

Reported: TypeAlias = "tuple[bool | None, str]"
"""Whether it is as expected, None where the host does not tell; and why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing to find out. ``tells`` completes "whether …"; ``command`` is how a person finds out, in PowerShell on the host.

    Without ``judge`` only a person can.
    """

    name: str
    tells: str
    command: str
    judge: Callable[[HostAnswers], Reported] | None = None


class HostAnswers:
    """What one host answered; each call is made once."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection, self.clock = connection, clock
        self._known: dict[str, Reply] = {}

    def reply(self, name: str, call: Probe | Run | Http) -> Reply:
        """Return the reply to a call, under a name that the trials share."""
        if name not in self._known:
            (self._known[name],) = self._connection.exchange([call])
        return self._known[name]

    def probe(self, name: str, data: Mapping[str, Any] | None = None, *, again: str = "") -> dict[str, Any]:
        """Return the value of a probe. Raises `NoAnswer` if it failed."""
        reply = self.reply(name + again, Probe(name, dict(data or {}), timeout=60.0))
        if isinstance(reply, ProbeReply) and isinstance(reply.value, dict):
            return reply.value
        raise NoAnswer(reply.message if isinstance(reply, Failed) else f"the probe {name} answers with no object")

    def program(self, *argv: str) -> str:
        """Return what a program of Windows prints. Raises `NoAnswer` if it is not there."""
        reply = self.reply(" ".join(argv), Run(argv))
        if isinstance(reply, Completed) and reply.rc == 0:
            return reply.text.strip()
        raise NoAnswer(f"{argv[0]} does not answer")


class NoAnswer(Exception):  # a result, not an error of the program
    """The host does not say it."""


def _is(right: bool, otherwise: str, text: str = "") -> Reported:
    return (True, text) if right else (False, otherwise)


def _part(value: Mapping[str, Any], name: str) -> Any:
    """Return a part of an answer. Raises `NoAnswer` with Windows' reason if it was refused."""
    if value.get(name) is None and name in value.get("Problems", {}):
        raise NoAnswer(f"{name} was refused")
    return value.get(name)


def _user(host: HostAnswers) -> Reported:
    user = host.program("whoami").casefold()
    return _is(str(_part(host.probe("session"), "User")).casefold() == user, "whoami says another name")


def _check_elevation(host: HostAnswers) -> Reported:
    groups = host.program("whoami", "/groups")
    if "S-1-" not in groups:
        raise NoAnswer("whoami lists no groups")
    return _is(_part(host.probe("session"), "Elevated") is (_HIGH in groups), "the label of the login's token says otherwise")


def _desktop_user(host: HostAnswers) -> Reported:
    user = _part(host.probe("session"), "DesktopUser")
    shells = [each for each in host.probe("processes").get("Processes", ()) if str(each["Name"]).lower() == "explorer.exe"]
    return _is((user is not None) or not any(each["SessionId"] for each in shells), "explorer.exe runs and has no user")


def _times(host: HostAnswers) -> Reported:
    value = host.probe("system")
    booted, now = _part(value, "LastBootUpTime"), value["Now"]
    if booted is None:
        raise NoAnswer("Windows does not say when it started")
    return _is(0 < booted <= now, "the start lies after the present", f"up for {(now - booted) / 3600:.0f} h")


def _memory(host: HostAnswers) -> Reported:
    total, free = (_part(host.probe("system"), name) for name in ("TotalVisibleMemorySize", "FreePhysicalMemory"))
    if total is None or free is None:
        raise NoAnswer("Windows does not tell its memory")
    return _is(0 < free <= total, "more is free than there is")


def _creation_dates(host: HostAnswers) -> Reported:
    first, again = (
        {each["ProcessId"]: each["CreationDate"] for each in host.probe("processes", again=word).get("Processes", ())}
        for word in ("", " again")
    )
    both = [pid for pid in first if pid in again and first[pid] is not None]
    if not both:
        raise NoAnswer("no process has a start time")
    moved = sum(first[pid] != again[pid] for pid in both)
    return _is(
        moved == 0, f"{moved} of {len(both)} start times differ between two readings", plural(len(both), "process", "processes")
    )


def _owners(host: HostAnswers) -> Reported:
    rows = host.probe("processes").get("Processes", ())
    owned = sum(bool(each["Owner"]) for each in rows)
    if not rows:
        raise NoAnswer("Windows lists no process")
    return _is(owned > 0, "no process has an owner", f"{owned} of {len(rows)}")


def _counters(host: HostAnswers) -> Reported:
    value = host.probe("gpu", {"fields": _FIELDS, "fallback": ["index"]})
    if value["rc"] is None:
        raise NoAnswer("nvidia-smi is not there")
    if not _part(value, "adapter_memory"):
        raise NoAnswer("Windows has no counters of a GPU")
    cells = [int(cell) for cell in str(value["stdout"]).splitlines()[0].split(",") if cell.strip().isdigit()]
    if len(cells) != len(_FIELDS):
        raise NoAnswer("nvidia-smi tells no amounts")
    used = cells[1] * 1024**2
    near = min(abs(float(each["DedicatedUsage"] or 0) - used) for each in value["adapter_memory"])
    return _is(near <= 0.25 * used + 512 * 1024**2, "no adapter's use is near nvidia-smi's", f"{near / 1024**2:.0f} MiB apart")


def _process_memory(host: HostAnswers) -> Reported:
    value = host.probe("gpu", {"fields": _FIELDS, "fallback": ["index"]})
    rows = _part(value, "process_memory")
    if not rows:
        raise NoAnswer("Windows has no counters of a program's memory")
    named = sum(str(each["Name"]).startswith("pid_") for each in rows)
    return _is(named == len(rows), "a counter's name does not begin with its process", f"{named} rows")


def _http(host: HostAnswers) -> Reported:
    reply = host.reply("refused port", Http("GET", "http://127.0.0.1:9/", timeout=10.0))
    return _is(isinstance(reply, Failed) and reply.kind == "refused", "a closed port is not called refused")


def _first_byte(host: HostAnswers) -> Reported:
    reply = host.reply("version", Http("GET", "http://127.0.0.1:11434/api/version", timeout=10.0))
    if not isinstance(reply, HttpReply):
        raise NoAnswer("no Ollama answers on port 11434")
    return _is(reply.first_byte is not None and 0 <= reply.first_byte <= reply.elapsed, "the first byte has no time")


def _samples(host: HostAnswers) -> Reported:
    rows = host.probe("sample", {"fields": ["memory.used"], "every": _EVERY, "count": 3}).get("rows") or ()
    if len(rows) < 2:
        raise NoAnswer("nvidia-smi gave fewer than two samples")
    gaps = [later["At"] - sooner["At"] for sooner, later in itertools.pairwise(rows)]
    return _is(all(0.5 * _EVERY <= gap <= 3 * _EVERY for gap in gaps), f"the samples lie {max(gaps):.1f} s apart")


def _folder(host: HostAnswers) -> Reported:
    value = host.probe("folder", {"path": "C:\\"})
    if value["Entries"] is None:
        raise NoAnswer("drive C may not be listed")
    names = {str(each["Name"]).lower() for each in value["Entries"] if each["Folder"]}
    return _is(bool(names) and 0 < value["Free"] <= value["Total"], "drive C has no folder or no space")


def _lease(host: HostAnswers) -> Reported:
    value = host.probe("lease", {"folder": "C:\\remediation-no-such-folder", "list": True})
    return _is(value["Names"] == [] and not value["Problems"], "a folder that is not there is not an empty one")


def _requests(host: HostAnswers) -> Reported:
    value = host.probe("requests", {"paths": ["C:\\remediation-no-such-folder\\x.json"]})
    return _is(value["Rows"] == [] and value["Refused"] == [], "a file that is not there is not left out")


def _docker_desktop(host: HostAnswers) -> Reported:
    value = host.probe("desktop")
    _part(value, "Profile")
    if value["Installed"] is None:
        raise NoAnswer("the install folders may not be read")
    if not value["Installed"]:
        return _is(not value["Processes"], "Docker Desktop runs and was not found", "not installed")
    return _is(bool(value["Version"]) and bool(value["SettingsPath"]), "its version or its settings are not found")


def _quotas(host: HostAnswers) -> Reported:
    quotas = _part(host.probe("readiness"), "Quotas")
    present = [name for name, value in (quotas or {}).items() if value is not None]
    return _is(
        bool(present) and all(str(quotas[name]).isdigit() for name in present),
        "a quota is no number",
        plural(len(present), "quota"),
    )


def _wsl(host: HostAnswers) -> Reported:
    value = host.probe("readiness")
    if "WslService" in value["Problems"]:
        raise NoAnswer("Windows does not tell this login of WSL's service")
    return _is((value["WslService"] is None) == (value["WslState"] is None), "WSL's service has no state", str(value["WslState"]))


def _idle(host: HostAnswers) -> Reported:
    host.clock.sleep(IDLE)
    began = host.clock.monotonic()
    host.program("hostname")
    took = host.clock.monotonic() - began
    return _is(took <= _PROMPT, f"after {IDLE:.0f} s without a request, the worker took {took:.0f} s", f"{took:.1f} s")


TRIALS: tuple[Trial, ...] = (
    Trial("user", "the login's name is the one that whoami says", "whoami", _user),
    Trial("elevated", "the login has an administrator's token", "whoami /groups | Select-String S-1-16-12288", _check_elevation),
    Trial("desktop-user", "the user at the desktop is found by his shell", "quser", _desktop_user),
    Trial("times", "both times are seconds since the epoch", "(Get-CimInstance Win32_OperatingSystem).LastBootUpTime", _times),
    Trial("memory", "free memory is a part of all memory", "Get-CimInstance Win32_OperatingSystem | Format-List *Memory*", _memory),
    Trial("creation-dates", "a process has the same start time at each reading",
          '1..2 | ForEach-Object { (Get-CimInstance Win32_Process -Filter "ProcessId=$PID").CreationDate.Ticks }', _creation_dates),
    Trial("owners", "Windows names the owners of processes", "Get-Process -IncludeUserName | Select-Object -First 5", _owners),
    Trial("process-memory", "the counters of a program's GPU memory name its process",
          "Get-CimInstance Win32_PerfFormattedData_GPUPerformanceCounters_GPUProcessMemory | Select-Object -First 3 Name, LocalUsage", _process_memory),
    Trial("adapter", "the adapter whose use is nearest to nvidia-smi's is the card",
          "Get-CimInstance Win32_PerfFormattedData_GPUPerformanceCounters_GPUAdapterMemory; nvidia-smi --query-gpu=memory.used --format=csv", _counters),
    Trial("refused", "a closed port differs from a time-out",
          "try { [Net.WebRequest]::Create('http://127.0.0.1:9/').GetResponse() } catch { $_.Exception.GetBaseException().SocketErrorCode }", _http),
    Trial("first-byte", "the first byte of an answer has a time", "curl.exe -sN http://127.0.0.1:11434/api/version", _first_byte),
    Trial("samples", "nvidia-smi can be sampled every second", "1..3 | ForEach-Object { Measure-Command { nvidia-smi | Out-Null } }", _samples),
    Trial("folder", "a drive lists its folders and its space", "Get-ChildItem C:\\; [IO.DriveInfo]'C:\\'", _folder),
    Trial("lease", "a folder that is not there has no leases", "[IO.Directory]::GetDirectories('C:\\remediation-no-such-folder')", _lease),
    Trial("requests", "a request's file that is not there is left out", "[IO.File]::OpenRead('C:\\remediation-no-such-folder\\x.json')", _requests),
    Trial("docker-desktop", "Docker Desktop, its version and its settings are found",
          'Get-Item "$env:ProgramFiles\\Docker\\Docker\\Docker Desktop.exe" | ForEach-Object { $_.VersionInfo.ProductVersion }', _docker_desktop),
    Trial("quotas", "a login that came over WinRM may read WinRM's configuration", "Get-WSManInstance winrm/config", _quotas),
    Trial("wsl", "WSL's service has a state", "Get-Service WSLService, LxssManager", _wsl),
    Trial("idle", "the worker reads its input at once after a pause (over SSH, from another machine)",
          "(sleep 5; echo hello) | ssh HOST powershell -NoProfile -Command '[Console]::In.ReadLine()'", _idle),
    Trial("measured-request", "a request is measured while GPU and CPU are sampled", "remediate diagnose --probe-seconds 5 --limit HOST"),
    Trial("request-of-another-user", "a file of another user is refused as such",
          "try { [IO.File]::OpenRead('C:\\Users\\OTHER\\x.json') } catch { $_.Exception.GetBaseException().GetType().Name }"),
    Trial("close", "closing a program's window ends the program, or hides it in the tray",
          "Start-Process notepad; Start-Sleep 2; (Get-Process notepad).CloseMainWindow()"),
    Trial("task-folder", "the desktop's user may write below ProgramData",
          '$f = mkdir "$env:ProgramData\\remediation-test"; (Get-Acl $f).Access | Format-Table IdentityReference, FileSystemRights; Remove-Item $f'),
    Trial("task-code", "an exit code with bit 29 set arrives as the task's result",
          "schtasks /create /tn remediation-test /sc once /st 00:00 /tr 'cmd /c exit 760872961'; schtasks /run /tn remediation-test; Start-Sleep 3; "
          "(Get-ScheduledTaskInfo remediation-test).LastTaskResult; schtasks /delete /tn remediation-test /f"),
    Trial("task-removed", "a task that is unregistered while it runs goes on",
          "schtasks /create /tn remediation-test /sc once /st 00:00 /tr 'timeout.exe 60'; schtasks /run /tn remediation-test; "
          "schtasks /delete /tn remediation-test /f; Start-Sleep 3; Get-Process timeout"),
    Trial("task-refused", "a login without rights gets 0x80070005 for a task",
          "Register-ScheduledTask x -Action (New-ScheduledTaskAction cmd) -User OTHER -ErrorAction SilentlyContinue; $Error[0].FullyQualifiedErrorId"),
    Trial("cim-limit", "a query of CIM ends after its time where the service hangs",
          "Measure-Command { Get-CimInstance Win32_Process -OperationTimeoutSec 15 } # with winmgmt paused in a debugger"),
    Trial("no-rights", "how Windows refuses each class to a login without rights",
          "Get-CimInstance Win32_Process -ErrorAction SilentlyContinue -ErrorVariable e; $e[0].FullyQualifiedErrorId; Get-Service WSLService; docker ps"),
    Trial("file-in-use", "a file that another program holds is neither renamed nor removed",
          "$f = [IO.File]::Open(\"$env:TEMP\\x\", 'Create', 'Write', 'None'); Rename-Item \"$env:TEMP\\x\" y; $f.Close(); Remove-Item \"$env:TEMP\\x\""),
    Trial("lease-taken", "of two renames to one name only one succeeds, also under a virus scanner",
          'cd $env:TEMP; mkdir a, b; [IO.Directory]::Move("$pwd\\a", "$pwd\\1"); [IO.Directory]::Move("$pwd\\b", "$pwd\\1"); Remove-Item 1, b'),
    Trial("smi-hangs", "an nvidia-smi that hangs in the driver is left behind", "nvidia-smi # on a card that has fallen off the bus"),
    Trial("smi-reset", "which words a card that needs a reset has for each field", "nvidia-smi --query-gpu=memory.total,compute_cap --format=csv"),
    Trial("envelope", "how WinRM refuses a message that is too large",
          "winrm set winrm/config '@{MaxEnvelopeSizekb=\"150\"}' # then, from the controller, a play that writes a file of 200 kB"),
    Trial("container-script", "a script of several lines reaches a container unharmed", 'docker run --rm alpine sh -c "echo one`necho two"'),
    Trial("link", "a link differs from other reparse points, and has its target", "Get-ChildItem C:\\Users -Force | Select-Object Name, LinkType, Target"),
    Trial("notify", "a message stays when its task is unregistered", "remediate play PLAYBOOK # with a step that shows a message"),
)  # fmt: skip


def run_trials(connection: Connection, clock: Clock) -> list[tuple[Trial, bool | None, str]]:
    """Run every trial that a program can. Returns each with its result; None: no result, or a trial for a person."""
    host = HostAnswers(connection, clock)
    done: list[tuple[Trial, bool | None, str]] = []
    for trial in TRIALS:
        if trial.judge is None:
            done.append((trial, None, "by hand"))
            continue
        try:
            right, why = trial.judge(host)
        except NoAnswer as silence:
            right, why = None, str(silence)
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            IndexError,
        ) as odd:  # an answer of another form is what the trials are for
            right, why = False, f"the answer has another form than expected ({type(odd).__name__})"
        done.append((trial, right, why))
    return done
