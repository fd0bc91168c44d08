"""The machine: Win32_OperatingSystem through a probe, or what the Linux kernel tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.connections.base import Probe, Run
from remediation.facets.look import Look
from remediation.facets.scripts import shell
from remediation.model.errors import CallFailed
from remediation.model.facts import SystemFacts

KIB = 1024
FACTS_PROBE = Probe("system", timeout=30.0)
FACTS_RUN = Run(("sh", "-c", shell("system")), timeout=15.0)


class WindowsSystem:
    """By the ``system`` probe."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""
        return from_probe(self._look.probe(FACTS_PROBE, "asking Windows about itself"))


class PosixSystem:
    """By ``uname``, ``date`` and ``/proc``."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""
        return from_shell(self._look.run(FACTS_RUN, "asking the system about itself").text, self._look.host)


def from_probe(value: Mapping[str, Any]) -> SystemFacts:
    """Return what the ``system`` probe says; the class gives memory in KiB."""
    return SystemFacts(
        os="windows",
        version=str(value["Version"]),
        hostname=str(value["Hostname"]),
        memory_total=_bytes(value["TotalVisibleMemorySize"]),
        memory_free=_bytes(value["FreePhysicalMemory"]),
        now=float(value["Now"]),
        booted=None if value["LastBootUpTime"] is None else float(value["LastBootUpTime"]),
    )


def from_shell(text: str, host: str) -> SystemFacts:
    """Return what ``system.sh`` says; raises `CallFailed` for a system that is no Linux."""
    values = {name: rest.strip() for name, _, rest in (line.partition(" ") for line in text.splitlines())}
    kernel = values.get("kernel", "")
    if kernel != "Linux":
        raise CallFailed(f"{kernel or 'this system'} is not known: hosts run Windows or Linux", host=host)
    return SystemFacts(
        os="linux",
        version=" ".join(each for each in (values.get("name", ""), values.get("release", "")) if each),
        hostname=values.get("host", ""),
        memory_total=_bytes(_number(values.get("MemTotal:"))),
        memory_free=_bytes(_number(values.get("MemAvailable:"))),
        now=float(values.get("now") or 0.0),
        booted=float(values["btime"]) if "btime" in values else None,
    )


def _number(text: str | None) -> int | None:
    first = (text or "").split()
    return int(first[0]) if first and first[0].isdecimal() else None


def _bytes(kib: int | None) -> int | None:
    return None if kib is None else int(kib) * KIB
