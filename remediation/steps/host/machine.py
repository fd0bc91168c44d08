"""The host itself: its GPU driver and restarts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator

from remediation.diagnosis.versions import Version, at_least, parse_version
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, needs
from remediation.model.errors import NO_ANSWER, Blocked
from remediation.model.facts import Gpu
from remediation.model.text.digits import is_whole
from remediation.steps.contract import CheckStep, Step, param, step
from remediation.steps.run_info import run_started

LINK = "https://www.nvidia.com/Download/index.aspx"

_FLOORS: tuple[tuple[str, str, str], ...] = (
    ("0.30.11", "551.61", "550.54.14"),
    ("0.9.3", "531", "531"),
    ("0.0.0", "452.39", "450"),
)
"""Lowest driver on Windows and on Linux by Ollama release, from the CUDA toolkit of each release (NVIDIA CUDA release notes)."""
_OLD_CARD = "7.0"
_OLD_CARD_FLOOR = "570"


@dataclass(frozen=True, slots=True)
class Driver:
    """The cards with their driver, the relevant operating system, and Ollama's release if it answers."""

    gpus: tuple[Gpu, ...]
    os: str
    ollama: Version | None


@step("driver.at_least", risk=Risk.OBSERVE)
class DriverAtLeast(CheckStep[Driver]):
    """NVIDIA's driver is new enough for this Ollama release. This step only checks; it never installs a driver.

    The guide's 525 is NVIDIA's minimum for CUDA 12, not Ollama's. Ollama's minimum depends on the release and differs between
    Windows and Linux. Under WSL and Docker Desktop, the Windows driver counts.
    """

    version: str | None = param(
        "lowest driver version; defaults to what the Ollama release needs", default=None, example="551.61"
    )

    @field_validator("version", mode="before")
    @classmethod
    def _version(cls, value: object) -> object:
        text = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
        if isinstance(text, str) and not all(is_whole(part) for part in text.split(".")):
            msg = f"expected a driver version such as 551.61, got {value!r}"
            raise ValueError(msg)
        return text

    def observe(self, host: Reader) -> Driver:
        try:
            version = parse_version(host.ollama.version())
        except NO_ANSWER:
            version = None
        return Driver(host.gpu.use().gpus, host.system.facts().os, version)

    def is_met(self, state: Driver) -> bool | None:
        """Whether every card's driver is new enough. None if the required version is unknown."""
        if not state.gpus:
            return False
        if self.version is None and state.ollama is None:
            return None
        return all(_parts(gpu.driver_version) >= _parts(self._floor(state, gpu)) for gpu in state.gpus)

    def describe(self, state: Driver) -> str:
        if not state.gpus:
            return f"no NVIDIA driver answers; install one from {LINK} and restart the host"
        gpu = state.gpus[0]
        if self.version is None and state.ollama is None:
            return f"driver {gpu.driver_version}; Ollama does not answer, so the required version is unknown: set version"
        text = f"driver {gpu.driver_version}, {self._floor(state, gpu)} or newer is required"
        if self.is_met(state):
            return text
        return f"{text}; install it from {LINK}: the GPU is unavailable during the installation, and the host must be restarted afterwards"

    def values(self, state: Driver) -> dict[str, Any]:
        needed = self._floor(state, state.gpus[0]) if state.gpus and (self.version or state.ollama) else None
        return {"driver": state.gpus[0].driver_version if state.gpus else None, "needed": needed, "link": LINK}

    def _floor(self, state: Driver, gpu: Gpu) -> str:
        if self.version is not None:
            return self.version
        windows, linux = next((row[1], row[2]) for row in _FLOORS if row[0] == "0.0.0" or at_least(state.ollama, row[0]))
        floor = windows if state.os == "windows" else linux
        old = gpu.compute_capability is not None and _parts(gpu.compute_capability) < _parts(_OLD_CARD)
        if old and at_least(state.ollama, "0.30.0"):
            return max(floor, _OLD_CARD_FLOOR, key=_parts)
        return floor


@dataclass(frozen=True, slots=True)
class Boot:
    """When the machine booted and the run began, and whether Docker Desktop runs the engine and the engine answers."""

    booted: float | None
    since: float
    desktop: bool
    engine: bool


@step("host.rebooted", risk=Risk.DISRUPTIVE, needs=needs(Need.ELEVATED), settle=600.0, once_per_run=True, deadline=1200.0)
class HostRebooted(Step[Boot]):
    """The host was restarted during this run and answers again. Use it explicitly, never as a rung of a ladder.

    Docker Desktop starts only after a user has logged in. On such a host the step is blocked unless ``after_login`` confirms
    that a user will log in; it then waits for the engine too.
    """

    after_login: bool = param("a user will log in after the restart, which Docker Desktop needs", default=False)
    delay: float = param("seconds of warning for logged-in users", default=30.0, ge=0, le=600)
    docker: bool = param("wait for Docker Desktop too", default=True)
    later_than: float | None = param("boot time that the restart has to replace; defaults to the start of the run", default=None)

    def observe(self, host: Reader) -> Boot:
        """Read the boot time. Raises `Blocked` if Docker would not start again."""
        facts, since = host.system.facts(), run_started(host) if self.later_than is None else self.later_than + 1.0
        docker = host.desktop.docker() if self.docker else None
        fresh = facts.booted is not None and facts.booted >= since
        if docker is not None and not fresh and not self.after_login:
            raise Blocked(
                f"after a restart of {host.name} Docker Desktop starts only when a user logs in at its desktop", host=host.name,
                next_step="set after_login: true if a user will log in",
            )  # fmt: skip
        return Boot(facts.booted, since, docker is not None, docker is None or docker.engine)

    def is_met(self, state: Boot) -> bool:
        return state.booted is not None and state.booted >= state.since and state.engine

    def plan(self, state: Boot) -> Iterator[Change]:
        if state.booted is None or state.booted < state.since:
            yield Change(
                "restart the host; everything running on it ends", subject="host", before=state.booted, asks="restarts the host",
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        host.system.reboot(delay=self.delay, message="remediation restarts this computer. Save your work.")

    def describe(self, state: Boot) -> str:
        restarted = state.booted is not None and state.booted >= state.since
        parts = ["the host was restarted in this run" if restarted else "the host was not restarted in this run"]
        if restarted and not state.engine:
            parts.append("Docker Desktop waits for a user to log in")
        return "; ".join(parts)

    def values(self, state: Boot) -> dict[str, Any]:
        return {"booted": state.booted}


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if is_whole(part))
