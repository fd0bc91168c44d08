"""An answer of an odd shape costs the host that part alone: readers check what they return, and name what is odd."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from remediation.connections.calls import Call, Completed, Failed, HttpReply, Probe, ProbeReply, Reply
from remediation.facets.checked import checked
from remediation.facets.gpu.devices import WindowsGpu
from remediation.facets.machine.session import WindowsDesktop
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed
from remediation.model.facts import EngineFacts
from remediation.model.text.shape import check_shape, explain_error, mismatch

SESSION = {
    "User": "PC\\ana", "Elevated": True, "DesktopUser": None, "LanguageMode": "FullLanguage", "Version": "5.1", "Wsl": True,
}  # fmt: skip


class Host:
    """A Windows host whose probes give prepared answers."""

    host, platform, round_trips = "one", "windows", 0

    def __init__(self, **probes: Any) -> None:
        self._probes = probes

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return [self._one(call) for call in calls]

    def close(self) -> None:
        pass

    def _one(self, call: Call) -> Reply:
        if isinstance(call, Probe) and call.name in self._probes:
            value = self._probes[call.name]
            return value if isinstance(value, (Completed, HttpReply)) else ProbeReply(value)
        return Failed("error", "no such probe")


def look(**probes: Any) -> Snapshot:
    host = Host(**probes)
    return Snapshot(lambda: host)


@pytest.mark.parametrize("answer", [None, [], {}, "text", 5, {"DesktopUser": [1]}, [SESSION]])
def test_an_odd_session_is_a_failed_call_that_names_the_question(answer: object) -> None:
    desktop = WindowsDesktop(look(session=answer), EngineFacts, remote=True)
    with pytest.raises(CallFailed, match=r"^one: cannot parse the answer to desktop\.session: "):
        desktop.session()


def test_the_other_parts_of_the_host_are_read_all_the_same() -> None:
    asked = look(gpu={"rc": 0}, processes=[])
    with pytest.raises(CallFailed, match=r"one: cannot parse the answer to gpu\.use: 'stdout' is missing"):
        WindowsGpu(asked).use()
    with pytest.raises(CallFailed, match="querying the session failed: no such probe"):
        WindowsDesktop(asked, EngineFacts, remote=True).session()


@dataclasses.dataclass(frozen=True)
class Inner:
    name: str
    size: int | None = None


@dataclasses.dataclass(frozen=True)
class Outer:
    items: tuple[Inner, ...] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    share: float = 0.0
    pair: tuple[int, str] = (1, "a")
    anything: Any = None


@pytest.mark.parametrize(
    ("value", "odd"),
    [
        (Outer(), None),
        (Outer(items=(Inner("a", 5), Inner("b")), share=1, labels={"a": "b"}, anything=[object()]), None),
        (Outer(items=(Inner("a"), Inner(5))), "items[1].name is a number, not a text"),  # type: ignore[arg-type] - that is the point
        (Outer(items="a"), "items is a text, not a list"),  # type: ignore[arg-type] - that is the point
        (Outer(labels={"a": None}), "labels.a is null, not a text"),  # type: ignore[dict-item] - that is the point
        (Outer(labels=[]), "labels is a list, not a mapping"),  # type: ignore[arg-type] - that is the point
        (Outer(share=float("nan")), "share is out of range"),
        (Outer(items=(Inner("a", size=True),)), "items[0].size is true or false, not a whole number"),
        (Outer(items=(Inner("a", 10**40),)), "items[0].size is out of range"),
        (Outer(pair=(1, 2)), "pair[1] is a number, not a text"),  # type: ignore[arg-type] - that is the point
        (Outer(pair=(1,)), "pair is a list, not 2 values"),  # type: ignore[arg-type] - that is the point
    ],
)
def test_the_first_part_of_another_type_is_named(value: Outer, odd: str | None) -> None:
    assert mismatch(value, Outer) == check_shape(value) == odd


def test_what_an_exception_was_about_is_one_short_line() -> None:
    assert explain_error(KeyError("DesktopUser")) == "'DesktopUser' is missing"
    assert explain_error(RecursionError("maximum recursion depth exceeded")) == "nested too deeply"
    assert explain_error(ValueError("a\x1b[2J\nb" + "c" * 500)).startswith(r"a\x1b[2J bc")
    assert len(explain_error(ValueError("c" * 500))) == 80


@checked("test_odd_answers")
class Reading:
    """A reader that passes on a part of an answer unchanged, as many do."""

    def __init__(self, snapshot: Snapshot, answer: Any) -> None:
        self._snapshot, self._answer = snapshot, answer

    def named(self) -> Inner:
        return Inner(self._answer)

    def mapping(self) -> Mapping[str, Any]:
        return self._answer  # type: ignore[no-any-return] - that is the point


@pytest.mark.parametrize("answer", [5, None, [], ["a"]])
def test_a_value_of_another_type_is_not_passed_on(answer: object) -> None:
    for read in (Reading(look(), answer).named, Reading(look(), answer).mapping):
        with pytest.raises(CallFailed, match=r"one: cannot parse the answer to test_odd_answers\.\w+: .* is .*, not a "):
            read()
    assert Reading(look(), "a").named() == Inner("a")
