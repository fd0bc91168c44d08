"""Bodies of the form ``multipart/form-data``, for ``uri``."""

from __future__ import annotations

import mimetypes
import posixpath
from collections.abc import Callable, Mapping
from email.encoders import encode_7or8bit, encode_base64
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import HTTP
from typing import Any

from remediation.templating.yaml.secret import reveal

_ENCODERS = {"base64": encode_base64, "7or8bit": encode_7or8bit}


def multipart_body(fields: Any, read: Callable[[str], bytes]) -> tuple[str, bytes]:
    """Return the content type with its boundary, and the body.

    Args:
        fields: text by name, or a mapping with ``filename``, ``content``, ``mime_type`` and ``multipart_encoding``.
        read: returns the content of a file that has a name alone.

    Raises `TypeError` or `ValueError` for fields of another form.
    """
    if not isinstance(fields, Mapping):
        msg = f"Mapping is required, cannot be type {type(fields).__name__}"
        raise TypeError(msg)
    form = MIMEMultipart("form-data")
    for name, value in sorted(fields.items()):
        form.attach(_part(str(name), reveal(value), read))
    head, _, body = form.as_bytes(policy=HTTP).partition(b"\r\n\r\n")
    kind = next(line for line in head.decode().split("\r\n") if line.lower().startswith("content-type:"))
    return kind.partition(":")[2].strip(), body


def _part(name: str, value: Any, read: Callable[[str], bytes]) -> Message:
    if isinstance(value, str):
        value = {"content": value, "mime_type": "text/plain"}
    if not isinstance(value, Mapping):
        msg = f"value must be a string, or mapping, cannot be type {type(value).__name__}"
        raise TypeError(msg)
    filename, content = str(value.get("filename") or ""), reveal(value.get("content"))
    if not (filename or content):
        msg = "at least one of filename or content must be provided"
        raise ValueError(msg)
    kind = value.get("mime_type") or mimetypes.guess_type(filename, strict=False)[0] or "application/octet-stream"
    major, _, minor = str(kind).partition("/")
    encoding = str(value.get("multipart_encoding") or "base64")
    if encoding not in _ENCODERS:
        msg = f"multipart_encoding must be one of {', '.join(_ENCODERS)}, not {encoding}"
        raise ValueError(msg)
    part: Message
    if content:
        part = MIMENonMultipart(major, minor)
        part.set_payload(str(content).encode())
    else:
        part = MIMEApplication(read(filename), _encoder=_ENCODERS[encoding])
        part.replace_header("Content-Type", f"{major}/{minor}")
    del part["MIME-Version"]
    part.add_header("Content-Disposition", "form-data")
    part.set_param("name", name, header="Content-Disposition")
    if filename:
        part.set_param("filename", posixpath.basename(filename), header="Content-Disposition")
    return part
