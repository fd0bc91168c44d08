"""The lease: one holder at a time, by the host's clock; on a store in memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from remediation.connections.posix.local import LocalConnection
from remediation.engine.internal_errors import crash_sentence
from remediation.engine.journal.history import holder_state
from remediation.engine.journal.run_lock import Fate
from remediation.engine.lease.lock import TTL, WRITING, Claim, HostLock, LockHeld, LockLost, leases_on
from remediation.engine.lease.posix_store import FOLDER_VARIABLE
from remediation.engine.lease.renewal import Keeper, SharedLock
from remediation.engine.lease.store import Lease, LeaseSnapshot, LeaseWrite
from remediation.engine.step.executor import execute_step
from remediation.model.change import StepCall
from remediation.model.clock import SystemClock
from remediation.model.errors import CallFailed
from remediation.model.outcome import Outcome
from tests.engine.fakes.host import FakeClock, World
from tests.engine.sample_steps import Bench


@dataclass
class Directories:
    """Numbered directories of a host whose clock is not the controller's."""

    clock: FakeClock
    ahead: float = 1_000_000.0
    made: dict[int, Lease | None] = field(default_factory=dict)
    neighbours: list[Directories] = field(default_factory=list)
    """Those of other logins."""
    folder: str = ""

    def newest(self) -> LeaseSnapshot:
        number, *older = sorted(self.made, reverse=True) or [0]
        return LeaseSnapshot(number, self.made.get(number), self.clock.monotonic() + self.ahead, tuple(older), self.others())

    def others(self) -> tuple[Lease, ...]:
        newest = [each.made[max(each.made)] for each in self.neighbours if each.made]
        return tuple(lease for lease in newest if lease is not None)

    def make(self, number: int) -> bool:
        if number in self.made:
            return False
        self.made[number] = None
        return True

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> LeaseWrite:
        self.made[number] = lease
        newest, old = max(self.made), self.made.get(before)
        self.clear(*clear)
        return LeaseWrite(newest, old, self.others())

    def clear(self, *numbers: int) -> None:
        for number in numbers:
            self.made.pop(number, None)


def lock(store: Directories, run: str, owner: str = "ana@desk") -> HostLock:
    return HostLock("laptop-07", store, store.clock, Claim(run, owner, "fix-offload"))


def store() -> Directories:
    return Directories(FakeClock())


def test_a_second_run_names_the_holder_of_the_host() -> None:
    host = store()
    lock(host, "7f3a").take()
    with pytest.raises(LockHeld) as caught:
        lock(host, "8888", "bob@desk").take()
    assert "laptop-07: ana@desk is working on this host: fix-offload (run 7f3a, at most until" in caught.value.message
    assert "--wait" in caught.value.next_step
    assert caught.value.exit_code == 5


def test_a_lease_that_is_given_back_is_free_at_once() -> None:
    host, messages = store(), []
    first = lock(host, "7f3a")
    first.take()
    first.give_back()
    lock(host, "8888").take(notify=messages.append)
    assert messages == []


@pytest.mark.parametrize("next_message", [HostLock.hold, HostLock.give_back])
def test_what_earlier_runs_left_is_removed_with_the_next_message_about_the_lease(
    next_message: Callable[[HostLock], None],
) -> None:
    host = store()
    for run in ("7f3a", "8888", "9999"):  # each killed: nothing was given back
        held = lock(host, run)
        held.take()
        host.clock.sleep(TTL + 1)
    held.take()
    assert list(host.made) == [1, 2, 3, 4]
    host.clock.sleep(TTL / 2 + 1)
    next_message(held)
    assert list(host.made) == [4]


def test_an_expired_lease_is_taken_over_and_said_so() -> None:
    host, messages = store(), []
    lock(host, "7f3a").take()
    host.clock.sleep(TTL + 1)
    lock(host, "8888").take(notify=messages.append)
    assert messages == ["took over from ana@desk (fix-offload, run 7f3a), whose lease had expired"]


