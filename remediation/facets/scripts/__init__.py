"""The probes: PowerShell scripts that answer with JSON (``docs/worker-protocol.md``), and POSIX scripts.

A PowerShell probe is put together when it is sent: its own file, with those functions of ``functions.ps1`` behind the ``param`` line
that it uses, without comments. So a function exists once, and no host gets more than it needs.
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
"""Comments and empty lines; no script has a text of several lines, in which they would count."""
_NAME = re.compile(r"^function ([\w-]+)", re.MULTILINE)


@functools.cache
def script(name: str) -> str:
    """Return the text of the probe `name` for PowerShell; raises `UsageError` for a name that is none."""
    head, parameters, body = _text(f"{name}.ps1").partition(PARAMETERS)
    if not parameters:
        raise UsageError(
            f"{name} is no probe: it has no line {PARAMETERS.strip()}", next_step=f"the probes are the other files in {FOLDER}"
        )
    beginning, functions = shared()
    text = "\n".join((head + parameters + beginning, *(functions[each] for each in used(body, functions)), body))
    return _NOT_SENT.sub("", text)


@functools.cache
def shared() -> tuple[str, Mapping[str, str]]:
    """Return what every probe begins with, and each shared function's text by its name."""
    beginning, *blocks = _BLOCK.split(_text(f"{SHARED}.ps1"))
    return beginning + "\n", {name[1]: block.rstrip("\n") + "\n" for block in blocks if (name := _NAME.search(block))}


def used(text: str, functions: Mapping[str, str]) -> list[str]:
    """Return the names of those functions that `text` uses, and of those that they use, in the order of the file."""
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


def _text(name: str) -> str:
    path = FOLDER / name
    if path.parent != FOLDER or not path.is_file():
        raise UsageError(f"there is no probe {name}", next_step=f"the probes are the files in {FOLDER}")
    return path.read_text(encoding="utf-8")
