"""Faults of the wire: what can go wrong between a client and a WinRM server, put in at the nth message of a kind (facts/windows 1.2-1.4).

A fault is armed, waits for its message, plays ``times`` times and is spent.  Which side of the processing it lies on is the point of
each: a request that was refused unread may be repeated, one that was carried out and whose answer was lost may not.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediation_lab.winrm import soap
from remediation_lab.wire import Refusal

MESSAGES = ("any", "authentication", "create", "command", "send", "receive", "signal", "delete")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: what it does, and whether the server has carried the request out when it strikes."""

    does: str
    processed: bool


SOAP: Mapping[str, soap.Fault] = {
    "timed-out": soap.Fault(
        soap.TIMED_OUT,
        "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
        subcode="w:TimedOut",
    ),
    "operation-quota": soap.Fault(
        soap.OPERATION_QUOTA,
        "This user has exceeded the maximum number of concurrent operations. Close existing operations for this user, or raise the quota.",
        subcode="w:QuotaLimit",
    ),
    "shell-quota": soap.Fault(
        soap.SHELL_QUOTA,
        "The maximum number of concurrent shells for this user has been exceeded. Close existing shells or raise the quota.",
        subcode="w:QuotaLimit",
    ),
    "busy": soap.Fault(170, "The requested resource is in use.", subcode="w:InternalError"),
    "aborted": soap.Fault(
        995,
        "The I/O operation has been aborted because of either a thread exit or an application request.",
        subcode="w:InternalError",
    ),
    "profile": soap.Fault(
        2147943418, "Illegal operation attempted on a registry key that has been marked for deletion.", subcode="w:InternalError"
    ),
}
KINDS: Mapping[str, Kind] = {
    "drop-before": Kind("the connection ends before the request is looked at", processed=False),
    "drop-after": Kind("the request is carried out and the connection ends without an answer", processed=True),
    "slow": Kind("the request is carried out, the answer comes after `seconds`", processed=True),
    "silent": Kind("the request is carried out and no answer comes for `seconds`, then the connection ends", processed=True),
    "http-401": Kind("the server requests authentication again", processed=False),
    "http-400": Kind("HTTP 400 without a body, as for a stale encryption context", processed=False),
    "http-500": Kind("HTTP 500 without a SOAP fault", processed=False),
    "http-503": Kind("HTTP 503: the service is starting", processed=False),
    "truncated": Kind("the request is carried out, half of the answer comes and the connection ends", processed=True),
    "garbage": Kind("the request is carried out, the answer is properly encrypted and no XML", processed=True),
    "not-encrypted": Kind("the request is carried out, the answer is a page of HTML", processed=True),
    "shell-lost": Kind("the shell and what runs in it are gone, as after a restart of the service", processed=False),
    "worker-dies": Kind("the shell's programs are killed before the request is carried out", processed=True),
    "worker-dies-after": Kind("the request is carried out and the shell's programs are killed", processed=True),
    "reboot": Kind(
        "the host restarts: connections, shells and programs are gone, nothing answers for `seconds`", processed=False
    ),
    "reboot-after": Kind("the request is carried out and the host restarts", processed=True),
    "noise": Kind("the program says a banner on stdout and CLIXML on stderr before its own output", processed=True),
    "split": Kind("output comes in pieces of `size` bytes, through the middle of characters", processed=True),
    **{name: Kind(f"SOAP fault {fault.code}", processed=False) for name, fault in SOAP.items()},
}
STDOUT_NOISE = (
    "Windows PowerShell\r\nCopyright (C) Microsoft Corporation. Alle Rechte vorbehalten. \u00bfQu\u00e9 tal?\r\n".encode()
)
STDERR_NOISE = (
    b'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
    b'<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T><T>System.Object</T></TN><MS>'
    b'<I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for first use.</AV><AI>0</AI><Nil /><PI>-1</PI><PC>-1</PC>'
    b"<T>Completed</T><SR>-1</SR><SD> </SD></PR></MS></Obj>"
    b'<S S="Warning">The profile could not be loaded_x002E__x000D__x000A_</S></Objs>'
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: at the `nth` `message` from now on, for `times` messages of that kind (0: for good)."""

    kind: str
    message: str = "any"
    nth: int = 1
    times: int = 1
    seconds: float = 0.2
    size: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise Refusal("not-found", f"no fault of the wire {self.kind!r}: choose one of {', '.join(KINDS)}")
        if self.message not in MESSAGES:
            raise Refusal("not-found", f"no message {self.message!r}: choose one of {', '.join(MESSAGES)}")
        if self.nth < 1 or self.times < 0 or self.seconds < 0 or self.size < 1:
            raise Refusal("error", "nth and size are numbers from 1, times and seconds from 0")

    @property
    def processed(self) -> bool:
        """Whether the request is carried out."""
        return KINDS[self.kind].processed


class Armed:
    """The faults of one host that wait, and how often each kind has struck."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[list[Any]] = []  # [fault, messages to let pass, times left]
        self.struck: dict[str, int] = {}

    def put(self, fault: Fault) -> None:
        """Arm a fault."""
        with self._lock:
            self._waiting.append([fault, fault.nth - 1, fault.times])

    def clear(self) -> None:
        """Take all faults out; what has struck is forgotten, too."""
        with self._lock:
            self._waiting.clear()
            self.struck.clear()

    def waiting(self) -> int:
        """Return how many faults have not struck as often as they are to."""
        with self._lock:
            return len(self._waiting)

    def at(self, message: str) -> Fault | None:
        """Tell that a message has come; returns the fault that strikes it. Each message is struck by one at most."""
        found: Fault | None = None
        with self._lock:
            for each in list(self._waiting):
                fault, pass_by, left = each
                if fault.message not in {message, "any"} or (fault.message == "any" and message == "authentication"):
                    continue
                if pass_by:
                    each[1] -= 1
                elif found is None:
                    found = fault
                    if left == 1:
                        self._waiting.remove(each)
                    elif left:
                        each[2] -= 1
            if found is not None:
                self.struck[found.kind] = self.struck.get(found.kind, 0) + 1
        return found
