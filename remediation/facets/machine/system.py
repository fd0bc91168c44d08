"""The machine: Win32_OperatingSystem through a probe, or what the Linux kernel tells of itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from remediation.connections.calls import Completed, Failed, Probe, Run
from remediation.facets.checked import checked
from remediation.facets.machine.docker_desktop import STATE_PROBE
from remediation.facets.machine.rights import problems
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot, last_words
from remediation.model.clock import Clock
from remediation.model.errors import NO_ANSWER, Blocked, CallFailed, DeadlineExceeded, OutcomeUnknown, Unreachable
from remediation.model.facts import EngineFacts, SystemFacts, SystemLimits
from remediation.model.text.digits import is_whole

KIB = 1024
_POLL = 5.0
_DOWN = 40.0
"""Seconds that no machine comes back in; asking it meanwhile would only be met by silence."""
_LOOKS = 3
FACTS_PROBE = Probe("system", timeout=30.0)
FACTS_RUN = Run(("sh", "-c", shell("system")), timeout=15.0)


@checked("system")
class WindowsSystem:
    """By the ``system`` probe; `engine` is what the engine says, and raises where it does not answer."""

    def __init__(self, look: Snapshot, engine: Callable[[], EngineFacts]) -> None:
        self._snapshot, self._engine = look, engine

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""
        return system_from_probe(self._snapshot.probe(FACTS_PROBE, "asking Windows about itself"))

    def limits(self) -> SystemLimits:
        """Return what bounds the memory of containers: the engine's machine, and what ``.wslconfig`` says of it."""
        value = self._snapshot.probe(STATE_PROBE, "asking for the limits of WSL")
        path = str(value["WslConfigPath"] or "")
        return SystemLimits(self.facts().memory_total, _engine_memory(self._engine), wsl_memory(value["WslConfig"]), path)


@checked("system")
class WindowsSystemWriter(WindowsSystem):
    """And restarting it."""

    def __init__(self, look: Snapshot, engine: Callable[[], EngineFacts], clock: Clock) -> None:
        super().__init__(look, engine)
        self._clock = clock

    def reboot(self, *, delay: float = 5.0, message: str = "", timeout: float = 900.0) -> None:
        """Restart the machine and return when it answers again with a later boot time."""
        words = ("shutdown.exe", "/r", "/t", str(round(delay)), *(("/c", message) if message else ()))
        rebooted(self._snapshot, self._clock, self.facts, Run(words, writes=True), timeout, delay=delay)


@checked("system")
class PosixSystem:
    """By ``uname``, ``date`` and ``/proc``."""

    def __init__(self, look: Snapshot, engine: Callable[[], EngineFacts]) -> None:
        self._snapshot, self._engine = look, engine

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""
        return system_from_shell(self._snapshot.run(FACTS_RUN, "asking the system about itself").text, self._snapshot.host)

    def limits(self) -> SystemLimits:
        """Return what bounds the memory of containers."""
        return SystemLimits(self.facts().memory_total, _engine_memory(self._engine))


@checked("system")
class PosixSystemWriter(PosixSystem):
    """And restarting it."""

    def __init__(self, look: Snapshot, engine: Callable[[], EngineFacts], clock: Clock, *, local: bool) -> None:
        super().__init__(look, engine)
        self._clock, self._local = clock, local

    def reboot(self, *, delay: float = 5.0, message: str = "", timeout: float = 900.0) -> None:
        """Restart the machine and return when it answers again with a later boot time."""
        if self._local:
            raise Blocked(
                "this program runs on the machine that is to be restarted, and would end with it",
                host=self._snapshot.host,
                next_step="restart it by hand, or run this from another machine",
            )
        call = Run(("sh", "-c", shell("reboot"), "reboot", str(round(delay)), message), writes=True)
        rebooted(self._snapshot, self._clock, self.facts, call, timeout, delay=delay)


def rebooted(
    look: Snapshot, clock: Clock, facts: Callable[[], SystemFacts], call: Run, timeout: float, *, delay: float
) -> None:  # fmt: skip
    """Send the command that restarts a host, and wait until it answers with a later boot time."""
    known = facts()
    if known.booted is None:
        reason = known.problems.get("LastBootUpTime", "nothing is said of it")
        raise Blocked(
            f"when the host was started is not known ({reason}), so a restart could not be told from none", host=look.host,
            next_step="restart it by hand, or log in with an account that is an administrator",
        )  # fmt: skip
    before = known.booted
    until = clock.monotonic() + timeout
    try:
        done = look.write(call)
    except (Unreachable, OutcomeUnknown, DeadlineExceeded):
        done = None  # it went down while it answered
    if isinstance(done, Failed) or (isinstance(done, Completed) and done.rc != 0):
        said = done.message if isinstance(done, Failed) else last_words(done)
        raise Blocked(f"the host may not be restarted: {said}", host=look.host, next_step="log in with the right to restart it")
    clock.sleep(delay + _DOWN)
    for tries in itertools.count(1):
        clock.sleep(_POLL)
        look.forget()
        try:
            now = facts().booted
        except (Unreachable, CallFailed, DeadlineExceeded):
            now = None
        if now is not None and now > before + 1.0:
            return
        # a connection tries for a while by itself, so a look may take longer than it seems by a lab host's clock
        if clock.monotonic() >= until and tries >= _LOOKS:
            raise DeadlineExceeded(
                f"the host was told to restart and did not come back within {timeout:.0f} s",
                host=look.host,
                next_step="look at its screen",
            )


def wsl_memory(text: str | None) -> int | None:
    """Return the memory limit in a ``.wslconfig``, None where it sets none."""
    section = ""
    for raw in (text or "").lstrip("\ufeff").splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line.strip("[]").strip().lower()
        name, equals, value = line.partition("=")
        if section == "wsl2" and equals and name.strip().lower() == "memory":
            match = re.fullmatch(r"(\d+)\s*([KMGT]?)I?B?", value.split("#")[0].strip().upper())
            return int(match[1]) * 1024 ** " KMGT".index(match[2] or " ") if match else None
    return None


def _engine_memory(engine: Callable[[], EngineFacts]) -> int | None:
    try:
        return engine().memory_total
    except NO_ANSWER:
        return None


def system_from_probe(value: Mapping[str, Any]) -> SystemFacts:
    """Return what the ``system`` probe says; the class gives memory in KiB."""
    return SystemFacts(
        os="windows",
        version=str(value["Version"] or ""),
        hostname=str(value["Hostname"]),
        memory_total=_bytes(value["TotalVisibleMemorySize"]),
        memory_free=_bytes(value["FreePhysicalMemory"]),
        now=float(value["Now"]),
        booted=None if value["LastBootUpTime"] is None else float(value["LastBootUpTime"]),
        problems=problems(value),
    )


def system_from_shell(text: str, host: str) -> SystemFacts:
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
    return int(first[0]) if first and is_whole(first[0]) else None


def _bytes(kib: int | None) -> int | None:
    return None if kib is None else int(kib) * KIB
