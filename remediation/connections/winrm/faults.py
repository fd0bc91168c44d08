"""The meaning of an error of pywinrm, requests or the WS-Management service for a sent message (by its code, never its text)."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable, Mapping
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
from remediation.connections.settings import ConnectionSettings
from remediation.connections.winrm.transport import Redirected
from remediation.model.errors import AuthenticationFailed, CertificateRefused, Unreachable
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
BUSY = 170
PROFILE_UNLOADS = 2147943418
_BAD_REQUEST, _UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE, _SERVER_ERROR = 400, 401, 403, 404, 413, 500


class FaultKind(Enum):
    """How to handle a fault."""

    POLL = auto()
    """No output yet: poll again."""
    LOGIN = auto()
    """The login was refused."""
    STALE = auto()
    """The message was rejected unread (HTTP 400): repeat it in a new session."""
    BUSY = auto()
    """The previous input is still being processed: repeat it later."""
    NEW_SHELL = auto()
    """The shell is gone or used up. The message was not carried out."""
    FULL = auto()
    """A quota of the host is reached. The message was not carried out."""
    TOO_LARGE = auto()
    """The message or the requested answer exceeds the host's size limit. It was not carried out."""
    CERTIFICATE = auto()
    """Certificate verification failed."""
    REFUSED = auto()
    """The connection was refused or impossible: the message was not sent."""
    REDIRECTED = auto()
    """The endpoint redirects, which is not followed."""
    EXCEEDED = auto()
    """The answer exceeds the size limit or has an unsupported form."""
    SETTING = auto()
    """The service's configuration rejects all messages."""
    REJECTED = auto()
    """The service answered with a fault: the message was not carried out."""
    LOST = auto()
    """The message was sent, but there is no readable answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A meaning, and a clause for the error message."""

    meaning: FaultKind
    message: str
    code: int | None = None
    setting: str = ""
    """The host's quota, as named by ``winrm set``."""


FAMILIES = (WinRMError, WinRMTransportError, WinRMOperationTimeoutError, requests.RequestException, urllib3.exceptions.HTTPError,
            OSError, SpnegoError, SyntaxError, LookupError, AttributeError, ValueError, AssertionError, StopIteration, TypeError,
            RuntimeError, ArithmeticError, struct.error, LimitExceeded, Redirected)  # fmt: skip
"""All exceptions that pywinrm is known to raise: its own, those of requests, those of its parsers (headers, XML, base64, encrypted
messages), and those of the limits on its transport.
"""

_BY_CODE = {
    SHELL_NOT_FOUND: Fault(FaultKind.NEW_SHELL, "the shell no longer exists", SHELL_NOT_FOUND),
    OPERATION_QUOTA: Fault(
        FaultKind.NEW_SHELL,
        "this user's operation quota is used up",
        OPERATION_QUOTA,
        "service:MaxConcurrentOperationsPerUser",
    ),
    PROFILE_UNLOADS: Fault(FaultKind.NEW_SHELL, "the user's profile was being unloaded", PROFILE_UNLOADS),
    SHELL_QUOTA: Fault(FaultKind.FULL, "this user has the maximum number of open shells", SHELL_QUOTA, "winrs:MaxShellsPerUser"),
    **{
        code: Fault(FaultKind.FULL, f"the host allows no more {what}", code, setting)
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
        code: Fault(FaultKind.TOO_LARGE, "a message exceeds the host's size limit", code, "MaxEnvelopeSizekb")
        for code in (_ENCODING_LIMIT, _MAX_ENVELOPE_SIZE, _ENVELOPE_LIMIT)
    },
    BUSY: Fault(FaultKind.BUSY, "the service is still processing the previous input", BUSY),
}


_CAUSES = (
    (urllib3.exceptions.ReadTimeoutError, Fault(FaultKind.LOST, "no complete HTTP answer in time")),
    (urllib3.exceptions.NameResolutionError, Fault(FaultKind.REFUSED, "the name cannot be resolved")),
    (urllib3.exceptions.NewConnectionError, Fault(FaultKind.REFUSED, "connection refused at that address and port")),
)
"""Errors wrapped by requests. A name that cannot be resolved counts as a refused connection."""


NO_CHALLENGE = Fault(FaultKind.LOGIN, "the service refused an NTLM login without a challenge", _UNAUTHORISED)
"""Refused before a password was sent."""


