"""What an error of pywinrm, requests or the WS-Management service means for a message that was sent (by its code, never its text)."""

from __future__ import annotations

import ssl
import struct
from dataclasses import dataclass
from enum import Enum, auto

import requests
import urllib3.exceptions
from spnego.exceptions import SpnegoError
from winrm.exceptions import (
    AuthenticationError,
    WinRMError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)

from remediation.connections.calls import named_location
from remediation.connections.winrm.transport import Redirected
from remediation.model.limits import LimitExceeded
from remediation.model.text.visible import brief

TIMED_OUT = 2150858793
SHELL_NOT_FOUND = 2150858843
OPERATION_QUOTA = 2150859174
SHELL_QUOTA = 2150859173
_ENCODING_LIMIT, _MAX_ENVELOPE_SIZE, _ENVELOPE_LIMIT = 2150858805, 2150858823, 2150858825
_USER_QUOTA, _SYSTEM_QUOTA, _SHELL_USERS, _OPERATIONS_OF_USER = 2150859175, 2150859176, 2150859179, 2150859240
_SHELLS_OF_PLUGIN, _USERS_OF_PLUGIN, _OPERATIONS_OF_PLUGIN, _COMMANDS = 2150859236, 2150859237, 2150859239, 2150859241
_NO_MEMORY, _NO_QUOTA, _COMMITMENT = 2147942414, 2147944216, 2147943855
BAD_SCHEMA = 2150858817
BUSY = 170
PROFILE_UNLOADS = 2147943418
_BAD_REQUEST, _UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE, _SERVER_ERROR = 400, 401, 403, 404, 413, 500


class Meaning(Enum):
    """What to do about it."""

    POLL = auto()
    """No output yet: ask again."""
    LOGIN = auto()
    """The login was refused."""
    STALE = auto()
    """The message was rejected unread (HTTP 400): new session, the same message once more."""
    BUSY = auto()
    """The former input is still being processed: a little later."""
    NEW_SHELL = auto()
    """The shell is gone or used up; the message was not carried out."""
    FULL = auto()
    """A limit of the host is reached; the message was not carried out."""
    TOO_LARGE = auto()
    """The message is larger than the host takes, or asks for more than it gives; it was not carried out."""
    CERTIFICATE = auto()
    """The server did not prove who it is."""
    REFUSED = auto()
    """Nothing listens there, or it cannot be reached: the message was not sent."""
    REDIRECTED = auto()
    """The endpoint names another server, which is not asked."""
    EXCEEDED = auto()
    """The answer is larger than any honest one, or in a form that is not accepted."""
    SETTING = auto()
    """The service is set up in a way that lets no message through."""
    REJECTED = auto()
    """The service answered with a fault: the message was not carried out."""
    LOST = auto()
    """Sent, and no answer that could be read."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A meaning, and one clause for the user."""

    meaning: Meaning
    message: str
    code: int | None = None
    setting: str = ""
    """The setting of the host that sets this limit, as ``winrm set`` names it."""


FAMILIES = (WinRMError, WinRMTransportError, WinRMOperationTimeoutError, requests.RequestException, urllib3.exceptions.HTTPError,
            OSError, SpnegoError, SyntaxError, LookupError, AttributeError, ValueError, AssertionError, StopIteration, TypeError,
            RuntimeError, ArithmeticError, struct.error, LimitExceeded, Redirected)  # fmt: skip
"""Everything pywinrm is known to raise: its two families, requests' own, what its readers of headers, XML, base64 and sealed messages
let through, and what its transport is confined by."""

_BY_CODE = {
    SHELL_NOT_FOUND: Fault(Meaning.NEW_SHELL, "the shell is gone", SHELL_NOT_FOUND),
    OPERATION_QUOTA: Fault(
        Meaning.NEW_SHELL,
        "the quota of operations of this user is used up",
        OPERATION_QUOTA,
        "service:MaxConcurrentOperationsPerUser",
    ),
    PROFILE_UNLOADS: Fault(Meaning.NEW_SHELL, "the user's profile was being unloaded", PROFILE_UNLOADS),
    SHELL_QUOTA: Fault(
        Meaning.FULL, "this user has as many shells open as the host allows", SHELL_QUOTA, "winrs:MaxShellsPerUser"
    ),
    **{
        code: Fault(Meaning.FULL, f"the host allows no more {what}", code, setting)
        for code, what, setting in (
            (_USER_QUOTA, "requests of this user at a time", "service:MaxConcurrentOperationsPerUser"),
            (_SYSTEM_QUOTA, "requests at a time", "service:MaxConnections"),
            (_SHELL_USERS, "users with shells", "winrs:MaxConcurrentUsers"),
            (_OPERATIONS_OF_USER, "operations of this user at a time", "service:MaxConcurrentOperationsPerUser"),
            (_SHELLS_OF_PLUGIN, "shells of this user", "winrs:MaxShellsPerUser"),
            (_USERS_OF_PLUGIN, "users with shells", "winrs:MaxConcurrentUsers"),
            (_OPERATIONS_OF_PLUGIN, "operations at a time", "service:MaxConcurrentOperationsPerUser"),
            (_COMMANDS, "processes in a shell", "winrs:MaxProcessesPerShell"),
            (_NO_MEMORY, "memory to a shell", "winrs:MaxMemoryPerShellMB"),
            (_NO_QUOTA, "memory to a shell", "winrs:MaxMemoryPerShellMB"),
            (_COMMITMENT, "memory to a shell", "winrs:MaxMemoryPerShellMB"),
        )
    },
    **{
        code: Fault(Meaning.TOO_LARGE, "a message is larger than the host takes", code, "MaxEnvelopeSizekb")
        for code in (_ENCODING_LIMIT, _MAX_ENVELOPE_SIZE, _ENVELOPE_LIMIT)
    },
    BUSY: Fault(Meaning.BUSY, "the service is still busy with the former input", BUSY),
}


