"""The real PowerShell in place of the stand-in: its own text runs, and the lab's machine answers what it finds of Windows."""

from __future__ import annotations

import base64
import getpass
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

_FOLDER = Path(__file__).parent
MODULE = _FOLDER / "windows.psm1"
TYPES = "REMEDIATION_LAB_TYPES"
_SWITCH = "-encodedcommand"
_ENTER = (
    "$global:ProgressPreference='SilentlyContinue';Import-Module '{module}' -DisableNameChecking -Global;"
    "$mode=Enter-Windows;if($mode){{$ExecutionContext.SessionState.LanguageMode=$mode}};Remove-Variable mode;"
)


def words(program: str, arguments: Sequence[str]) -> list[str]:
    """Return the words that start `program` for what a client asked of powershell.exe.

    An encoded command runs as it came, after the module that stands in for Windows.
    """
    done = list(arguments)
    for at, word in enumerate(done[:-1]):
        if word.lower() in {_SWITCH, "-enc", "-e", "-ec"}:
            text = base64.b64decode(done[at + 1]).decode("utf-16-le")
            whole = _ENTER.format(module=str(MODULE).replace("'", "''")) + text
            done[at + 1] = base64.b64encode(whole.encode("utf-16-le")).decode()
    return [program, *done]


def prepare(program: str) -> str:
    """Compile the types, once per version of PowerShell; returns why that cannot be, else nothing."""
    if Path(environment(program)[TYPES]).exists():
        return ""
    command = [program, "-NoProfile", "-NonInteractive", "-Command", f"Import-Module '{MODULE}' -DisableNameChecking"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env={**os.environ, **environment(program)}
        )
    except OSError as error:
        return f"{program} cannot be started: {error.strerror}"
    if Path(environment(program)[TYPES]).exists():
        return ""
    lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return f"{program} does not run as PowerShell 7: {lines[0] if lines else f'exit code {done.returncode}'}"


def programs(program: str) -> Mapping[str, Callable[[Sequence[str]], Sequence[str]]]:
    """Return what a WinRM server starts for powershell.exe."""
    return {"powershell": partial(words, program)}


@cache
def environment(program: str) -> Mapping[str, str]:
    """Return the variables that the module needs: where its compiled types lie, one file per version of them and of PowerShell."""
    mark = hashlib.sha256((_FOLDER / "windows.cs").read_bytes() + program.encode()).hexdigest()[:16]
    name = f"remediation-lab-{mark}-{getpass.getuser()}.dll"
    return {TYPES: os.path.join(tempfile.gettempdir(), name), "POWERSHELL_TELEMETRY_OPTOUT": "1"}  # noqa: PTH118  # PowerShell gets text
