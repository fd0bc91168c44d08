"""The risk gate: which changes it refuses, which need consent, and which option it names."""

from __future__ import annotations

from typing import Any

import pytest

from remediation.engine.approval import check_needs, check_risk
from remediation.engine.context import Policy
from remediation.engine.step.executor import execute_step
from remediation.model.change import Change, Need, Risk, StepCall, needs
from remediation.model.errors import CallFailed, UsageError
from remediation.model.outcome import Outcome
from tests.engine.fakes.host import GIB, MODEL, World
from tests.engine.sample_steps import Bench

CLOSED = StepCall("sample.closed", {"names": ["chrome", "discord"]})
DELETED = StepCall("sample.deleted", {"model": MODEL})


def browsers(*, windows: bool = False, **world: Any) -> Bench:
    bench = Bench(World(**world))
    bench.world.start("chrome.exe", vram=2 * GIB, has_window=windows)
    bench.world.start("Discord.exe", vram=GIB, has_window=windows)
    return bench


def loaded() -> Bench:
    bench = Bench()
    bench.world.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    execute_step(StepCall("sample.preloaded", {"model": MODEL}), bench.context())
    bench.world.writes.clear()
    return bench


def test_without_a_terminal_a_disruptive_change_is_blocked_and_the_option_named() -> None:
    bench = browsers()
    result = execute_step(CLOSED, bench.context())
    assert (result.outcome, bench.world.writes, bench.prompt.asked) == (Outcome.BLOCKED, [], [])
    assert result.reason == "close chrome.exe, close Discord.exe: risk disruptive exceeds the limit safe"
    assert result.next_step == "allow it with --max-risk disruptive"


def test_on_a_terminal_with_one_host_disruptive_changes_are_listed_and_confirmed_once() -> None:
    bench = browsers()
    bench.prompt.answers = [True]
    result = execute_step(CLOSED, bench.context(interactive=True))
    assert (result.outcome, len(bench.world.writes)) == (Outcome.CHANGED, 2)
    assert bench.prompt.asked == [
        ("Go on with these on laptop-07?", ("disruptive: close chrome.exe", "disruptive: close Discord.exe"))
    ]


def test_a_no_is_not_questioned_again() -> None:
    bench = browsers()
    bench.prompt.answers = [False]
    context = bench.context(interactive=True)
    first, second = execute_step(CLOSED, context), execute_step(CLOSED, context)
    assert (first.outcome, second.outcome, bench.world.writes) == (Outcome.BLOCKED, Outcome.BLOCKED, [])
    assert first.reason.endswith("the answer was no")
    assert len(bench.prompt.asked) == 1


def test_several_hosts_get_no_question() -> None:
    bench = browsers()
    assert execute_step(CLOSED, bench.context(interactive=True, single_host=False)).outcome is Outcome.BLOCKED
    assert bench.prompt.asked == []


def test_a_safe_change_is_refused_only_below_safe() -> None:
    bench = Bench(World(texts={"a": b"old"}))
    call = StepCall("sample.file", {"path": "a", "text": "new"})
    result = execute_step(call, bench.context(max_risk=Risk.OBSERVE, interactive=True))
    assert (result.outcome, result.next_step) == (Outcome.BLOCKED, "allow it with --max-risk safe")
    assert execute_step(call, bench.context()).outcome is Outcome.CHANGED


def test_a_window_on_a_desktop_in_use_needs_close_programs_at_every_max_risk() -> None:
    bench = browsers(windows=True)
    bench.prompt.answers = [True]
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE, interactive=True))
    assert (result.outcome, bench.world.writes, bench.prompt.asked) == (Outcome.BLOCKED, [], [])
    assert (
        result.reason
        == "ana is logged in at the desktop of laptop-07, and this closes a window of chrome.exe; closes a window of Discord.exe"
    )
    assert "close_programs: true" in result.next_step


def test_the_user_at_the_desktop_is_warned_and_given_time() -> None:
    bench = browsers(windows=True)
    began = bench.world.clock.passed
    closed_at: list[float] = []
    bench.world.clock.after(59.0, lambda: closed_at.extend([bench.world.clock.passed] if bench.world.writes else []))
    context = bench.context(max_risk=Risk.DISRUPTIVE, close_programs=True, warn_seconds=60.0)
    assert execute_step(CLOSED, context).outcome is Outcome.CHANGED
    assert len(bench.world.notified) == 1
    assert "closes a window of chrome.exe" in bench.world.notified[0]
    assert bench.world.clock.passed - began >= 60.0
    assert closed_at == []


