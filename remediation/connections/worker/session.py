"""One conversation with one worker process: greeting, requests, and everything it says in between."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remediation.connections.worker import bootstrap
from remediation.connections.worker.frames import Frames, Garbled, line_of
from remediation.connections.worker.protocol import TOLD, UNREAD
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
from remediation.model.text.visible import brief

Listeners = Mapping[int, Callable[[bytes], None]]
_SHOWN = 400
_FRAME = 1024
"""A frame counts for so many bytes at the least, so that frames of nothing come to an end too."""


class NotGreeted(ChannelError):
    """The worker did not say hello; nothing of the caller's had been sent. `ended`: its process is over."""

    def __init__(self, message: str, *, ended: bool, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.ended = ended


class WorkerSession:
    """A started worker. `ask` sends one request and returns its replies; any failure ends the conversation for good."""

    def __init__(self, host: str, channel: Channel, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._host, self._channel, self._monotonic = host, channel, monotonic
        nonce = secrets.token_hex(16)
        self._hello = line_of(bootstrap.worker_text()) + line_of({"nonce": nonce, "protocol": bootstrap.PROTOCOL})
        self._frames = Frames(nonce)
        self._ready: list[dict[str, Any]] = []
        self._number = 0
        self.about: Mapping[str, Any] = {}

    def greet(self, command: Sequence[str], opening: float, patience: float) -> None:
        """Start the worker by the deadline `opening` and wait at most `patience` seconds for its greeting.

        Raises `NotGreeted`, `Blocked` where the language mode forbids the worker, and what the channel raises.
        """
        self._channel.start(command, opening)
        deadline = self._monotonic() + patience
        try:
            self._channel.send(self._hello, deadline)
            self._meet(self._frame(deadline))
        except ReadTimeout as silence:
            raise NotGreeted(silence.message, ended=False) from silence
        except ProcessExited as end:
            self._check_language()
            raise NotGreeted(end.message, ended=True, next_step=end.next_step) from end
        except DeliveryUnknown as doubt:
            # nothing of the caller's has been sent yet
            raise NotDelivered(doubt.message, doubt.next_step) from doubt

    def ask(self, calls: Sequence[Mapping[str, Any]], deadline: float, on_chunk: Listeners | None = None) -> list[dict[str, Any]]:
        """Send one request and return its replies; raises a `ChannelError`.

        `on_chunk` are those who listen, by the place of their call in `calls`: each is told what comes of its answer as it comes.
        """
        self._number += 1
        self._channel.send(line_of({"id": self._number, "calls": list(calls)}), deadline)
        return self._replies(self._number, len(calls), deadline, on_chunk or {})

    def ask_once(
        self, command: Sequence[str], calls: Sequence[Mapping[str, Any]], opening: float, deadline: float,
        on_chunk: Listeners | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Start a process for this one request, all of its stdin at once; raises a `ChannelError` or `Blocked`."""
        self._number = 1
        self._channel.start(command, opening)
        self._channel.send(self._hello + line_of({"id": 1, "calls": list(calls)}), deadline, end=True)
        try:
            self._meet(self._frame(deadline))
        except ProcessExited as end:
            self._check_language()
            # everything it said has come, and it has not even greeted: it read no request
            raise NotDelivered(end.message, end.next_step) from end
        return self._replies(1, len(calls), deadline, on_chunk or {})

    def _replies(self, number: int, count: int, deadline: float, on_chunk: Listeners) -> list[dict[str, Any]]:
        parts = _ReplyParts()
        try:
            while True:
                frame = self._frame(deadline)
                if frame.get("id") != number:
                    raise DeliveryUnknown(self._told(f"the worker answered request {str(frame.get('id'))[:20]!r}, not {number}"))
                if "stream" in frame:
                    index, stream, piece = parts.take(frame)
                    if stream == TOLD and index in on_chunk:
                        on_chunk[index](piece)
                    continue
                if "replies" not in frame and "error" in frame:
                    return [{"error": {**frame["error"], "kind": UNREAD}}] * count
                replies = frame.get("replies")
                if not isinstance(replies, list) or len(replies) != count or not all(isinstance(each, dict) for each in replies):
                    raise DeliveryUnknown(self._told("the worker's answer has not as many replies as there were calls"))
                parts.join(replies)
                return replies
        except (LookupError, TypeError, ValueError) as error:
            raise DeliveryUnknown(self._told("the worker's answer cannot be read")) from error
        except LimitExceeded as exceeded:
            raise DeliveryUnknown(self._told(exceeded.message)) from exceeded

    def _frame(self, deadline: float) -> dict[str, Any]:
        while not self._ready:
            try:
                self._ready.extend(self._frames.feed(self._channel.receive(deadline)))
            except Garbled as garbled:
                raise DeliveryUnknown(self._told(str(garbled))) from garbled
            except LimitExceeded as exceeded:
                raise DeliveryUnknown(self._told(exceeded.message)) from exceeded
            except DeliveryUnknown as doubt:
                raise type(doubt)(self._told(doubt.message), doubt.next_step) from doubt
            except ReadTimeout as silence:
                raise ReadTimeout(self._told(silence.message)) from silence
            if not self._ready and self._monotonic() >= deadline:
                raise ReadTimeout(self._told("only other output came from the host"))
        return self._ready.pop(0)

    def _meet(self, greeting: Mapping[str, Any]) -> None:
        if greeting.get("hello") != bootstrap.PROTOCOL:
            raise DeliveryUnknown(self._told("the worker's first words are no greeting"))
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

    def _told(self, message: str) -> str:
        said = " ".join(self._channel.errors().split()) or " ".join(self._frames.noise.decode("utf-8", "replace").split())
        if not said or said[:_SHOWN] in message:
            return message
        return f"{message}; the host said: {brief(said)}"


class _ReplyParts:
    """What leaves of a request's replies before they are whole: output of programs, and bodies of answers."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[int, str], list[bytes]] = {}
        self._tally = Tally("the worker's answer", limits.ANSWER)

    def take(self, frame: Mapping[str, Any]) -> tuple[int, str, bytes]:
        """Keep a piece; raises `LimitExceeded`, and what is raised for a frame of another form."""
        index, stream, piece = int(frame["call"]), str(frame["stream"]), base64.b64decode(frame["data"], validate=True)
        self._tally.add(len(piece) + _FRAME)
        self._pieces.setdefault((index, stream), []).append(piece)
        return index, stream, piece

    def join(self, replies: Sequence[dict[str, Any]]) -> None:
        """Put the pieces before what the replies hold of them."""
        for (index, stream), pieces in self._pieces.items():
            last = base64.b64decode(replies[index].get(stream) or "")
            replies[index][stream] = base64.b64encode(b"".join([*pieces, last])).decode("ascii")


def _language(host: str, mode: str) -> Blocked:
    return Blocked(
        f"{host}: PowerShell is in {mode} mode there, which forbids what this program needs of it",
        host=host,
        next_step="let this login use PowerShell in FullLanguage mode (AppLocker or WDAC policy, __PSLockdownPolicy)",
    )
