"""Files by the worker protocol, however large: read and written piece by piece, each piece a request of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from remediation.connections.calls import Call, Failed, FileContent, ReadFile, Reply, WriteFile
from remediation.connections.worker import protocol

_BEGINNINGS = 3


class SendRequest(Protocol):
    """Sends one request for `calls` and returns its replies.

    ``writes`` says whether it changes the host, and so may not be sent twice in doubt; without ``again`` it is not in any case.
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
        """Return one reply per wanted call."""


def reading(ask: SendRequest, call: ReadFile) -> Callable[[Mapping[str, Any]], Reply]:
    """Return how the reply to the first slice of a file is read: what did not fit is fetched."""

    def whole(reply: Mapping[str, Any]) -> Reply:
        if (problem := protocol.failed_reply(reply)) is not None:
            return problem
        if reply.get("missing"):
            return FileContent(missing=True)
        size = int(reply["size"])
        start = max(0, size - call.limit) if call.tail else 0
        end = min(size, start + call.limit)
        pieces = [protocol.content(reply, "content")[: end - start]] if int(reply["offset"]) == start else []
        at = start + sum(len(piece) for piece in pieces)
        while at < end:
            wanted = min(end - at, protocol.SLICE)
            more = ask([protocol.read_request(call, at, end - at, tail=False)], [call], call.timeout)[0]
            if (problem := protocol.failed_reply(more)) is not None:
                return problem
            piece = protocol.content(more, "content")[:wanted]
            pieces.append(piece)
            at += len(piece)
            if len(piece) < wanted:
                break  # the file has become shorter meanwhile
        return FileContent(b"".join(pieces), truncated=size > call.limit)

    return whole


def cut(content: bytes) -> list[bytes]:
    """Return the slices of `content`, one at least."""
    return [content[at : at + protocol.SLICE] for at in range(0, len(content), protocol.SLICE)] or [b""]


def write_in_chunks(ask: SendRequest, call: WriteFile) -> Reply:
    """Write a file that is larger than a slice."""
    for _ in range(_BEGINNINGS):
        reply = _write(ask, call)
        # a worker that was started meanwhile has none of the slices before; what it refused was not carried out
        if not (isinstance(reply, Failed) and reply.kind == "no-part"):
            break
    return reply


def _write(ask: SendRequest, call: WriteFile) -> Reply:
    digest, size = hashlib.sha256(call.content).hexdigest(), len(call.content)
    reply: Reply = FileContent()
    for number, piece in enumerate(cut(call.content)):
        at = number * protocol.SLICE
        last = at + protocol.SLICE >= size
        wanted = protocol.write_request(call.path, at, piece, digest if last else None, call.backup)
        # a slice lies beside the file: sending it twice changes nothing until the last one
        reply = protocol.wrote(ask([wanted], [call], call.timeout, writes=last)[0])
        if isinstance(reply, Failed):
            return reply
    return reply
