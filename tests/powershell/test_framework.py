"""Rules for Windows PowerShell 5.1 and .NET Framework 4.6.2 that the text of a script can break; this always runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tree_sitter

from tests.facets.powershell import below, parse, text
from tests.powershell.shell import texts

# What the language calls by a short name.
ACCELERATORS = {
    "array", "bool", "byte", "char", "decimal", "double", "guid", "hashtable", "int", "int64", "long", "object", "ordered", "powershell", "pscustomobject",
    "psobject", "ref", "regex", "scriptblock", "string", "switch", "timespan", "type", "uint32", "uint64", "void", "xml",
}  # fmt: skip
# Types of .NET Framework 4.6.2 (and of Windows PowerShell 5.1) with their static members. A script that needs another one adds it here
# once its documentation lists the Framework's version: PowerShell 7 knows more types and members.
FRAMEWORK = {
    "BitConverter": "ToString",
    "Collections.ArrayList": "",
    "Collections.Generic.Dictionary": "",
    "Collections.Generic.List": "",
    "Collections.IDictionary": "",
    "Collections.IEnumerable": "",
    "ComponentModel.Win32Exception": "",
    "Console": "InputEncoding OpenStandardInput OpenStandardOutput OutputEncoding",
    "Convert": "FromBase64String ToBase64String ToInt64",
    "DateTime": "Now UtcNow",
    "Diagnostics.FileVersionInfo": "GetVersionInfo",
    "Diagnostics.Process": "GetCurrentProcess GetProcessById Start",
    "Diagnostics.ProcessStartInfo": "",
    "Diagnostics.Stopwatch": "StartNew",
    "Environment": "ExpandEnvironmentVariables GetEnvironmentVariable GetEnvironmentVariables GetFolderPath MachineName OSVersion SetEnvironmentVariable SystemDirectory",
    "IO.Directory": "CreateDirectory Delete Exists GetDirectories Move",
    "IO.DirectoryInfo": "",
    "IO.DirectoryNotFoundException": "",
    "IO.DriveInfo": "",
    "IO.File": "Copy Delete Exists GetAttributes Move ReadAllText Replace SetLastWriteTimeUtc WriteAllText",
    "IO.FileAccess": "Read ReadWrite Write",
    "IO.FileInfo": "",
    "IO.FileMode": "Create CreateNew Open OpenOrCreate",
    "IO.FileNotFoundException": "",
    "IO.FileShare": "Delete None Read ReadWrite",
    "IO.FileStream": "",
    "IO.IOException": "",
    "IO.InvalidDataException": "",
    "IO.MemoryStream": "",
    "IO.Path": "Combine GetDirectoryName GetFileName GetFullPath GetPathRoot GetTempPath",
    "IO.SeekOrigin": "Begin",
    "IO.StreamReader": "",
    "Management.Automation.PSNoteProperty": "",
    "Management.Automation.Runspaces.RunspaceFactory": "CreateRunspace",
    "Math": "Abs Ceiling Floor Max Min Round",
    "Net.Dns": "GetHostAddresses",
    "Net.SecurityProtocolType": "Tls12",
    "Net.ServicePointManager": "Expect100Continue SecurityProtocol",
    "Net.Sockets.SocketError": "",
    "Net.Sockets.SocketException": "",
    "Net.WebException": "",
    "Net.WebExceptionStatus": "Timeout",
    "Net.WebRequest": "Create",
    "Net.WebUtility": "HtmlDecode",
    "NullString": "Value",
    "PlatformID": "Win32NT",
    "Remediation.Sqlite": "Run",  # sqlite.cs
    "PowerShell": "Create",
    "Regex": "Matches Replace",
    "ScriptBlock": "Create",
    "Security.Cryptography.SHA256": "Create",
    "Security.Principal.WindowsBuiltInRole": "Administrator",
    "Security.Principal.WindowsIdentity": "GetCurrent",
    "Security.Principal.WindowsPrincipal": "",
    "Text.Encoding": "ASCII UTF8 Unicode",
    "Text.StringBuilder": "",
    "Text.UTF8Encoding": "",
    "Threading.Tasks.Task": "WaitAny",
    "Threading.Thread": "Sleep",
    "Threading.ThreadPool": "SetMinThreads",
    "TimeZoneInfo": "Local",
    "TimeoutException": "",
    "UnauthorizedAccessException": "",
    "Xml.XmlElement": "",
    "guid": "NewGuid",
    "int": "MaxValue MinValue",
    "int64": "MaxValue",
    "long": "MaxValue",
    "regex": "Escape Match Matches Replace",
    "string": "IsNullOrEmpty Join",
    "Management.Automation.IContainsErrorRecord": "",
    "Security.Cryptography.HashAlgorithm": "Create",
    "Uri": "",
    "ValueType": "",
    "Version": "",
}
_STATIC = re.compile(r"\[([A-Za-z][\w.]*)\]::(\w+)")
_MADE = re.compile(r"\bNew-Object\s+(?:-TypeName\s+)?'?([A-Za-z][\w.]*)")
_PROGRAM = re.compile(r"(?:-FilePath|-Execute|\.FileName\s*=|\$program\s*=)\s*\(?['\"]([^'\"\\/]+)['\"]")
_ENDLESS = re.compile(r"\.(?:WaitForExit|WaitOne|Wait)\(\)|Task\]::Wait(?:Any|All)\([^,()]*(?:\([^()]*\))?[^,()]*\)")
_REDIRECTED = re.compile(r"\.RedirectStandard(Input|Output|Error)\s*=\s*\$true")
_LIMIT = re.compile(r"(?i)\$watch\b|\$left\b|\bReadLine\(\)|-lt \$|-ge \$|\.Count\b|\$count -le 0")


def code(path: Path) -> str:
    """Return a script without its comments."""
    return re.sub(r"(?m)^\s*#.*$|\s#\s.*$", "", path.read_text("utf-8"))


def bodies(path: Path) -> list[tuple[str, str]]:
    """Return each function of a script with its name, and what stands in no function."""
    whole = code(path)
    found = [
        (text(each.child_by_field_name("function_name") or each.children[1]), text(each))
        for each in below(parse(whole), "function_statement")
    ]
    rest = whole
    for _, body in found:
        rest = rest.replace(body, "")
    return [*found, ("the script", rest)]


def short(name: str) -> str:
    """Return a type's name without ``System.``, which PowerShell adds itself."""
    return name.removeprefix("System.")