def test_waiting_gets_it_as_soon_as_it_is_free_and_names_the_holder_once() -> None:
    host, messages = store(), []
    first = lock(host, "7f3a")
    first.take()
    host.clock.after(30.0, first.give_back)
    lock(host, "8888").take(wait=100.0, notify=messages.append)
    assert len(messages) == 1
    assert "waiting: ana@desk" in messages[0]
    assert 30.0 <= host.clock.passed < 40.0


def test_waiting_ends_with_the_holders_name() -> None:
    host = store()
    first = lock(host, "7f3a")
    first.take()
    with pytest.raises(LockHeld):
        lock(host, "8888").take(wait=10.0)
    assert host.clock.passed == pytest.approx(10.0)


def test_a_lease_is_renewed_once_half_of_it_is_over_and_lasts_a_minute_more() -> None:
    host = store()
    first = lock(host, "7f3a")
    first.take()
    for _ in range(10):
        host.clock.sleep(TTL / 2 + 1)
        first.hold()
    with pytest.raises(LockHeld):
        lock(host, "8888").take()
    host.clock.sleep(TTL + 1)
    lock(host, "8888").take()


def test_a_lease_that_was_taken_over_is_lost_and_no_change_is_made() -> None:
    host = store()
    first = lock(host, "7f3a")
    first.take()
    host.clock.sleep(TTL + 1)
    lock(host, "8888", "bob@desk").take()
    with pytest.raises(LockLost, match="taken by bob@desk"):
        first.hold()
    bench = Bench(World(texts={"a": b"old"}))
    context = replace(bench.context(), hold=lambda _seconds: first.hold())
    result = execute_step(StepCall("sample.file", {"path": "a", "text": "new"}), context)
    assert (result.outcome, bench.world.writes, bench.recorded.kinds) == (Outcome.BLOCKED, [], [])


def test_the_same_run_takes_its_own_lease_again_after_a_crash() -> None:
    host, messages = store(), []
    lock(host, "7f3a").take()
    lock(host, "7f3a").take(notify=messages.append)
    assert (messages, max(host.made)) == ([], 2)


def test_somebody_who_made_the_directory_and_vanished_is_waited_for_a_moment() -> None:
    host = store()
    host.make(1)
    lock(host, "7f3a").take()
    assert host.clock.passed >= WRITING


def test_somebody_who_is_slow_to_write_finds_out_that_another_was_faster() -> None:
    host = store()
    host.make(1)
    lock(host, "7f3a").take()
    slow = Lease("8888", "bob@desk", "fix-offload", host.newest().now + TTL)
    assert host.write(1, slow).newest == 2
    assert host.newest().lease != slow


class NoRights(Directories):
    """A folder in which this login may not write."""

    def make(self, number: int) -> bool:
        return False


def test_a_folder_without_rights_is_said_and_not_tried_for_ever() -> None:
    with pytest.raises(CallFailed, match="cannot take a lease"):
        lock(NoRights(FakeClock()), "7f3a").take()


class LateRenewal(Directories):
    """Whose holder renews just as another run makes the next directory."""

    def make(self, number: int) -> bool:
        old = self.made[number - 1]
        assert old is not None
        self.made[number - 1] = replace(old, expires=self.newest().now + TTL)
        return super().make(number)


def test_a_holder_who_renews_at_the_last_moment_is_given_way() -> None:
    host = LateRenewal(FakeClock())
    host.made[1] = Lease("7f3a", "ana@desk", "fix-offload", host.newest().now - 1)
    late = lock(host, "8888")
    with pytest.raises(LockHeld):
        late.take()
    assert list(host.made) == [1]


class LostRaces(Directories):
    """A store on which another run is always faster for a while, and done at once."""

    lost = 0

    def make(self, number: int) -> bool:
        if self.lost == 10:
            return super().make(number)
        self.lost += 1
        self.made[number] = Lease("busy", "bob@desk", "play", 0.0)
        return False


