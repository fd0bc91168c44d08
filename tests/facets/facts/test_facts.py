"""Facts of this machine; an odd answer of a host is one sentence, and costs no other host its facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Call, Completed, Connection, Failed, ProbeReply, Reply
from remediation.connections.factory import open_connection
from remediation.connections.settings import from_variables
from remediation.facets.facts.gathering import ALL, cards, gather_subsets
from remediation.facets.scripts import shell
from remediation.model.errors import CallFailed

JUNK = ("\u00b2", "9" * 400, "-1 \u00b2 : / = 0x")
"""Lines that a host may print: a digit that is no number, too large a number, other types."""


class Answering:
    """A host that gives one prepared answer."""

    host, round_trips = "one", 0

    def __init__(self, reply: Reply, platform: str = "linux") -> None:
        self.reply, self.platform = reply, platform

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return [self.reply for _ in calls]

    def close(self) -> None:
        pass


class Kept:
    """A connection that keeps the first reply of the last exchange."""

    def __init__(self, inner: Connection) -> None:
        self._inner, self.host, self.platform, self.round_trips = inner, inner.host, inner.platform, 0
        self.reply: Reply = Failed("error", "nothing was called")

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        replies = self._inner.exchange(calls)
        self.reply = replies[0]
        return replies

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def here() -> Iterator[Kept]:
    kept = Kept(open_connection(from_variables("one", {"ansible_connection": "local"}), scripts=shell, check=True))
    yield kept
    kept.close()


def test_local_facts_are_json_or_ini_and_others_say_so(here: Kept, tmp_path: Path) -> None:
    for name, text in {"a": '{"x": [1]}', "b": "[s]\nk=v\n", "c": "neither\n", "d": "[" * 99_999}.items():
        (tmp_path / f"{name}.fact").write_text(text, encoding="utf-8")
    assert gather_subsets(here, ("min",), fact_path=str(tmp_path))["local"] == {
        "a": {"x": [1]}, "b": {"s": {"k": "v"}},
        "c": f"error loading facts as JSON or ini - please check content: {tmp_path / 'c.fact'}", "d": "error loading facts: nested too deeply",
    }  # fmt: skip


def test_an_odd_line_of_the_answer_is_left_out_or_named(here: Kept) -> None:
    gather_subsets(here, ALL)
    assert isinstance(here.reply, Completed)
    lines = here.reply.text.split("\n")
    assert len(lines) > 100
    said = set()
    for number in range(len(lines)):
        for junk in JUNK:
            answer = "\n".join([*lines[:number], junk, *lines[number + 1 :]]).encode()
            try:
                gather_subsets(Answering(Completed(0, answer, b"")), ("min", "hardware", "network", "virtual"))
            except CallFailed as error:
                said.add(error.message)
    assert said
    assert all(message.startswith("cannot parse the answer to facts: ") for message in said)


@pytest.mark.parametrize("value", [None, [], "text", {"Now": 1e300}, {"TotalVisibleMemorySize": "many"}, {"Environment": 5}])
def test_an_odd_answer_of_windows_is_one_sentence(value: Any) -> None:
    with pytest.raises(CallFailed, match="cannot parse the answer to facts: "):
        gather_subsets(Answering(ProbeReply(value), "windows"), ("min",))


def test_a_refused_call_is_named() -> None:
    with pytest.raises(CallFailed, match="facts cannot be read: access denied"):
        gather_subsets(Answering(Failed("denied", "access denied")), ("min",))


def test_cards_without_figures_are_kept_and_other_lines_are_not() -> None:
    text = "0, RTX 4050, GPU-1, 551.86, 6141, [N/A]\n\u00b2, RTX, GPU-2, 551.86, 1, 2\nNo devices were found\n1, RTX, GPU-3, 551.86, \u00b2, 7\n"
    assert [(card["index"], card["memtotal_mb"], card["memused_mb"]) for card in cards(text)] == [(0, 6141, None), (1, None, 7)]
