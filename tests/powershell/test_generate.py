"""The probe ``generate`` under a real PowerShell: what came in time counts, and the loads are sampled meanwhile."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator

import pytest

from remediation.facets.ollama.generate import CUT_OFF, ProbeAsker
from tests.connections.hostile_servers import OK, Hostile
from tests.powershell.host import Host, _host, host

__all__ = ["_host", "host"]

LINE = b'{"response":"a","done":false}\n'
LAST = b'{"response":"","done":true,"eval_count":1}\n'
CPU = "function Get-CimInstance { [pscustomobject] @{ PercentProcessorTime = [uint64] 12 } }"


class Model:
    """A server that answers in two halves, the second only once it is released."""

    def __init__(self, first: bytes, then: bytes = b"") -> None:
        self.released = threading.Event()
        self._first, self._then = first, then
        self.server = Hostile(self)

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        self.released.wait(60)
        yield self._then

    def data(self, timeout: float, *, sample: bool = True) -> dict[str, object]:
        return {"url": self.server.url, "body": "{}", "timeout": timeout, "sample": sample}


@pytest.fixture
def made() -> Iterator[list[Model]]:
    models: list[Model] = []
    yield models
    for each in models:
        each.released.set()
        each.server.close()


def test_an_answer_that_stops_is_a_time_out_and_its_tokens_are_kept(host: Host, made: list[Model]) -> None:
    made.append(model := Model(OK + b"\r\n" + LINE))
    value = host.ask("generate", model.data(6.0, sample=False))
    assert value["error"]["kind"] == "timeout"
    assert (value["cut"], base64.b64decode(value["body"])) == (True, LINE)
    found = ProbeAsker(host.look).ask(model.server.url, {}, timeout=2.0, sample=False)
    assert (found.tokens, found.done_reason) == (1, CUT_OFF)


@pytest.mark.parametrize("first", [b"", OK], ids=["no answer", "half of the headers"])
def test_an_answer_that_does_not_begin_is_a_time_out(host: Host, made: list[Model], first: bytes) -> None:
    made.append(model := Model(first))
    value = host.ask("generate", model.data(2.0, sample=False))
    assert value["error"]["kind"] == "timeout"
    assert "body" not in value


def test_the_busiest_card_counts(host: Host, made: list[Model]) -> None:
    host.commands = CPU
    host.program('while [ -e "$RUNNING" ]; do echo 97; echo 0; sleep 0.05; done')
    made.append(model := Model(OK + b"\r\n" + LINE, LAST))
    threading.Timer(1.5, model.released.set).start()
    value = host.ask("generate", model.data(20.0))
    assert set(value["gpu"]) == {97}
    assert set(value["cpu"]) == {12}
    assert value["Problems"] == {}


def test_what_nvidia_smi_writes_is_read_while_it_runs(host: Host, made: list[Model]) -> None:
    # more than its pipe holds: it would wait for its reader and never come to its last lines
    host.program(
        'yes "$(printf %99s 1)" | head -n 1000; touch "$RUNNING-on"; while [ -e "$RUNNING" ]; do echo 50; sleep 0.1; done'
    )
    made.append(model := Model(OK + b"\r\n" + LINE, LAST))
    threading.Timer(3.0, model.released.set).start()
    value = host.ask("generate", model.data(20.0))
    assert host.running.with_name(f"{host.running.name}-on").exists()
    assert value["gpu"][-1] == 50


@pytest.mark.parametrize(
    "text",
    [
        'while [ -e "$RUNNING" ]; do sleep 0.2; done & while [ -e "$RUNNING" ]; do sleep 0.2; done',
        'while [ -e "$RUNNING" ]; do sleep 0.2; done & echo 5',
        "trap '' TERM; while [ -e \"$RUNNING\" ]; do sleep 0.2; done",
    ],
    ids=["it hangs and its child holds the pipe", "it has ended and its child holds the pipe", "it hangs"],
)
def test_no_nvidia_smi_holds_up_the_answer(host: Host, made: list[Model], text: str) -> None:
    host.program(text)
    made.append(model := Model(OK + b"\r\n" + LINE + LAST))
    model.released.set()
    value = host.ask("generate", model.data(10.0), timeout=20.0)
    assert (value["status"], value["cut"]) == (200, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "nvidia-smi was not found"), ("echo 'no driver' >&2; exit 9", "nvidia-smi ended with 9: no driver")],
    ids=["missing", "fails"],
)
def test_loads_that_cannot_be_read_leave_their_reason(host: Host, made: list[Model], text: str | None, reason: str) -> None:
    if text is not None:
        host.program(text)
    made.append(model := Model(OK + b"\r\n" + LINE + LAST))
    threading.Timer(1.5, model.released.set).start()
    value = host.ask("generate", model.data(20.0))
    assert (value["status"], value["gpu"], value["cpu"]) == (200, [], [])
    assert value["Problems"] == {"gpu": reason, "cpu": "Access denied"}
