"""The machine this program runs on, where it is no Windows: subprocesses, files, and HTTP from here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from remediation.connections import http_client, posix
from remediation.connections.base import Call, Completed, Failed, FileContent, Http, Probe, ReadFile, Reply, Run, WriteFile
from remediation.connections.settings import Become

_GLANCE = 0.5
"""Seconds a program's pipes may stay open after it has ended: what it left running may hold them for ever."""
_NOT_FOUND = 127


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
            _kill(process)

    def _one(self, call: Call) -> Reply:
        if isinstance(call, Run):
            return self._run(call)
        if isinstance(call, Http):
            return http_client.request(call)
        if isinstance(call, Probe):
            return Failed("error", f"the probe {call.name} is a PowerShell script, and this is no Windows machine")
        return file_call(call)

    def _run(self, call: Run) -> Reply:
        if self._become is None:
            return run(call, self._running)
        elevated = posix.sudo(self._become, posix.with_environment(call.argv, call.env))
        done = run(Run(elevated.argv, elevated.head + call.stdin, call.timeout, cwd=call.cwd), self._running)
        return elevated.reply(done) if isinstance(done, Completed) else done


def run(call: Run, running: set[subprocess.Popen[bytes]] | None = None) -> Reply:
    """Run a program to its end, in a process group of its own that is ended with it; it is in `running` meanwhile."""
    if not call.argv:
        return Failed("error", "the argument list is empty")
    if any("\0" in word for word in call.argv):
        return Failed("error", f"an argument of {call.argv[0]} holds a NUL, which no program can be given")
    try:
        process = subprocess.Popen(
            list(call.argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=call.cwd,
            env={**os.environ, **call.env}, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        missing = call.cwd if call.cwd is not None and not Path(call.cwd).is_dir() else call.argv[0]
        return Failed("not-found", f"there is no {missing}")
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
        _end(process)


def _finish(process: subprocess.Popen[bytes], call: Run) -> Reply:
    deadline = time.monotonic() + call.timeout
    ended_before = False
    given: bytes | None = call.stdin
    while True:
        try:
            stdout, stderr = process.communicate(given, timeout=max(0.0, min(_GLANCE, deadline - time.monotonic())))
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


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        _kill(process)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):  # unread input of a program that ended
                pipe.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def file_call(call: ReadFile | WriteFile) -> Reply:
    """Read or write a file of this machine."""
    try:
        return read_file(call) if isinstance(call, ReadFile) else write_file(call)
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


def write_file(call: WriteFile) -> FileContent:
    """Write a file beside its place and rename it there, mode and owner kept; raises OSError."""
    path = Path(call.path)
    if path.is_symlink():
        path = path.resolve()  # the file is replaced, not the link to it
    before = path.stat() if path.exists() else None
    if before is not None and call.backup is not None:
        shutil.copy2(path, call.backup)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".remediation-part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(call.content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(before.st_mode & 0o7777 if before is not None else 0o644 & ~_umask())
        if before is not None and sys.platform != "win32":
            with suppress(PermissionError):
                os.chown(name, before.st_uid, before.st_gid)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return FileContent()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
