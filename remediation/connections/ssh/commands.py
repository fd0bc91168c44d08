"""Runs one program over one SSH channel, with separate stdout and stderr, an exit code and a time limit."""

from __future__ import annotations

import re
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Protocol

import paramiko

from remediation.connections.bounded import BoundedOutput, watchdog
from remediation.connections.calls import Completed, Failed, Reply, Run
from remediation.connections.posix import sudo
from remediation.model import limits
from remediation.model.text.digits import is_whole
from remediation.model.text.visible import brief

OnChunk = Callable[[bytes], None]
_BLOCK = 65536
_SPECIAL = re.compile(r"['\\!\n]")
"""Characters that some shell gives a meaning between single quotes."""
_QUIET = 0.5
"""Seconds to wait for the channel to close after the program has ended. Its child processes may keep it open."""
_GREETING = 2000
"""Bytes of what a login's start files print that are kept, to name it if no program runs."""
_FIRST_WORD = 5.0
"""Seconds to wait for the process group of a program that is being started."""
_AT_ONCE = 30_000
"""Bytes of stdin written without a thread: sshd's window is larger."""

_PAUSES = (0.02, 0.05, 0.1, 0.3, 0.5)
"""Seconds between attempts to open a channel that the server refuses."""


class Sink(Protocol):
    """Takes the chunks of a stream."""

    def take(self, piece: bytes) -> None:
        """Add a chunk."""


class _MarkedOutput:
    """The output of a program: what stands before the mark was printed by the login's start files, such as a greeting."""

    def __init__(self, kept: BoundedOutput, mark: str, on_chunk: OnChunk | None) -> None:
        self._kept, self._sign, self._on_chunk = kept, f"{mark}\n".encode(), on_chunk
        self._open = b""
        self.before = b""
        self._marked = False

    def take(self, piece: bytes) -> None:
        """Add a chunk of stdout."""
        if not self._marked:
            self._open += piece
            noise, sign, piece = self._open.partition(self._sign)
            self.before = (self.before or noise)[:_GREETING]
            if not sign:
                self._open = noise[-len(self._sign) :]
                return
            self._marked = True
        if piece:
            self._kept.take(piece)
            if self._on_chunk is not None:
                self._on_chunk(piece)


class ConnectionLost(Exception):
    """The connection was lost while the program ran, or before."""


class NotSent(ConnectionLost):
    """The connection was lost before anything was sent, so the call may be repeated, even a write."""


class ProgramTimeout(Exception):
    """The program timed out. `group` is its process group, which sshd leaves running."""

    def __init__(self, group: int | None) -> None:
        super().__init__(group)
        self.group = group


def execute_command(
    transport: paramiko.Transport, call: Run, *, interrupted: Callable[[int | None], None] = lambda _: None,
    on_chunk: OnChunk | None = None, most: int = limits.OUTPUT, stopped: Callable[[], bool] = lambda: False,
) -> Reply:  # fmt: skip
    """Run a program. Raises `ConnectionLost`, `ProgramTimeout` or `LimitExceeded`.

    `interrupted` is called with its process group if something other than the timeout ends the wait (Ctrl-C, a limit). `on_chunk`
    receives stdout as it arrives, at most `most` bytes; a program that writes and exceeds that is not interrupted. The wait ends
    with KeyboardInterrupt once `stopped` returns True: only the main thread receives Ctrl-C itself.
    """
    argv, cwd = call.argv, call.cwd
    started = sudo.with_environment(argv, call.env)
    mark = secrets.token_hex(16)
    deadline = time.monotonic() + call.timeout
    out, err = BoundedOutput("stdout", most, finish=call.writes), BoundedOutput("stderr", finish=call.writes)
    program = _MarkedOutput(out, mark, on_chunk)
    try:
        channel = _open_session(transport, min(call.timeout, 30.0))
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise NotSent(str(error) or type(error).__name__) from error
    try:
        with closing(channel):
            with watchdog(call.timeout, channel.close) as dog:  # a server may never answer the request
                channel.exec_command(_script(mark, started.argv, cwd, "" if "PATH" in call.env else argv[0]))
            try:
                code = _pump(channel, started.head + call.stdin, deadline, (program, err), stopped)
            except KeyboardInterrupt:
                _wait_for_mark(channel, mark, err)
                raise
    except (paramiko.SSHException, EOFError, OSError) as error:
        if dog.expired:
            raise ProgramTimeout(None) from error
        raise ConnectionLost(str(error) or type(error).__name__) from error
    except BaseException:  # an interrupt or too much output: the program must not go on
        interrupted(_group(_split_at_mark(err.so_far, mark)[0]))
        raise
    marked, rest = _split_at_mark(err.so_far, mark)
    if code is None:
        raise ProgramTimeout(_group(marked))
    if not marked:
        return Failed("denied", _no_shell(code, rest or program.before))
    if marked[1:] == ["folder"]:
        return Failed("not-found", f"there is no folder {cwd}", cwd or "")
    if marked[1:] == ["program"]:
        return Failed("not-found", f"there is no {argv[0]}", argv[0])
    err.content()  # raises if the output was truncated
    return Completed(code & 0xFFFFFFFF, out.content(), rest)


def _open_session(transport: paramiko.Transport, timeout: float) -> paramiko.Channel:
    """Open a channel. A server that allows few sessions (MaxSessions) may need a moment to close the last one."""
    for pause in _PAUSES:
        try:
            return transport.open_session(timeout=timeout)
        except paramiko.ChannelException:
            time.sleep(pause)
    return transport.open_session(timeout=timeout)


