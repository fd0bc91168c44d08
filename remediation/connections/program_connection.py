"""A base class for connections of other distributions: a POSIX host on which programs can be run, and nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from remediation.connections.calls import Call, Completed, Failed, Http, Probe, Reply, Run, WriteFile, in_turn
from remediation.connections.posix import files as posix_files
from remediation.connections.posix.curl import request_by_curl


class ProgramConnection(ABC):
    """See `remediation.connections.calls.Connection`.

    Files are read and written by ``sh``, HTTP requests are made by the host's ``curl``, so `run` is all that a transport has to provide.
    """

    platform = "posix"

    def __init__(self, host: str) -> None:
        self.host = host
        self.round_trips = 0

    @abstractmethod
    def run(self, call: Run) -> Reply:
        """Run a program: exactly these arguments, with its stdin, timeout, working directory and environment.

        Return `Completed`, or `Failed` for a program that could not be started or did not end in time. Raise `Unreachable` without a
        connection, and `OutcomeUnknown` when it was lost during a call with ``writes``. Never send such a call twice.
        """

    def close(self) -> None:  # noqa: B027 - a transport without a session has nothing to end
        """End the session; must not raise."""

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out `calls` one after the other."""
        return in_turn(calls, self._one)

    def _one(self, call: Call) -> Reply:
        self.round_trips += 1
        if isinstance(call, Run):
            return self.run(call)
        if isinstance(call, Http):
            return request_by_curl(call, self._run_streaming)
        if isinstance(call, Probe):
            return Failed("error", f"the probe {call.name} is a PowerShell script, and {self.host} is no Windows host")
        return posix_files.write_file(self.run, call) if isinstance(call, WriteFile) else posix_files.read_file(self.run, call)

    def _run_streaming(self, call: Run, on_chunk: Callable[[bytes], None], most: int) -> Reply:
        """Run a program whose output is listened to. It is passed on as a whole, since `run` returns it as a whole."""
        done = self.run(call)
        if isinstance(done, Completed) and len(done.stdout) > most:
            return Failed("error", f"{call.argv[0]} wrote more than {most} bytes")
        return done
