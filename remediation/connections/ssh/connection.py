"""A POSIX host over SSH: one connection per host and run, programs and files over exec channels, HTTP through the connection.

Read-only calls of one exchange run at the same time, each over its own channel, and so share a round trip.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from itertools import groupby
from typing import Any, cast

import paramiko

from remediation.connections.calls import Call, Failed, Http, Probe, Reply, Run, WriteFile, in_turn, name_of
from remediation.connections.posix import files as posix_files
from remediation.connections.posix import sudo
from remediation.connections.settings import ConnectionSettings
from remediation.connections.ssh import client as ssh_open
from remediation.connections.ssh import http as ssh_http
from remediation.connections.ssh.commands import ConnectionLost, NotSent, OnChunk, ProgramTimeout, execute_command
from remediation.model import limits
from remediation.model.errors import OutcomeUnknown, Unreachable
from remediation.model.limits import LimitExceeded

_KILLING = 10.0
_CHANNELS = 8
"""Calls at the same time. sshd allows ten sessions per connection (MaxSessions), and one ends a program."""


class SshConnection:
    """See `remediation.connections.calls.Connection`."""

    platform = "posix"

    def __init__(self, settings: ConnectionSettings, note: Callable[[str], None] = lambda _: None) -> None:
        self.host = settings.name
        self.round_trips = 0
        self._settings, self._note = settings, note
        self._ssh: Any = None
        self._closed = False
        self._programs = sudo.ProgramRunner(settings.become)
        self._channels = _CHANNELS
        self._interrupted = threading.Event()

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out `calls` in order, except that read-only ones that follow each other run at the same time."""
        replies: list[Reply] = []
        for may_share, group in groupby(calls, lambda call: not call.writes):
            batch = list(group)
            if may_share and not self._programs.accepted:
                replies += in_turn(batch[:1], self._one)  # a wrong password is tried once
                del batch[0]
            replies += self._together(batch) if may_share and len(batch) > 1 and self._channels > 1 else in_turn(batch, self._one)
        return replies

    def close(self) -> None:
        """Close the connection and end programs that still run over it."""
        self._closed = True
        self._drop()

    def _together(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out read-only calls at the same time. Those whose channel the server refused or lost follow one by one."""
        transport = self._transport()
        self.round_trips += 1 + (len(calls) - 1) // self._channels
        self._interrupted = threading.Event()
        with ThreadPoolExecutor(min(self._channels, len(calls))) as pool:
            running = [pool.submit(copy_context().run, self._one_of_several, transport, call) for call in calls]
            try:
                wait(running)
            except BaseException:  # an interrupt: the programs are ended first, then the connection
                self._interrupted.set()
                pool.shutdown(wait=False, cancel_futures=True)
                wait(running, _KILLING)
                self._drop()
                raise
        replies = [future.result() for future in running]
        if None in replies and transport.is_active():
            self._channels = 1
        if all(isinstance(reply, Failed) and reply.kind == "timeout" for reply in replies):
            self._drop()  # the connection itself may be what does not answer
        return [self._one(call) if reply is None else reply for call, reply in zip(calls, replies, strict=True)]

    def _one_of_several(self, transport: paramiko.Transport, call: Call) -> Reply | None:
        """Carry out one call with others. Returns None if its channel was not opened or was lost."""
        try:
            return self._carry_out(transport, call)
        except ProgramTimeout as late:
            if late.group is not None:
                self._kill(late.group)
            return Failed("timeout", f"{name_of(call)} did not end within {call.timeout:g} s and was stopped")
        except LimitExceeded as exceeded:
            return Failed("error", f"{name_of(call)}: {exceeded.message}")
        except TimeoutError:
            return Failed("timeout", f"{name_of(call)} did not finish within {call.timeout:g} s")
        except (ConnectionLost, EOFError, paramiko.SSHException, ConnectionError):
            return None

    def _one(self, call: Call) -> Reply:
        """Carry out one call. After a lost connection, a read-only call is repeated once on a new one."""
        for attempt in range(2):
            try:
                transport = self._transport()
                self.round_trips += 1
                return self._carry_out(transport, call)
            except ProgramTimeout as late:
                self._kill(late.group)
                return Failed("timeout", f"{name_of(call)} did not end within {call.timeout:g} s and was stopped")
            except LimitExceeded as exceeded:
                return Failed("error", f"{name_of(call)}: {exceeded.message}")
            except TimeoutError:
                self._drop()
                return Failed("timeout", f"{name_of(call)} did not finish within {call.timeout:g} s")
            except (ConnectionLost, EOFError, paramiko.SSHException, ConnectionError) as lost:
                self._drop()
                reason = str(lost) or type(lost).__name__
                if call.writes and not isinstance(lost, NotSent):
                    raise OutcomeUnknown(
                        f"{self.host}: the SSH connection was lost during {name_of(call)} ({reason}); it may or may not have been carried out",
                        host=self.host, next_step="check on the host whether it was carried out; it is not repeated",
                    ) from lost  # fmt: skip
                if attempt:
                    raise Unreachable(
                        f"{self.host}: the SSH connection was lost twice: {reason}",
                        host=self.host,
                        next_step="check the host, then run again",
                    ) from lost
            except BaseException:  # an interrupt: a late answer must not be taken for the next one
                self._drop()
                raise
        raise AssertionError  # the second attempt returns or raises

    def _carry_out(self, transport: paramiko.Transport, call: Call) -> Reply:
        if isinstance(call, Run):
            return self._run(transport, call, stopped=self._interrupted.is_set)
        if isinstance(call, Http):
            return ssh_http.request_over_ssh(
                transport, call, lambda run, on_chunk, most: self._run(transport, run, on_chunk, most)
            )
        if isinstance(call, Probe):
            return Failed("error", f"the probe {call.name} is a PowerShell script, and {self.host} is not a Windows host")

        def execute(run: Run) -> Reply:
            return self._run(transport, run, stopped=self._interrupted.is_set)

        return posix_files.write_file(execute, call) if isinstance(call, WriteFile) else posix_files.read_file(execute, call)

    def _run(
        self, transport: paramiko.Transport, call: Run, on_chunk: OnChunk | None = None, most: int = limits.OUTPUT,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Reply:  # fmt: skip
        return self._programs.run(
            call,
            lambda one: execute_command(transport, one, interrupted=self._kill, on_chunk=on_chunk, most=most, stopped=stopped),
        )

    def _kill(self, group: int | None) -> None:
        if group is None:
            self._drop()
            return
        with suppress(ConnectionLost, ProgramTimeout, Unreachable):
            self._run(self._transport(), Run(sudo.kill(group), timeout=_KILLING))

    def _transport(self) -> paramiko.Transport:
        if self._closed:
            raise Unreachable(f"{self.host}: the connection has been closed", host=self.host)
        if self._ssh is not None and not self._ssh.transport.is_active():
            self._drop()
        if self._ssh is None:
            self._ssh = ssh_open.open_ssh(self._settings, self._note)
        return cast("paramiko.Transport", self._ssh.transport)

    def _drop(self) -> None:
        ssh, self._ssh = self._ssh, None
        if ssh is not None:
            with suppress(Exception):  # closing must not hide the original error
                for hop in (ssh, ssh.gateway):
                    if hop is not None and hasattr(hop, "close"):
                        hop.close()
