"""The machine under it all: its driver, and a restart of it."""

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
from remediation.steps.contract import Step, param, step
from remediation.steps.run_info import run_started

LINK = "https://www.nvidia.com/Download/index.aspx"

_FLOORS: tuple[tuple[str, str, str], ...] = (
    ("0.30.11", "551.61", "550.54.14"),
    ("0.9.3", "531", "531"),
    ("0.0.0", "452.39", "450"),
)
"""facts/ollama 6: from which release on, the floor on Windows, and on Linux."""
_OLD_CARD = "7.0"
_OLD_CARD_FLOOR = "570"


@dataclass(frozen=True, slots=True)
class Driver:
    """The cards with their driver, the operating system whose numbers count, and Ollama's release where it answers."""

    gpus: tuple[Gpu, ...]
    os: str
    ollama: Version | None


@step("driver.at_least", risk=Risk.OBSERVE)
class DriverAtLeast(Step[Driver]):
    """NVIDIA's driver is new enough for this Ollama: a check. It reports and never installs: that is the user's decision.

    The guide's 525 is NVIDIA's floor for CUDA 12, not Ollama's: which driver is needed depends on the release, and Windows and
    Linux count differently (facts/ollama 6). Under WSL and Docker Desktop the Windows driver counts.
    """

    version: str | None = param("the driver's version; what Ollama's release needs by default", default=None, example="551.61")

    @field_validator("version", mode="before")
    @classmethod
    def _version(cls, value: object) -> object:
        text = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
        if isinstance(text, str) and not all(is_whole(part) for part in text.split(".")):
            msg = f"a driver's version such as 551.61 is wanted, not {value!r}"
            raise ValueError(msg)
        return text

    def look(self, host: Reader) -> Driver:
        """Read driver and releases."""
        try:
            version = parse_version(host.ollama.version())
        except NO_ANSWER:
            version = None
        return Driver(host.gpu.use().gpus, host.system.facts().os, version)

    def met(self, seen: Driver) -> bool | None:
        """Whether every card's driver is new enough; None where nothing says which is needed."""
        if not seen.gpus:
            return False
        if self.version is None and seen.ollama is None:
            return None
        return all(_parts(gpu.driver_version) >= _parts(self._floor(seen, gpu)) for gpu in seen.gpus)

    def plan(self, seen: Driver) -> Iterator[Change]:
        """Plan nothing."""
        return iter(())

    def describe(self, seen: Driver) -> str:
        """Say which driver there is and which is needed, and what changing it means."""
        if not seen.gpus:
            return f"no NVIDIA driver answers; install one from {LINK} and restart the host"
        gpu = seen.gpus[0]
        if self.version is None and seen.ollama is None:
            return f"driver {gpu.driver_version}; Ollama does not answer, so which is needed is not known: give version"
        text = f"driver {gpu.driver_version}, {self._floor(seen, gpu)} or newer is needed"
        if self.met(seen):
            return text
        return f"{text}; install it from {LINK}: the GPU is gone meanwhile, and the host must be restarted afterwards"

    def values(self, seen: Driver) -> dict[str, Any]:
        """Register both versions."""
        needed = self._floor(seen, seen.gpus[0]) if seen.gpus and (self.version or seen.ollama) else None
        return {"driver": seen.gpus[0].driver_version if seen.gpus else None, "needed": needed, "link": LINK}

    def _floor(self, seen: Driver, gpu: Gpu) -> str:
        if self.version is not None:
            return self.version
        windows, linux = next((row[1], row[2]) for row in _FLOORS if row[0] == "0.0.0" or at_least(seen.ollama, row[0]))
        floor = windows if seen.os == "windows" else linux
        old = gpu.compute_capability is not None and _parts(gpu.compute_capability) < _parts(_OLD_CARD)
        if old and at_least(seen.ollama, "0.30.0"):
            return max(floor, _OLD_CARD_FLOOR, key=_parts)
        return floor


@dataclass(frozen=True, slots=True)
class Boot:
    """When the machine and the run began, and whether Docker answers where Docker Desktop is what runs it."""

    booted: float | None
    since: float
    desktop: bool
    engine: bool


@step("host.rebooted", risk=Risk.DISRUPTIVE, needs=needs(Need.ELEVATED), settle=600.0, once_per_run=True, deadline=1200.0)
class HostRebooted(Step[Boot]):
    """The host was restarted after this run began, and answers again. Only on explicit request, never a rung of a ladder.

    Where Docker Desktop runs the engine it starts only after somebody has logged in: the step is blocked there unless
    ``after_login`` says that somebody will; then it waits for the engine as well.
    """

    after_login: bool = param("whether somebody logs in after the restart, where Docker Desktop needs it", default=False)
    delay: float = param("seconds that whoever uses the host is given", default=30.0, ge=0, le=600)

    def look(self, host: Reader) -> Boot:
        """Read the boot time; refuse where nobody would start Docker again."""
        facts, since = host.system.facts(), run_started(host)
        docker = host.desktop.docker()
        fresh = facts.booted is not None and facts.booted >= since
        if docker is not None and not fresh and not self.after_login:
            raise Blocked(
                f"after a restart of {host.name} Docker Desktop starts only when somebody logs in at its desktop", host=host.name,
                next_step="say after_login: true if somebody will",
            )  # fmt: skip
        return Boot(facts.booted, since, docker is not None, docker is None or docker.engine)

    def met(self, seen: Boot) -> bool:
        """Whether it was restarted, and the engine answers."""
        return seen.booted is not None and seen.booted >= seen.since and seen.engine

    def plan(self, seen: Boot) -> Iterator[Change]:
        """Restart it."""
        if seen.booted is None or seen.booted < seen.since:
            yield Change(
                "restart the host; whatever runs on it ends", subject="host", before=seen.booted, asks="restarts the host",
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        """Restart it and wait until it answers."""
        host.system.reboot(delay=self.delay, message="remediation restarts this computer. Save your work.")

    def describe(self, seen: Boot) -> str:
        """Say when it was restarted, and what it waits for."""
        restarted = seen.booted is not None and seen.booted >= seen.since
        parts = ["the host was restarted in this run" if restarted else "the host was not restarted in this run"]
        if restarted and not seen.engine:
            parts.append("Docker Desktop waits for somebody to log in")
        return "; ".join(parts)

    def values(self, seen: Boot) -> dict[str, Any]:
        """Register the boot time."""
        return {"booted": seen.booted}


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if is_whole(part))