def test_however_many_races_are_lost_waiting_goes_on() -> None:
    host = LostRaces(FakeClock())
    lock(host, "7f3a").take(wait=3600.0)
    assert (host.lost, max(host.made)) == (10, 11)


class Refusing(Directories):
    """A store whose directory sometimes cannot be made, with other runs in between."""

    tries = 0

    def make(self, number: int) -> bool:
        self.tries += 1
        if self.tries > 6:
            return super().make(number)
        if self.tries % 2 == 0:  # another run was at work in between
            self.made[number] = Lease("busy", "bob@desk", "play", self.newest().now + 30)
        return False


def test_failures_that_are_not_in_a_row_do_not_end_the_waiting() -> None:
    host = Refusing(FakeClock())
    lock(host, "7f3a").take(wait=3600.0)
    assert host.tries == 7


def logins(*names: str) -> list[Directories]:
    clock = FakeClock()
    found = [Directories(clock) for _ in names]
    for each in found:
        each.neighbours = [other for other in found if other is not each]
    return found


def test_the_lease_of_another_login_counts_as_much() -> None:
    ana, bob = logins("ana", "bob")
    held = lock(ana, "7f3a")
    held.take()
    with pytest.raises(LockHeld, match="run 7f3a"):
        lock(bob, "8888", "bob@desk").take()
    assert bob.made == {}
    ana.clock.after(30.0, held.give_back)
    lock(bob, "8888", "bob@desk").take(wait=100.0)
    with pytest.raises(LockHeld, match="run 8888"):
        lock(ana, "9999").take()


def test_a_lease_that_another_login_has_taken_meanwhile_is_lost() -> None:
    ana, bob = logins("ana", "bob")
    held = lock(ana, "7f3a")
    held.take()
    ana.clock.sleep(TTL + 1)
    lock(bob, "8888", "bob@desk").take()
    with pytest.raises(LockLost, match="taken by bob@desk"):
        held.hold()


class AtTheSameMoment(Directories):
    """Whose other login writes its lease between the look and the write of this one."""

    rival: Lease
    gives_way = False

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> LeaseWrite:
        self.neighbours[0].made[1] = self.rival
        written = super().write(number, lease, before=before, clear=clear)
        if self.gives_way:
            self.neighbours[0].made.clear()
        return written


@pytest.mark.parametrize(("key", "gives_way", "taken"), [("0", True, False), ("z", True, True), ("z", False, False)])
def test_of_two_logins_that_begin_at_once_the_lower_key_goes_on(key: str, *, gives_way: bool, taken: bool) -> None:
    clock = FakeClock()
    host = AtTheSameMoment(clock, neighbours=[Directories(clock)])
    host.rival, host.gives_way = Lease("8888", "bob@desk", "play", host.newest().now + TTL, key=key), gives_way
    mine = lock(host, "7f3a")
    before = clock.passed
    assert mine._make(host.newest(), lambda _: None) is taken
    assert list(host.made) == ([1] if taken else [])
    assert (clock.passed > before) is (key == "z"), "only the lower key waits for the other to give way"


def test_the_next_run_of_the_same_machine_says_how_to_resume_one_that_was_cut_off() -> None:
    host = store()
    lock(host, "7f3a").take()
    for owner, offered in (("ana@desk", True), ("bob@desk", False)):
        with pytest.raises(LockHeld) as caught:
            lock(host, "8888", owner).take()
        assert ("remediate resume 7f3a, or undo 7f3a" in caught.value.next_step) is offered


def test_an_undo_takes_what_its_own_run_left_behind_and_a_run_that_goes_on_after_all_loses_it() -> None:
    host = store()
    cut_off = lock(host, "7f3a")
    cut_off.take()
    with pytest.raises(LockHeld):
        HostLock("laptop-07", host, host.clock, Claim("9999", "ana@desk", "undo 1234", undoes="1234")).take()
    HostLock("laptop-07", host, host.clock, Claim("8888", "ana@desk", "undo 7f3a", undoes="7f3a")).take()
    host.clock.sleep(TTL / 2 + 1)
    with pytest.raises(LockLost):
        cut_off.hold()


