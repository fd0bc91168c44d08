"""Probes of which Windows refuses a part, leaves it empty or lets it vanish: the rest is returned, with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remediation.connections.calls import Probe
from remediation.facets.machine import processes, system
from remediation.facets.machine.files import HostFiles, HostFilesWriter
from remediation.facets.ollama import request_log
from remediation.model.errors import CallFailed
from tests.powershell.host import NO_CIM, Host, _host, host

__all__ = ["_host", "host"]

PROGRAMS = """
$started = New-Object DateTime 2026, 8, 21, 10, 0, 0, ([DateTimeKind]::Utc)
function Get-CimInstance([string] $ClassName) {
    if ($ClassName -eq 'Win32_Service') { SERVICES }
    foreach ($number in 0, 7, 8) {
        if ($ClassName -eq 'Win32_Process') {
            [pscustomobject] @{ ProcessId = [uint32] $number; Name = 'a.exe'; SessionId = [uint32] 1; CreationDate = $started }
        }
    }
}
function Get-Process { throw (New-Object InvalidOperationException 'requires elevated user rights') }
function Invoke-CimMethod($InputObject) {
    if ($InputObject.ProcessId -eq 7) { OWNER }
    [pscustomobject] @{ ReturnValue = [uint32] 0; Domain = 'LAB'; User = 'maria' }
}
"""
GONE = "Write-Error -Message 'Not found' -Category ObjectNotFound -ErrorAction Stop"
DENIED = "throw 'Access denied'"


def programs(*, services: str = "return", owner: str = GONE) -> str:
    return PROGRAMS.replace("SERVICES", services).replace("OWNER", owner)


def test_a_process_that_ends_meanwhile_has_no_owner_and_no_problem(host: Host) -> None:
    host.commands = programs()
    value = host.ask("processes")
    assert [(row["ProcessId"], row["Owner"]) for row in value["Processes"]] == [(7, None), (8, "LAB\\maria")]
    assert value["Problems"] == {}


def test_services_and_owners_that_are_refused_leave_the_processes(host: Host) -> None:
    host.commands = programs(services=DENIED, owner=DENIED)
    value = host.ask("processes")
    assert [(row["ProcessId"], row["Service"]) for row in value["Processes"]] == [(7, None), (8, None)]
    assert value["Problems"] == {"Service": "Access denied", "Owner": "Access denied"}
    assert [each.pid for each in processes.WindowsProcesses(host.look).list()] == [7, 8]


def test_owners_are_read_within_a_limit(host: Host) -> None:
    host.commands = programs(owner="return")
    host.swaps = {"$limit = 15": "$limit = -1"}
    value = host.ask("processes")
    assert [row["Owner"] for row in value["Processes"]] == [None, None]
    assert "not all owners" in value["Problems"]["Owner"]


def test_a_hidden_value_of_a_process_is_null(host: Host) -> None:
    host.commands = "function Get-CimInstance([string] $ClassName) { [pscustomobject] @{ ProcessId = [uint32] 7 } }"
    (row,) = host.ask("processes")["Processes"]
    assert (row["SessionId"], row["ParentProcessId"], row["CreationDate"]) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "line", "runner"),
    [
        ("ollama.exe", '"C:\\Program Files\\Ollama\\ollama.exe" runner --model C:\\m --port 1', True),
        ("ollama.exe", "C:\\o\\ollama.exe runner", True),
        ("ollama.exe", "ollama.exe serve", False),
        ("ollama.exe", '"C:\\a runner b\\ollama.exe" run runner', False),
        ("ollama.exe", None, None),
        ("llama-server.exe", "llama-server.exe runner", None),
        ("mysqld.exe", "mysqld.exe runner --password=x", None),
    ],
)
def test_only_a_process_of_ollama_has_a_role_and_its_command_line_stays_on_the_host(
    host: Host, name: str, line: str | None, runner: bool | None
) -> None:
    given = "$null" if line is None else f"'{line}'"
    row = f"[pscustomobject] @{{ ProcessId = [uint32] 7; Name = '{name}'; CommandLine = {given} }}"
    host.commands = f"function Get-CimInstance([string] $ClassName) {{ {row} }}"
    (found,) = host.ask("processes")["Processes"]
    assert found["Runner"] is runner
    assert line is None or line not in found.values()


@pytest.mark.parametrize(("commands", "reason"), [(NO_CIM, "Access denied"), ("function Get-CimInstance { }", "lists nothing")])
def test_processes_that_are_refused_are_not_none(host: Host, commands: str, reason: str) -> None:
    host.commands = commands
    value = host.ask("processes")
    assert value["Processes"] == []
    with pytest.raises(CallFailed, match=f"listing the processes failed: .*{reason}"):
        processes.WindowsProcesses(host.look).list()


def test_a_machine_without_cim_has_its_name_and_its_clock(host: Host) -> None:
    value = host.ask("system")
    facts = system.system_from_probe(value)
    assert facts.hostname
    assert facts.version
    assert facts.now > 0
    assert (facts.memory_total, facts.booted) == (None, None)
    assert set(value["Problems"]) == {"Caption", "TotalVisibleMemorySize", "FreePhysicalMemory", "LastBootUpTime"}
    assert set(value["Problems"].values()) == {"Access denied"}


@pytest.mark.parametrize(
    "instances", ["", "[pscustomobject] @{ Caption = 'Windows' }", "1, 2 | ForEach-Object { @{ Caption = 'Windows' } }"]
)
def test_amounts_that_windows_hides_have_a_reason(host: Host, instances: str) -> None:
    host.commands = f"function Get-CimInstance {{ {instances} }}"
    value = host.ask("system")
    assert (value["FreePhysicalMemory"], value["LastBootUpTime"]) == (None, None)
    assert value["Problems"]["FreePhysicalMemory"] == "Win32_OperatingSystem has no value for it"
    assert ("Caption" in value["Problems"]) == (not instances)


def test_an_hresult_is_recognized_in_every_language(host: Host) -> None:
    host.commands = (
        "function Get-CimInstance { Write-Error -Message ' Zugriff verweigert ' -ErrorId 'HRESULT 0x80041003' -ErrorAction Stop }"
    )
    assert host.ask("system")["Problems"]["Caption"] == "Zugriff verweigert (0x80041003)"


def closed(host: Host) -> Path:
    """Return a folder that the worker may not list, because it runs as an unprivileged user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run the worker as another user")
    for each in (host.root, *host.root.parents):
        if each.owner() == "root" and not each.stat().st_mode & 0o005:
            each.chmod(0o755)
    host.before = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    place = host.root / "closed"
    (place / "below").mkdir(parents=True)
    place.chmod(0o700)
    return place


