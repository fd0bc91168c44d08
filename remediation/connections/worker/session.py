"""A session with one worker process: greeting, requests and replies."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from remediation.connections.worker import bootstrap
from remediation.connections.worker.protocol import CHUNK, UNREAD
from remediation.connections.worker.transport import (
    Channel,
    ChannelError,
    DeliveryUnknown,
    NotDelivered,
    ProcessExited,
    ReadTimeout,
)
from remediation.model import limits
from remediation.model.errors import Blocked
from remediation.model.limits import LimitExceeded, Tally
from remediation.model.text.json_text import load_json
from remediation.model.text.visible import brief

_KEPT = 16_000
"""Bytes of other output kept for error messages."""


class Garbled(Exception):
    """A line with the nonce that is not a valid frame."""


def line_of(value: object) -> bytes:
    """Encode a JSON value or raw bytes as a line for the worker."""
    content = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.b64encode(content) + b"\n"


class Frames:
    """Accepts chunks of bytes and yields complete frames."""

    def __init__(self, nonce: str) -> None:
        self._mark = nonce.encode("ascii") + b" "
        self._rest = bytearray()
        self._seen = 0
        self._noise = bytearray()

    @property
    def noise(self) -> bytes:
        """Output that is not part of a frame: banners, profiles, progress."""
        return bytes(self._noise) + (b"" if self._mark in self._rest else bytes(self._rest[:_KEPT]))

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Add a chunk. Raises `Garbled`, or `LimitExceeded` for a line without end."""
        self._rest += data
        while (end := self._rest.find(b"\n", self._seen)) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            self._seen = 0
            frame = self._frame(line)
            if frame is not None:
                yield frame
        self._seen = len(self._rest)
        if self._seen > limits.FRAME:
            raise LimitExceeded(limits.exceeded_text("a line of the worker", limits.FRAME))

    def _frame(self, line: bytes) -> dict[str, Any] | None:
        # other output without a line end may precede the nonce on the same line
        before, mark, text = line.partition(self._mark)
        if not mark:
            before = line + b"\n"
        if before and len(self._noise) < _KEPT:
            self._noise += before[:_KEPT]
        if not mark:
            return None
        try:
            value = load_json(base64.b64decode(text.strip(), validate=True), limits.FRAME)
        except (binascii.Error, ValueError) as error:
            raise Garbled(f"cannot parse a reply of {len(line)} bytes: {error}") from error
        if not isinstance(value, dict):
            raise Garbled("a reply is not a JSON object")
        return value


Listeners = Mapping[int, Callable[[bytes], None]]
_SHOWN = 400
_FRAME = 1024
"""Smallest counted size of a frame, so that empty frames reach the limit too."""