_CAUSES = (
    (urllib3.exceptions.ReadTimeoutError, Fault(Meaning.LOST, "no complete HTTP answer in time")),
    (urllib3.exceptions.NameResolutionError, Fault(Meaning.REFUSED, "the name cannot be resolved")),
    (urllib3.exceptions.NewConnectionError, Fault(Meaning.REFUSED, "nothing listens at that address and port")),
)
"""What requests wraps; a name that cannot be resolved is a connection that could not be made."""


NO_CHALLENGE = Fault(
    Meaning.LOGIN, "the service answered the beginning of an NTLM login with a refusal, without a challenge", _UNAUTHORISED
)
"""Refused before a password was asked for."""


def read_fault(error: BaseException) -> Fault:
    """Return what `error` means."""
    if isinstance(error, Redirected | LimitExceeded):
        return _confined(error)
    if isinstance(error, WinRMOperationTimeoutError):
        return Fault(Meaning.POLL, "no output within the operation timeout", TIMED_OUT)
    if isinstance(error, AuthenticationError):
        return Fault(Meaning.LOGIN, "the login was refused", _UNAUTHORISED)
    if isinstance(error, WSManFaultError):
        return _wsman(error)
    if isinstance(error, WinRMTransportError):
        return _http(error)
    if isinstance(error, requests.RequestException):
        return _request(error)
    if isinstance(error, WinRMError):
        # pywinrm's own: a transport whose extra is not installed, an undecryptable answer
        text = " ".join(str(error).split())
        return Fault(Meaning.SETTING if "not installed" in text or "unsupported" in text else Meaning.LOST, text)
    if isinstance(error, PermissionError) and error.errno is None:
        # requests_ntlm's own: the answer to the first of NTLM's messages holds no challenge; no password was sent
        return NO_CHALLENGE
    if isinstance(error, OSError | urllib3.exceptions.HTTPError):
        return Fault(Meaning.LOST, f"the connection broke ({type(error).__name__})")
    return Fault(Meaning.LOST, "the service answered with something that is no WS-Management message")


def _confined(error: Redirected | LimitExceeded) -> Fault:
    if isinstance(error, LimitExceeded):
        return Fault(Meaning.EXCEEDED, error.message)
    return Fault(
        Meaning.REDIRECTED, f"the service redirects to {named_location(error.location)} (HTTP {error.status})", error.status
    )


def _wsman(error: WSManFaultError) -> Fault:
    for code in (error.wsman_fault_code, error.wmierror_code):
        known = _BY_CODE.get((code or 0) & 0xFFFFFFFF)
        if known is not None:
            return known
    return Fault(Meaning.REJECTED, brief(str(error.reason)).rstrip("."), error.wsman_fault_code)


def _http(error: WinRMTransportError) -> Fault:
    code = int(error.code)
    if code == _BAD_REQUEST:
        return Fault(Meaning.STALE, "the service could not read the message (HTTP 400)", code)
    if code == _TOO_LARGE:
        return Fault(Meaning.TOO_LARGE, "a message is larger than the host takes (HTTP 413)", code, "MaxEnvelopeSizekb")
    if code == _SERVER_ERROR:
        text = "the service answered HTTP 500 without saying why; it refuses messages that are not encrypted (AllowUnencrypted is false)"
        return Fault(Meaning.SETTING, text, code)
    if code in {_FORBIDDEN, _NOT_FOUND}:
        return Fault(
            Meaning.SETTING, f"the service answered HTTP {code}: this is no WinRM endpoint, or the login may not use it", code
        )
    return Fault(Meaning.LOST, f"the service answered HTTP {code}", code)


def _request(error: requests.RequestException) -> Fault:
    if isinstance(error, requests.exceptions.SSLError):
        return Fault(Meaning.CERTIFICATE, _tls(error))
    if isinstance(error, requests.exceptions.ProxyError):
        return Fault(Meaning.REFUSED, "the proxy could not be used")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Fault(Meaning.REFUSED, "nothing answered at that address and port")
    if isinstance(error, requests.exceptions.Timeout):
        return Fault(Meaning.LOST, "no HTTP answer in time")
    for cause in _chain(error):
        for kind, fault in _CAUSES:
            if isinstance(cause, kind):
                return fault
        if isinstance(cause, ssl.SSLError):
            return Fault(Meaning.CERTIFICATE, _tls(error))
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return Fault(Meaning.SETTING, "the address makes no URL")
    return Fault(Meaning.LOST, "the connection broke before the answer was complete")


def _tls(error: BaseException) -> str:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate does not prove that this is the host: {cause.verify_message.rstrip('.')}"
        if isinstance(cause, ssl.SSLError) and "ALERT" in str(cause.reason):
            return (
                f"the host ended the TLS handshake ({cause.reason}): it takes no such client certificate, or no such TLS version"
            )
    return "no TLS connection could be made; is that port an HTTPS listener?"


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error with what it holds or came from, in the several places where requests and urllib3 keep it."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or one in found:
            continue
        found.append(one)
        waiting += [*one.args, getattr(one, "reason", None), one.__cause__]
    return found
