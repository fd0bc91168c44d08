"""The shells of one host and what is done in them; every action of the WinRS protocol (facts/windows 1.1-1.4)."""

from __future__ import annotations

import base64
import binascii
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from remediation_lab.winrm import soap
from remediation_lab.winrm.commands import Command, split
from remediation_lab.winrm.faults import STDERR_NOISE, STDOUT_NOISE
from remediation_lab.winrm.faults import Fault as WireFault
from remediation_lab.winrm.soap import NS, SHELL, TRANSFER, Fault, Request

MAX_SHELLS = 30
MAX_OPERATIONS = 1500
MAX_TIMEOUT = 60.0
MAX_IDLE = 7200.0
_ENVELOPE_CAP = 512_000
_PAYLOAD = 0.7
"""Base64 and the envelope leave so much of MaxEnvelopeSize to the output."""


@dataclass(slots=True)
class Shell:
    """One open shell; `operations` never goes down (facts/windows 1.4)."""

    id: str
    owner: str
    environment: Mapping[str, str]
    folder: str
    idle: float
    opened: float
    touched: float
    commands: dict[str, Command] = field(default_factory=dict)
    operations: int = 0


class Shells:
    """All shells of one host; `launch` gives the argument list for a program's words, None for an unknown program."""

    def __init__(
        self, launch: Callable[[Sequence[str]], Sequence[str] | None], environment: Callable[[Shell], Mapping[str, str]],
        count: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._launch, self._environment, self._count = launch, environment, count
        self._shells: dict[str, Shell] = {}
        self._lock = threading.Lock()
        self._ended = False
        self._actions: Mapping[str, Callable[[Request, str], tuple[str, str]]] = {
            f"{TRANSFER}/Create": self._create,
            f"{TRANSFER}/Delete": self._delete,
            f"{TRANSFER}/Get": self._get,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
        }

    def answer(self, request: Request, user: str, struck: WireFault | None = None) -> bytes:
        """Carry out one request; raises Fault. `struck` is a fault of the wire that touches the shell's programs or output."""
        action = self._actions.get(request.action)
        if action is None:
            raise Fault(None, f"The action {request.action} is not supported.", subcode="a:ActionNotSupported", who="s:Sender")
        self._count(request.action.rsplit("/", 1)[1].lower())
        self.expire()
        kind = struck.kind if struck is not None else ""
        if kind == "worker-dies":
            self._kill(request)
        if struck is not None and kind == "split":
            self._pieces(request, struck.size)
        name, body = action(request, user)
        if kind == "worker-dies-after":
            self._kill(request)
        if kind == "noise":
            self._noise(request, body)
        return soap.answer(request, name, body)

    def _kill(self, request: Request) -> None:
        for command in list(self._shell(request).commands.values()):
            command.kill()

    def _pieces(self, request: Request, size: int) -> None:
        for command in list(self._shell(request).commands.values()):
            command.piece = size

    def _noise(self, request: Request, body: str) -> None:
        shell = self._shell(request)
        for name, command in list(shell.commands.items()):
            if name in body or request.body.find(f".//*[@CommandId='{name}']") is not None:
                command.say("stdout", STDOUT_NOISE)
                command.say("stderr", STDERR_NOISE)

    def counts(self) -> dict[str, int]:
        """Return how many shells are open and how many of their programs run."""
        with self._lock:
            return {
                "shells_open": len(self._shells),
                "commands_running": sum(
                    command.running for shell in self._shells.values() for command in shell.commands.values()
                ),
            }

    def expire(self) -> None:
        """End shells that were unused for their idle time."""
        now = time.monotonic()
        with self._lock:
            old = [each for each in self._shells.values() if now - each.touched > each.idle]
            for each in old:
                del self._shells[each.id]
        for each in old:
            _end(each)

    def close(self) -> None:
        """End all shells."""
        with self._lock:
            shells, self._shells = list(self._shells.values()), {}
        for each in shells:
            _end(each)

    def end(self) -> None:
        """End all shells for good; a request that comes later is cut off, as its connection is."""
        self._ended = True
        self.close()

    def _create(self, request: Request, user: str) -> tuple[str, str]:
        given = request.body.find("rsp:Shell", NS)
        if request.resource != soap.CMD_URI or given is None:
            raise Fault(
                2150858770, f"The WS-Management service cannot process the request: no resource {request.resource}.",
                subcode="w:InvalidParameter", who="s:Sender",
            )  # fmt: skip
        idle = given.findtext("rsp:IdleTimeOut", None, NS) or given.findtext("rsp:IdleTimeout", None, NS)
        now = time.monotonic()
        shell = Shell(
            id=(given.get("ShellId") or str(uuid.uuid4())).upper(),
            owner=user,
            environment={str(each.get("Name")): each.text or "" for each in given.findall("rsp:Environment/rsp:Variable", NS)},
            folder=given.findtext("rsp:WorkingDirectory", "", NS),
            idle=min(soap.seconds(idle), MAX_IDLE) if idle else MAX_IDLE,
            opened=now,
            touched=now,
        )
        with self._lock:
            if self._ended:
                raise ConnectionResetError
            if sum(each.owner == user for each in self._shells.values()) >= MAX_SHELLS:
                raise Fault(
                    soap.SHELL_QUOTA,
                    f"The maximum number of concurrent shells for this user has been exceeded ({MAX_SHELLS}). Close existing shells.",
                    subcode="w:QuotaLimit",
                )
            self._shells[shell.id] = shell
        selector = f'<w:SelectorSet><w:Selector Name="ShellId">{shell.id}</w:Selector></w:SelectorSet>'
        created = (
            f"<x:ResourceCreated><a:Address>http://127.0.0.1/wsman</a:Address><a:ReferenceParameters><w:ResourceURI>{soap.CMD_URI}"
            f"</w:ResourceURI>{selector}</a:ReferenceParameters></x:ResourceCreated>"
        )
        return f"{TRANSFER}/CreateResponse", created + self._described(shell)

    def _described(self, shell: Shell) -> str:
        now = time.monotonic()
        return (
            f"<rsp:Shell><rsp:ShellId>{shell.id}</rsp:ShellId><rsp:ResourceUri>{soap.CMD_URI}</rsp:ResourceUri>"
            f"<rsp:Owner>{escape(shell.owner)}</rsp:Owner><rsp:ClientIP>127.0.0.1</rsp:ClientIP>"
            f"<rsp:IdleTimeOut>PT{shell.idle:.3f}S</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams>"
            f"<rsp:OutputStreams>stdout stderr</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M{now - shell.opened:.0f}S</rsp:ShellRunTime>"
            f"<rsp:ShellInactivity>P0DT0H0M{now - shell.touched:.0f}S</rsp:ShellInactivity></rsp:Shell>"
        )

    def _shell(self, request: Request) -> Shell:
        with self._lock:
            shell = self._shells.get((request.shell or "").upper())
            if shell is None:
                raise Fault(
                    soap.SHELL_NOT_FOUND,
                    f'The request for the Windows Remote Shell with ShellId "{request.shell}" failed because the shell was not found on the '
                    "server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the server.",
                    subcode="w:InvalidSelectors",
                    who="s:Sender",
                )
            shell.touched = time.monotonic()
            return shell

    def _get(self, request: Request, _: str) -> tuple[str, str]:
        return f"{TRANSFER}/GetResponse", self._described(self._shell(request))

    def _delete(self, request: Request, _: str) -> tuple[str, str]:
        shell = self._shell(request)
        with self._lock:
            self._shells.pop(shell.id, None)
        _end(shell)
        return f"{TRANSFER}/DeleteResponse", ""

    def _command(self, request: Request, _: str) -> tuple[str, str]:
        shell, line = self._shell(request), request.body.find("rsp:CommandLine", NS)
        if line is None:
            raise Fault(soap.BAD_SCHEMA, "The message has no CommandLine.", subcode="w:SchemaValidationError", who="s:Sender")
        if shell.operations >= MAX_OPERATIONS:
            raise Fault(
                soap.OPERATION_QUOTA,
                f"This user has exceeded the maximum number of concurrent operations ({MAX_OPERATIONS}). Close existing operations.",
                subcode="w:QuotaLimit",
            )
        shell.operations += 1
        parts = [line.findtext("rsp:Command", "", NS), *(each.text or "" for each in line.findall("rsp:Arguments", NS))]
        # cmd.exe gets one line; its own metacharacters are not played, for no client of ours may depend on them (facts/windows 1.5)
        words = split(" ".join(parts))
        command = Command(self._launch(words) if words else None, words[0] if words else "", self._environment(shell))
        name = (line.get("CommandId") or str(uuid.uuid4())).upper()
        shell.commands[name] = command
        return f"{SHELL}/CommandResponse", f"<rsp:CommandResponse><rsp:CommandId>{name}</rsp:CommandId></rsp:CommandResponse>"

    def _of(self, shell: Shell, name: str | None) -> Command:
        command = shell.commands.get((name or "").upper())
        if command is None:
            raise Fault(
                soap.SHELL_NOT_FOUND,
                f'The command "{name}" was not found in the shell.',
                subcode="w:InvalidSelectors",
                who="s:Sender",
            )
        return command

    def _send(self, request: Request, _: str) -> tuple[str, str]:
        shell = self._shell(request)
        for stream in request.body.findall("rsp:Send/rsp:Stream", NS):
            try:
                content = base64.b64decode(stream.text or "", validate=True)
            except binascii.Error as error:
                text = f"The stream is not base64: {error}"
                raise Fault(soap.BAD_SCHEMA, text, subcode="w:SchemaValidationError", who="s:Sender") from error
            self._of(shell, stream.get("CommandId")).write(content, end=str(stream.get("End")).lower() == "true")
        return f"{SHELL}/SendResponse", "<rsp:SendResponse/>"

    def _receive(self, request: Request, _: str) -> tuple[str, str]:
        shell, wanted = self._shell(request), request.body.find("rsp:Receive/rsp:DesiredStream", NS)
        if wanted is None:
            raise Fault(soap.BAD_SCHEMA, "The message has no DesiredStream.", subcode="w:SchemaValidationError", who="s:Sender")
        name = wanted.get("CommandId")
        command = self._of(shell, name)
        limit = command.piece or int(min(request.max_envelope, _ENVELOPE_CAP) * _PAYLOAD)
        got = command.receive(limit, min(request.timeout, MAX_TIMEOUT))
        shell.touched = time.monotonic()
        if got is None:
            raise Fault(
                soap.TIMED_OUT,
                "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
                subcode="w:TimedOut",
            )
        parts, code = got
        body = "".join(
            f'<rsp:Stream Name="{stream}" CommandId="{name}">{base64.b64encode(content).decode()}</rsp:Stream>'
            for stream, content in parts
        )
        state = f"{SHELL}/CommandState/{'Running' if code is None else 'Done'}"
        if code is None:
            body += f'<rsp:CommandState CommandId="{name}" State="{state}"/>'
        else:
            body += "".join(f'<rsp:Stream Name="{stream}" CommandId="{name}" End="true"/>' for stream in ("stdout", "stderr"))
            body += f'<rsp:CommandState CommandId="{name}" State="{state}"><rsp:ExitCode>{code}</rsp:ExitCode></rsp:CommandState>'
        return f"{SHELL}/ReceiveResponse", f"<rsp:ReceiveResponse>{body}</rsp:ReceiveResponse>"

    def _signal(self, request: Request, _: str) -> tuple[str, str]:
        shell, signal = self._shell(request), request.body.find("rsp:Signal", NS)
        if signal is None:
            raise Fault(soap.BAD_SCHEMA, "The message has no Signal.", subcode="w:SchemaValidationError", who="s:Sender")
        command = self._of(shell, signal.get("CommandId"))
        command.terminate()
        if signal.findtext("rsp:Code", "", NS).lower().endswith("/terminate"):
            shell.commands.pop((signal.get("CommandId") or "").upper(), None)
        return f"{SHELL}/SignalResponse", "<rsp:SignalResponse/>"


def _end(shell: Shell) -> None:
    for command in shell.commands.values():
        command.terminate()
    shell.commands.clear()
