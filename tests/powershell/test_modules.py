"""The scripts behind ``win_powershell``, ``win_service``, ``win_shell`` and ``win_stat``, run by a real PowerShell."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest

from remediation.facets.machine.files import HostFiles, HostFilesWriter
from remediation.facets.machine.service_manager import HostServiceManager, HostServiceManagerWriter
from remediation.model.errors import CallFailed
from remediation.modules.commands.programs import _BOOTSTRAP, _POWERSHELL
from tests.powershell import shell
from tests.powershell.host import Host, _host, host

__all__ = ["_host", "host"]

SERVICE = """
function Get-CimInstance([string] $ClassName, [string] $Filter) {
    if ($Filter -match "^Name='Ollama'$") {
        [pscustomobject] @{ Name = 'Ollama'; DisplayName = 'Ollama server'; Description = ''; State = $global:state; StartMode = 'Auto'
            DelayedAutoStart = $true; PathName = 'C:\\ollama.exe serve'; StartName = 'LocalSystem'; DesktopInteract = $false; AcceptPause = $false }
    }
}
$global:state = 'Running'
function Stop-Service([string] $Name, [switch] $Force) { $global:state = 'Stopped' }
function Start-Service([string] $Name) { throw "Cannot start service $Name" }
function Get-Service { [pscustomobject] @{ ServicesDependedOn = @([pscustomobject] @{ Name = 'Tcpip' }); DependentServices = @() } }
"""


def ran(host: Host, script: str, **data: Any) -> Any:
    given = {
        "script": script,
        "parameters": {},
        "arguments": [],
        "chdir": None,
        "error_action": None,
        "depth": 2,
        "check": False,
        "environment": {},
    }
    return host.ask("powershell", {**given, **data})


def test_streams_are_returned_by_name(host: Host) -> None:
    value = ran(
        host,
        "Write-Host 'shown'; Write-Warning 'careful'; 'text'; 5; @{ a = 1; b = @(1, 2) }; Write-Error 'wrong'; $Ansible.Result = @{ x = 'y' }",
    )
    assert value["output"] == ["text", 5, {"a": 1, "b": [1, 2]}]
    assert (value["host_out"], value["warning"], value["result"]) == ("shown\n", ["careful"], {"x": "y"})
    assert [row["exception"]["message"] for row in value["error"]] == ["wrong"]
    assert (value["changed"], value["failed"]) == (True, False)


def test_a_script_says_whether_it_changed_and_failed(host: Host) -> None:
    value = ran(host, "$Ansible.Changed = $false; $Ansible.Failed = $true; $env:WORD", environment={"WORD": "spoken"})
    assert (value["changed"], value["failed"], value["output"]) == (False, True, ["spoken"])
    assert ran(host, "$env:WORD")["output"] == [None]


def test_an_error_that_ends_the_script_fails_it(host: Host) -> None:
    value = ran(host, "'before'; throw 'broken'; 'after'")
    assert value["failed"]
    assert "broken" in value["error"][-1]["exception"]["message"]


def test_parameters_and_folder_reach_the_script(host: Host, tmp_path: Path) -> None:
    value = ran(
        host, 'param($One, $Two) "$One-$Two"; (Get-Location).Path', parameters={"One": "a", "Two": 2}, chdir=str(tmp_path)
    )
    assert value["output"] == ["a-2", str(tmp_path)]


def test_a_service_is_read_and_stopped(host: Host) -> None:
    host.commands = SERVICE
    status = HostServiceManager(host.look).status("Ollama")
    assert status is not None
    assert (status.state, status.start_mode, status.details["dependencies"]) == ("running", "delayed", ["Tcpip"])
    assert HostServiceManager(host.look).status("None") is None
    HostServiceManagerWriter(host.look).act("Ollama", "stop")


def test_a_service_that_does_not_start_says_why(host: Host) -> None:
    host.commands = SERVICE
    with pytest.raises(CallFailed, match="Cannot start service Ollama"):
        HostServiceManagerWriter(host.look).act("Ollama", "start")


def test_the_status_of_a_file_has_its_checksum(host: Host, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("abc")
    status = HostFiles(host.look).status(str(tmp_path / "one.txt"), algorithm="sha1")
    assert status is not None
    assert (status.kind, status.size, status.checksum) == ("file", 3, "a9993e364706816aba3e25717850c26c9cd0d89d")
    assert HostFiles(host.look).status(str(tmp_path / "none")) is None
    folder = HostFiles(host.look).status(str(tmp_path))
    assert folder is not None
    assert folder.kind == "directory"


def test_a_folder_is_removed_with_its_content_or_only_when_empty(host: Host, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one").touch()
    files = HostFilesWriter(host.look)
    with pytest.raises(CallFailed, match="removing"):
        files.remove_folder(str(tmp_path / "sub"), empty=True)
    files.remove_folder(str(tmp_path / "sub"))
    assert not (tmp_path / "sub").exists()
    files.remove_folder(str(tmp_path / "sub"))


def test_the_bootstrap_reads_the_script_and_leaves_the_rest_of_stdin() -> None:
    argv = [shell.program(), *_POWERSHELL[:-4], "-EncodedCommand", base64.b64encode(_BOOTSTRAP.encode("utf-16-le")).decode()]
    text = '$line = [Console]::In.ReadLine()\nif ($true) {\n    "got $line"\n}\nexit 3'
    done = subprocess.run(argv, input=base64.b64encode(text.encode()) + b"\r\nmore\n", capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode().strip()) == (3, "got more")
