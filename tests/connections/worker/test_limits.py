"""Any answer of a worker costs a bounded amount of memory and time, and ends in one sentence."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable

import pytest

from remediation.connections.calls import Failed, Run
from remediation.connections.worker import protocol
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.connections.worker.session import WorkerSession
from remediation.connections.worker.transport import DeliveryUnknown, ReadTimeout
from remediation.model import limits
from remediation.model.clock import SystemClock
from remediation.model.errors import HostError


class Mute:
    """A channel whose host says the same again and again."""

    def __init__(self, said: Callable[[str], bytes]) -> None:
        self.clock, self._said, self._nonce, self.received = SystemClock(), said, "", 0

    def start(self, command: object, deadline: float) -> None:
        """Nothing is started."""

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        for line in data.splitlines():
            if (content := base64.b64decode(line)).startswith(b'{"nonce"'):
                self._nonce = json.loads(content)["nonce"]

    def receive(self, deadline: float) -> bytes:
        self.received += 1
        if self.received == 1:
            hello = base64.b64encode(b'{"hello": 1, "language_mode": "FullLanguage"}').decode()
            return f"{self._nonce} {hello}\n".encode()
        return self._said(self._nonce)

    def errors(self) -> str:
        return ""


def _line(nonce: str, value: object) -> bytes:
    return f"{nonce} {base64.b64encode(json.dumps(value).encode()).decode()}\n".encode()


@pytest.mark.parametrize(
    "said",
    [
        lambda nonce: nonce.encode() + b" " + b"A" * 1_000_000, lambda _: b"x" * 1_000_000,
        lambda nonce: _line(nonce, {"id": 1, "call": 0, "stream": "stdout", "data": base64.b64encode(b"x" * 300_000).decode()}),
        lambda nonce: _line(nonce, {"id": 1, "call": 0, "stream": "stdout", "data": ""}) * 10_000,
        lambda nonce: _line(nonce, {"id": 1, "call": "x", "stream": "stdout", "data": ""}), lambda nonce: _line(nonce, {"id": 1, "stream": 1}),
        lambda nonce: _line(nonce, {"id": 1, "replies": [1]}), lambda nonce: _line(nonce, {"id": 1, "replies": {}}),
        lambda nonce: _line(nonce, {"id": 1, "call": 0, "stream": "stdout", "data": "="}),
        lambda nonce: f"{nonce} {base64.b64encode(b'[' * 200_000).decode()}\n".encode(),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_worker_that_talks_nonsense_without_end(said: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER", 64 * 1024**2)
    channel = Mute(said)
    talk = WorkerSession("box", channel)  # type: ignore[arg-type]  # all that a conversation needs of a channel
    end = time.monotonic() + 60
    talk.greet((), end, 60.0)
    with pytest.raises(DeliveryUnknown):
        talk.ask([{"op": "run"}], end)
    assert channel.received < limits.ANSWER // 280_000


def test_noise_alone_ends_with_the_deadline() -> None:
    channel = Mute(lambda _: b"noise\n")
    talk = WorkerSession("box", channel)  # type: ignore[arg-type]  # as above
    talk.greet((), time.monotonic() + 5, 5.0)
    with pytest.raises(ReadTimeout):
        talk.ask([{"op": "run"}], time.monotonic() + 0.2)


@pytest.mark.parametrize(
    "reply", [{}, {"rc": "x"}, {"rc": None}, {"rc": 0, "stdout": 5}, {"rc": 0, "stdout": "="}, {"rc": float("inf")}]
)
def test_a_reply_of_another_form_is_a_failure(reply: dict[str, object]) -> None:
    for writes, kind in ((False, "error"), (True, "uncertain")):
        found = protocol.understood(lambda: protocol.parse_completed(reply), Run(("docker",), writes=writes))
        assert isinstance(found, Failed)
        assert (found.kind, "docker: cannot parse the worker's reply" in found.message) == (kind, True)


@pytest.mark.skipif(sys.platform == "win32", reason="the program is POSIX")
def test_a_local_powershell_that_writes_without_end_is_ended() -> None:
    program = (sys.executable, "-I", "-c", "import os\nwhile True: os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)")
    connection = WorkerConnection("here", ChildChannel("here", before=program), scripts=lambda _: "", opening=1.0, greeting=60.0)
    with pytest.raises(HostError) as caught:
        connection.exchange([Run(("x",), timeout=1.0)])
    assert "a line of the worker exceeds the limit of 32 MB" in caught.value.message
    connection.close()
