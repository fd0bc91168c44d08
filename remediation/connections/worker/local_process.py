"""A worker as a child process, on Windows itself or on any system with PowerShell."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import PureWindowsPath
from typing import IO

from remediation.connections.worker import clixml
from remediation.connections.worker.transport import Channel, DeliveryUnknown, ProcessExited, ReadTimeout
from remediation.model import limits
from remediation.model.clock import Clock, SystemClock
from remediation.model.errors import Unreachable

_BLOCK = 65536
_ENDING = 2.0
_LOOK = 0.2
_WAITING = 64
"""Queued blocks. PowerShell waits while the queue is full."""
# separate process group (CREATE_NEW_PROCESS_GROUP): Ctrl-C is handled here, and the worker finishes its call first;
# separate hidden console (CREATE_NO_WINDOW): PowerShell changes the code page of its console
_APART = 0x00000200 | 0x08000000 if sys.platform == "win32" else 0


class ChildChannel(Channel):
    """See `remediation.connections.worker.transport.Channel`. `before` precedes the command, for a program that simulates PowerShell."""

    def __init__(self, host: str, before: Sequence[str] = (), clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._host, self._before = host, tuple(before)
        self._process: subprocess.Popen[bytes] | None = None
        self._output = _OutputQueue()
        self._errors = bytearray()

    def start(self, command: Sequence[str], deadline: float) -> None:
        """Start the process."""
        self.close()
        words = [*self._before, *(command[1:] if self._before else (native(command[0]), *command[1:]))]
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                creationflags=_APART,
                env=child_environment(words[0]),
                start_new_session=True,
            )
        except OSError as error:
            raise Unreachable(
                f"{self._host}: {words[0]} cannot be started: {error.strerror}", host=self._host, next_step="check PATH"
            ) from error
        # new queues: output of an earlier process is discarded
        self._output, self._errors = _OutputQueue(), bytearray()
        for pump, pipe in ((self._output.put, self._process.stdout), (self._err(self._errors), self._process.stderr)):
            threading.Thread(target=_drain, args=(pipe, pump), daemon=True).start()

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        """Write to stdin."""
        pipe = self._process.stdin if self._process is not None else None
        if pipe is None:
            raise ProcessExited("PowerShell is not running")
        try:
            view = memoryview(data)
            while view:
                view = view[pipe.write(view) :]
            if end:
                pipe.close()
        except (OSError, ValueError) as error:
            raise DeliveryUnknown(f"PowerShell does not read its input: {error}") from error

    def receive(self, deadline: float) -> bytes:
        """Wait for output."""
        if self._process is None:
            raise ProcessExited("PowerShell is not running")
        try:
            content = self._output.get(timeout=max(0.01, deadline - self.clock.monotonic()))
        except queue.Empty:
            raise ReadTimeout("no data from PowerShell") from None
        if content:
            return content
        self._output.again(b"")
        try:
            code = self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            raise DeliveryUnknown("PowerShell closed its output") from None
        raise ProcessExited(f"PowerShell exited with code {code & 0xFFFFFFFF}")

    def errors(self) -> str:
        """Return stderr, with CLIXML decoded."""
        return clixml.readable_stderr(bytes(self._errors))

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        self._output.closed = True
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()  # the worker exits and stops its programs
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            _end_tree(process)

    @staticmethod
    def _err(errors: bytearray) -> Callable[[bytes], None]:
        def keep(piece: bytes) -> None:
            errors.extend(piece[: max(0, limits.KEPT_ERRORS - len(errors))])

        return keep


def native(program: str, variables: Mapping[str, str] = os.environ, there: Callable[[str], bool] = os.path.exists) -> str:
    """Return the native PowerShell. Windows redirects a 32-bit process to the 32-bit one, which sees neither nvidia-smi nor WSL."""
    root = variables.get("SystemRoot")
    if not _is_windows_powershell(program) or not root or "PROCESSOR_ARCHITEW6432" not in variables:
        return program
    found = str(PureWindowsPath(root, "Sysnative", "WindowsPowerShell", "v1.0", "powershell.exe"))
    return found if there(found) else program


def child_environment(program: str, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a program. Windows PowerShell must not inherit the module path of PowerShell 7."""
    return {
        name: value
        for name, value in variables.items()
        if not (_is_windows_powershell(program) and name.upper() == "PSMODULEPATH")
    }


def _is_windows_powershell(program: str) -> bool:
    return PureWindowsPath(program).stem.lower() == "powershell"


class _OutputQueue:
    """A bounded queue between the reader thread of a process's stdout and the receiver."""

    def __init__(self) -> None:
        self._blocks: queue.Queue[bytes] = queue.Queue(_WAITING)
        self.closed = False
        """Output is dropped, so that the process can end."""

    def put(self, block: bytes) -> None:
        """Add a block, waiting while the queue is full."""
        while not self.closed:
            with suppress(queue.Full):
                self._blocks.put(block, timeout=_LOOK)
                return

    def get(self, timeout: float) -> bytes:
        """Return the next block. Raises `queue.Empty`."""
        return self._blocks.get(timeout=timeout)

    def again(self, block: bytes) -> None:
        """Add a block without waiting: the end, which is received repeatedly."""
        with suppress(queue.Full):
            self._blocks.put_nowait(block)


def _end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a busy worker and the program it waits for."""
    if sys.platform == "win32":
        argv = [
            str(PureWindowsPath(os.environ.get("SYSTEMROOT", "C:\\Windows"), "System32", "taskkill.exe")),
            "/F",
            "/T",
            "/PID",
            str(process.pid),
        ]
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _drain(pipe: IO[bytes] | None, take: Callable[[bytes], None]) -> None:
    if pipe is None:
        return
    with pipe:
        while content := pipe.read(_BLOCK):
            take(content)
    take(b"")
