"""Compatibility with Windows PowerShell 5.1 and .NET Framework 4.7.2, checked by rule on the syntax trees of PowerShell's own parser.

`uses.ps1` names what each script uses, types with their whole names. Commands and parameters are compared with the table of build 14393
(``commands-5.1.txt``), types and members with the lists here. A script that needs another one adds it here once its page in Microsoft's
documentation lists .NET Framework 4.7.2 or older: PowerShell 7 knows more. A method's number of arguments belongs to its name.

What a run under PowerShell 7 on Linux cannot show is listed in docs/windows.md.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.worker import bootstrap
from remediation.facets.scripts import FOLDER, SHARED, script
from tests.powershell import shell
from tests.powershell.test_syntax import decoded

HERE = Path(__file__).parent
TYPES = """
System.Array
System.BitConverter: ToString/1 ToString/3
System.Boolean
System.Byte
System.Collections.ArrayList
System.Collections.Generic.Dictionary`2
System.Collections.Generic.List`1
System.ComponentModel.Win32Exception
System.Console: InputEncoding OpenStandardInput/0 OpenStandardOutput/0 OutputEncoding
System.Convert: FromBase64String/1 ToBase64String/1 ToBase64String/3 ToInt64/2
System.DateTime: UtcNow
System.Diagnostics.FileVersionInfo: GetVersionInfo/1
System.Diagnostics.Process: GetCurrentProcess/0 Start/1
System.Diagnostics.ProcessStartInfo
System.Diagnostics.Stopwatch: StartNew/0
System.Double
System.Environment: ExpandEnvironmentVariables/1 GetEnvironmentVariable/1 SetEnvironmentVariable/2 GetEnvironmentVariables/0 MachineName OSVersion SystemDirectory
System.Guid: NewGuid/0
System.IO.Directory: CreateDirectory/1 Delete/1 Delete/2 Exists/1 GetDirectories/1 Move/2
System.IO.DirectoryNotFoundException
System.IO.DriveInfo
System.IO.File: Copy/3 Delete/1 Exists/1 GetAttributes/1 Move/2 ReadAllText/1 Replace/3 SetLastWriteTimeUtc/2 WriteAllText/2
System.IO.FileAccess: Read ReadWrite
System.IO.FileMode: CreateNew Open
System.IO.FileNotFoundException
System.IO.FileShare: None
System.IO.FileStream
System.IO.IOException
System.IO.InvalidDataException
System.IO.MemoryStream
System.IO.Path: GetTempPath/0 Combine/2 GetDirectoryName/1 GetFileName/1 GetFullPath/1 GetPathRoot/1
System.IO.SeekOrigin: Begin
System.IO.StreamReader
System.Int32: MaxValue
System.Int64
System.Management.Automation.Language.NullString: Value
System.Management.Automation.PSNoteProperty
System.Management.Automation.PSObject
System.Management.Automation.PSReference
System.Management.Automation.PowerShell: Create/0
System.Management.Automation.Runspaces.RunspaceFactory: CreateRunspace/0
System.Management.Automation.ScriptBlock: Create/1
System.Math: Abs/1 Ceiling/1 Floor/1 Max/2 Min/2 Round/1
System.Net.Dns: GetHostAddresses/1
System.Net.SecurityProtocolType: Tls12
System.Net.ServicePointManager: Expect100Continue SecurityProtocol
System.Net.Sockets.SocketException
System.Net.WebException
System.Net.WebExceptionStatus: Timeout
System.Net.WebRequest: Create/1
System.Net.WebUtility: HtmlDecode/1
System.Object
System.Security.Cryptography.SHA256: Create/0
System.Security.Principal.WindowsBuiltInRole: Administrator
System.Security.Principal.WindowsIdentity: GetCurrent/0
System.Security.Principal.WindowsPrincipal
System.String
System.Text.Encoding: ASCII UTF8 Unicode
System.Text.RegularExpressions.Regex: Matches/2 Replace/3
System.Text.StringBuilder
System.Text.UTF8Encoding
System.Threading.Tasks.Task: WaitAny/2
System.Threading.ThreadPool: SetMinThreads/2
System.TimeZoneInfo: Local
System.TimeoutException
System.Type
System.UnauthorizedAccessException
System.Xml.XmlElement
System.Decimal
System.ValueType
System.Version
System.Uri
System.Collections.IDictionary
System.Collections.IEnumerable
System.Management.Automation.IContainsErrorRecord
System.IO.DirectoryInfo
System.IO.FileInfo
System.Security.Cryptography.HashAlgorithm: Create/1
System.Management.Automation.CmdletInfo
System.Reflection.BindingFlags
System.IO.StringReader
"""
"""Types of .NET Framework 4.7.2 or Windows PowerShell 5.1, each with the static members that scripts use."""
METHODS = """
    AddCommand/1 AddParameter/2 AddStatement/0 Invoke/0 SetVariable/2 ToUpperInvariant/0
    Abort/0 Add/1 AddArgument/1 AddScript/1 Append/1 BeginErrorReadLine/0 BeginInvoke/0 BeginOutputReadLine/0 BeginStop/2
    Clear/0 Close/0 CloseMainWindow/0 ComputeHash/1 ContainsKey/1 Dispose/0 EndInvoke/1 Flush/0 Flush/1 GetAttribute/1
    GetBaseException/0 GetBuffer/0 GetBytes/1 GetRequestStream/0 GetResponse/0 GetResponseStream/0 GetString/1 GetString/3
    GetUtcOffset/1 GetType/0 GetValue/1 GetValue/2 GetValue/3 GetValueKind/1 GetValueNames/0 Split/1 StartsWith/1 IsInRole/1 IsInstanceOfType/1 Kill/0 LastIndexOf/1 Open/0 Popup/4 Read/3 ReadAsync/3 ReadLine/0
    ReadToEnd/0 ReadToEndAsync/0 Remove/1 Remove/2 Replace/2 Seek/2 SetLength/1 Start/0 Substring/2 ToArray/0
    ToLowerInvariant/0 ToString/0 ToString/1 ToString/2 ToUniversalTime/0 Trim/0 Trim/1 Wait/1 WaitForExit/1 WaitOne/1 Write/3
    WriteAsync/3
