"""This machine if it runs a POSIX system: subprocesses, files and HTTP requests."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from remediation.connections import http_client
from remediation.connections.bounded import BoundedOutput
from remediation.connections.calls import (
    Call,
    Completed,
    Failed,
    Http,
    Probe,
    Reply,
    Run,
    WriteFile,
    in_turn,
)
from remediation.connections.posix import files as posix_files
from remediation.connections.posix import sudo
from remediation.connections.settings import Become
from remediation.model.limits import LimitExceeded

_GLANCE = 0.5
"""Seconds to read a program's pipes after it has ended. Its child processes may keep them open forever."""
_BLOCK = 65536
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_TIDYING = 0.3
"""Seconds between SIGTERM and SIGKILL, in which a program can remove partial files."""
_KILLING = 10.0
"""Seconds that a killed program may take to end."""


class LocalConnection:
    """See `remediation.connections.calls.Connection`. Exchanges are counted although they use no network."""

    platform = "posix"

    def __init__(self, host: str, become: Become | None = None) -> None:
        self.host = host
        self.round_trips = 0
        self._become = become
        self._programs = sudo.ProgramRunner(become)
        self._running = LocalProcess()

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out `calls` one after the other."""
        self.round_trips += 1
        return in_turn(calls, self._one)

    def close(self) -> None:
        """End running programs and start no more. Another thread may be using the connection when the process exits."""
        self._running.end(self._kill)

    def _one(self, call: Call) -> Reply:
        if isinstance(call, Run):
            return self._run(call)
        if isinstance(call, Http):
            return http_client.send_request(call)
        if isinstance(call, Probe):
            return Failed("error", f"the probe {call.name} is a PowerShell script, and this is not a Windows machine")
        if isinstance(call, WriteFile):
            return posix_files.write_file(self._run, call)
        return posix_files.read_file(self._run, call)

    def _run(self, call: Run) -> Reply:
        return self._programs.run(call, lambda one: run_program(one, self._running, self._kill))

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a program started by sudo, which only root or the target user may do."""
        if self._become is not None:
            killing = sudo.sudo(self._become, sudo.kill(process.pid), {})
            run_program(Run(killing.argv, killing.head, _KILLING))
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_TIDYING)
            os.killpg(process.pid, signal.SIGKILL)  # includes child processes that it left behind


class LocalProcess:
    """The running programs of one connection. After `end`, no program is started."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def start(self, call: Run) -> subprocess.Popen[bytes] | None:
        """Start a program, or return None if the connection is closed. Raises OSError."""
        with self._lock:
            if self._ended:
                return None
            process = subprocess.Popen(
                list(call.argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=call.cwd,
                env={**os.environ, **call.env}, start_new_session=True, bufsize=0,
            )  # fmt: skip
            self._processes.add(process)
            return process

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """Remove a program that has ended."""
        with self._lock:
            self._processes.discard(process)

    def end(self, kill: Callable[[subprocess.Popen[bytes]], None]) -> None:
        """End all programs."""
        with self._lock:
            self._ended = True
            for process in self._processes:
                kill(process)


def run_program(call: Run, running: LocalProcess | None = None, kill: Callable[[subprocess.Popen[bytes]], None] = _kill) -> Reply:
    """Run a program to its end in a separate process group, which `kill` ends with it. It is listed in `running` meanwhile."""
    running = running or LocalProcess()
    try:
        process = running.start(call)
    except FileNotFoundError:
        missing = call.cwd if call.cwd is not None and not Path(call.cwd).is_dir() else call.argv[0]
        return Failed("not-found", f"there is no {missing}", missing)
    except PermissionError:
        return Failed("denied", f"{call.argv[0]} cannot be started: permission denied", call.argv[0])
    except OSError as error:
        return Failed("denied", f"{call.argv[0]}: {error.strerror or error}")
    if process is None:
        return Failed("error", f"{call.argv[0]} was not started: the connection is closed")
    try:
        return _finish(process, call)
    finally:
        running.forget(process)
        _end(process, kill)


def _finish(process: subprocess.Popen[bytes], call: Run) -> Reply:
    deadline = time.monotonic() + call.timeout
    out, err = BoundedOutput("stdout", finish=call.writes), BoundedOutput("stderr", finish=call.writes)
    try:
        if not _exchange(process, call.stdin, deadline, out, err):
            return Failed("timeout", f"{call.argv[0]} did not end within {call.timeout:g} s and was stopped")
        rc = process.returncode
        # the exit code of a signal as in a shell
        return Completed((128 - rc if rc < 0 else rc) & 0xFFFFFFFF, out.content(), err.content())
    except LimitExceeded as exceeded:
        return Failed("error", f"{call.argv[0]}: {exceeded.message}")


def _exchange(process: subprocess.Popen[bytes], stdin: bytes, deadline: float, out: BoundedOutput, err: BoundedOutput) -> bool:
    """Write a program's stdin and read its output until it ends. Returns False after the deadline. Raises `LimitExceeded`."""
    feed = memoryview(stdin)
    with selectors.DefaultSelector() as pipes:
        _register(pipes, process, out, err)
        quiet = False
        while pipes.get_map():
            ready = pipes.select(max(0.0, min(_GLANCE, deadline - time.monotonic())))
            for key, _ in ready:
                if key.data is None:
                    feed = feed[_feed_pipe(key.fd, feed) :]
                if not (feed if key.data is None else _read_available(key.fd, key.data)):
                    pipes.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]  # a pipe of this process
            if process.poll() is None:
                if time.monotonic() >= deadline:
                    return False
            elif not ready:
                if quiet:
                    break  # a child process keeps the pipes open
                quiet = True  # read the rest of the pipes
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _register(pipes: selectors.BaseSelector, process: subprocess.Popen[bytes], out: BoundedOutput, err: BoundedOutput) -> None:
    if sys.platform == "win32":  # workers run the programs there
        return
    for pipe, events, sink in ((process.stdin, _WRITE, None), (process.stdout, _READ, out), (process.stderr, _READ, err)):
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
            pipes.register(pipe, events, sink)


def _feed_pipe(pipe: int, data: memoryview) -> int:
    """Write some of `data` and return the number of bytes that need no more writing: all, if the program does not read its stdin."""
    try:
        return os.write(pipe, data[:_BLOCK]) if data else 0
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)


def _read_available(pipe: int, sink: BoundedOutput) -> bool:
    """Read available data. Returns False at the end."""
    try:
        piece = os.read(pipe, _BLOCK)
    except BlockingIOError:
        return True
    sink.take(piece)
    return bool(piece)


def _end(process: subprocess.Popen[bytes], kill: Callable[[subprocess.Popen[bytes]], None]) -> None:
    if process.poll() is None:
        kill(process)
        with suppress(subprocess.TimeoutExpired):  # another user's program may not be killable
            process.wait(_KILLING)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):  # unread input of a program that has ended
                pipe.close()
