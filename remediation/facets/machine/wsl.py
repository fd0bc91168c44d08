"""The Windows Subsystem for Linux: its distributions, and programs in them.

Windows registers distributions per user, so a login sees only its own. ``wsl.exe`` prints UTF-16 unless ``WSL_UTF8`` is set, which old
releases ignore; names of states are translated. In session 0, System32's ``wsl.exe`` does not run (microsoft/WSL#9231).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from remediation.connections.calls import Completed, Failed, Reply, Run
from remediation.facets.snapshot import Snapshot, last_error_line
from remediation.model.errors import CallFailed
from remediation.model.facts import WslConfig, WslDistribution

PROGRAM = "C:\\Program Files\\WSL\\wsl.exe"
_SHIPPED = "wsl.exe"
"""Windows' own program, on hosts without the release from the Store."""
_ENVIRONMENT = {"WSL_UTF8": "1"}
_COLUMNS = 3
_NAT = frozenset({"", "nat"})
"""Modes of networking in which ``localhostForwarding`` applies; "" is the default (Microsoft: wsl-config)."""
_TICKS = 100.0
"""Clock ticks per second in ``/proc``: the kernel reports this value to programs on every architecture."""
_STARTED = 21
"""The position of the start time in ``/proc/PID/stat``, counted from the state as 2 (proc_pid_stat(5))."""


def text_of(done: Completed) -> str:
    """Return the output of ``wsl.exe`` or of a program in a distribution."""
    out = done.stdout.removeprefix(b"\xff\xfe")
    return out.decode("utf-16-le" if b"\0" in out else "utf-8", errors="replace").lstrip("\ufeff")


def in_distribution(name: str, *words: str, timeout: float = 30.0, writes: bool = False) -> Run:
    """Return the call that starts a program as root in a distribution. A stopped distribution starts with it."""
    return _wsl("--distribution", name, "--user", "root", "--exec", *words, timeout=timeout, writes=writes)


def ask_wsl(snapshot: Snapshot, *calls: Run) -> list[Reply]:
    """Send calls of `in_distribution`; where the Store's ``wsl.exe`` is missing, to Windows' own."""
    replies = snapshot.fetch(*calls)
    if not any(isinstance(each, Failed) and each.kind == "not-found" for each in replies):
        return replies
    return snapshot.fetch(*(replace(each, argv=(_SHIPPED, *each.argv[1:])) for each in calls))


def config_from(path: str, text: str | None) -> WslConfig:
    """Return what the text of a ``.wslconfig`` decides; None means that there is no file.

    In mirrored mode Windows and the distributions share the loopback address; without networking nothing reaches them.
    """
    found = {name: (value, line) for name, value, line in _settings(text or "")}
    mode, mode_line = found.get("networkingmode", ("", ""))
    forwarded, line = found.get("localhostforwarding", ("", ""))
    cut_off = mode_line if mode == "none" else line if forwarded == "false" and mode in _NAT else ""
    size = re.fullmatch(r"(\d+)\s*([KMGT]?)I?B?", found.get("memory", ("", ""))[0].upper())
    return WslConfig(path, int(size[1]) * 1024 ** " KMGT".index(size[2] or " ") if size else None, cut_off)


def _settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and line of the settings in the section ``[wsl2]``; names and values in lower case."""
    section = ""
    for raw in text.lstrip("\ufeff").splitlines():
        line = raw.split("#")[0].strip()
        if line.startswith("["):
            section = line.strip("[]").strip().lower()
        name, equals, value = (part.strip().lower() for part in line.partition("="))
        if section == "wsl2" and equals:
            yield name, value, line


def list_calls() -> tuple[Run, Run]:
    """Return the calls of `read_distributions`."""
    return _wsl("--list", "--verbose"), _wsl("--list", "--running", "--quiet")


def read_distributions(snapshot: Snapshot) -> tuple[WslDistribution, ...]:
    """Return the distributions of this login. None are found without WSL."""
    listed, running = ask_wsl(snapshot, *list_calls())
    if not isinstance(listed, Completed) or listed.rc != 0:
        return ()
    names = set(text_of(running).split()) if isinstance(running, Completed) and running.rc == 0 else set()
    rows = (line.lstrip(" *").split() for line in text_of(listed).splitlines())
    return tuple(
        WslDistribution(row[0], int(row[-1]), row[0] in names) for row in rows if len(row) >= _COLUMNS and row[-1] in {"1", "2"}
    )


def with_start(snapshot: Snapshot, found: Sequence[WslDistribution], now: float) -> tuple[WslDistribution, ...]:
    """Return the distributions with their starts; `now` is the host's clock. Only those that run are read."""
    running = [each for each in found if each.running]
    replies = ask_wsl(snapshot, *(in_distribution(each.name, "cat", "/proc/uptime", "/proc/1/stat") for each in running))
    starts = {each.name: _distribution_start(reply, now) for each, reply in zip(running, replies, strict=True)}
    return tuple(replace(each, started=starts.get(each.name)) for each in found)


def shut_down(snapshot: Snapshot, distribution: str = "") -> None:
    """End one distribution, or all of this login with their virtual machine."""
    words = ("--terminate", distribution) if distribution else ("--shutdown",)
    _check_written(snapshot, _wsl(*words, timeout=120.0, writes=True), f"wsl {' '.join(words)}")


def start(snapshot: Snapshot, distribution: str) -> None:
    """Start a distribution. It stops again when nothing runs in it for a while (Microsoft: wsl-config, vmIdleTimeout)."""
    _check_written(snapshot, in_distribution(distribution, "true", timeout=120.0, writes=True), f"starting {distribution}")


def _wsl(*words: str, timeout: float = 30.0, writes: bool = False) -> Run:
    return Run((PROGRAM, *words), timeout=timeout, writes=writes, env=_ENVIRONMENT)


def _check_written(snapshot: Snapshot, call: Run, what: str) -> None:
    reply = snapshot.write(call)
    if isinstance(reply, Failed) and reply.kind == "not-found":
        reply = snapshot.write(replace(call, argv=(_SHIPPED, *call.argv[1:])))
    done = snapshot.completed(reply, what, codes=range(2**32))
    if done.rc != 0:
        message = " ".join(text_of(done).split()) or last_error_line(done) or f"exit code {done.rc}"
        raise CallFailed(
            f"{what} failed: {message}",
            host=snapshot.host,
            next_step="run it at the host's desktop, as the user who owns the distributions",
        )


def _distribution_start(reply: Reply, now: float) -> float | None:
    """Return when the first process of a distribution started: its age is the machine's uptime less its start."""
    lines = text_of(reply).splitlines() if isinstance(reply, Completed) and reply.rc == 0 else []
    try:
        uptime, stat = float(lines[0].split()[0]), lines[1].rpartition(")")[2].split()
        return now - max(0.0, uptime - float(stat[_STARTED - 2]) / _TICKS)
    except (IndexError, ValueError):
        return None