def test_a_message_that_cannot_be_shown_is_a_warning_with_the_reason() -> None:
    bench = browsers(windows=True)
    bench.world.fails["desktop.notify"] = [CallFailed("Windows refused the task")]
    context = bench.context(max_risk=Risk.DISRUPTIVE, close_programs=True, warn_seconds=60.0)
    result = execute_step(CLOSED, context)
    assert result.outcome is Outcome.CHANGED
    assert any("(Windows refused the task); waiting anyway" in repr(event) for event in bench.recorded.events)


def test_a_desktop_of_which_nothing_is_known_is_not_taken_for_an_empty_one() -> None:
    bench = browsers(windows=True, desktop_user=None, session_problems={"DesktopUser": "Access denied"})
    change = Change("close it", needs=needs(), asks="closes a window of it", risk=Risk.SAFE)
    refused = check_risk([change], bench.context())
    assert refused is not None
    assert refused.reason.startswith(
        "an unknown user (Access denied) may be logged in at the desktop of laptop-07, and this closes"
    )
    lack = check_needs([Change("close it", needs=needs(Need.DESKTOP))], bench.context())
    assert lack is not None
    assert "the desktop user is unknown: Access denied" in lack.reason


def test_ctrl_c_ends_the_warning_and_nothing_is_closed() -> None:
    bench = browsers(windows=True)
    bench.cancelled = lambda: bool(bench.world.notified)
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE, close_programs=True, warn_seconds=60.0))
    assert (result.outcome, bench.world.writes) == (Outcome.SKIPPED, [])


def test_destructive_needs_the_hosts_name_typed_or_the_option() -> None:
    bench = loaded()
    refused = execute_step(DELETED, bench.context(max_risk=Risk.DESTRUCTIVE))
    assert (refused.outcome, refused.next_step) == (Outcome.BLOCKED, "allow it with --yes-destroy laptop-07")
    assert execute_step(DELETED, bench.context(yes_destroy=frozenset({"other"}))).outcome is Outcome.BLOCKED
    assert bench.world.writes == []
    assert execute_step(DELETED, bench.context(yes_destroy=frozenset({"laptop-07"}))).outcome is Outcome.CHANGED


@pytest.mark.parametrize(("typed", "outcome"), [(True, Outcome.CHANGED), (False, Outcome.BLOCKED)])
def test_destructive_asks_for_the_hosts_name_on_a_terminal(typed: bool, outcome: Outcome) -> None:
    bench = loaded()
    bench.prompt.answers = [typed]
    assert execute_step(DELETED, bench.context(interactive=True)).outcome is outcome
    assert bench.prompt.asked[0][1] == ("laptop-07",)


@pytest.mark.parametrize(
    ("need", "word"),
    [
        (Need.ELEVATED, "administrator rights, which ops does not have"),
        (Need.CREDENTIAL_STORE, "the credential store, which a network login cannot reach"),
        (Need.DESKTOP, "a user logged in at the desktop (no interactive session)"),
    ],
)
def test_a_need_that_the_session_lacks_is_named(need: Need, word: str) -> None:
    bench = Bench(World(desktop_user=None, elevated=False))
    refusal = check_needs([Change("pull a model", needs=needs(need))], bench.context())
    assert refusal is not None
    assert refusal.reason == f"pull a model needs {word}"
    assert refusal.next_step


def test_a_need_that_is_not_known_to_be_missing_does_not_block() -> None:
    assert check_needs([Change("see a distribution", needs=needs(Need.WSL))], Bench().context()) is None


def test_the_inventorys_limits_hold_unless_the_command_line_said_otherwise() -> None:
    own = {"max_risk": "disruptive", "close_programs": "yes", "warn_seconds": 0}
    policy = Policy().for_host(own)
    assert (policy.max_risk, policy.close_programs, policy.warn_seconds) == (Risk.DISRUPTIVE, True, 0.0)
    assert Policy(max_risk=Risk.SAFE, explicit=frozenset({"max_risk"})).for_host(own).max_risk is Risk.SAFE
    assert Policy().for_host({}).warn_seconds == 60.0
    assert Policy().for_host({"ansible_connection": "local"}).warn_seconds == 0.0


@pytest.mark.parametrize("own", [{"max_risk": "much"}, {"close_programs": "perhaps"}, {"warn_seconds": "soon"}])
def test_a_limit_that_cannot_be_read_is_said(own: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        Policy().for_host(own)
    assert str(*own.values()) in str(caught.value)
