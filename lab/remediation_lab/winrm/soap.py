"""WS-Management messages: what a request says, and the answers and faults (facts/windows 1.1-1.3)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "f": "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault",
    "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
}
TRANSFER = NS["x"]
SHELL = NS["rsp"]
CMD_URI = f"{SHELL}/cmd"
ANONYMOUS = f"{NS['a']}/role/anonymous"
_DURATION = re.compile(r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?")

TIMED_OUT = 2150858793
SHELL_NOT_FOUND = 2150858843
OPERATION_QUOTA = 2150859174
SHELL_QUOTA = 2150859173
BAD_SCHEMA = 2150858817


class Fault(Exception):  # a message, not an error of the lab
    """An answer that is a SOAP fault."""

    def __init__(self, code: int | None, reason: str, *, subcode: str = "w:InternalError", who: str = "s:Receiver") -> None:
        super().__init__(reason)
        self.code, self.reason, self.subcode, self.who = code, reason, subcode, who


@dataclass(frozen=True, slots=True)
class Request:
    """One decoded message."""

    action: str
    message_id: str
    resource: str
    shell: str | None
    timeout: float
    max_envelope: int
    options: Mapping[str, str]
    body: ET.Element
    extra: Mapping[str, str] = field(default_factory=dict)


def parse(content: bytes) -> Request:
    """Read an envelope; raises Fault when it is none."""
    try:
        root = ET.fromstring(content)  # noqa: S314  # loopback clients that have authenticated
    except ET.ParseError as error:
        raise Fault(
            BAD_SCHEMA, f"The SOAP message is not well-formed XML: {error}", subcode="w:SchemaValidationError", who="s:Sender"
        ) from error
    header, body = root.find("s:Header", NS), root.find("s:Body", NS)
    action = root.findtext("s:Header/a:Action", None, NS)
    if header is None or body is None or action is None:
        raise Fault(
            BAD_SCHEMA, "The SOAP message has no header, body or action.", subcode="w:SchemaValidationError", who="s:Sender"
        )
    shell = None
    for selector in header.findall("w:SelectorSet/w:Selector", NS):
        if selector.get("Name") == "ShellId":
            shell = selector.text
    options = {str(each.get("Name")).upper(): each.text or "" for each in header.findall("w:OptionSet/w:Option", NS)}
    return Request(
        action=action.strip(),
        message_id=(header.findtext("a:MessageID", "", NS)).strip(),
        resource=(header.findtext("w:ResourceURI", "", NS)).strip(),
        shell=shell,
        timeout=seconds(header.findtext("w:OperationTimeout", "PT60S", NS)),
        max_envelope=int(header.findtext("w:MaxEnvelopeSize", "153600", NS)),
        options=options,
        body=body,
    )


def seconds(duration: str) -> float:
    """Read an xs:duration; raises Fault for what is none (a bare number, say)."""
    found = _DURATION.fullmatch(duration.strip())
    if not found or not duration.strip("PT"):
        raise Fault(
            BAD_SCHEMA, f"The value {duration!r} is not an xs:duration.", subcode="w:SchemaValidationError", who="s:Sender"
        )
    parts = {key: float(value or 0) for key, value in found.groupdict().items()}
    return parts["days"] * 86400 + parts["hours"] * 3600 + parts["minutes"] * 60 + parts["seconds"]


def answer(request: Request, action: str, body: str) -> bytes:
    """Return an answer's envelope."""
    return _envelope(action, request.message_id, body)


def fault(message_id: str, error: Fault, machine: str) -> bytes:
    """Return a fault's envelope; one without a code carries no WSManFault."""
    detail = ""
    if error.code is not None:
        message = f"<f:Message>{escape(error.reason)}</f:Message>"
        detail = f'<s:Detail><f:WSManFault xmlns:f="{NS["f"]}" Code="{error.code}" Machine={quoteattr(machine)}>{message}</f:WSManFault></s:Detail>'
    body = (
        f"<s:Fault><s:Code><s:Value>{error.who}</s:Value><s:Subcode><s:Value>{error.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{escape(error.reason)}</s:Text></s:Reason>{detail}</s:Fault>'
    )
    return _envelope("http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", message_id, body)


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{NS["s"]}" xmlns:a="{NS["a"]}" xmlns:x="{NS["x"]}" xmlns:w="{NS["w"]}" '
        f'xmlns:rsp="{NS["rsp"]}" xmlns:p="{NS["p"]}"><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID><a:To>{ANONYMOUS}</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