@pytest.mark.parametrize("below", ["", "below"])
def test_the_space_is_known_where_the_folder_may_not_be_seen(host: Host, below: str) -> None:
    place = str(closed(host) / below)
    value = host.ask("folder", {"path": place})
    assert value["Entries"] is None
    assert "denied" in value["Problems"]["Entries"]
    assert value["Total"] > value["Free"] > 0
    assert HostFiles(host.look).space(place).total == value["Total"]
    with pytest.raises(CallFailed, match="denied"):
        HostFiles(host.look).list(place)


def test_a_folder_that_is_not_there_is_no_problem(host: Host) -> None:
    value = host.ask("folder", {"path": str(host.root / "none" / "missing")})
    assert (value["Entries"], "Entries" in value["Problems"]) == (None, False)
    assert HostFiles(host.look).list(str(host.root / "none")) is None


def test_the_space_is_known_without_the_entries(host: Host) -> None:
    host.commands = "function Get-ChildItem { throw 'it was listed' }"
    assert HostFiles(host.look).space(str(host.root)).total > 0
    value = host.ask("folder", {"path": str(host.root)})
    assert value["Problems"] == {"Entries": "it was listed"}


def test_a_file_that_vanishes_while_its_folder_is_listed_is_no_entry(host: Host) -> None:
    place = host.root / "listed"
    place.mkdir()
    (place / "a").touch()
    host.commands = """
function Get-ChildItem([string] $LiteralPath) {
    $file = New-Object IO.FileInfo (Join-Path $LiteralPath 'gone')
    Add-Member -InputObject $file -MemberType NoteProperty -Name PSIsContainer -Value $false
    $file
    Get-Item -LiteralPath (Join-Path $LiteralPath 'a')
}"""
    value = host.ask("folder", {"path": str(place)})
    assert [entry["Name"] for entry in value["Entries"]] == ["a"]


@pytest.mark.parametrize("path", ["none", "none/at/all"])
def test_removing_what_is_not_there_is_done(host: Host, path: str) -> None:
    HostFilesWriter(host.look).remove(str(host.root / path))


def test_what_may_not_be_removed_is_an_error(host: Host) -> None:
    place = closed(host)
    value = host.ask("file", {"action": "remove", "path": str(place / "below"), "to": None})
    assert (value["Done"], "denied" in value["Problem"]) == (False, True)


def test_a_body_that_may_not_be_read_is_named_and_the_others_are_read(host: Host) -> None:
    place = closed(host)
    (host.root / "body.json").write_text('{"model": "a", "prompt": "secret"}')
    paths = [str(place / "x"), str(host.root / "none"), str(host.root / "body.json")]
    value = host.ask("requests", {"paths": paths})
    assert [row["Text"] for row in value["Rows"]] == ['"model": "a"'], value
    assert value["Refused"] == [paths[0]], value
    assert list(value["Problems"]) == [paths[0]]


def test_bodies_that_cannot_be_read_are_not_missing(host: Host) -> None:
    with pytest.raises(CallFailed, match="reading the requests logged by Ollama failed"):
        request_log.read_requests(host.look, [str(host.root)])


def test_a_probe_of_an_older_recording_is_read() -> None:
    row = {"ProcessId": 7, "Name": "a.exe", "CreationDate": 1.0}
    assert [each.pid for each in processes.processes_from_probe([row], "h")] == [7]
    assert Probe("processes") == processes.LIST_PROBE.__class__("processes")
