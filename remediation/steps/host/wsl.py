"""The memory limit of WSL's virtual machine, which holds Docker Desktop's engine and every distribution of a Windows user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator

from remediation.diagnosis.units import GIB, MIB, human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change
from remediation.model.errors import Blocked, NotApplicable
from remediation.model.facts import SystemLimits
from remediation.steps.compose.resources import bytes_of
from remediation.steps.contract import Step, param, step
from remediation.steps.file_edit import file_edit, write_edit

AFTERWARDS = (
    "it applies after wsl.restarted, or wsl --shutdown at that user's desktop, which ends every distribution and Docker Desktop's "
    "containers of that user; save what is open in them first"
)
_SECTION = re.compile(r"^\s*\[(\w+)\]\s*$")


@dataclass(frozen=True, slots=True)
class WslFile:
    """The desktop user's ``.wslconfig`` (None: it does not exist), the wanted text, the host's memory and the engine's.

    ``size`` is the wanted limit, None if there is no limit and none is needed.
    """

    path: str
    text: str | None
    wanted: str
    size: int | None
    host: int | None
    engine: int | None


@step("wsl.configured")
class WslConfigured(Step[WslFile]):
    """The desktop user's ``.wslconfig`` gives WSL's virtual machine this memory. Other lines are kept.

    Without an amount, a limit below half of the host's memory is raised to that half, which WSL gives without a limit; a higher one
    is kept. WSL reads the file when its machine starts: use ``wsl.restarted`` after it, which ends every distribution and all
    containers of the user. This step does not.
    """

    memory: int | None = param(
        "memory of WSL's virtual machine; half of the host's without it", default=None, example="12 GiB", ge=512 * MIB
    )

    @field_validator("memory", mode="before")
    @classmethod
    def _memory(cls, value: object) -> object:
        size = bytes_of(value)
        return value if size is None else size

    def observe(self, host: Reader) -> WslFile:
        limits = host.system.limits()
        if not limits.wslconfig:
            raise NotApplicable("does not apply, because the host has no .wslconfig", host=host.name)
        content = host.files.read(limits.wslconfig)
        text = None if content is None else content.decode("utf-8-sig", errors="replace")
        size = self.memory if self.memory is not None else _recommended_memory(host.name, limits)
        wanted = text or "" if size is None else with_memory(text or "", size)
        return WslFile(limits.wslconfig, text, wanted, size, limits.host, limits.engine)

    def is_met(self, state: WslFile) -> bool:
        return (state.text or "") == state.wanted

    def plan(self, state: WslFile) -> Iterator[Change]:
        if self.is_met(state) or state.size is None or _too_much(state):
            return
        summary = f"set memory={_amount(state.size)} in {state.path}; {AFTERWARDS}"
        yield file_edit(summary, state.path, state.text, state.wanted, after=state.size)

    def apply(self, host: Writer, change: Change) -> None:
        write_edit(host, change)

    def describe(self, state: WslFile) -> str:
        if state.size is None:
            return f"{state.path} has no limit below half of the host's memory"
        if _too_much(state) and state.host is not None:
            return f"the host has {human(state.host)}, and WSL must leave some of it to Windows"
        now = f"; the engine's machine has {human(state.engine)} now" if state.engine else ""
        return f"memory={_amount(state.size)} is {'' if self.is_met(state) else 'not '}in {state.path}{now}"

    def values(self, state: WslFile) -> dict[str, Any]:
        return {"path": state.path, "engine": state.engine}


def _too_much(state: WslFile) -> bool:
    return state.host is not None and state.size is not None and state.size > state.host - 2 * GIB


def _recommended_memory(host: str, limits: SystemLimits) -> int | None:
    """Return half of the host's memory in whole GiB if ``.wslconfig`` has a limit below it, else None."""
    if limits.host is None:
        raise Blocked(
            f"the memory of {host} is unknown, so half of it is too",
            host=host,
            next_step="name an amount: wsl.configured: { memory: 8 GiB }",
        )
    if limits.wsl is None or limits.wsl >= limits.host // 2:
        return None
    return -(-limits.host // 2 // GIB) * GIB


def with_memory(text: str, size: int) -> str:
    """Return the text of ``.wslconfig`` with ``memory=`` in the section ``[wsl2]``. Line ends are kept."""
    end = "\r\n" if "\r\n" in text else "\n"
    line = f"memory={_amount(size)}"
    lines, section, place = text.splitlines(), "", None
    for number, each in enumerate(lines):
        match = _SECTION.match(each)
        if match:
            section = match[1].lower()
            place = number + 1 if section == "wsl2" and place is None else place
        elif section == "wsl2" and re.match(r"\s*memory\s*=", each, re.IGNORECASE):
            if re.fullmatch(rf"\s*memory\s*=\s*{_amount(size)}\s*", each, re.IGNORECASE):
                return text
            return end.join([*lines[:number], line, *lines[number + 1 :], ""])
    if place is None:
        lines += ["[wsl2]"]
        place = len(lines)
    return end.join([*lines[:place], line, *lines[place:], ""])


def _amount(size: int) -> str:
    """Return a size as WSL reads it: whole gigabytes or megabytes (Microsoft: wsl-config)."""
    return f"{size // GIB}GB" if size % GIB == 0 else f"{size // MIB}MB"