def with_fate(store: Directories, run: str, fate: Fate) -> HostLock:
    """Return the lock of a run that knows what became of all others."""
    claim = Claim(run, "ana@desk", "fix-offload", fate=lambda _host, _run, _token: fate)
    return HostLock("laptop-07", store, store.clock, claim)


def test_a_run_whose_process_is_dead_is_taken_over_at_once() -> None:
    host, messages = store(), []
    lock(host, "7f3a").take()
    with_fate(host, "8888", Fate.GONE).take(notify=messages.append)
    assert (messages, host.clock.passed) == (["took over from ana@desk (fix-offload, run 7f3a), which was interrupted"], 0.0)


def test_a_run_that_died_during_a_change_is_waited_for_until_its_lease_expires() -> None:
    host, messages = store(), []
    lock(host, "7f3a").take()
    with_fate(host, "8888", Fate.MID_CHANGE).take(notify=messages.append)
    assert messages[0] == "run 7f3a was interrupted during a change; waiting until its lease expires"
    assert TTL <= host.clock.passed <= TTL + 5


DIES = """
import os, signal, sys
from pathlib import Path
from remediation.engine.journal.journal import Journal
from remediation.model.event import Event
journal = Journal.create({"command": "play"}, {})
for kind in sys.argv[1:]:
    journal.write(Event(kind, 1.0, host="laptop-07"))
print(journal.run, journal.token, flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.parametrize(
    ("kinds", "fate"),
    [((), Fate.GONE), (("change_start",), Fate.MID_CHANGE), (("change_start", "change_end"), Fate.GONE)],
)
def test_the_lock_of_its_folder_says_whether_a_run_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...], fate: Fate
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", DIES, *kinds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        run, token = other.stdout.readline().split()
        assert holder_state("laptop-07", run, token) is Fate.UNKNOWN
        other.kill()
        other.wait()
    assert holder_state("laptop-07", run, token) is fate
    assert holder_state("other", run, token) is Fate.GONE
    for elsewhere in ((run, "0" * 16), (run, ""), ("zzzz", token), ("../x", token)):
        assert holder_state("laptop-07", *elsewhere) is Fate.UNKNOWN


def test_only_the_lease_of_an_earlier_process_of_the_same_run_is_given_back() -> None:
    host = store()
    lock(host, "7f3a").take()
    lock(host, "8888", "bob@desk").release_stale_leases()
    assert host.newest().lease is not None
    with pytest.raises(LockHeld):
        lock(host, "8888", "bob@desk").take()
    lock(host, "7f3a").release_stale_leases()
    lock(host, "8888", "bob@desk").take()


class Second:
    """A second connection to a separate machine, as a host that is opened once more."""

    def __init__(self, connection: LocalConnection) -> None:
        self.connection = connection
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.skipif(os.name == "nt", reason="mkdir and ls are programs elsewhere")
def test_while_a_change_is_in_flight_its_lease_is_renewed_through_a_second_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "lease"))
    clock = SystemClock(200.0)
    first, second = LocalConnection("here"), Second(LocalConnection("here"))
    keeper = Keeper(crash_sentence)
    held = HostLock("here", leases_on(first), clock, Claim("7f3a", "ana@desk", "play"))
    held.take()
    shared = SharedLock(lock=held, reopen=lambda: second, keeper=keeper)  # type: ignore[arg-type, return-value]  # what is needed of it
    shared.hold(3600.0)
    trips = first.round_trips
    until = time.monotonic() + 60
    while second.connection.round_trips < 2 and time.monotonic() < until:
        threading.Event().wait(0.05)
    shared.hold(0.0)
    assert second.connection.round_trips >= 2
    assert first.round_trips == trips
    keeper.stop()
    shared.give_back()
    assert second.closed