def read_fault(error: BaseException) -> Fault:
    """Return the fault for `error`."""
    if isinstance(error, Redirected | LimitExceeded):
        return _unaccepted_answer(error)
    if isinstance(error, WinRMOperationTimeoutError):
        return Fault(FaultKind.POLL, "no output within the operation timeout", TIMED_OUT)
    if isinstance(error, AuthenticationError):
        return Fault(FaultKind.LOGIN, "the login was refused", _UNAUTHORISED)
    if isinstance(error, WSManFaultError):
        return _wsman(error)
    if isinstance(error, WinRMTransportError):
        return _http(error)
    if isinstance(error, requests.RequestException):
        return _request(error)
    if isinstance(error, WinRMError):
        # raised by pywinrm: a transport whose extra is not installed, or an answer that cannot be decrypted
        text = " ".join(str(error).split())
        return Fault(FaultKind.SETTING if "not installed" in text or "unsupported" in text else FaultKind.LOST, text)
    if isinstance(error, PermissionError) and error.errno is None:
        # raised by requests_ntlm: the first answer has no challenge, so no password was sent
        return NO_CHALLENGE
    if isinstance(error, OSError | urllib3.exceptions.HTTPError):
        return Fault(FaultKind.LOST, f"the connection broke ({type(error).__name__})")
    return Fault(FaultKind.LOST, "the service's answer is not a WS-Management message")


def _unaccepted_answer(error: Redirected | LimitExceeded) -> Fault:
    if isinstance(error, LimitExceeded):
        return Fault(FaultKind.EXCEEDED, error.message)
    return Fault(
        FaultKind.REDIRECTED, f"the service redirects to {named_location(error.location)} (HTTP {error.status})", error.status
    )


def _wsman(error: WSManFaultError) -> Fault:
    for code in (error.wsman_fault_code, error.wmierror_code):
        known = _BY_CODE.get((code or 0) & 0xFFFFFFFF)
        if known is not None:
            return known
    return Fault(FaultKind.REJECTED, brief(str(error.reason)).rstrip("."), error.wsman_fault_code)


def _http(error: WinRMTransportError) -> Fault:
    code = int(error.code)
    if code == _BAD_REQUEST:
        return Fault(FaultKind.STALE, "the service could not read the message (HTTP 400)", code)
    if code == _TOO_LARGE:
        return Fault(FaultKind.TOO_LARGE, "a message exceeds the host's size limit (HTTP 413)", code, "MaxEnvelopeSizekb")
    if code == _SERVER_ERROR:
        text = "the service answered HTTP 500 without a reason, as it does for unencrypted messages (AllowUnencrypted is false)"
        return Fault(FaultKind.SETTING, text, code)
    if code in {_FORBIDDEN, _NOT_FOUND}:
        return Fault(
            FaultKind.SETTING, f"the service answered HTTP {code}: not a WinRM endpoint, or the login may not use it", code
        )
    return Fault(FaultKind.LOST, f"the service answered HTTP {code}", code)


def _request(error: requests.RequestException) -> Fault:
    if isinstance(error, requests.exceptions.SSLError):
        return Fault(FaultKind.CERTIFICATE, _tls(error))
    if isinstance(error, requests.exceptions.ProxyError):
        return Fault(FaultKind.REFUSED, "the proxy could not be used")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Fault(FaultKind.REFUSED, "no answer at that address and port")
    if isinstance(error, requests.exceptions.Timeout):
        return Fault(FaultKind.LOST, "no HTTP answer in time")
    for cause in _chain(error):
        for kind, fault in _CAUSES:
            if isinstance(cause, kind):
                return fault
        if isinstance(cause, ssl.SSLError):
            return Fault(FaultKind.CERTIFICATE, _tls(error))
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return Fault(FaultKind.SETTING, "the address is not a valid URL")
    return Fault(FaultKind.LOST, "the connection broke before the answer was complete")


def _tls(error: BaseException) -> str:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate verification failed: {cause.verify_message.rstrip('.')}"
        if isinstance(cause, ssl.SSLError) and "ALERT" in str(cause.reason):
            return f"the host ended the TLS handshake ({cause.reason}): it does not accept the client certificate or TLS version"
    return "cannot establish a TLS connection; is that port an HTTPS listener?"


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error with its causes, in all places where requests and urllib3 keep them."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or one in found:
            continue
        found.append(one)
        waiting += [*one.args, getattr(one, "reason", None), one.__cause__]
    return found


