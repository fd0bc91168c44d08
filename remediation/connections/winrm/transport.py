"""pywinrm's transport with restrictions: no redirects, no compression, and a size and time limit for each answer.

requests, which pywinrm uses, follows redirects (a 307 with message and login), decompresses answers, accepts any size, and applies
its timeout to each read.
"""

from __future__ import annotations

import http.client
import io
import time
from typing import Any
from xml.parsers import expat

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from winrm.transport import Transport

from remediation.connections.bounded import Deadline, IncomingBytes, send_all
from remediation.connections.calls import REDIRECTS
from remediation.connections.http_client import READ_AHEAD
from remediation.model import limits
from remediation.model.limits import LimitExceeded, Tally

_OK = 200
_SCHEMES = ("http://", "https://")


class Redirected(Exception):
    """The endpoint answered with a redirect to `location`."""

    def __init__(self, status: int, location: str) -> None:
        super().__init__(status, location)
        self.status, self.location = status, location


class _Answer(http.client.HTTPResponse):
    """An answer with limits. The socket's timeout, which applies to each read, is used for the whole answer."""

    def __init__(self, sock: Any, *more: Any, **options: Any) -> None:
        super().__init__(sock, *more, **options)
        self.fp.close()
        deadline = Deadline(sock.gettimeout() or limits.WINRM_SECONDS)
        tally = Tally("the answer of the WinRM service", limits.ENVELOPE, limits.HEAD)
        self.fp = io.BufferedReader(IncomingBytes(sock.makefile("rb", buffering=0), sock, deadline, tally), READ_AHEAD)


class _Sends:
    """Sends within the socket's timeout as a whole, also over TLS."""

    sock: Any

    def send(self, data: Any) -> None:
        """Send all of `data`."""
        if self.sock is None or not isinstance(data, bytes):
            super().send(data)  # type: ignore[misc]  # http.client's connects first
            return
        send_all(self.sock, data, Deadline(self.sock.gettimeout() or limits.WINRM_SECONDS))


class _Http(_Sends, HTTPConnection):
    response_class = _Answer


class _Https(_Sends, HTTPSConnection):
    response_class = _Answer


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    """Carries all requests of a session, including those of a login. `until` is the deadline of the message."""

    until = 0.0

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Create pools of limited connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Create pools of limited connections to a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send one request. Raises `Redirected`, `LimitExceeded` and requests' errors."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise requests.ReadTimeout(request=request)
        options["timeout"] = left
        request.headers["Accept-Encoding"] = "identity"
        response = super().send(request, *arguments, **options)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if response.status_code in REDIRECTS:
            response.close()
            raise Redirected(response.status_code, response.headers.get("Location", ""))
        if encoding not in {"", "identity"}:
            response.close()
            raise LimitExceeded(f"the answer of the WinRM service is compressed ({encoding[:20]})although that was not requested")
        return response


class ConfinedTransport(Transport):
    """A transport that sends messages only to the endpoint and accepts only SOAP answers."""

    @classmethod
    def like(cls, made: Transport) -> ConfinedTransport:
        """Return a transport with the settings of pywinrm's."""
        own = cls.__new__(cls)
        vars(own).update(vars(made))
        return own

    def _send_message_request(self, session: requests.Session, prepared_request: requests.PreparedRequest) -> requests.Response:
        # all messages pass through here, including the empty one with which pywinrm logs in
        adapter = session.get_adapter(self.endpoint)
        if not isinstance(adapter, _Adapter):
            adapter = _Adapter()
            for scheme in _SCHEMES:
                session.mount(scheme, adapter)
        session.max_redirects = 0
        adapter.until = time.monotonic() + (self.read_timeout_sec or limits.WINRM_SECONDS)
        return super()._send_message_request(session, prepared_request)

    def _get_message_response_text(self, response: requests.Response) -> bytes:
        text = super()._get_message_response_text(response)
        problem = forbidden_xml(text)
        if problem and response.status_code == _OK:
            raise LimitExceeded(f"the answer of the WinRM service {problem}")
        return b"" if problem else text  # for example an error page: its status is sufficient


def forbidden_xml(text: bytes) -> str:
    """Return why an XML text must not be parsed into a tree, or "". Text that is not XML is not checked."""
    depth, problem = 0, ""
    parser = expat.ParserCreate()

    def refuse(reason: str) -> None:
        nonlocal problem
        problem = problem or reason
        raise ValueError(reason)

    def start(_name: str, _attributes: object) -> None:
        nonlocal depth
        depth += 1
        if depth > limits.XML_DEPTH:
            refuse(f"is nested deeper than {limits.XML_DEPTH} levels")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    # entities can only be declared there, and SOAP forbids it (SOAP 1.2, part 1, section 5)
    parser.StartDoctypeDeclHandler = lambda *_: refuse("has a document type, which SOAP forbids")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError, LookupError):
        return problem
    return problem
