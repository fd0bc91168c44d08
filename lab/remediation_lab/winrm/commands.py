"""Programs that a shell starts: real subprocesses with pipes, and their output waiting for a Receive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

NOT_RECOGNISED = "'{name}' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"
_CHUNK = 65536
_TERMINATED = 0xC000013A
"""STATUS_CONTROL_C_EXIT: what a program ended by a signal of the client reports."""


def split(line: str) -> list[str]:
    """Split a command line as CommandLineToArgvW does."""
    words: list[str] = []
    word, quoted, there, slashes = "", False, False, 0
    for char in line:
        if char == "\\":
            slashes += 1
            continue
        if char == '"':
            word += "\\" * (slashes // 2)
            if slashes % 2:
                word += '"'
            else:
                quoted, there = not quoted, True
            slashes = 0
            continue
        word, slashes = word + "\\" * slashes, 0
        if char in " \t" and not quoted:
            if word or there:
                words.append(word)
            word, there = "", False
        else:
            word += char
    word += "\\" * slashes
    return [*words, word] if word or there else words


class Command:
    """One command of a shell, running or done, until its client has taken all output."""

    def __init__(self, argv: Sequence[str] | None, name: str, environment: Mapping[str, str]) -> None:
        self._more = threading.Condition()
        self._waiting: list[tuple[str, bytes]] = []
        self._open = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._code: int | None = None
        self.piece = 0
        """With a number, output leaves in pieces of so many bytes: a fault of the wire."""
        if argv is None:
            self._waiting = [("stderr", NOT_RECOGNISED.format(name=name).encode())]
            self._code = 1
            return
        self._process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=dict(environment),
            start_new_session=True,
        )  # fmt: skip
        pipes: tuple[tuple[str, IO[bytes] | None], ...] = (("stdout", self._process.stdout), ("stderr", self._process.stderr))
        for stream, pipe in pipes:
            if pipe is not None:
                self._open += 1
                threading.Thread(target=self._pump, args=(stream, pipe), daemon=True).start()

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""
        return self._process is not None and self._process.poll() is None

    def write(self, content: bytes, *, end: bool) -> None:
        """Write to its stdin; what it no longer reads is lost, as with the real one."""
        pipe = self._process.stdin if self._process is not None else None
        if pipe is None or pipe.closed:
            return
        try:
            left = memoryview(content)
            while left:
                left = left[pipe.write(left) :]
            if end:
                pipe.close()
        except OSError:
            pass  # the program has ended; its exit code tells

    def receive(self, limit: int, timeout: float) -> tuple[list[tuple[str, bytes]], int | None] | None:
        """Wait for output and return at most `limit` bytes of it, with the exit code once all is out; None after `timeout`."""
        deadline = time.monotonic() + timeout
        with self._more:
            while not self._waiting and not self._over():
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._more.wait(left)
            taken: list[tuple[str, bytes]] = []
            while self._waiting and limit > 0:
                stream, content = self._waiting.pop(0)
                if len(content) > limit:
                    self._waiting.insert(0, (stream, content[limit:]))
                    content = content[:limit]
                limit -= len(content)
                taken.append((stream, content))
            return taken, self._code if not self._waiting and self._over() else None

    def say(self, stream: str, content: bytes) -> None:
        """Put output before the program's own that still waits."""
        with self._more:
            self._waiting.insert(0, (stream, content))
            self._more.notify_all()

    def kill(self) -> None:
        """Let the program die as if it had crashed; its client learns it from the next Receive."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def terminate(self) -> None:
        """End the process and all it started, as the job object does."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            if sys.platform == "win32":
                process.kill()
            else:
                with suppress(ProcessLookupError):  # it ended meanwhile
                    os.killpg(process.pid, signal.SIGKILL)
            with self._more:
                self._code = _TERMINATED
        process.wait()
        if process.stdin is not None and not process.stdin.closed:
            with suppress(OSError):  # unwritten input of a dead process
                process.stdin.close()

    def _over(self) -> bool:
        return self._open == 0 and self._code is not None

    def _pump(self, stream: str, pipe: IO[bytes]) -> None:
        with pipe:
            while content := pipe.read(_CHUNK):
                with self._more:
                    self._waiting.append((stream, content))
                    self._more.notify_all()
        with self._more:
            self._open -= 1
            last = self._open == 0
        if last and self._process is not None:
            code = self._process.wait()
            with self._more:
                if self._code is None:
                    self._code = code & 0xFFFFFFFF
                self._more.notify_all()
