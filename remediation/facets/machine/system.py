"""The machine: Win32_OperatingSystem through a probe, or the Linux kernel's own information."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from remediation.connections.calls import Completed, Failed, Probe, Run
from remediation.facets.checked import checked
from remediation.facets.machine import wsl
from remediation.facets.machine.docker_desktop import STATE_PROBE
from remediation.facets.machine.rights import problems
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot, last_error_line
from remediation.model.clock import Clock
from remediation.model.errors import NO_ANSWER, Blocked, CallFailed, DeadlineExceeded, OutcomeUnknown, Unreachable
from remediation.model.facts import EngineFacts, SystemFacts, SystemLimits, WslDistribution
from remediation.model.text.digits import is_whole

KIB = 1024
_POLL = 5.0
_DOWN = 40.0
"""Seconds during which no machine can have rebooted; requests would only time out."""
_LOOKS = 3
FACTS_PROBE = Probe("system", timeout=30.0)
FACTS_RUN = Run(("sh", "-c", shell("system")), timeout=15.0)


@checked("system")
class WindowsSystem:
    """Uses the ``system`` probe. `engine` queries the engine and raises if it does not answer."""

    def __init__(self, snapshot: Snapshot, engine: Callable[[], EngineFacts]) -> None:
        self._snapshot, self._engine = snapshot, engine

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""
        return system_from_probe(self._snapshot.probe(FACTS_PROBE, "querying Windows"))

    def limits(self) -> SystemLimits:
        """Return the limits of container memory: the engine's machine and ``.wslconfig``."""
        value = self._snapshot.probe(STATE_PROBE, "reading the limits of WSL")
        path = str(value["WslConfigPath"] or "")
        return SystemLimits(
            self.facts().memory_total, _engine_memory(self._engine), wsl.config_from(path, value["WslConfig"]).memory, path
        )

    def distributions(self) -> tuple[WslDistribution, ...]:
        """Return the distributions of WSL that belong to this login, with their starts."""
        found = wsl.read_distributions(self._snapshot)
        return wsl.with_start(self._snapshot, found, self.facts().now) if found else ()


@checked("system")
class WindowsSystemWriter(WindowsSystem):
    """Adds restarting the machine."""

    def __init__(self, snapshot: Snapshot, engine: Callable[[], EngineFacts], clock: Clock) -> None:
        super().__init__(snapshot, engine)
        self._clock = clock

    def reboot(self, *, delay: float = 5.0, message: str = "", timeout: float = 900.0) -> None:
        """Restart the machine and wait until it answers with a later boot time."""
        words = ("shutdown.exe", "/r", "/t", str(round(delay)), *(("/c", message) if message else ()))
        restart_and_wait(self._snapshot, self._clock, self.facts, Run(words, writes=True), timeout, delay=delay)

    def stop_distributions(self, name: str = "") -> None:
        """End one distribution of WSL, or all of this login with their virtual machine."""
        wsl.shut_down(self._snapshot, name)

    def start_distribution(self, name: str) -> None:
        """Start a distribution of WSL."""
        wsl.start(self._snapshot, name)


@checked("system")
class PosixSystem:
    """Uses ``uname``, ``date`` and ``/proc``."""

    def __init__(self, snapshot: Snapshot, engine: Callable[[], EngineFacts]) -> None:
        self._snapshot, self._engine = snapshot, engine

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""
        return system_from_shell(self._snapshot.run(FACTS_RUN, "querying the system").text, self._snapshot.host)

    def limits(self) -> SystemLimits:
        """Return the limits of container memory."""
        return SystemLimits(self.facts().memory_total, _engine_memory(self._engine))

    def distributions(self) -> tuple[WslDistribution, ...]:
        """Return nothing: WSL is a part of Windows."""
        return ()


@checked("system")
class PosixSystemWriter(PosixSystem):
    """Adds restarting the machine."""

    def __init__(self, snapshot: Snapshot, engine: Callable[[], EngineFacts], clock: Clock, *, local: bool) -> None:
        super().__init__(snapshot, engine)
        self._clock, self._local = clock, local

    def reboot(self, *, delay: float = 5.0, message: str = "", timeout: float = 900.0) -> None:
        """Restart the machine and wait until it answers with a later boot time."""
        if self._local:
            raise Blocked(
                "this program runs on the machine to be restarted, and would end with it",
                host=self._snapshot.host,
                next_step="restart it by hand, or run this from another machine",
            )
        call = Run(("sh", "-c", shell("reboot"), "reboot", str(round(delay)), message), writes=True)
        restart_and_wait(self._snapshot, self._clock, self.facts, call, timeout, delay=delay)

    def stop_distributions(self, name: str = "") -> None:
        """Raise `Blocked`: WSL is a part of Windows."""
        raise Blocked("this host has no WSL", host=self._snapshot.host)

    def start_distribution(self, name: str) -> None:
        """Raise `Blocked`: WSL is a part of Windows."""
        raise Blocked("this host has no WSL", host=self._snapshot.host)


def restart_and_wait(
    snapshot: Snapshot, clock: Clock, facts: Callable[[], SystemFacts], call: Run, timeout: float, *, delay: float
) -> None:  # fmt: skip
    """Send the restart command, and wait until the host answers with a later boot time."""
    known = facts()
    if known.booted is None:
        reason = known.problems.get("LastBootUpTime", "no reason given")
        raise Blocked(
            f"the boot time of the host is unknown ({reason}), so a restart could not be verified", host=snapshot.host,
            next_step="restart it by hand, or log in with an account that is an administrator",
        )  # fmt: skip
    before = known.booted
    until = clock.monotonic() + timeout
    try:
        done = snapshot.write(call)
    except (Unreachable, OutcomeUnknown, DeadlineExceeded):
        done = None  # the host went down while answering
    if isinstance(done, Failed) or (isinstance(done, Completed) and done.rc != 0):
        message = done.message if isinstance(done, Failed) else last_error_line(done)
        raise Blocked(
            f"the host may not be restarted: {message}", host=snapshot.host, next_step="log in with the right to restart it"
        )
    clock.sleep(delay + _DOWN)
    for tries in itertools.count(1):
        clock.sleep(_POLL)
        snapshot.invalidate()
        try:
            now = facts().booted
        except (Unreachable, CallFailed, DeadlineExceeded):
            now = None
        if now is not None and now > before + 1.0:
            return
        # a connection retries on its own, so one attempt may take longer than a lab host's scaled clock suggests
        if clock.monotonic() >= until and tries >= _LOOKS:
            raise DeadlineExceeded(
                f"the host was restarted but did not answer within {timeout:.0f} s",
                host=snapshot.host,
                next_step="check its screen",
            )


def _engine_memory(engine: Callable[[], EngineFacts]) -> int | None:
    try:
        return engine().memory_total
    except NO_ANSWER:
        return None


def system_from_probe(value: Mapping[str, Any]) -> SystemFacts:
    """Convert the ``system`` probe's answer. Win32_OperatingSystem reports memory in KiB."""
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
    """Parse the output of ``system.sh``. Raises `CallFailed` if the system is not Linux."""
    values = {name: rest.strip() for name, _, rest in (line.partition(" ") for line in text.splitlines())}
    kernel = values.get("kernel", "")
    if kernel != "Linux":
        raise CallFailed(f"{kernel or 'this system'} is not supported: hosts run Windows or Linux", host=host)
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