class NotGreeted(ChannelError):
    """The worker did not greet; none of the caller's requests had been sent. `ended` means that its process has exited."""

    def __init__(self, message: str, *, ended: bool, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.ended = ended


class WorkerSession:
    """A started worker. `ask` sends one request and returns its replies. Any failure ends the session."""

    def __init__(self, host: str, channel: Channel, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._host, self._channel, self._monotonic = host, channel, monotonic
        nonce = secrets.token_hex(16)
        self._hello = line_of(bootstrap.worker_text()) + line_of({"nonce": nonce, "protocol": bootstrap.PROTOCOL})
        self._frames = Frames(nonce)
        self._ready: list[dict[str, Any]] = []
        self._number = 0
        self.about: Mapping[str, Any] = {}

    def greet(self, command: Sequence[str], opening: float, patience: float) -> None:
        """Start the worker before the deadline `opening`, and wait at most `patience` seconds for its greeting.

        Raises `NotGreeted`, `Blocked` if the language mode forbids the worker, and the channel's errors.
        """
        self._channel.start(command, opening)
        deadline = self._monotonic() + patience
        try:
            self._channel.send(self._hello, deadline)
            self._check_greeting(self._frame(deadline))
        except ReadTimeout as silence:
            raise NotGreeted(silence.message, ended=False) from silence
        except ProcessExited as end:
            self._check_language()
            raise NotGreeted(end.message, ended=True, next_step=end.next_step) from end
        except DeliveryUnknown as doubt:
            # no request has been sent yet
            raise NotDelivered(doubt.message, doubt.next_step) from doubt

    def ask(
        self, calls: Sequence[Mapping[str, Any]], deadline: float, on_chunk: Listeners | None = None, *, sent: bool = False
    ) -> list[dict[str, Any]]:
        """Send one request, unless it was `sent` before, and return its replies. Raises a `ChannelError`.

        `on_chunk` maps the index of a call in `calls` to a callback that receives the chunks of its answer. For an invalid answer,
        the error is `DeliveryUnknown`, with what the host wrote besides.
        """
        if not sent:
            self._number += 1
            self._channel.send(line_of({"id": self._number, "calls": list(calls)}), deadline)
        answer = _PendingAnswer(self._number, len(calls), on_chunk or {})
        try:
            while answer.replies is None:
                answer.take(self._frame(deadline))
        except _InvalidAnswer as error:
            raise DeliveryUnknown(self._with_output(str(error))) from error
        except (LookupError, TypeError, ValueError) as error:
            raise DeliveryUnknown(self._with_output("cannot parse the worker's answer")) from error
        except LimitExceeded as exceeded:
            raise DeliveryUnknown(self._with_output(exceeded.message)) from exceeded
        return answer.replies

    def ask_once(
        self, command: Sequence[str], calls: Sequence[Mapping[str, Any]], opening: float, deadline: float,
        on_chunk: Listeners | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Start a process for this one request, with all of its stdin at once. Raises a `ChannelError` or `Blocked`."""
        self._number = 1
        self._channel.start(command, opening)
        self._channel.send(self._hello + line_of({"id": 1, "calls": list(calls)}), deadline, end=True)
        try:
            self._check_greeting(self._frame(deadline))
        except ProcessExited as end:
            self._check_language()
            # it ended without a greeting, so it read no request
            raise NotDelivered(end.message, end.next_step) from end
        return self.ask(calls, deadline, on_chunk, sent=True)

    def _frame(self, deadline: float) -> dict[str, Any]:
        while not self._ready:
            try:
                self._ready.extend(self._frames.feed(self._channel.receive(deadline)))
            except Garbled as garbled:
                raise DeliveryUnknown(self._with_output(str(garbled))) from garbled
            except LimitExceeded as exceeded:
                raise DeliveryUnknown(self._with_output(exceeded.message)) from exceeded
            except DeliveryUnknown as doubt:
                raise type(doubt)(self._with_output(doubt.message), doubt.next_step) from doubt
            except ReadTimeout as silence:
                raise ReadTimeout(self._with_output(silence.message)) from silence
            if not self._ready and self._monotonic() >= deadline:
                raise ReadTimeout(self._with_output("the host sent only unrelated output"))
        return self._ready.pop(0)

    def _check_greeting(self, greeting: Mapping[str, Any]) -> None:
        if greeting.get("hello") != bootstrap.PROTOCOL:
            raise DeliveryUnknown(self._with_output("the worker did not start with a greeting"))
        mode = str(greeting.get("language_mode", ""))
        if mode != "FullLanguage":
            raise _language(self._host, mode)
        self.about = dict(greeting)

    def _check_language(self) -> None:
        noise = self._frames.noise
        at = noise.find(bootstrap.LANGUAGE_MARK)
        if at >= 0:
            rest = noise[at + len(bootstrap.LANGUAGE_MARK) :].split()
            raise _language(self._host, rest[0].decode("ascii", "replace") if rest else "unknown")

    def _with_output(self, message: str) -> str:
        output = " ".join(self._channel.errors().split()) or " ".join(self._frames.noise.decode("utf-8", "replace").split())
        if not output or output[:_SHOWN] in message:
            return message
        return f"{message}; the host's output: {brief(output)}"


class _InvalidAnswer(Exception):
    """An answer that does not belong to its request."""


class _PendingAnswer:
    """The answer to one request. Output of programs and bodies of HTTP answers arrive in parts before the replies.

    ``replies`` is None until the answer is complete.
    """

    def __init__(self, number: int, count: int, on_chunk: Listeners) -> None:
        self._number, self._count, self._on_chunk = number, count, on_chunk
        self._pieces: dict[tuple[int, str], list[bytes]] = {}
        self._tally = Tally("the worker's answer", limits.ANSWER)
        self.replies: list[dict[str, Any]] | None = None

    def take(self, frame: Mapping[str, Any]) -> None:
        """Add a frame. Raises `_InvalidAnswer`, `LimitExceeded`, or `LookupError`, `TypeError` and `ValueError` for an invalid frame."""
        if frame.get("id") != self._number:
            raise _InvalidAnswer(f"the worker answered request {str(frame.get('id'))[:20]!r}, not {self._number}")
        if "stream" in frame:
            self._take_part(frame)
            return
        if "replies" not in frame and "error" in frame:
            self.replies = [{"error": {**frame["error"], "kind": UNREAD}}] * self._count
            return
        replies = frame.get("replies")
        if not isinstance(replies, list) or len(replies) != self._count or not all(isinstance(each, dict) for each in replies):
            raise _InvalidAnswer("the worker's answer has the wrong number of replies")
        for (index, stream), pieces in self._pieces.items():
            last = base64.b64decode(replies[index].get(stream) or "")
            replies[index][stream] = base64.b64encode(b"".join([*pieces, last])).decode("ascii")
        self.replies = replies

    def _take_part(self, frame: Mapping[str, Any]) -> None:
        index, stream, piece = int(frame["call"]), str(frame["stream"]), base64.b64decode(frame["data"], validate=True)
        self._tally.add(len(piece) + _FRAME)
        self._pieces.setdefault((index, stream), []).append(piece)
        if stream == CHUNK and index in self._on_chunk:
            self._on_chunk[index](piece)


def _language(host: str, mode: str) -> Blocked:
    return Blocked(
        f"{host}: PowerShell runs in {mode} mode there, which does not allow the worker",
        host=host,
        next_step="allow this login PowerShell in FullLanguage mode (AppLocker or WDAC policy, __PSLockdownPolicy)",
    )
