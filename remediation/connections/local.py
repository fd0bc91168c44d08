"""The machine this program runs on, where it is no Windows: subprocesses, files, and HTTP from here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from remediation.connections import http_client, posix, posix_files
from remediation.connections.base import Call, Completed, Failed, FileContent, Http, Probe, ReadFile, Reply, Run, WriteFile
from remediation.connections.settings import Become

_GLANCE = 0.5
"""Seconds a program's pipes may stay open after it has ended: what it left running may hold them for ever."""
_KILLING = 10.0
"""Seconds in which a program that was killed has to be gone."""


class LocalConnection:
    """See `remediation.connections.base.Connection`; nothing goes over a wire, exchanges are counted all the same."""

    platform = "posix"

    def __init__(self, host: str, become: Become | None = None) -> None:
        self.host = host
        self.round_trips = 0
        self._become = become
        self._running: set[subprocess.Popen[bytes]] = set()

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out `calls` one after the other."""
        self.round_trips += 1
        return [self._one(call) for call in calls]

    def close(self) -> None:
        """End the programs that still run: another thread waits for them, and the whole program is to end."""
        for process in tuple(self._running):
            self._kill(process)

    def _one(self, call: Call) -> Reply:
        if isinstance(call, Run):
            return self._run(call)
        if isinstance(call, Http):
            return http_client.request(call)
        if isinstance(call, Probe):
            return Failed("error", f"the probe {call.name} is a PowerShell script, and this is no Windows machine")
        if isinstance(call, WriteFile):
            return posix_files.write(self._run, call)
        return file_call(call) if self._become is None else posix_files.read(self._run, call)

    def _run(self, call: Run) -> Reply:
        if (fault := posix.unfit(call)) is not None:
            return fault
        if self._become is None:
            return run(call, self._running)
        elevated = posix.sudo(self._become, call.argv, call.env)
        done = run(Run(elevated.argv, elevated.head + call.stdin, call.timeout, cwd=call.cwd), self._running, self._kill)
        return elevated.reply(done) if isinstance(done, Completed) else done

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """End what sudo started: only root or the user whom it became may."""
        if self._become is not None:
            killing = posix.sudo(self._become, posix.kill(process.pid), {})
            run(Run(killing.argv, killing.head, _KILLING))
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def run(
    call: Run, running: set[subprocess.Popen[bytes]] | None = None, kill: Callable[[subprocess.Popen[bytes]], None] = _kill
) -> Reply:
    """Run a program to its end, in a process group of its own that `kill` ends with it; it is in `running` meanwhile."""
    try:
        process = subprocess.Popen(
            list(call.argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=call.cwd,
            env={**os.environ, **call.env}, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        missing = call.cwd if call.cwd is not None and not Path(call.cwd).is_dir() else call.argv[0]
        return Failed("not-found", f"there is no {missing}", missing)
    except PermissionError:
        return Failed("denied", f"{call.argv[0]} may not be started")
    except OSError as error:
        return Failed("error", f"{call.argv[0]}: {error.strerror or error}")
    known = running if running is not None else set()
    known.add(process)
    try:
        return _finish(process, call)
    finally:
        known.discard(process)
        _end(process, kill)


def _finish(process: subprocess.Popen[bytes], call: Run) -> Reply:
    deadline = time.monotonic() + call.timeout
    ended_before = False
    # `communicate` takes stdin once: called again after a timeout, it refuses to take it twice and does not send the rest
    pipe, process.stdin = process.stdin, None
    threading.Thread(target=_feed, args=(pipe, call.stdin), daemon=True).start()
    while True:
        try:
            stdout, stderr = process.communicate(timeout=max(0.0, min(_GLANCE, deadline - time.monotonic())))
        except subprocess.TimeoutExpired as late:
            if process.poll() is None:
                if time.monotonic() >= deadline:
                    return Failed("timeout", f"{call.argv[0]} did not end in {call.timeout:g} s and was told to stop")
                continue
            if not ended_before:
                ended_before = True  # one glance more for what is still in the pipes
                continue
            stdout, stderr = late.stdout or b"", late.stderr or b""
        rc = process.returncode
        # a signal's number as a shell tells it
        return Completed((128 - rc if rc < 0 else rc) & 0xFFFFFFFF, stdout, stderr)


def _feed(pipe: IO[bytes] | None, stdin: bytes) -> None:
    with suppress(OSError):  # a program need not read its stdin
        if pipe is not None:
            with pipe:
                pipe.write(stdin)


def _end(process: subprocess.Popen[bytes], kill: Callable[[subprocess.Popen[bytes]], None]) -> None:
    if process.poll() is None:
        kill(process)
        with suppress(subprocess.TimeoutExpired):  # a program of another user that we may not end
            process.wait(_KILLING)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def file_call(call: ReadFile) -> Reply:
    """Read a file of this machine."""
    try:
        return read_file(call)
    except FileNotFoundError as error:
        return Failed("not-found", f"{call.path}: {error.strerror}")
    except PermissionError as error:
        return Failed("denied", f"{call.path}: {error.strerror}")
    except OSError as error:
        return Failed("error", f"{call.path}: {error.strerror or error}")


def read_file(call: ReadFile) -> FileContent:
    """Read a file or its end; raises OSError."""
    try:
        with Path(call.path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size  # 0 for files under /proc, which cannot be sought in from their end
            if call.tail and size > call.limit:
                file.seek(size - call.limit)
            content = file.read(call.limit)
            return FileContent(content, truncated=size > call.limit or bool(not call.tail and file.read(1)))
    except FileNotFoundError:
        return FileContent(missing=True)