def permanent_failure(settings: ConnectionSettings, fault: Fault) -> Unreachable | None:
    """Return the error for a fault before any success, if no retry can help."""
    where = f"{settings.winrm.scheme}://{settings.address}"
    if fault.meaning is FaultKind.REFUSED:
        step = "start the host, or its WinRM service and listener (docs/windows.md), and check ansible_host and ansible_port"
    elif fault.meaning in {FaultKind.SETTING, FaultKind.STALE}:
        step = "check the WinRM service's settings (docs/windows.md), ansible_port and ansible_winrm_transport"
    elif fault.meaning in {FaultKind.LOST, FaultKind.EXCEEDED}:
        step = f"check that a WinRM service answers at {where}, ansible_port and ansible_winrm_scheme"
    else:
        return None
    return Unreachable(f"{settings.name}: {fault.message} ({settings.endpoint})", host=settings.name, next_step=step)


_DEFAULTS = {
    "MaxEnvelopeSizekb": 500, "MaxShellsPerUser": 30, "MaxConcurrentUsers": 10, "MaxProcessesPerShell": 25, "MaxMemoryPerShellMB": 1024,
    "MaxConcurrentOperationsPerUser": 1500, "MaxConnections": 300,
}  # fmt: skip
"""Default quotas of Windows (Microsoft: Installation and configuration for Windows Remote Management)."""
MEMORY = "winrs:MaxMemoryPerShellMB"


def remedy(setting: str) -> str:
    """Return the next step for a quota of the host, or ""."""
    if not setting:
        return ""
    part, _, name = setting.rpartition(":")
    path = f"winrm/config/{part}" if part else "winrm/config"
    return f"raise {name} on the host (docs/windows.md): winrm set {path} '@{{{name}=\"{_DEFAULTS[name]}\"}}', or more"


def too_large(settings: ConnectionSettings, message: str) -> Unreachable:
    """Return the error for a host that refuses even the smallest messages. The last one was not carried out."""
    return Unreachable(
        f"{settings.name}: {message} and cannot be made smaller ({settings.endpoint})", host=settings.name,
        next_step=remedy("MaxEnvelopeSizekb"),
    )  # fmt: skip


def redirect_error(settings: ConnectionSettings, fault: Fault) -> Unreachable:
    """Return the error for an endpoint that redirects. Neither messages nor credentials are sent to the other server."""
    return Unreachable(
        f"{settings.name}: {fault.message}, and redirects are not followed ({settings.endpoint})",
        host=settings.name,
        next_step="set ansible_host, ansible_port and ansible_winrm_scheme to the WinRM service itself, if that is the intended host; "
        "otherwise find out which server answers at this address",
    )


def no_login(settings: ConnectionSettings, fault: Fault) -> AuthenticationFailed:
    """Return the error for a refused login."""
    if fault is NO_CHALLENGE:
        return AuthenticationFailed(
            f"{settings.name}: {fault.message} ({settings.endpoint})",
            host=settings.name,
            next_step="check whether the service accepts such logins (winrm get winrm/config/service/auth: Negotiate = true), whether there is a proxy "
            "in between, and whether its connections are exhausted; ansible_winrm_transport selects another transport",
        )
    return AuthenticationFailed(
        f"{settings.name}: the login {settings.user or '(certificate)'} was refused by {settings.winrm.transport}",
        host=settings.name,
        next_step="correct ansible_user and ansible_password; it is not retried, because Windows locks accounts",
    )


def certificate(settings: ConnectionSettings, fault: Fault) -> CertificateRefused:
    """Return the error for a server that failed certificate verification."""
    return CertificateRefused(
        f"{settings.name}: {fault.message}",
        host=settings.name,
        next_step="connect by the name in the certificate, and set the CA certificate (or the certificate itself) as a PEM file in "
        "ansible_winrm_ca_trust_path",
    )


FINAL: Mapping[FaultKind, Callable[[ConnectionSettings, Fault], Unreachable]] = {
    FaultKind.LOGIN: no_login, FaultKind.CERTIFICATE: certificate, FaultKind.REDIRECTED: redirect_error,
}  # fmt: skip
"""After these faults, nothing more is sent to the server."""
