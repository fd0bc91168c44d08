"""What a repair rests on before it begins, for ``check-host``: quotas of the way in, classes of counters, WSL, Compose, the container toolkit.

No step asks for it: whatever is missing here shows at the step that needs it as well.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation.connections.calls import Completed, Probe, Run
from remediation.facets.checked import checked_function
from remediation.facets.machine.rights import problems
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot, last_words
from remediation.model.text.digits import is_whole

PROBE = Probe("readiness", timeout=60.0)
SCRIPT = Run(("sh", "-c", shell("readiness")), timeout=20.0)
_FAULT_MESSAGE = re.compile(r"<(?:\w+:)?Message>([^<]+)</")
COMPOSE = ("docker", "compose", "version", "--short")


@dataclass(frozen=True, slots=True)
class Compose:
    """The Compose plugin: its ``version``, or what ``problem`` there is with it."""

    version: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution of WSL: ``own`` says whether it is this login's."""

    name: str
    version: int | None
    own: bool


@dataclass(frozen=True, slots=True)
class Wsl:
    """The Windows Subsystem for Linux; ``service`` is empty where it is not installed, ``version`` where Windows brought it along."""

    service: str = ""
    state: str = ""
    version: str = ""
    distributions: tuple[Distribution, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowsReadiness:
    """A Windows host. ``quotas`` by their names in WinRM's configuration, without those that were not told; ``by_policy`` names some."""

    compose: Compose
    quotas: Mapping[str, int] = field(default_factory=dict)
    quotas_problem: str = ""
    by_policy: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    classes_problem: str = ""
    wsl: Wsl = field(default_factory=Wsl)
    problems: Mapping[str, str] = field(default_factory=dict)
    """Why a part is not known, by its name in the probe."""


@dataclass(frozen=True, slots=True)
class PosixReadiness:
    """A Linux host. ``socket`` is ``writable``, ``closed`` or empty; ``units`` are services known to systemd with their states."""

    compose: Compose
    groups: tuple[str, ...] = ()
    socket: str = ""
    module: str = ""
    toolkit: str = ""
    programs: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


@checked_function("readiness")
def windows_readiness(look: Snapshot, environment: Mapping[str, str]) -> WindowsReadiness:
    """Ask a Windows host, in one exchange."""
    _, version = look.ask(PROBE, _compose_call(environment))
    return readiness_from_probe(look.probe(PROBE, "asking for quotas, counters and WSL"), _compose(version))


@checked_function("readiness")
def posix_readiness(look: Snapshot, environment: Mapping[str, str]) -> PosixReadiness:
    """Ask a Linux host, in one exchange."""
    told, version = look.ask(SCRIPT, _compose_call(environment))
    return from_lines(look.ended(told, "asking for what is installed").text, _compose(version))


def readiness_from_probe(value: Mapping[str, Any], compose: Compose) -> WindowsReadiness:
    """Return what the probe ``readiness`` says."""
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
    """Return what the script ``readiness.sh`` says."""
    lines = [line.partition(" ") for line in text.splitlines()]
    told = {name: value for name, _, value in lines}
    units = (value.partition(" ") for name, _, value in lines if name == "unit")
    return PosixReadiness(
        compose,
        tuple(told.get("groups", "").split()),
        told.get("socket", ""),
        told.get("module", ""),
        told.get("toolkit", ""),
        tuple(value for name, _, value in lines if name == "program"),
        {name: state for name, _, state in units},
    )


def _sentence(problem: str) -> str:
    """Return what a problem says; a WSMan command that is refused gives it inside XML."""
    match = _FAULT_MESSAGE.search(problem)
    return html.unescape(match[1]).strip() if match else problem


def _compose_call(environment: Mapping[str, str]) -> Run:
    return Run(COMPOSE, timeout=30.0, env=environment)


def _compose(reply: object) -> Compose:
    if isinstance(reply, Completed):
        said = reply.text.strip()
        return (
            Compose(said.removeprefix("v")) if reply.rc == 0 and said else Compose(problem=last_words(reply) or "it says nothing")
        )
    return Compose(problem=str(getattr(reply, "message", reply)))
