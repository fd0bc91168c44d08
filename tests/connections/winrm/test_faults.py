"""Every fault of the wire at every message of a run: it ends right or says why not, no write is done twice, no shell is left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Run
from remediation.model.errors import AuthenticationFailed, Blocked, DeadlineExceeded, HostError, OutcomeUnknown, Unreachable
from tests.connections import certificates
from tests.connections.conftest import PASSWORD, StartPeer, opened, winrm_variables
from tests.connections.peer.winrm_server import SHELL_NOT_FOUND
from tests.connections.planned_faults import FAULTS, MESSAGES, Hurried, Impatient, add, ended, pairs


def _faults() -> Iterator[object]:
    """Yield each fault at each message, met by a write and by a read; the normal tests have every third of the reads, each fault and each message."""
    for writes, ((number, fault), (place, (action, occurrence))) in product(
        (True, False), product(enumerate(FAULTS), enumerate(MESSAGES))
    ):
        sampled = writes or (number + place) % 3 == 0
        name = f"{action}-{occurrence}-{fault}-{'write' if writes else 'read'}"
        yield pytest.param(fault, action, occurrence, writes, id=name, marks=[] if sampled else [pytest.mark.every])


@pytest.mark.parametrize(("fault", "action", "occurrence", "writes"), list(_faults()))
def test_a_fault_at_a_message(
    start_peer: StartPeer, tmp_path: Path, fault: str, action: str, occurrence: int, *, writes: bool
) -> None:
    server = start_peer()
    server.plan(action, occurrence, fault)
    guard = opened(winrm_variables(server), clock=Impatient())
    path = tmp_path / "count"
    found = ended(guard, add(path, writes=writes))
    done = len(path.read_text("utf-8")) if path.exists() else 0
    if isinstance(found, Completed):
        assert found.stdout == b"added\n"
        assert done >= 1
    elif isinstance(found, OutcomeUnknown):
        assert writes
        assert "not repeated" in found.next_step
    else:
        # the very first message may be met by what no second try can cure
        assert isinstance(found, Unreachable | Blocked), found
        assert action in {"Create", "Command"}
        assert done == 0
        assert found.next_step
    if writes:
        assert done <= 1
    if not isinstance(found, HostError) or isinstance(found, OutcomeUnknown):
        # after each fault the next call is answered
        again = ended(guard, add(tmp_path / "next", writes=False))
        assert isinstance(again, Completed), again
    guard.close()
    if (action, fault) != ("Delete", str(SHELL_NOT_FOUND)):  # a service that says so is believed
        assert server.shells == {}
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(("fault", "action"), list(pairs(FAULTS, ("Create", "Command", "Send", "Receive"))))
def test_a_fault_that_does_not_go_away_ends_in_one_sentence(
    start_peer: StartPeer, tmp_path: Path, action: str, fault: str
) -> None:
    server = start_peer()
    server.plan(action, 0, fault)
    guard = opened(winrm_variables(server), clock=Impatient())
    found = ended(guard, add(tmp_path / "count", writes=True))
    guard.close()
    if action == "Send" and fault in {"garbage", "truncated"}:
        assert isinstance(found, Completed)  # the answer to a Send says nothing: its status is enough
        return
    assert isinstance(found, Unreachable | OutcomeUnknown | Blocked), found
    assert "\n" not in found.message
    assert found.next_step
    assert server.shells == {}
    assert server.counts[action] <= 12  # it gives up


def test_a_write_is_certain_when_it_was_refused_unread(start_peer: StartPeer, tmp_path: Path) -> None:
    for fault in ("400", str(SHELL_NOT_FOUND), "170"):
        server = start_peer()
        server.plan("Send", 2, fault)
        guard = opened(winrm_variables(server), clock=Impatient())
        path = tmp_path / fault
        assert isinstance(ended(guard, add(path, writes=True)), Completed)
        assert path.read_text("utf-8") == "x"
        guard.close()


def test_a_write_whose_answer_is_lost_is_never_repeated(start_peer: StartPeer, tmp_path: Path) -> None:
    for message, fault in (("Send", "drop-after"), ("Receive", "drop-after"), ("Receive", "garbage")):
        server = start_peer()
        server.plan(message, 2, fault)
        guard = opened(winrm_variables(server), clock=Impatient())
        assert isinstance(ended(guard, add(tmp_path / "count", writes=True)), OutcomeUnknown)
        assert server.counts["Send"] == 2
        guard.close()


@pytest.mark.parametrize(("fault", "action"), list(pairs(FAULTS, ("Send", "Receive"))))
def test_a_write_after_a_long_silence_never_meets_a_way_that_died(
    start_peer: StartPeer, tmp_path: Path, fault: str, action: str
) -> None:
    server, clock = start_peer(), Impatient()
    guard = opened(winrm_variables(server), clock=clock)
    path = tmp_path / "count"
    assert isinstance(ended(guard, add(path, writes=True)), Completed)
    clock.ahead = 3600.0
    server.plan(action, server.counts[action] + 1, fault)
    found = ended(guard, add(path, writes=True))
    guard.close()
    assert isinstance(found, Completed), found
    assert path.read_text("utf-8") == "xx"
    assert server.shells == {}


def test_a_silent_host_is_only_knocked_at_before_a_write(start_peer: StartPeer, tmp_path: Path) -> None:
    server, clock = start_peer(), Impatient()
    guard = opened(winrm_variables(server), clock=clock)
    spent = []
    for ahead, writes in ((0.0, True), (59.0, True), (3600.0, False), (7200.0, True), (7200.0, True)):
        clock.ahead, before = ahead, server.counts["Send"]
        assert isinstance(ended(guard, add(tmp_path / "count", writes=writes)), Completed)
        spent.append(server.counts["Send"] - before)
    guard.close()
    assert spent == [2, 1, 1, 2, 1]  # the first one brings the worker along


def test_a_wrong_password_is_tried_once(start_peer: StartPeer) -> None:
    server = start_peer()
    guard = opened(winrm_variables(server, ansible_password="wrong"))
    for _ in range(3):
        with pytest.raises(AuthenticationFailed, match="the login ops was refused") as caught:
            guard.exchange([Run(("x",))])
        assert "wrong" not in str(caught.value)
    assert server.counts["refused"] == 1


def test_a_refusal_in_the_middle_is_tried_once_more_and_no_oftener(start_peer: StartPeer, tmp_path: Path) -> None:
    server = start_peer()
    guard = opened(winrm_variables(server), clock=Impatient())
    assert isinstance(ended(guard, add(tmp_path / "a", writes=True)), Completed)
    (tmp_path / "users").write_text(":ops:changed meanwhile\n", encoding="utf-8")
    server.plan("Send", 3, "400")  # the session is lost, and the login with it
    for _ in range(3):
        assert isinstance(ended(guard, add(tmp_path / "b", writes=True)), AuthenticationFailed)
    assert server.counts["refused"] == 2
    assert not (tmp_path / "b").exists()
    guard.close()
    assert server.counts["refused"] == 2  # not even to clean up: accounts are locked after five


def test_basic_over_https_too(start_peer: StartPeer, tmp_path: Path) -> None:
    authority, context = certificates.made(tmp_path, "127.0.0.1")
    server = start_peer(basic=True, tls=context)
    variables = winrm_variables(server) | {
        "ansible_winrm_scheme": "https", "ansible_winrm_transport": "basic", "ansible_winrm_ca_trust_path": str(authority)
    }  # fmt: skip
    guard = opened(variables, clock=Impatient())
    assert isinstance(ended(guard, add(tmp_path / "a", writes=True)), Completed)
    assert server.counts["requests"] == 6
    server.users.clear()
    assert isinstance(ended(guard, add(tmp_path / "b", writes=True)), AuthenticationFailed)
    assert not (tmp_path / "b").exists()
    guard.close()


def test_a_host_that_never_answers_meets_the_deadline(start_peer: StartPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediation.connections.worker.connection.GRACE", 0.5)
    server = start_peer()
    clock = Hurried()
    guard = opened(winrm_variables(server) | {"ansible_timeout": 2}, clock=clock)
    assert isinstance(ended(guard, Run(("true",))), Completed)
    server.plan("Receive", 0, "2150858793")  # nothing but "no output yet" from now on
    clock.hurry()
    assert isinstance(ended(guard, Run(("true",), timeout=0.5)), DeadlineExceeded)
    assert isinstance(ended(guard, Run(("true",), timeout=0.5, writes=True)), Unreachable | OutcomeUnknown)
    guard.close()
    assert server.shells == {}


def test_nothing_listens(start_peer: StartPeer) -> None:
    variables = winrm_variables(start_peer())
    guard = opened(variables | {"ansible_port": 1})
    with pytest.raises(Unreachable, match="connection refused") as caught:
        guard.exchange([Run(("x",))])
    assert "ansible_port" in caught.value.next_step
    guard.close()


@pytest.mark.parametrize("refusal", ["413", "2150858823"])
def test_a_host_that_refuses_even_small_messages_is_named_with_its_quota(
    start_peer: StartPeer, tmp_path: Path, refusal: str
) -> None:
    server = start_peer(envelope=(10, refusal))
    guard = opened(winrm_variables(server), clock=Impatient())
    found = ended(guard, add(tmp_path / "count", writes=True))
    guard.close()
    assert isinstance(found, Unreachable), found
    assert "size limit" in found.message
    assert " and cannot be made smaller (http://127.0.0.1" in found.message
    assert "winrm set winrm/config '@{MaxEnvelopeSizekb=" in found.next_step
