"""The prerequisites of a repair, for ``check-host``: WinRM quotas, performance counter classes, WSL, Compose, container toolkit.

Steps do not use this: a missing prerequisite also shows in the step that needs it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation.connections.calls import Completed, Failed, Probe, Run
from remediation.facets.checked import checked_function
from remediation.facets.machine.rights import problems
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot, last_error_line
from remediation.model.text.digits import is_whole

PROBE = Probe("readiness", timeout=60.0)
SCRIPT = Run(("sh", "-c", shell("readiness")), timeout=20.0)
_FAULT_MESSAGE = re.compile(r"<(?:\w+:)?Message>([^<]+)</")
PATIENCE = 30.0
"""Seconds for ``docker compose version``."""
COMPOSE = ("docker", "compose", "version", "--short")


@dataclass(frozen=True, slots=True)
class Compose:
    """The Compose plugin: its ``version``, or its ``problem``; ``hangs`` means that ``docker`` did not end."""

    version: str = ""
    problem: str = ""
    hangs: bool = False


@dataclass(frozen=True, slots=True)
class Distribution:
    """A WSL distribution. ``own`` means that it belongs to this login."""

    name: str
    version: int | None
    own: bool


@dataclass(frozen=True, slots=True)
class Wsl:
    """The Windows Subsystem for Linux. ``service`` is empty if it is not installed, ``version`` if it is part of Windows."""

    service: str = ""
    state: str = ""
    version: str = ""
    distributions: tuple[Distribution, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowsReadiness:
    """A Windows host. ``quotas`` has the known WinRM quotas by name; ``by_policy`` names those set by a group policy."""

    compose: Compose
    quotas: Mapping[str, int] = field(default_factory=dict)
    quotas_problem: str = ""
    by_policy: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    classes_problem: str = ""
    wsl: Wsl = field(default_factory=Wsl)
    problems: Mapping[str, str] = field(default_factory=dict)
    """Reasons for missing parts, by their name in the probe."""


@dataclass(frozen=True, slots=True)
class PosixReadiness:
    """A Linux host. ``socket`` is ``writable``, ``closed`` or empty; ``units`` maps systemd services to their states."""

    compose: Compose
    groups: tuple[str, ...] = ()
    socket: str = ""
    module: str = ""
    toolkit: str = ""
    programs: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


@checked_function("readiness")
def windows_readiness(snapshot: Snapshot, environment: Mapping[str, str], *, patience: float = PATIENCE) -> WindowsReadiness:
    """Query a Windows host in one exchange. `patience` is the time for ``docker``, in seconds."""
    _, version = snapshot.fetch(PROBE, _compose_call(environment, patience))
    return readiness_from_probe(snapshot.probe(PROBE, "reading quotas, counters and WSL"), _compose(version))


@checked_function("readiness")
def posix_readiness(snapshot: Snapshot, environment: Mapping[str, str], *, patience: float = PATIENCE) -> PosixReadiness:
    """Query a Linux host in one exchange. `patience` is the time for ``docker``, in seconds."""
    installed, version = snapshot.fetch(SCRIPT, _compose_call(environment, patience))
    return from_lines(snapshot.completed(installed, "reading the installed software").text, _compose(version))


def readiness_from_probe(value: Mapping[str, Any], compose: Compose) -> WindowsReadiness:
    """Convert the ``readiness`` probe's answer."""
    quotas = {name: int(text) for name, text in (value["Quotas"] or {}).items() if is_whole(str(text))}
    return WindowsReadiness(
        compose,
        quotas,
        _sentence(str(value["QuotasProblem"] or "")),
        tuple(value["ByPolicy"] or ()),
        tuple(sorted(value["GpuClasses"] or ())),
        str(value["GpuClassesProblem"] or ""),
        Wsl(
            str(value["WslService"] or ""),
            str(value["WslState"] or ""),
            str(value["WslVersion"] or ""),
            tuple(Distribution(str(each["Name"]), each["Version"], bool(each["Own"])) for each in value["Distributions"] or ()),
        ),
        problems(value),
    )


def from_lines(text: str, compose: Compose) -> PosixReadiness:
    """Parse the output of ``readiness.sh``."""
    lines = [line.partition(" ") for line in text.splitlines()]
    values = {name: value for name, _, value in lines}
    units = (value.partition(" ") for name, _, value in lines if name == "unit")
    return PosixReadiness(
        compose,
        tuple(values.get("groups", "").split()),
        values.get("socket", ""),
        values.get("module", ""),
        values.get("toolkit", ""),
        tuple(value for name, _, value in lines if name == "program"),
        {name: state for name, _, state in units},
    )


def _sentence(problem: str) -> str:
    """Return the message of a problem. A denied WSMan command wraps it in XML."""
    match = _FAULT_MESSAGE.search(problem)
    return html.unescape(match[1]).strip() if match else problem


def _compose_call(environment: Mapping[str, str], patience: float) -> Run:
    return Run(COMPOSE, timeout=patience, env=environment)


def _compose(reply: object) -> Compose:
    if isinstance(reply, Completed):
        version = reply.text.strip()
        return (
            Compose(version.removeprefix("v"))
            if reply.rc == 0 and version
            else Compose(problem=last_error_line(reply) or "no output")
        )
    hangs = isinstance(reply, Failed) and reply.kind == "timeout"
    return Compose(problem=str(getattr(reply, "message", reply)), hangs=hangs)