"""
OWN = {"? Remediation.Sqlite": {"Run/4"}}
"""Types that a script adds itself, with their members."""
PROPERTIES = """
    BaseObject CreationTime DependentServices ErrorDetails ErrorRecord HelpLink IsPrimitive LastAccessTime LinkType MemberType MessageData
    NoNewLine ScriptStackTrace ServicesDependedOn SessionStateProxy Streams TargetName TargetType
    Domain Manufacturer Model NumberOfLogicalProcessors NumberOfProcessors OSArchitecture ProductType StandardName TotalMinutes
    AllowAutoRedirect Arguments AsyncWaitHandle AvailableFreeSpace BaseStream CSName Caption Category CategoryInfo
    CimClassName CommandLine ContentLength ContentType Count CreateNoWindow CreationDate DedicatedUsage Distributions Domain Elapsed
    ElapsedMilliseconds EnvironmentVariables Exception ExecutablePath ExitCode FileName Free FreePhysicalMemory FullName
    FullyQualifiedErrorId GpuClasses HResult HasExited Headers Id InnerException InnerText IsCompleted IsFaulted IsReady
    KeepAlive Keys LanguageMode LastBootUpTime LastTaskResult LastWriteTime Length LocalUsage MainWindowHandle Maximum Message
    MessageId Method Name NativeErrorCode NonLocalUsage Owner PSChildName PSIsContainer PSObject PSVersion ParentProcessId
    Path PercentProcessorTime ProcessId Processes ProductVersion ProfileImagePath Properties Proxy Quotas ReadWriteTimeout
    RedirectStandardError RedirectStandardInput RedirectStandardOutput Response Result ReturnValue Runspace Service SessionId
    SessionState SharedUsage Sid SocketErrorCode StandardError StandardInput StandardOutput Status StatusCode TargetObject
    Ticks Timeout Total TotalSeconds TotalSize TotalVisibleMemorySize UseShellExecute User UserName Value Values Version
    VersionInfo Winrs WorkingDirectory
"""
"""Properties of these types, of PowerShell's own objects, and of the CIM classes that probes read."""
JSON = {
    "EnumerateArray/0",
    "EnumerateObject/0",
    "GetDouble/0",
    "GetString/0",
    "Parse/1",
    "RootElement",
    "TryGetInt64/1",
    "ValueKind",
}
"""Members of System.Text.Json, which the worker uses where that type is known: not in 5.1."""
COMMON = {"ErrorAction", "ErrorVariable", "WarningAction", "OutVariable", "Verbose", "Debug", "WhatIf", "Confirm"}
NEWER_VARIABLES = {
    "IsWindows",
    "IsLinux",
    "IsMacOS",
    "IsCoreCLR",
    "PSStyle",
    "PSNativeCommandUseErrorActionPreference",
    "EnabledExperimentalFeatures",
}


