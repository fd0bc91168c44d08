"""A WinRM server that nothing of `remediation` had a hand in: WS-Management over HTTP(S), NTLM with encrypted messages or Basic.

It follows what is documented of the protocol (messages, fault codes, long polling, operations that are given back with the shell
only).  Faults are planned per action and occurrence: `server.plan("Receive", 3, "drop-after")`.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.server import ThreadingHTTPServer
from xml.sax.saxutils import escape

from tests.connections.peer.handler import A, Fault, Handler
from tests.connections.peer.program import Program

S = "http://www.w3.org/2003/05/soap-envelope"
W = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
R = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
X = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
SHELL_NOT_FOUND, TIMED_OUT, BAD_SCHEMA, OPERATION_QUOTA = 2150858843, 2150858793, 2150858817, 2150859174


class WinRmPeer(ThreadingHTTPServer):
    """`programs` gives the words that play a program, by its name without ``.exe``."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, programs: dict[str, Sequence[str]], users: dict[str, str], *, basic: bool = False,
        tls: ssl.SSLContext | None = None, slice_size: int | None = None, environment: dict[str, str] | None = None,
        accept_names: bool = True, envelope: tuple[int, str] = (0, ""),
    ) -> None:  # fmt: skip
        self.envelope = envelope
        """Bytes of a message above which it is refused (0: none), and how: an HTTP status or the code of a fault."""
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
        """Cut every TCP connection there is, as a firewall in between may do."""
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
            # base64 and the envelope leave about 0.7 of what the client takes to the output (facts/windows 1.2)
            room = self.slice_size or int(0.7 * int(root.findtext(f".//{{{W}}}MaxEnvelopeSize") or 153_600))
            body = ""
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
