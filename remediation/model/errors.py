"""Everything that can go wrong and that a user can cause, as one tree.

::

    RemediationError             exit 1: usage or playbook
      UsageError                 a command line that cannot be meant
      InputError                 playbook, inventory or variables: one or more `Problem`s with file:line
      HostError                  something at one host
        Unreachable              exit 3: no connection
          AuthenticationFailed
          HostKeyRefused / CertificateRefused
        Blocked                  exit 5: a need is not there, or the risk gate refused
          WriteRefused           a write reached a connection in check mode
        DeadlineExceeded         a call took longer than it may
        CallFailed               a program, probe or endpoint answered with an error
          Unreadable             it answered, and what it said cannot be read
          Undecided              what is to be repaired is not there, or one of several: the user has to say
        NothingThere             the host has nothing that could be repaired
        NotApplicable            what a step sets does not exist on this kind of host: the step is skipped
        Uncertain                a write may or may not have been carried out: look again, never repeat

Each error says in one sentence what happened, and in ``next_step`` what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file that belongs to the user; line and column count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an input file: where, what, and the nearest right name where there is one."""

    message: str
    place: Place | None = None
    excerpt: str = ""

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head}\n{self.excerpt}" if self.excerpt else head


class RemediationError(Exception):
    """Base of all errors that are told to the user without a traceback."""

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
    """A command line that cannot be meant."""


class InputError(RemediationError):
    """One or more mistakes in a playbook, inventory or variable file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def mask(self, hide: Callable[[str], str]) -> None:
        """Take secrets out of every mistake: `hide` returns a text without them."""
        self.problems = tuple(Problem(hide(each.message), each.place, hide(each.excerpt)) for each in self.problems)


class HostError(RemediationError):
    """Something went wrong at one host."""

    exit_code = 2

    def __init__(self, message: str, *, host: str = "", next_step: str = "", place: Place | None = None) -> None:
        super().__init__(message, next_step=next_step, place=place)
        self.host = host


class Unreachable(HostError):
    """There is no connection to the host, or it was lost for good."""

    exit_code = 3


class AuthenticationFailed(Unreachable):
    """The host refused the login; never tried in a loop (account lockout)."""


class HostKeyRefused(Unreachable):
    """The SSH host key is unknown or changed."""


class CertificateRefused(Unreachable):
    """The TLS certificate does not prove the host's identity."""


class Blocked(HostError):
    """Something that the change needs is not there, or the user's limit forbids it."""

    exit_code = 5


class WriteRefused(Blocked):
    """A call marked as a write reached a connection that is in check mode."""


class DeadlineExceeded(HostError):
    """A call took longer than it may; whatever it started was told to stop."""


class CallFailed(HostError):
    """A program, probe or endpoint answered with an error.

    ``status`` is the exit code or HTTP status, ``output`` what it said (already redacted).
    """

    def __init__(self, message: str, *, host: str = "", next_step: str = "", status: int | None = None, output: str = "") -> None:
        super().__init__(message, host=host, next_step=next_step)
        self.status = status
        self.output = output


class NotRecorded(CallFailed):
    """A replayed run asked for something that the recorded one did not."""


class Unreadable(CallFailed):
    """A part of the host answered, and what it said cannot be read: that is a fault to name, not a part that is missing."""


class Undecided(CallFailed):
    """What is to be repaired is not there, or may be one of several: no remedy is tried before the user has said which."""


class NoTarget(HostError):
    """The host has neither Ollama nor anything that could bring it up: no remedy is tried."""


class NotApplicable(HostError):
    """What a step sets does not exist on this kind of host (a Compose file, where systemd runs the server): no failure."""

    exit_code = 0


class OutcomeUnknown(HostError):
    """A write was sent and its answer lost: the state must be looked at again, the write never repeated."""


NO_ANSWER = (CallFailed, DeadlineExceeded)
"""What a part of a host that does not answer raises: it failed, or it hangs. Who can do without that part catches both."""