def commands() -> dict[str, set[str]]:
    """Return the commands of 5.1 with their parameters, in lower case."""
    rows = [line.split() for line in (HERE / "commands-5.1.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    return {name.lower(): {each.lower() for each in parameters} for name, *parameters in rows}


def uses(sent: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return what each text uses, as PowerShell parses it."""
    program = [shell.program(), "-NoProfile", "-NonInteractive", "-File", str(HERE / "uses.ps1")]
    done = subprocess.run(program, input=json.dumps(sent), capture_output=True, text=True, encoding="utf-8", check=True)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def whole(name: str) -> str:
    """Return a type's name without its arguments."""
    return name.partition("[[")[0]


def too_new(used: dict[str, Any]) -> list[str]:
    """Return what 5.1 or the Framework does not know."""
    known: dict[str, set[str]] = {**OWN}
    for line in TYPES.split("\n"):
        name, _, members = line.partition(": ")
        known[name] = set(members.split())
    wrong = [f"syntax: {each}" for each in (*used["errors"], *used["syntax"])]
    wrong += [f"type: {each}" for each in used["types"] if whole(each) not in known]
    for each in used["statics"]:
        name, _, member = each.partition("::")
        if member not in known.get(whole(name), ()) and not (name == "?" and member in JSON):
            wrong.append(f"static member: {each}")
    own = {each.lower() for each in used["functions"]}
    there = commands()
    for each in used["commands"]:
        name = each["name"].lower()
        if name in own:
            continue
        if name not in there:
            wrong.append(f"command: {each['name']}")
            continue
        allowed = there[name] | {common.lower() for common in COMMON}
        wrong += [f"parameter: {each['name']} -{one}" for one in each["parameters"] if one.lower() not in allowed]
    methods = {*METHODS.split(), *JSON}
    wrong += [f"method: {each}" for each in used["members"] if each not in methods]
    properties = {each.lower() for each in (*PROPERTIES.split(), *used["names"], *JSON)}
    wrong += [f"property: {each}" for each in used["properties"] if each.lower() not in properties and each[0].isupper()]
    return wrong + [f"variable: ${each}" for each in used["variables"] if each in NEWER_VARIABLES]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What is used by every text that is sent (the probes with their functions, the worker, and the two commands that start it), and by
    the samples of what is newer."""
    sent = {path.stem: script(path.stem) for path in FOLDER.glob("*.ps1") if path.stem != SHARED}
    sent |= {"worker": bootstrap.worker_text().decode(), "start": decoded(bootstrap.worker_command())}
    sent["one call"] = decoded(bootstrap.one_call_command())
    every = uses({**sent, **{f"newer {name}": text for name, (text, _) in NEWER.items()}, "guarded": GUARDED})
    for used in every.values():
        used["functions"] += ["Send-Chunk"]  # what a probe calls of the worker
    return every


def test_no_script_uses_what_5_1_does_not_know(found: dict[str, dict[str, Any]]) -> None:
    sent = {name: used for name, used in found.items() if not name.startswith(("newer ", "guarded"))}
    assert {"worker", "start", "one call", "session", "close"} <= sent.keys()
    assert {name: wrong for name, used in sent.items() if (wrong := too_new(used))} == {}


NEWER = {
    "operator": ("$a ?? 1", "syntax: ??"),
    "null member": ("${a}?.b", "syntax: ${a}?.b"),
    "chain": ("Get-Item x && Get-Item y", "syntax: &&"),
    "ternary": ("$a ? 1 : 2", "syntax: ?"),
    "background": ("Get-Item x &", "syntax: Get-Item x"),
    "number": ("$a = 5u", "syntax: 5u"),
    "escape": ('$a = "`u{48}"', "syntax: "),
    "command": ("Test-Json -Json x", "command: Test-Json"),
    "parameter": ("ConvertFrom-Json -AsHashtable $a", "parameter: ConvertFrom-Json -AsHashtable"),
    "parallel": ("ForEach-Object -Parallel { 1 }", "parameter: ForEach-Object -Parallel"),
    "type": ("[Text.Json.JsonDocument]::Parse($a)", "type: System.Text.Json.JsonDocument"),
    "made type": ("New-Object Net.Http.SocketsHttpHandler", "type: System.Net.Http.SocketsHttpHandler"),
    "unknown type": ("[No.Such]::Thing", "type: ? No.Such"),
    "accelerator": ("[ushort] 1", "type: System.UInt16"),
    "static member": ("[Math]::Clamp(1, 2, 3)", "static member: System.Math::Clamp/3"),
    "overload": ("[IO.File]::Move($a, $b, $true)", "static member: System.IO.File::Move/3"),
    "method": ("$text.Contains('a', 'Ordinal')", "method: Contains/2"),
    "method's overload": ("$process.Kill($true)", "method: Kill/1"),
    "property": ("$info.ArgumentList", "property: ArgumentList"),
    "variable": ("if ($IsWindows) { 1 }", "variable: $IsWindows"),
}


GUARDED = "if ($PSVersionTable.PSVersion.Major -ge 7) { $process.Kill($true) } else { $process.Kill() }"


@pytest.mark.parametrize("name", NEWER)
def test_the_rule_notices_each_kind_of_what_is_newer(found: dict[str, dict[str, Any]], name: str) -> None:
    wrong = too_new(found[f"newer {name}"])
    assert any(each.startswith(NEWER[name][1]) for each in wrong), wrong


def test_a_guard_by_version_lets_the_newer_member_be(found: dict[str, dict[str, Any]]) -> None:
    assert too_new(found["guarded"]) == []


def test_each_listed_type_has_its_whole_name() -> None:
    assert [line for line in TYPES.split("\n") if line and not re.match(r"System\.[\w.`]+(: |$)", line)] == []
