"""pywinrm's `Protocol` as we need it: made from settings, and the one message it cannot write, Create with a name of our own."""

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
    """Return pywinrm's `Protocol` for a host; nothing is sent. Raises `Unreachable` for what cannot work."""
    wanted = settings.winrm
    if wanted.ca_trust_path is not None and not Path(wanted.ca_trust_path).exists():
        raise Unreachable(
            f"{settings.name}: there is no file {wanted.ca_trust_path}",
            host=settings.name,
            next_step="correct ansible_winrm_ca_trust_path",
        )
    try:
        wire = Protocol(
            settings.endpoint,
            transport=wanted.transport,  # type: ignore[arg-type]  # settings allow pywinrm's names only
            username=settings.user,
            password=settings.password,
            ca_trust_path=wanted.ca_trust_path,  # type: ignore[arg-type]  # None: no other than the usual authorities
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
    """Open the HTTP session, which logs in where messages are encrypted; nothing of ours has been sent by then."""
    session = wire.transport.build_session()
    # no proxy of the environment is used unless asked: so it is not read for every message either
    session.trust_env = session.trust_env and settings.winrm.proxy is not None
    # with NTLM nothing of a request depends on the one before; Kerberos may put a token of its own into each
    if settings.winrm.transport == "ntlm" and type(wire.transport.encryption) is Encryption:
        wire.transport.encryption = _SealedMessages(session, "ntlm")


class _SealedMessages(Encryption):
    """pywinrm's encryption, its requests copied from the first: they differ in their body alone.

    To prepare one anew (address, headers, cookies, parameters) takes a tenth of what a message costs.
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
        """As `Encryption` does."""
        return super().prepare_encrypted_request(self._alike, endpoint, message)  # type: ignore[arg-type]  # it asks nothing else


class _CachedRequestSession:
    """Stands for a session where requests are prepared."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session
        self._login: Any = None
        self._first: requests.PreparedRequest | None = None

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Return the request as the session would, where its address and headers are those of the one before."""
        if self._first is None or self._login is not self._session.auth:
            self._first, self._login = self._session.prepare_request(request), self._session.auth
        made = self._first.copy()
        made.body = request.data  # bytes, and `Encryption` writes their length
        return made


class ReusedAuth:
    """A login that was accepted, for messages that go on under it: a server that asks for another gets none.

    Otherwise the libraries below would log in anew by themselves, wherever the connection was cut.
    """

    def __init__(self, login: Any) -> None:
        self.session_security = getattr(login, "session_security", None)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request as it is, on the connection that is open."""
        request.headers["Connection"] = "Keep-Alive"
        return request


def create(wire: Protocol, name: str) -> str:
    """Open a shell by this name; returns what the service calls it."""
    header = wire.build_wsman_header(_CREATE, SHELL)
    header["env:Header"]["w:OptionSet"] = {
        "w:Option": [{"@Name": "WINRS_NOPROFILE", "#text": "FALSE"}, {"@Name": "WINRS_CODEPAGE", "#text": str(CODEPAGE)}]
    }
    shell = {"@ShellId": name, "rsp:InputStreams": "stdin", "rsp:OutputStreams": "stdout stderr", "rsp:IdleTimeOut": IDLE}
    header["env:Body"] = {"rsp:Shell": shell}
    root = ET.fromstring(wire.send_message(xmltodict.unparse({"env:Envelope": header})))  # noqa: S314 - as pywinrm does
    return next(str(node.text) for node in root.iter() if node.get("Name") == "ShellId")
