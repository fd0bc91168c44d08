"""The programs of a simulated Windows host, as functions of the machine."""

from __future__ import annotations

import importlib
import ntpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation_lab.wire import Refusal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine


@dataclass(frozen=True, slots=True)
class Call:
    """How a program was started; `deadline` by the machine's clock."""

    argv: tuple[str, ...]
    stdin: bytes
    cwd: str
    env: Mapping[str, str]
    deadline: float
    session: int = 0
    """0 for what a remote login starts; 1 for what the desktop's user would."""


@dataclass(frozen=True, slots=True)
class Done:
    """A program that ended."""

    rc: int
    stdout: bytes = b""
    stderr: bytes = b""


MISSING = "The system cannot find the file specified"
"""Windows' words where a program is not there."""

Program = Callable[["Machine", Call], Done]

_WHERE = {
    "docker": "remediation_lab.programs.docker",
    "nvidia-smi": "remediation_lab.programs.nvidia_smi",
    "hostname": "remediation_lab.programs.small",
    "whoami": "remediation_lab.programs.small",
    "lab-echo": "remediation_lab.programs.small",
    "shutdown": "remediation_lab.programs.windows",
    "taskkill": "remediation_lab.programs.windows",
    "tasklist": "remediation_lab.programs.windows",
    "netstat": "remediation_lab.programs.windows",
    "wsl": "remediation_lab.programs.wsl",
    "powershell": "remediation_lab.programs.powershell",
    "pwsh": "remediation_lab.programs.powershell",
    "cmd": "remediation_lab.programs.powershell",
    "curl": "remediation_lab.programs.curl",
    "certutil": "remediation_lab.programs.small",
    "ollama": "remediation_lab.programs.small",
}


def find(argv: list[str]) -> Program:
    """Return the program that an argument list names; Refusal when there is none."""
    name = ntpath.basename(argv[0]).lower() if argv else ""
    name = name.removesuffix(".exe")
    if name not in _WHERE:
        raise Refusal("not-found", MISSING)
    name = "powershell" if name == "pwsh" else name
    program: Program = getattr(importlib.import_module(_WHERE[name]), name.replace("-", "_"))
    return program


def printed(text: str, *, rc: int = 0) -> Done:
    """End with a text on stdout."""
    return Done(rc, text.encode())


def failed(text: str, *, rc: int = 1, stdout: str = "") -> Done:
    """End with a text on stderr."""
    return Done(rc, stdout.encode(), f"{text}\n".encode())
