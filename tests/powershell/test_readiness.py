"""The probe ``readiness`` under a real PowerShell; what only Windows has is played by functions that return objects as Windows does."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

from remediation.facets.scripts import script
from tests.powershell import shell

# as `winrm get winrm/config -format:xml` prints it; a value that a policy sets has an attribute
CONFIG = (
    '<cfg:Config xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config"><cfg:MaxEnvelopeSizekb>500</cfg:MaxEnvelopeSizekb>'
    "<cfg:MaxTimeoutms>60000</cfg:MaxTimeoutms><cfg:Service><cfg:MaxConcurrentOperationsPerUser>1500</cfg:MaxConcurrentOperationsPerUser>"
    '<cfg:MaxConnections>300</cfg:MaxConnections></cfg:Service><cfg:Winrs><cfg:IdleTimeout Source="GPO">900000</cfg:IdleTimeout>'
    "<cfg:MaxConcurrentUsers>10</cfg:MaxConcurrentUsers><cfg:MaxProcessesPerShell>25</cfg:MaxProcessesPerShell>"
    "<cfg:MaxMemoryPerShellMB>1024</cfg:MaxMemoryPerShellMB><cfg:MaxShellsPerUser>30</cfg:MaxShellsPerUser></cfg:Winrs></cfg:Config>"
)
PLAYED = f"""
$env:ProgramFiles = 'C:\\Program Files'
function Get-WSManInstance {{ ([xml] '{CONFIG}').DocumentElement }}
function Get-CimClass {{ 'GPUProcessMemory', 'GPUEngine' | ForEach-Object {{
    [pscustomobject] @{{ CimClassName = 'Win32_PerfFormattedData_GPUPerformanceCounters_' + $_ }} }} }}
function Get-Service([string] $Name) {{ if ($Name -eq 'LxssManager') {{ [pscustomobject] @{{ Name = $Name; Status = 'Stopped' }} }} }}
function Test-Path {{ $false }}
function Join-Path([string] $Path, [string] $ChildPath) {{ $Path + '\\' + $ChildPath }}
function Get-ChildItem([string] $LiteralPath) {{
    if ($LiteralPath -like '*Lxss') {{
        $key = [pscustomobject] @{{ PSChildName = '{{1}}' }}
        Add-Member -InputObject $key -MemberType ScriptMethod -Name GetValue -Value {{ param($Name) @{{ DistributionName = 'Ubuntu'; Version = 2 }}[$Name] }}
        $key
    }}
    else {{ [pscustomobject] @{{ Name = 'HKEY_USERS\\S-1-5-21-1'; PSChildName = 'S-1-5-21-1' }} }}
}}
"""
REFUSED = "function Get-WSManInstance { throw 'Access is denied. ' }"
# the one .NET type that PowerShell for Linux has and that refuses there
IDENTITY = "[Security.Principal.WindowsIdentity]::GetCurrent().User.Value"


def readiness(*more: str) -> dict[str, Any]:
    text = script("readiness")
    assert IDENTITY in text
    body = text.replace(IDENTITY, "'S-1-5-21-1'")
    sent = "\n".join([PLAYED, *more, "& {", body, "}"])
    encoded = base64.b64encode(sent.encode("utf-16-le")).decode("ascii")
    words = [shell.program(), "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded]
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=True, timeout=120)
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_quotas_classes_and_wsl() -> None:
    value = readiness()
    assert value["Quotas"]["MaxShellsPerUser"] == "30"
    assert value["Quotas"]["IdleTimeout"] == "900000"
    assert value["Quotas"]["MaxConcurrentOperationsPerUser"] == "1500"
    assert value["Quotas"]["MaxEnvelopeSizekb"] == "500"
    assert value["ByPolicy"] == ["IdleTimeout"]
    assert len(value["GpuClasses"]) == 2
    assert (value["WslService"], value["WslState"], value["WslVersion"]) == ("LxssManager", "Stopped", None)
    assert value["Distributions"] == [{"Name": "Ubuntu", "Version": 2, "Own": True}]


def test_what_is_refused_leaves_the_rest() -> None:
    value = readiness(REFUSED)
    assert value["Quotas"] is None
    assert value["QuotasProblem"].startswith("Access is denied")
    assert len(value["GpuClasses"]) == 2


XML = (
    '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="5" Machine="x"><f:Message>Access is denied. '
    "</f:Message></f:WSManFault>"
)
NO_SERVICE = """
function Get-Service([string] $Name) { Write-Error -Message 'Cannot find any service' -ErrorId 'NoServiceFoundForGivenName' -ErrorAction Stop }
"""


def test_the_words_of_a_fault_are_taken_out_of_its_xml() -> None:
    value = readiness(f"function Get-WSManInstance {{ throw '{XML}' }}")
    assert value["QuotasProblem"] == value["Problems"]["Quotas"] == "Access is denied."


def test_a_service_that_is_hidden_is_not_a_missing_one() -> None:
    value = readiness(NO_SERVICE)
    assert (value["WslService"], "WslService" in value["Problems"]) == (None, False)
    value = readiness(NO_SERVICE, "function Test-Path([string] $LiteralPath) { $LiteralPath -like 'HKLM:*WSLService' }")
    assert (value["WslService"], "does not tell this login" in value["Problems"]["WslService"]) == (None, True)
    value = readiness("function Get-Service { throw 'Cannot open the service manager' }")
    assert (value["WslService"], value["Problems"]["WslService"]) == (None, "Cannot open the service manager")


def test_a_registry_that_may_not_be_read_leaves_its_reason() -> None:
    value = readiness("function Get-ChildItem { throw 'Requested registry access is not allowed.' }")
    assert value["Distributions"] == []
    assert value["Problems"] == {"Distributions": "Requested registry access is not allowed."}


def test_each_part_is_read_separately() -> None:
    refused = ("Get-WSManInstance", "Get-CimClass", "Get-Service", "Test-Path", "Get-ChildItem")
    value = readiness(*(f"function {name} {{ throw 'Access is denied' }}" for name in refused))
    assert set(value["Problems"]) == {"Quotas", "GpuClasses", "WslService", "WslVersion", "Distributions"}
    assert (value["Quotas"], value["GpuClasses"], value["WslService"], value["WslVersion"]) == (None, [], None, None)
