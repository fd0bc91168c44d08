"""One snapshot: each read travels once, several together; a write forgets everything; a failure is the right error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from remediation.connections.calls import Call, Completed, Failed, Http, Probe, ReadFile, Reply, Run
from remediation.facets.snapshot import attempt
from remediation.model.errors import CallFailed, DeadlineExceeded, HostError, OutcomeUnknown
from tests.facets.prepared_connection import Answering

HOSTNAME, DATE = Run(("hostname",)), Run(("date",))


def done(argv: tuple[str, ...]) -> Completed | None:
    return Completed(0, f"{argv[0]}\n".encode(), b"")


def test_known_replies_are_reused_and_the_rest_goes_together() -> None:
    connection = Answering(runs=done)
    look = connection.look()
    look.fetch(HOSTNAME)
    first, second = look.fetch(HOSTNAME, DATE)
    assert [first.text, second.text] == ["hostname\n", "date\n"]  # type: ignore[union-attr]
    assert connection.asked == [(HOSTNAME,), (DATE,)]
    assert look.has_reply(DATE)
    assert not look.has_reply(Run(("date",), cwd="/"))


@pytest.mark.parametrize(
    "other",
    [Run(("hostname",), stdin=b"x"), Run(("hostname",), env={"A": "1"}), Run(("hostname",), cwd="/"), Run(("hostname", ""))],
)
def test_calls_that_differ_in_anything_are_different(other: Run) -> None:
    connection = Answering(runs=done)
    connection.look().fetch(HOSTNAME, other)
    assert connection.asked == [(HOSTNAME, other)]


def test_a_write_is_marked_sent_alone_and_makes_everything_unknown() -> None:
    connection = Answering(runs=done)
    look = connection.look()
    look.fetch(HOSTNAME)
    look.memoize("x", lambda: 1)
    look.write(DATE)
    assert connection.asked[-1] == (Run(("date",), writes=True),)
    assert not look.has_reply(HOSTNAME)
    assert look.memoize("x", lambda: 2) == 2


def test_a_writers_look_keeps_nothing_once_it_has_written() -> None:
    connection = Answering(runs=done)
    look = connection.look(changing=True)
    look.fetch(HOSTNAME)
    look.fetch(HOSTNAME)
    assert connection.round_trips == 1
    look.write(DATE)
    look.fetch(HOSTNAME)
    look.fetch(HOSTNAME)
    assert connection.round_trips == 4
    assert [look.memoize("x", lambda value=value: value) for value in (1, 2)] == [1, 2]  # type: ignore[misc]


def test_the_second_look_for_a_purpose_sends_all_calls_of_the_first_at_once() -> None:
    connection, hints = Answering(runs=done), dict[str, Any]()
    for _ in range(2):
        look = connection.look(hints=hints, purpose="vram.free")
        look.fetch(HOSTNAME)
        look.fetch(DATE)
    assert connection.asked == [(HOSTNAME,), (DATE,), (HOSTNAME, DATE)]


def test_what_a_look_no_longer_asks_is_not_foreseen_a_third_time() -> None:
    connection, hints = Answering(runs=done), dict[str, Any]()
    for calls in ((HOSTNAME, DATE), (HOSTNAME,), (HOSTNAME,)):
        look = connection.look(hints=hints, purpose="vram.free")
        for call in calls:
            look.fetch(call)
    assert connection.asked[2:] == [(HOSTNAME, DATE), (HOSTNAME,)]


def test_a_purpose_that_is_new_goes_by_the_latest_look_that_began_alike() -> None:
    connection, hints = Answering(runs=done), dict[str, Any]()
    connection.look(hints=hints, purpose="first").fetch(HOSTNAME, DATE)
    connection.look(hints=hints, purpose="alike").fetch(HOSTNAME)
    connection.look(hints=hints, purpose="other").fetch(Run(("uptime",)))
    connection.look(hints=hints).fetch(HOSTNAME)
    assert connection.asked == [(HOSTNAME, DATE), (HOSTNAME, DATE), (Run(("uptime",)),), (HOSTNAME,)]


@pytest.mark.parametrize(
    "expensive",
    [
        Run(("docker", "exec", "o", "sha256sum", "/blob"), timeout=900.0),
        Run(("docker", "exec", "o", "/usr/bin/sha256sum", "/blob")),
        Run(("find", "/"), timeout=61.0),
        Probe("sample", {"seconds": 90}, timeout=100.0),
        Http("POST", "http://127.0.0.1:11434/api/generate", {"model": "m"}, timeout=300.0),
        Http("POST", "http://127.0.0.1:11434/api/generate", {"model": "m"}, stream=True),
    ],
)
@pytest.mark.parametrize("purpose", ["model.repulled", "another"])
def test_what_may_take_long_is_sent_only_when_it_is_needed(expensive: Call, purpose: str) -> None:
    connection, hints = Answering(runs=done), dict[str, Any]()
    first = connection.look(hints=hints, purpose="model.repulled")
    first.fetch(HOSTNAME)
    first.fetch(expensive)
    first.fetch(DATE)
    second = connection.look(hints=hints, purpose=purpose)
    second.fetch(HOSTNAME)
    assert connection.asked[3:] == [(HOSTNAME, DATE)]
    second.fetch(expensive)
    assert connection.asked[4:] == [(expensive,)]
    connection.look(hints=hints).preload(HOSTNAME, expensive)
    connection.look(hints=hints, purpose="third").fetch(HOSTNAME)
    assert connection.asked[5:] == [(HOSTNAME,)]


def test_a_purpose_that_is_new_goes_by_what_was_foreseen_before_it_goes_by_others() -> None:
    connection, hints = Answering(runs=done), dict[str, Any]()
    connection.look(hints=hints, purpose="first").fetch(HOSTNAME, Run(("uptime",)))
    connection.look(hints=hints, purpose="first").preload(HOSTNAME, DATE)
    connection.look(hints=hints, purpose="second").fetch(HOSTNAME)
    assert connection.asked[-1] == (HOSTNAME, DATE)


def test_a_prefetched_call_that_fails_fails_only_for_its_reader() -> None:
    hints = dict[str, Any]()
    first = Answering(runs=done).look(hints=hints, purpose="x")
    first.fetch(HOSTNAME)
    first.fetch(DATE)
    look = Answering(runs=lambda argv: done(argv) if argv == HOSTNAME.argv else None).look(hints=hints, purpose="x")
    assert look.run(HOSTNAME, "asking").rc == 0
    with pytest.raises(CallFailed, match="there is no date"):
        look.run(DATE, "asking")


def test_two_purposes_may_share_one_look() -> None:
    connection = Answering(runs=done)
    look = connection.look()
    look.fetch(HOSTNAME)
    look.fork("x").fetch(HOSTNAME, DATE)
    look.fetch(DATE)
    assert connection.asked == [(HOSTNAME,), (DATE,)]


def test_what_a_shared_look_lacks_for_a_purpose_is_read_at_once() -> None:
    connection, hints, uptime = Answering(runs=done), dict[str, Any](), Run(("uptime",))
    for _ in range(2):
        look = connection.look(hints=hints)
        look.fetch(HOSTNAME)
        for call in (HOSTNAME, DATE, uptime):
            look = look.fork("x") if call is HOSTNAME else look
            look.fetch(call)
    assert connection.asked[3:] == [(HOSTNAME,), (DATE, uptime)]


def test_a_call_that_failed_fails_again_without_being_sent() -> None:
    calls = []

    def broken() -> int:
        calls.append(1)
        raise CallFailed("no")

    look = Answering().look()
    for _ in range(2):
        with pytest.raises(CallFailed, match="no"):
            look.memoize("x", broken)
    assert len(calls) == 1


class Failing(Answering):
    """A host on which every call fails alike."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return [Failed(self._kind, "its words") for _ in calls]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("timeout", DeadlineExceeded),
        ("uncertain", OutcomeUnknown),
        ("refused", CallFailed),
        ("denied", CallFailed),
        ("error", CallFailed),
    ],
)
def test_a_failed_reply_is_the_right_error_with_its_words(kind: str, error: type[HostError]) -> None:
    look = Failing(kind).look()
    for ask in (
        lambda: look.run(HOSTNAME, "asking"), lambda: look.probe(Probe("system"), "asking"), lambda: look.http(Http("GET", "http://x"), "asking"),
        lambda: look.content(ReadFile("/x")), lambda: look.run(Run(("x",), writes=True), "asking"),
    ):  # fmt: skip
        with pytest.raises(error, match="its words"):
            ask()


