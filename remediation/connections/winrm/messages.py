"""Creates pywinrm's `Protocol`, and the message that it cannot write: Create with a shell ID."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # the service's answers, after pywinrm has read them the same way
from pathlib import Path
from typing import Any

import requests
import xmltodict  # type: ignore[import-untyped]  # pywinrm uses it, and it has no types
from winrm.encryption import Encryption
from winrm.exceptions import WinRMError
from winrm.protocol import Protocol

from remediation.connections.settings import ConnectionSettings
from remediation.connections.winrm.transport import ConfinedTransport
from remediation.model.errors import Unreachable

IDLE = "PT7200S"
CODEPAGE = 65001
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd"
_CREATE = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create"


def connect(settings: ConnectionSettings) -> Protocol:
    """Return pywinrm's `Protocol` for a host without sending anything. Raises `Unreachable` for invalid settings."""
    wanted = settings.winrm
    if wanted.ca_trust_path is not None and not Path(wanted.ca_trust_path).exists():
        raise Unreachable(
            f"{settings.name}: file {wanted.ca_trust_path} does not exist",
            host=settings.name,
            next_step="correct ansible_winrm_ca_trust_path",
        )
    try:
        wire = Protocol(
            settings.endpoint,
            transport=wanted.transport,  # type: ignore[arg-type]  # settings allow only pywinrm's names
            username=settings.user,
            password=settings.password,
            ca_trust_path=wanted.ca_trust_path,  # type: ignore[arg-type]  # None: the default authorities
            cert_pem=wanted.cert_pem,
            cert_key_pem=wanted.cert_key_pem,
            server_cert_validation="validate" if wanted.verify else "ignore",
            read_timeout_sec=wanted.read_timeout,
            operation_timeout_sec=wanted.operation_timeout,
            kerberos_hostname_override=wanted.kerberos_hostname,
            message_encryption=wanted.encryption,  # type: ignore[arg-type]  # as above
            proxy=wanted.proxy,
        )
    except WinRMError as error:
        raise Unreachable(
            f"{settings.name}: {error}", host=settings.name, next_step="correct the ansible_winrm_* variable"
        ) from error
    wire.transport = ConfinedTransport.like(wire.transport)
    return wire


def log_in(wire: Protocol, settings: ConnectionSettings) -> None:
    """Open the HTTP session, which logs in if messages are encrypted. No message has been sent by then."""
    session = wire.transport.build_session()
    # proxies in the environment are ignored unless configured, so requests need not read it for every message
    session.trust_env = session.trust_env and settings.winrm.proxy is not None
    # NTLM requests are independent of each other; Kerberos may add a token to each
    if settings.winrm.transport == "ntlm" and type(wire.transport.encryption) is Encryption:
        wire.transport.encryption = _SealedMessages(session, "ntlm")


class _SealedMessages(Encryption):
    """pywinrm's encryption with prepared requests copied from the first one: only their bodies differ.

    Preparing a request (address, headers, cookies, parameters) takes a tenth of the time of a message.
    """

    def __init__(self, session: requests.Session, protocol: str) -> None:
        super().__init__(session, protocol)
        self._alike = _CachedRequestSession(session)

    def prepare_encrypted_request(
        self,
        session: requests.Session,
        endpoint: str | bytes,
        message: bytes,
    ) -> requests.PreparedRequest:
        """Prepare a request like `Encryption`, from the cached one."""
        return super().prepare_encrypted_request(self._alike, endpoint, message)  # type: ignore[arg-type]  # nothing else of it is used


class _CachedRequestSession:
    """Stands in for a session when requests are prepared."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session
        self._login: Any = None
        self._first: requests.PreparedRequest | None = None

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Return a copy of the first request, with the body of this one."""
        if self._first is None or self._login is not self._session.auth:
            self._first, self._login = self._session.prepare_request(request), self._session.auth
        made = self._first.copy()
        made.body = request.data  # bytes; `Encryption` writes their length
        return made


class ReusedAuth:
    """An accepted login, for messages within it. A server that asks for a login again gets none.

    Otherwise requests would log in again automatically whenever the connection was closed.
    """

    def __init__(self, login: Any) -> None:
        self.session_security = getattr(login, "session_security", None)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request unchanged, for the open connection."""
        request.headers["Connection"] = "Keep-Alive"
        return request


def create(wire: Protocol, name: str) -> str:
    """Open a shell with this ID. Returns the ID used by the service."""
    header = wire.build_wsman_header(_CREATE, SHELL)
    header["env:Header"]["w:OptionSet"] = {
        "w:Option": [{"@Name": "WINRS_NOPROFILE", "#text": "FALSE"}, {"@Name": "WINRS_CODEPAGE", "#text": str(CODEPAGE)}]
    }
    shell = {"@ShellId": name, "rsp:InputStreams": "stdin", "rsp:OutputStreams": "stdout stderr", "rsp:IdleTimeOut": IDLE}
    header["env:Body"] = {"rsp:Shell": shell}
    root = ET.fromstring(wire.send_message(xmltodict.unparse({"env:Envelope": header})))  # noqa: S314 - as in pywinrm
    return next(str(node.text) for node in root.iter() if node.get("Name") == "ShellId")
