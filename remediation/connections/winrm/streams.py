"""A command's streams: Send and Receive as written by pywinrm's `Protocol`, with a cached text of each.

Messages differ only in an ID, a time limit and the data. Building the XML for each took a third of the time of a message.
"""

from __future__ import annotations

import base64
import uuid
import xml.etree.ElementTree as ET  # the service's answers, which pywinrm reads the same way

import xmltodict  # type: ignore[import-untyped]  # pywinrm uses it, and it has no types
from winrm.protocol import Protocol

from remediation.connections.winrm.messages import SHELL

_WINDOWS_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_SEND, _RECEIVE = f"{_WINDOWS_SHELL}/Send", f"{_WINDOWS_SHELL}/Receive"
_ID, _LIMIT, _END, _DATA = "0-message-0", "0-limit-0", "0-end-0", "0-data-0"
_DONE = "CommandState/Done"
_TAKEN = 512_000
"""Largest answer in bytes. The default MaxEnvelopeSizekb is 500, and pypsrp uses it too. pywinrm requests 153,600, a third per
Receive. A service with a lower limit returns less.
"""
_LEAST = 32_000


class Streams:
    """Standard input and output of one command in a shell."""

    def __init__(self, wire: Protocol, shell: str, command: str) -> None:
        self._wire = wire
        self.of = (shell, command)
        self._taken = _TAKEN
        stdin = {"@CommandId": command, "@Name": "stdin", "@End": _END, "@xmlns:rsp": _WINDOWS_SHELL, "#text": _DATA}
        wanted = {"@CommandId": command, "#text": "stdout stderr"}
        self._send = self._text(_SEND, shell, {"rsp:Send": {"rsp:Stream": stdin}})
        self._receive = self._text(_RECEIVE, shell, {"rsp:Receive": {"rsp:DesiredStream": wanted}})

    def send(self, data: bytes, *, end: bool) -> None:
        """Write to stdin. Raises the errors of `Protocol.send_message`."""
        text = self._send.replace(_END, "true" if end else "false", 1)
        self._wire.send_message(self._filled(text).replace(_DATA, base64.b64encode(data).decode("ascii"), 1))

    def receive(self) -> tuple[bytes, bytes, int, bool]:
        """Return stdout, stderr, the exit code (-1 if there is none yet), and whether the command has ended.

        Raises the errors of `Protocol.send_message`, and `xml.etree.ElementTree.ParseError` for an invalid answer.
        """
        root = ET.fromstring(self._wire.send_message(self._filled(self._receive)))  # noqa: S314 - as in pywinrm
        came = {"stdout": bytearray(), "stderr": bytearray()}
        code, done = -1, False
        for node in root.iter():
            if node.tag.endswith("Stream") and node.text:
                came[node.attrib["Name"]] += base64.b64decode(node.text)
            elif node.get("State", "").endswith(_DONE):
                done = True
            elif node.tag.endswith("ExitCode") and node.text:
                code = int(node.text)
        return bytes(came["stdout"]), bytes(came["stderr"]), code if done else -1, done

    def ask_for_less(self) -> bool:
        """Halve the size of further answers. Returns False if that would be too small."""
        if self._taken < 2 * _LEAST:
            return False
        before, self._taken = self._taken, self._taken // 2
        self._receive = self._receive.replace(f">{before}<", f">{self._taken}<", 1)
        return True

    def _text(self, action: str, shell: str, body: dict[str, object]) -> str:
        envelope = self._wire.build_wsman_header(action, SHELL, shell, message_id=_ID)
        envelope["env:Header"]["w:OperationTimeout"] = _LIMIT
        envelope["env:Header"]["w:MaxEnvelopeSize"]["#text"] = str(self._taken)
        return str(xmltodict.unparse({"env:Envelope": {**envelope, "env:Body": body}}))

    def _filled(self, text: str) -> str:
        seconds = f"PT{int(self._wire.operation_timeout_sec)}S"
        return text.replace(_ID, str(uuid.uuid4()), 1).replace(_LIMIT, seconds, 1)