def test_a_missing_file_is_none_and_a_missing_program_an_error() -> None:
    look = Failing("not-found").look()
    assert look.content(ReadFile("/x")) is None
    with pytest.raises(CallFailed, match="asking failed: its words"):
        look.run(HOSTNAME, "asking")


def test_an_unexpected_exit_code_is_an_error_with_the_last_words() -> None:
    look = Answering(runs=lambda _: Completed(3, b"out", b"first\n  last words \n")).look()
    assert look.run(HOSTNAME, "asking", codes=(3,)).rc == 3
    with pytest.raises(CallFailed, match="asking failed: first last words") as raised:
        look.run(HOSTNAME, "asking", next_step="do this")
    assert (raised.value.status, raised.value.next_step) == (3, "do this")


def test_an_attempt_is_none_where_the_host_refused_and_passes_what_is_lost() -> None:
    assert attempt(lambda: Failing("refused").look().run(HOSTNAME, "asking")) is None
    with pytest.raises(OutcomeUnknown):
        attempt(lambda: Failing("uncertain").look().run(Run(("x",), writes=True), "asking"))


@pytest.mark.parametrize(
    ("said", "path", "cure"),
    [
        ("cat: write error: No space left on device", "/etc/a/b.conf", "free space on the disk of /etc/a"),
        ("There is not enough space on the disk.", "C:\\a\\b.yml", "free space on the disk of C:\\a "),
        ("mktemp: failed to create directory: Read-only file system", "/etc/b.conf", "the file system of /etc is read-only"),
        ("Permission denied", "/etc/b.conf", "check the folder and the login's rights to it"),
    ],
)
def test_a_file_that_cannot_be_written_says_what_to_do(said: str, path: str, cure: str) -> None:
    with pytest.raises(CallFailed, match=r"writing .* failed") as raised:
        Answering().look().raise_for_file(Failed("error", said), path)
    assert raised.value.next_step.startswith(cure)
