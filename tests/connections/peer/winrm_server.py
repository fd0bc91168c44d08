"""A WinRM server that nothing of `remediation` had a hand in: WS-Management over HTTP(S), NTLM with encrypted messages or Basic.

It follows what is documented of the protocol (messages, fault codes, long polling, operations that are given back with the shell
only).  Faults are planned per action and occurrence: `server.plan("Receive", 3, "drop-after")`.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import spnego

A = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
S = "http://www.w3.org/2003/05/soap-envelope"
W = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
R = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
X = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
SHELL_NOT_FOUND, TIMED_OUT, BAD_SCHEMA, OPERATION_QUOTA = 2150858843, 2150858793, 2150858817, 2150859174
_KIND = "application/HTTP-SPNEGO-session-encrypted"


class Fault(Exception):
    def __init__(self, code: int, text: str = "refused") -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Drop(Exception):
    """Close the TCP connection without an answer."""


def descendants(top: int) -> list[int]:
    """Return the processes below one, by what /proc says of parents."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text("latin-1").rpartition(")")[2].split()[1])
    found, waiting = [], [top]
    while waiting:
        parent = waiting.pop()
        children = [number for number, its in parents.items() if its == parent]
        found += children
        waiting += children
    return found


class Program:
    """A started program and its output, which waits for Receive."""

    def __init__(self, words: Sequence[str], environment: dict[str, str]) -> None:
        self.changed = threading.Condition()
        self.waiting: list[tuple[str, bytes]] = []
        self.process = subprocess.Popen(
            list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, bufsize=0,
            start_new_session=True,
        )  # fmt: skip
        self.open = 2
        for name in ("stdout", "stderr"):
            threading.Thread(target=self._pump, args=(name,), daemon=True).start()

    def _pump(self, name: str) -> None:
        pipe = getattr(self.process, name)
        with pipe:
            while content := pipe.read(65536):
                with self.changed:
                    self.waiting.append((name, content))
                    self.changed.notify_all()
        if self.open == 1:
            self.process.wait()
        with self.changed:
            self.open -= 1
            self.changed.notify_all()

    def end(self) -> None:
        """End it with all it started, as the job object of a real shell does."""
        for number in (*descendants(self.process.pid), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: WinRmPeer

    def setup(self) -> None:
        super().setup()
        self.context: Any = None
        self.server.peers.add(self.connection)

    def finish(self) -> None:
        self.server.peers.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        """The counters tell."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.counts["requests"] += 1
        token = self._entered()
        if token is None:
            return
        if not content:
            self._answer(200, b"", token)
            return
        try:
            message = self._opened(content)
        except Exception:  # noqa: BLE001  # keys of another connection: HTTP 400, whatever spnego calls it
            self._answer(400, b"")
            return
        try:
            self._carry_out(message, token)
        except Drop:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _carry_out(self, message: bytes, token: str) -> None:
        root = ET.fromstring(message)
        action = str(root.findtext(f".//{{{A}}}Action")).rsplit("/", 1)[-1]
        how = self.server.planned(action)
        if how == "drop-before":
            raise Drop
        if how in {"400", "401", "500"}:
            if how == "401":
                self.context = None
            self._answer(int(how), b"")
            return
        if how.isdigit():
            status, body = 500, self.server.fault(root, Fault(int(how)))
        else:
            status, body = self.server.answer(root, action)
        if how == "drop-after":
            raise Drop
        if how == "garbage":
            body = b"<html>a proxy's page & no envelope"
        if how == "truncated":
            body = body[: len(body) // 2]
        self._answer(status, body, token)

    def _entered(self) -> str | None:
        """Return a token for the answer once the client is in; None after a 401."""
        scheme, _, text = (self.headers.get("Authorization") or "").partition(" ")
        users = self.server.users
        if self.server.basic:
            user, _, password = base64.b64decode(text or "").decode("latin-1").partition(":")
            if scheme == "Basic" and users.get(user) == password:
                return ""
        elif scheme in {"NTLM", "Negotiate"}:
            self.server.counts["legs"] += 1
            if self.context is None or self.context.complete:
                own = spnego.NegotiateOptions.use_ntlm if scheme == "NTLM" else spnego.NegotiateOptions.use_negotiate
                self.context = spnego.server(protocol=scheme.lower(), options=own)
            try:
                out = self.context.step(base64.b64decode(text))
            except spnego.exceptions.SpnegoError:
                self.context, out = None, None
                self.server.counts["refused"] += 1
            token = f"{scheme} {base64.b64encode(out).decode()}" if out else ""
            if self.context is not None and self.context.complete:
                return token
            self._answer(401, b"", token or "NTLM")
            return None
        elif self.context is not None and self.context.complete:
            return ""
        self._answer(401, b"", 'Basic realm="WSMAN"' if self.server.basic else "NTLM")
        return None

    def _opened(self, content: bytes) -> bytes:
        if self.server.basic or self.server.tls:
            return content
        parts = [part for part in re.split(rb"--\s*Encrypted Boundary(?:--)?\r\n", content) if part]
        sealed = parts[1].split(b"\r\n", 1)[1]
        size = struct.unpack("<i", sealed[:4])[0]
        return bytes(self.context.unwrap_winrm(sealed[4 : 4 + size], sealed[4 + size :]))

    def _answer(self, status: int, body: bytes, token: str = "") -> None:
        kind = "application/soap+xml;charset=UTF-8"
        if body and not (self.server.basic or self.server.tls):
            sealed = self.context.wrap_winrm(body)
            kind = f'multipart/encrypted;protocol="{_KIND}";boundary="Encrypted Boundary"'
            length = len(body) + sealed.padding_length
            body = (
                f"--Encrypted Boundary\r\n\tContent-Type: {_KIND}\r\n"
                f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={length}\r\n"
                "--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
            ).encode() + struct.pack("<i", len(sealed.header)) + sealed.header + sealed.data + b"--Encrypted Boundary--\r\n"  # fmt: skip
        self.send_response(status)
        if status == 401 and not token:
            token = 'Basic realm="WSMAN"' if self.server.basic else "NTLM"
        if token:
            self.send_header("WWW-Authenticate", token)
        if body:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class WinRmPeer(ThreadingHTTPServer):
    """`programs` gives the words that play a program, by its name without ``.exe``."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(  # noqa: PLR0913 - each a property of a server
        self, programs: dict[str, Sequence[str]], users: dict[str, str], *, basic: bool = False,
        tls: ssl.SSLContext | None = None, slice_size: int = 100_000, environment: dict[str, str] | None = None,
        accept_names: bool = True,
    ) -> None:  # fmt: skip
        self.programs, self.users, self.basic, self.tls = programs, users, basic, tls is not None
        self.slice_size, self.accept_names = slice_size, accept_names
        self.environment = {**os.environ, **(environment or {})}
        self.counts: Counter[str] = Counter()
        """Requests, each action, the messages of logins (legs), and how many were refused."""
        self.peers: set[socket.socket] = set()
        self.shells: dict[str, dict[str, Program]] = {}
        self.options: list[dict[str, str]] = []
        self._plans: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def plan(self, action: str, occurrence: int, how: str) -> None:
        """Let the n-th message of an action (from 1) meet with a fault; occurrence 0: each of them."""
        self._plans[action, occurrence] = how

    def planned(self, action: str) -> str:
        with self._lock:
            self.counts[action] += 1
            how = self._plans.get((action, self.counts[action]), self._plans.get((action, 0), ""))
            self.counts["struck"] += bool(how)
            return how

    def hang_up(self) -> None:
        """Cut every TCP connection there is, as whatever lies between may do."""
        for peer in list(self.peers):
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is what is tested."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        for shell in self.shells.values():
            for program in shell.values():
                program.end()

    def answer(self, root: ET.Element, action: str) -> tuple[int, bytes]:
        try:
            body = getattr(self, f"do_{action.lower()}")(root)
        except Fault as fault:
            return 500, self.fault(root, fault)
        return 200, self._envelope(root, body)

    def fault(self, root: ET.Element, fault: Fault) -> bytes:
        subcode = "w:TimedOut" if fault.code == TIMED_OUT else "w:InternalError"
        return self._envelope(
            root,
            f"<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>"
            f'<s:Reason><s:Text xml:lang="en-US">{escape(fault.text)}</s:Text></s:Reason><s:Detail>'
            f'<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{fault.code}" Machine="PEER">'
            f"<f:Message>{escape(fault.text)}</f:Message></f:WSManFault></s:Detail></s:Fault>",
        )

    @staticmethod
    def _envelope(root: ET.Element, body: str) -> bytes:
        return (
            f'<s:Envelope xml:lang="en-US" xmlns:s="{S}" xmlns:a="{A}" xmlns:w="{W}" xmlns:rsp="{R}" xmlns:x="{X}"><s:Header>'
            f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{root.findtext(f'.//{{{A}}}MessageID')}</a:RelatesTo>"
            f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
        ).encode()

    def _shell(self, root: ET.Element) -> tuple[str, dict[str, Program]]:
        name = str(root.findtext(f".//{{{W}}}SelectorSet/{{{W}}}Selector"))
        if name not in self.shells:
            raise Fault(SHELL_NOT_FOUND, "The shell was not found on the server")
        return name, self.shells[name]

    def do_create(self, root: ET.Element) -> str:
        asked = root.find(f".//{{{R}}}Shell")
        assert asked is not None
        name = asked.get("ShellId")
        if name is not None and not self.accept_names:
            raise Fault(BAD_SCHEMA, "The XML is not valid for this schema")
        options = {str(each.get("Name")): str(each.text) for each in root.iter(f"{{{W}}}Option")}
        options["idle"] = asked.findtext(f"{{{R}}}IdleTimeOut") or ""
        self.options.append(options)
        name = name or str(uuid.uuid4()).upper()
        self.shells[name] = {}
        return (
            "<x:ResourceCreated><a:ReferenceParameters><w:SelectorSet>"
            f'<w:Selector Name="ShellId">{name}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>'
        )

    def do_delete(self, root: ET.Element) -> str:
        name, shell = self._shell(root)
        for program in shell.values():
            program.end()
        del self.shells[name]
        return ""

    def do_command(self, root: ET.Element) -> str:
        _, shell = self._shell(root)
        line = root.find(f".//{{{R}}}CommandLine")
        assert line is not None
        words = " ".join(
            [line.findtext(f"{{{R}}}Command") or "", *(str(each.text) for each in line.findall(f"{{{R}}}Arguments"))]
        ).split()
        self.options.append({str(each.get("Name")): str(each.text) for each in root.iter(f"{{{W}}}Option")})
        start = self.programs[words[0].lower().removesuffix(".exe")]
        name = str(uuid.uuid4()).upper()
        shell[name] = Program([*start, *words[1:]], self.environment)
        return f"<rsp:CommandResponse><rsp:CommandId>{name}</rsp:CommandId></rsp:CommandResponse>"

    def do_send(self, root: ET.Element) -> str:
        _, shell = self._shell(root)
        for stream in root.iter(f"{{{R}}}Stream"):
            program = shell[str(stream.get("CommandId"))]
            assert program.process.stdin is not None
            with suppress(OSError, ValueError):
                view = memoryview(base64.b64decode(stream.text or ""))
                while view:
                    view = view[program.process.stdin.write(view) :]
                if str(stream.get("End")).lower() == "true":
                    program.process.stdin.close()
        return "<rsp:SendResponse/>"

    def do_receive(self, root: ET.Element) -> str:
        _, shell = self._shell(root)
        wanted = next(root.iter(f"{{{R}}}DesiredStream"))
        name = str(wanted.get("CommandId"))
        program = shell[name]
        seconds = float(re.sub(r"[^0-9.]", "", root.findtext(f".//{{{W}}}OperationTimeout") or "20"))
        until = time.monotonic() + seconds
        with program.changed:
            while not program.waiting and program.open:
                left = until - time.monotonic()
                if left <= 0:
                    raise Fault(TIMED_OUT, "The operation could not be completed within the time specified in OperationTimeout")
                program.changed.wait(left)
            body, room = "", self.slice_size
            while program.waiting and room > 0:
                stream, content = program.waiting.pop(0)
                if len(content) > room:
                    program.waiting.insert(0, (stream, content[room:]))
                    content = content[:room]
                room -= len(content)
                body += f'<rsp:Stream Name="{stream}" CommandId="{name}">{base64.b64encode(content).decode()}</rsp:Stream>'
            done = not program.waiting and not program.open
        state = f"{R}/CommandState/{'Done' if done else 'Running'}"
        code = f"<rsp:ExitCode>{program.process.returncode & 0xFFFFFFFF}</rsp:ExitCode>" if done else ""
        return f'<rsp:ReceiveResponse>{body}<rsp:CommandState CommandId="{name}" State="{state}">{code}</rsp:CommandState></rsp:ReceiveResponse>'

    def do_signal(self, root: ET.Element) -> str:
        _, shell = self._shell(root)
        name = str(next(root.iter(f"{{{R}}}Signal")).get("CommandId"))
        if name in shell:
            shell.pop(name).end()
        return "<rsp:SignalResponse/>"
