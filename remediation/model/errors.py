"""The exception hierarchy.

::

  RemediationError             exit 1: usage or playbook
    UsageError                 invalid command line or parameters
    InputError                 playbook, inventory or variables: one or more `Problem`s with file:line
    HostError                  an error at one host
      Unreachable              exit 3: no connection
        AuthenticationFailed
        HostKeyRefused / CertificateRefused
      Blocked                  exit 5: an unmet need, or the risk gate refused
        WriteRefused           a write reached a connection in check mode
      DeadlineExceeded         a call exceeded its time limit
      CallFailed               a program, probe or endpoint answered with an error
        NotRecorded            a replay lacks the answer
        Unreadable             the answer cannot be parsed
        Undecided              the repair target is missing or ambiguous: the user has to choose
      NoTarget                 the host has nothing that could be repaired
      NotApplicable            the step does not apply to this kind of host and is skipped
      OutcomeUnknown           a write may or may not have been made: observe again, never repeat

The message of each error is one sentence; ``next_step`` says what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A position in one of the user's files; line and column count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in an input file: its message, position and excerpt."""

    message: str
    place: Place | None = None
    excerpt: str = ""

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head}\n{self.excerpt}" if self.excerpt else head


class RemediationError(Exception):
    """Base class of all errors that are shown to the user without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, next_step: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.place = place

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head}\n  next: {self.next_step}" if self.next_step else head


class UsageError(RemediationError):
    """Invalid command line or parameters."""


class ParameterError(UsageError):
    """Invalid parameters of a task; ``ansible_message`` is the message that the task's result has, if it is another one."""

    def __init__(self, message: str, ansible_message: str = "", *, next_step: str = "", place: Place | None = None) -> None:
        super().__init__(message, next_step=next_step, place=place)
        self.ansible_message = ansible_message


class InputError(RemediationError):
    """One or more errors in a playbook, inventory or variable file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def mask(self, hide: Callable[[str], str]) -> None:
        """Mask the secrets in every problem; `hide` returns a text without them."""
        self.problems = tuple(Problem(hide(each.message), each.place, hide(each.excerpt)) for each in self.problems)


class HostError(RemediationError):
    """An error at one host."""

    exit_code = 2

    def __init__(self, message: str, *, host: str = "", next_step: str = "", place: Place | None = None) -> None:
        super().__init__(message, next_step=next_step, place=place)
        self.host = host


class Unreachable(HostError):
    """No connection to the host, or the connection was lost for good."""

    exit_code = 3


class AuthenticationFailed(Unreachable):
    """The host refused the login. Logins are never retried in a loop (account lockout)."""


class HostKeyRefused(Unreachable):
    """The SSH host key is unknown or changed."""


class CertificateRefused(Unreachable):
    """The TLS certificate does not prove the host's identity."""


class Blocked(HostError):
    """A need of the change is not met, or the user's limits forbid it."""

    exit_code = 5


class WriteRefused(Blocked):
    """A call marked as a write reached a connection in check mode."""


class DeadlineExceeded(HostError):
    """A call exceeded its time limit; the program it started is stopped."""


class CallFailed(HostError):
    """A program, probe or endpoint answered with an error.

    ``status`` is the exit code or HTTP status, ``output`` the (redacted) answer.
    """

    def __init__(self, message: str, *, host: str = "", next_step: str = "", status: int | None = None, output: str = "") -> None:
        super().__init__(message, host=host, next_step=next_step)
        self.status = status
        self.output = output


class NotRecorded(CallFailed):
    """A replayed run made a request that the recorded run did not make."""


class Unreadable(CallFailed):
    """A part of the host answered, but the answer cannot be parsed. This is a fault to report, not a missing part."""


class Undecided(CallFailed):
    """The repair target is missing or ambiguous: no remedy is tried before the user has chosen."""


class NoTarget(HostError):
    """The host has neither Ollama nor anything that could start it: no remedy is tried."""


class NotApplicable(HostError):
    """The step does not apply to this kind of host (a Compose file where systemd runs the server); not a failure."""

    exit_code = 0


class OutcomeUnknown(HostError):
    """A write was sent but its answer was lost: observe the state again, never repeat the write."""


NO_ANSWER = (CallFailed, DeadlineExceeded)
"""The errors of a part of a host that fails or hangs. Code that can do without that part catches both."""