def _script(mark: str, argv: Sequence[str], cwd: str | None, program: str) -> str:
    """Return a script for the login's shell: marks the beginning of both streams, prints its process group, looks for `program`, and runs `argv`, never as a builtin.

    That does not use exec: a shell reports the number of a signal that ended the program, sshd only that there was one.
    """
    go = f"cd {shlex.quote(cwd)} 2>/dev/null || {{ echo {mark} folder >&2; exit 127; }}; " if cwd else ""
    look = f"command -v {shlex.quote(program)} >/dev/null 2>&1 || {{ echo {mark} program >&2; exit 127; }}; " if program else ""
    return run_by_sh(f"echo {mark}; echo {mark} $$ >&2; {go}{look}{shlex.join(('env', *argv))}; exit $?")


def run_by_sh(script: str) -> str:
    """Return a command for any shell (bash, zsh, fish, tcsh) that lets ``sh`` take its place and run `script`.

    Shells differ in what a backslash, an exclamation mark or a line break means between single quotes, so these are sent as octal
    numbers, which ``printf %b`` of POSIX turns back.
    """
    encoded = _SPECIAL.sub(lambda found: f"\\0{ord(found[0]):03o}", script)
    return f"""exec sh -c 'eval "$(printf %b "$0")"' '{encoded}'"""


def _no_shell(code: int, said: bytes | bytearray) -> str:
    """Return the error for a login whose shell ended without starting `sh`."""
    text = brief(bytes(said).decode("utf-8", "replace").strip())
    how = f"{text!r} (exit code {code})" if text else f"exit code {code}, no output"
    return (
        f"the login's shell runs no programs: {how}; give the login a shell such as /bin/sh (sudo chsh -s /bin/sh LOGIN), and let"
        " neither its start files (~/.bashrc) nor sshd's ForceCommand end it"
    )


def _group(marked: list[str]) -> int | None:
    return int(marked[0]) if marked and is_whole(marked[0]) else None


def _split_at_mark(err: bytes | bytearray, mark: str) -> tuple[list[str], bytes]:
    """Extract the words after the mark from stderr, and drop what the login's start files printed before it."""
    words: list[str] = []
    rest, at, sign = bytearray(), 0, mark.encode() + b" "
    while (found := err.find(sign, at)) >= 0:
        end = err.find(b"\n", found) + 1 or len(err)
        words.append(err[found + len(sign) : end].decode("ascii", "replace").strip())
        rest += err[at:found] if at else b""
        at = end
    return words, bytes(rest + err[at:])


def _pump(
    channel: paramiko.Channel, stdin: bytes, deadline: float, streams: tuple[Sink, BoundedOutput], stopped: Callable[[], bool]
) -> int | None:  # fmt: skip
    """Return the exit code, or None after the deadline."""
    ready = threading.Event()
    # paramiko sets these events on data and at the end: no polling and no file descriptors
    channel.in_buffer.set_event(ready)
    channel.in_stderr_buffer.set_event(ready)
    if len(stdin) > _AT_ONCE:
        threading.Thread(target=_feed, args=(channel, stdin), daemon=True).start()
    else:
        _feed(channel, stdin)
    ended: float | None = None
    while True:
        ready.clear()
        received, now = _gather(channel, *streams), time.monotonic()
        if received:
            ended = None
            if now >= deadline:
                return None
            continue
        if channel.exit_status_ready():
            ended = now if ended is None else ended
            if channel.eof_received or channel.closed or now - ended >= _QUIET:
                break
        elif channel.closed:
            break
        if now >= deadline:
            return None
        _wait(ready, min(deadline - now, _QUIET / 5 if ended is not None or channel.eof_received else _QUIET), stopped)
    if not channel.exit_status_ready() or (code := channel.recv_exit_status()) < 0:
        raise ConnectionLost("the connection was lost before the program's exit code arrived")
    return code


def _wait(ready: threading.Event, seconds: float, stopped: Callable[[], bool]) -> None:
    if stopped():
        raise KeyboardInterrupt
    ready.wait(seconds)


def _wait_for_mark(channel: paramiko.Channel, mark: str, err: BoundedOutput) -> None:
    """Wait briefly for the process group of a program that is being started. Without it, the program cannot be ended."""
    until, ready = time.monotonic() + _FIRST_WORD, threading.Event()
    channel.in_stderr_buffer.set_event(ready)
    while not _split_at_mark(err.so_far, mark)[0] and not channel.closed and (left := until - time.monotonic()) > 0:
        ready.clear()
        if not _gather(channel, BoundedOutput("stdout", finish=True), err):
            ready.wait(left)


def _gather(channel: paramiko.Channel, out: Sink, err: BoundedOutput) -> bool:
    """Read a chunk of each stream. Returns whether there was any."""
    received = False
    if channel.recv_ready():
        received = True
        out.take(channel.recv(_BLOCK))
    if channel.recv_stderr_ready():
        received = True
        err.take(channel.recv_stderr(_BLOCK))
    return received


def _feed(channel: paramiko.Channel, stdin: bytes) -> None:
    # a program need not read its stdin; EOFError is what paramiko raises where the connection ends meanwhile
    with suppress(OSError, EOFError, paramiko.SSHException):
        channel.sendall(stdin)
        channel.shutdown_write()
