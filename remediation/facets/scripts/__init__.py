"""Probes: PowerShell scripts that answer with JSON (``docs/worker-protocol.md``), and POSIX scripts.

The text of a PowerShell probe is assembled from its own file and the functions of ``functions.ps1`` that it uses, placed after
the ``param`` line, without comments. Each function is defined once, and hosts receive only what they need.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from remediation.model.errors import UsageError

FOLDER = Path(__file__).parent
SHARED = "functions"
PARAMETERS = "param($Data)\n"
_BLOCK = re.compile(r"\n\n(?=(?:#[^\n]*\n)*function )")
_NOT_SENT = re.compile(r"^\s*(?:#[^\n]*)?\n", re.MULTILINE)
"""Comments and blank lines. No script has a multi-line string in which they would matter."""
_NAME = re.compile(r"^function ([\w-]+)", re.MULTILINE)


@functools.cache
def script(name: str) -> str:
    """Return the PowerShell text of the probe `name`. Raises `UsageError` if there is no such probe."""
    head, parameters, body = _text(f"{name}.ps1").partition(PARAMETERS)
    if not parameters:
        raise UsageError(
            f"{name} is not a probe: it has no line {PARAMETERS.strip()}", next_step=f"the probes are the other files in {FOLDER}"
        )
    beginning, functions = shared()
    text = "\n".join((head + parameters + beginning, *(functions[each] for each in used_functions(body, functions)), body))
    return _NOT_SENT.sub("", text)


@functools.cache
def shared() -> tuple[str, Mapping[str, str]]:
    """Return the common beginning of all probes, and the shared functions by name."""
    beginning, *blocks = _BLOCK.split(_text(f"{SHARED}.ps1"))
    return beginning + "\n", {name[1]: block.rstrip("\n") + "\n" for block in blocks if (name := _NAME.search(block))}


def used_functions(text: str, functions: Mapping[str, str]) -> list[str]:
    """Return the names of the functions that `text` uses, directly or through other functions, in file order."""
    found: set[str] = set()
    waiting = [text]
    while waiting:
        words = set(re.findall(r"[\w-]+", waiting.pop()))
        new = (words & functions.keys()) - found
        found |= new
        waiting += [functions[each] for each in new]
    return [each for each in functions if each in found]


@functools.cache
def shell(name: str) -> str:
    """Return the text of the POSIX script `name`."""
    return _text(f"{name}.sh")


@functools.cache
def source(name: str) -> str:
    """Return the text of the C# class `name`, which a probe gets with its data."""
    return _text(f"{name}.cs")


def _text(name: str) -> str:
    path = FOLDER / name
    if path.parent != FOLDER or not path.is_file():
        raise UsageError(f"probe {name} does not exist", next_step=f"the probes are the files in {FOLDER}")
    return path.read_text(encoding="utf-8")
