"""Error messages and next steps for WinRM faults that no retry can cure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from remediation.connections.settings import ConnectionSettings
from remediation.connections.winrm.faults import NO_CHALLENGE, Fault, Meaning
from remediation.model.errors import AuthenticationFailed, CertificateRefused, Unreachable


def hopeless(settings: ConnectionSettings, fault: Fault) -> Unreachable | None:
    """Return the error for a fault before any success, if no retry can help."""
    where = f"{settings.winrm.scheme}://{settings.address}"
    if fault.meaning is Meaning.REFUSED:
        step = "start the host, or its WinRM service and listener (docs/windows.md), and check ansible_host and ansible_port"
    elif fault.meaning in {Meaning.SETTING, Meaning.STALE}:
        step = "check the WinRM service's settings (docs/windows.md), ansible_port and ansible_winrm_transport"
    elif fault.meaning in {Meaning.LOST, Meaning.EXCEEDED}:
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
        f"{settings.name}: {message}and cannot be made smaller ({settings.endpoint})", host=settings.name,
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


FINAL: Mapping[Meaning, Callable[[ConnectionSettings, Fault], Unreachable]] = {
    Meaning.LOGIN: no_login, Meaning.CERTIFICATE: certificate, Meaning.REDIRECTED: redirect_error,
}  # fmt: skip
"""After these faults, nothing more is sent to the server."""