def name_of(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", texts(), ids=name_of)
def test_every_type_and_static_member_is_in_the_framework(path: Path) -> None:
    whole = code(path)
    used = {text(each.children[0]).partition("[")[0] for each in below(parse(whole), "type_spec")} | set(_MADE.findall(whole))
    known = ACCELERATORS | {name.lower() for name in FRAMEWORK}
    assert sorted(name for name in used if short(name).lower() not in known) == []
    members = {short(kind): set(given.split()) for kind, given in FRAMEWORK.items()}
    assert (
        sorted({f"{kind}::{member}" for kind, member in _STATIC.findall(whole) if member not in members.get(short(kind), ())})
        == []
    )


@pytest.mark.parametrize("path", texts(), ids=name_of)
def test_commands_of_the_scheduler_end_where_they_fail(path: Path) -> None:
    # they are functions of a module: a script's own preference is not theirs
    commands = [text(each) for each in below(parse(code(path)), "command")]
    ours = [each for each in commands if re.match(r"\w+-ScheduledTask", each)]
    assert [each for each in ours if "-ErrorAction" not in each] == []
    assert [each for each in ours if not each.startswith("Unregister-") and "-ErrorAction Stop" not in each] == []


@pytest.mark.parametrize("path", texts(), ids=name_of)
def test_programs_are_started_by_full_path(path: Path) -> None:
    # a bare name is searched in the current folder first, and cmd.exe reads a path as its own language
    whole = code(path)
    assert _PROGRAM.findall(whole) == []
    assert not re.search(r"(?i)['\"\\](cmd|cmd\.exe)['\"]|\bcmd(\.exe)? */c\b", whole)


@pytest.mark.parametrize("path", texts(), ids=name_of)
def test_what_is_redirected_is_read(path: Path) -> None:
    for name, body in bodies(path):
        for stream in _REDIRECTED.findall(body):
            where = code(path) if stream == "Input" else body  # another function may close it
            assert re.search(rf"(?<!Redirect)Standard{stream}\b(?!\s*=)|Begin{stream}ReadLine", where), (
                f"{name} redirects Standard{stream} and leaves it"
            )


@pytest.mark.parametrize("path", texts(), ids=name_of)
def test_every_wait_has_a_limit(path: Path) -> None:
    whole = code(path)
    assert [each[0] for each in _ENDLESS.finditer(whole)] == []
    assert not re.search(r"Standard(Output|Error)\.ReadToEnd\(\)", whole), "a grandchild may hold the pipe for ever"
    loops = [each for kind in ("while_statement", "do_statement") for each in below(parse(whole), kind)]
    assert [text(each) for each in loops if not ends(each)] == []


def ends(loop: tree_sitter.Node) -> bool:
    """Return whether a loop has a limit that can be seen: a clock, a count, or a variable of its condition that it changes."""
    condition = next((text(each) for each in loop.children if "condition" in each.type), "")
    body = text(loop)
    names = re.findall(r"\$\w+", condition.replace("$true", ""))
    return any(re.search(rf"{re.escape(name)}\s*[+-]?=", body, re.IGNORECASE) for name in names) or bool(_LIMIT.search(body))


def test_the_rules_would_notice(tmp_path: Path) -> None:
    assert _PROGRAM.search("Start-Process -FilePath 'docker.exe' -ArgumentList 1")
    assert _PROGRAM.search("$info.FileName = 'taskkill.exe'")
    assert not _PROGRAM.search("$info.FileName = Join-Path $env:SystemRoot 'System32\\taskkill.exe'")
    assert _ENDLESS.search("$process.WaitForExit()")
    assert _ENDLESS.search("[Threading.Tasks.Task]::WaitAny($tasks)")
    assert not _ENDLESS.search("[Threading.Tasks.Task]::WaitAny([Threading.Tasks.Task[]] $open, $pause)")
    path = tmp_path / "x.ps1"
    path.write_text("# c\nfunction A { $i.RedirectStandardError = $true }\n$i.StandardError\n")
    assert [name for name, _ in bodies(path)] == ["A", "the script"]
