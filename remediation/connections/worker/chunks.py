"""Reads and writes files of any size through the worker protocol, one request per chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from remediation.connections.calls import Call, Failed, FileContent, ReadFile, Reply, WriteFile
from remediation.connections.worker import protocol

_BEGINNINGS = 3


class SendRequest(Protocol):
    """Sends a request with `calls` and returns its replies.

    ``writes`` means that it changes the host, so it is not repeated if its outcome is unknown. With ``again=False`` it is never repeated.
    """

    def __call__(
        self,
        wanted: Sequence[dict[str, Any]],
        calls: Sequence[Call],
        timeout: float,
        *,
        writes: bool | None = None,
        again: bool = True,
    ) -> list[dict[str, Any]]:
        """Return one reply per call."""


def chunk_reader(send: SendRequest, call: ReadFile) -> Callable[[Mapping[str, Any]], Reply]:
    """Return a reader of the reply to the first chunk of a file. It requests the other chunks."""

    def whole(reply: Mapping[str, Any]) -> Reply:
        if (problem := protocol.failed_reply(reply)) is not None:
            return problem
        if reply.get("missing"):
            return FileContent(missing=True)
        size = int(reply["size"])
        start = max(0, size - call.limit) if call.tail else 0
        end = min(size, start + call.limit)
        pieces = [protocol.decode_base64(reply, "content")[: end - start]] if int(reply["offset"]) == start else []
        at = start + sum(len(piece) for piece in pieces)
        while at < end:
            wanted = min(end - at, protocol.SLICE)
            more = send([protocol.read_request(call, at, end - at, tail=False)], [call], call.timeout)[0]
            if (problem := protocol.failed_reply(more)) is not None:
                return problem
            piece = protocol.decode_base64(more, "content")[:wanted]
            pieces.append(piece)
            at += len(piece)
            if len(piece) < wanted:
                break  # the file was truncated meanwhile
        return FileContent(b"".join(pieces), truncated=size > call.limit)

    return whole


def cut(content: bytes) -> list[bytes]:
    """Split `content` into chunks, at least one."""
    return [content[at : at + protocol.SLICE] for at in range(0, len(content), protocol.SLICE)] or [b""]


def write_in_chunks(send: SendRequest, call: WriteFile) -> Reply:
    """Write a file that is larger than a chunk."""
    for _ in range(_BEGINNINGS):
        reply = _write(send, call)
        # a worker started meanwhile has no earlier chunks; a refused chunk was not written
        if not (isinstance(reply, Failed) and reply.kind == "no-part"):
            break
    return reply


def _write(send: SendRequest, call: WriteFile) -> Reply:
    digest, size = hashlib.sha256(call.content).hexdigest(), len(call.content)
    reply: Reply = FileContent()
    for number, piece in enumerate(cut(call.content)):
        at = number * protocol.SLICE
        last = at + protocol.SLICE >= size
        wanted = protocol.write_request(call.path, at, piece, digest if last else None, call.backup)
        # chunks go to a file next to the target, so repeating one has no effect before the last
        reply = protocol.wrote(send([wanted], [call], call.timeout, writes=last)[0])
        if isinstance(reply, Failed):
            return reply
    return reply
