"""The constant command lines that start PowerShell, and the worker's script, which is sent on stdin."""

from __future__ import annotations

import base64
import functools
from pathlib import Path

PROTOCOL = 1
LANGUAGE_MARK = b"remediation-language-mode "
"""The bootstrap's message if the language mode forbids the worker."""

_FLAGS = ("-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand")
_HEAD = (
    "$ErrorActionPreference='Stop';$ProgressPreference='SilentlyContinue';"
    "$m=[string]$ExecutionContext.SessionState.LanguageMode;"
    "if($m -ne 'FullLanguage'){\"remediation-language-mode $m\";exit 3};"
)
_RUN = "& ([ScriptBlock]::Create([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($r.ReadLine())))) $r"
# stdin is read line by line. The automatic variable of piped input must not be used here: PowerShell would read stdin to its end
# before the first statement, and no call would be answered.
_WORKER = (
    _HEAD
    + "$s=[Console]::OpenStandardInput();"
    # .NET Framework waits on the pipe's handle before it reads. Windows' sshd uses overlapped pipes, for which that wait may never
    # end (Win32-OpenSSH issue 1314). A FileStream on the same handle reads at once.
    + "if($PSVersionTable.PSVersion.Major -lt 6){"
    + "$f=$s.GetType().GetField('_handle',[Reflection.BindingFlags]'Instance,NonPublic');"
    + "if($f){try{$s=New-Object IO.FileStream($f.GetValue($s),[IO.FileAccess]::Read,65536,$false)}catch{$f=$null}}};"
    + "$r=New-Object IO.StreamReader($s,[Text.Encoding]::ASCII,$false,65536);"
    + _RUN
)
# One process per call: stdin is read to its end on purpose, and the same worker reads the lines from memory.
_ONE_CALL = _HEAD + '$r=New-Object IO.StringReader((@($input) -join "`n"));' + _RUN


def _encode_command(program: str, text: str) -> tuple[str, ...]:
    return (program, *_FLAGS, base64.b64encode(text.encode("utf-16-le")).decode("ascii"))


def worker_command(program: str = "powershell.exe") -> tuple[str, ...]:
    """Return the command that starts a worker for many requests."""
    return _encode_command(program, _WORKER)


def one_call_command(program: str = "powershell.exe") -> tuple[str, ...]:
    """Return the command of a process that answers the requests on its stdin and exits."""
    return _encode_command(program, _ONE_CALL)


@functools.cache
def worker_text() -> bytes:
    """Return the content of ``worker.ps1``."""
    return Path(__file__).with_name("worker.ps1").read_bytes()
