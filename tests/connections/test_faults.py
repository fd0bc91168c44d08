"""Every fault of the wire at every message of a run: it ends right or says why not, no write is done twice, no shell is left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from remediation.connections.base import Call, Completed, Reply, Run
from remediation.connections.guard import Guard
from remediation.model.clock import SystemClock
from remediation.model.errors import AuthenticationFailed, Blocked, DeadlineExceeded, HostError, Uncertain, Unreachable
from tests.connections import certificates
from tests.connections.conftest import PASSWORD, StartPeer, opened, winrm_variables
from tests.connections.peer.winrm_server import OPERATION_QUOTA, SHELL_NOT_FOUND

ADD = "import sys; f = open(sys.argv[1], 'a'); f.write('x'); f.close(); print('added')"
FAULTS = [
    "drop-before", "drop-after", "400", "401", "500", "garbage", "truncated", str(SHELL_NOT_FOUND), str(OPERATION_QUOTA), "170", "2147943418",
    "995",
]  # fmt: skip
# Create, Command and two Sends and Receives: the opening one, and that of the call
MESSAGES = [("Create", 1), ("Command", 1), ("Send", 1), ("Receive", 1), ("Send", 2), ("Receive", 2), ("Delete", 1)]


class Impatient(SystemClock):
    """Pauses between tries take no time here, they are counted; time passes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Hurried(SystemClock):
    """Time flies from `hurry` on."""

    begun: float | None = None

    def hurry(self) -> None:
        self.begun = super().monotonic()

    def monotonic(self) -> float:
        now = super().monotonic()
        return now if self.begun is None else now + 20 * (now - self.begun)


def add(path: Path, *, writes: bool) -> Run:
    return Run((sys.executable, "-I", "-c", ADD, str(path)), writes=writes, timeout=5)


def ended(guard: Guard, call: Call) -> Reply | HostError:
    try:
        (reply,) = guard.exchange([call])
    except HostError as error:
        return error
    return reply


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("action", "occurrence"), MESSAGES)
@pytest.mark.parametrize("writes", [True, False], ids=["write", "read"])
def test_a_fault_at_a_message(  # noqa: PLR0913 - a table
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
    elif isinstance(found, Uncertain):
        assert writes
        assert "looked at again" in found.next_step
    else:
        # the very first message may be met by what no second try can cure
        assert isinstance(found, Unreachable | Blocked), found
        assert action in {"Create", "Command"}
        assert done == 0
        assert found.next_step
    if writes:
        assert done <= 1
    if not isinstance(found, HostError) or isinstance(found, Uncertain):
        # whatever happened, the next call is answered
        again = ended(guard, add(tmp_path / "next", writes=False))
        assert isinstance(again, Completed), again
    guard.close()
    if (action, fault) != ("Delete", str(SHELL_NOT_FOUND)):  # a service that says so is believed
        assert server.shells == {}
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize("action", ["Create", "Command", "Send", "Receive"])
@pytest.mark.parametrize("fault", FAULTS)
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
    assert isinstance(found, Unreachable | Uncertain | Blocked), found
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
        assert isinstance(ended(guard, add(tmp_path / "count", writes=True)), Uncertain)
        assert server.counts["Send"] == 2
        guard.close()


@pytest.mark.parametrize("action", ["Send", "Receive"])
@pytest.mark.parametrize("fault", FAULTS)
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
    monkeypatch.setattr("remediation.connections.worker.GRACE", 0.5)
    server = start_peer()
    clock = Hurried()
    guard = opened(winrm_variables(server) | {"ansible_timeout": 2}, clock=clock)
    assert isinstance(ended(guard, Run(("true",))), Completed)
    server.plan("Receive", 0, "2150858793")  # nothing but "no output yet" from now on
    clock.hurry()
    assert isinstance(ended(guard, Run(("true",), timeout=0.5)), DeadlineExceeded)
    assert isinstance(ended(guard, Run(("true",), timeout=0.5, writes=True)), Unreachable | Uncertain)
    guard.close()
    assert server.shells == {}


@pytest.mark.parametrize(
    ("variable", "writes"), [("PEER_DIES", True), ("PEER_DIES_AFTER", True), ("PEER_DIES", False), ("PEER_DIES_AFTER", False)]
)
def test_a_worker_that_dies(start_peer: StartPeer, tmp_path: Path, variable: str, *, writes: bool) -> None:
    server = start_peer(environment={variable: "1"})
    guard = opened(winrm_variables(server), clock=Impatient())
    found = ended(guard, add(tmp_path / "count", writes=writes))
    if writes:
        assert isinstance(found, Uncertain)
        assert "Out of memory." in found.message
    else:
        assert isinstance(found, Completed)
    assert isinstance(ended(guard, add(tmp_path / "next", writes=True)), Completed)
    guard.close()
    assert server.shells == {}


def test_a_language_mode_that_forbids_the_worker_is_said(start_peer: StartPeer) -> None:
    server = start_peer(environment={"PEER_MODE": "ConstrainedLanguage"})
    guard = opened(winrm_variables(server))
    with pytest.raises(Blocked, match="PowerShell is in ConstrainedLanguage mode") as caught:
        guard.exchange([Run(("x",))])
    assert "FullLanguage" in caught.value.next_step
    guard.close()
    assert server.shells == {}


def test_falling_back_is_said(start_peer: StartPeer, tmp_path: Path) -> None:
    server = start_peer(environment={"PEER_DEAF": "1"})
    heard: list[str] = []
    guard = opened(winrm_variables(server), note=heard.append)
    guard._inner._greeting = 0.2  # type: ignore[attr-defined]
    for count in (1, 2):
        assert isinstance(ended(guard, add(tmp_path / "count", writes=True)), Completed)
        assert len((tmp_path / "count").read_text("utf-8")) == count
    assert heard == guard.notes
    assert "each call starts a PowerShell of its own" in heard[0]
    guard.close()
    assert server.shells == {}
    assert server.counts["Create"] == 1


def test_the_price_of_a_run_in_requests(start_peer: StartPeer, tmp_path: Path) -> None:
    server = start_peer()
    guard = opened(winrm_variables(server))
    ended(guard, add(tmp_path / "count", writes=True))
    before = server.counts["requests"]
    for _ in range(10):
        ended(guard, add(tmp_path / "count", writes=True))
    assert server.counts["requests"] == before + 20
    guard.close()
    assert server.counts["requests"] == before + 20 + 1
    assert before - 2 + 1 == 8  # opening, logging in and closing
    assert (server.counts["Create"], server.counts["Command"], server.counts["Delete"]) == (1, 1, 1)


def test_how_the_shell_is_asked_for(start_peer: StartPeer) -> None:
    server = start_peer()
    guard = opened(winrm_variables(server))
    ended(guard, Run(("true",)))
    guard.close()
    assert server.options == [
        {"WINRS_NOPROFILE": "FALSE", "WINRS_CODEPAGE": "65001", "idle": "PT7200S"},
        {"WINRS_CONSOLEMODE_STDIN": "FALSE", "WINRS_SKIP_CMD_SHELL": "FALSE"},
    ]


def test_a_service_that_names_shells_itself(start_peer: StartPeer) -> None:
    server = start_peer(accept_names=False)
    guard = opened(winrm_variables(server))
    assert isinstance(ended(guard, Run(("true",))), Completed)
    guard.close()
    assert server.shells == {}


def test_a_shell_is_given_back_before_its_operations_run_out(start_peer: StartPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediation.connections.winrm.RECYCLE", 2)
    server = start_peer(environment={"PEER_DEAF": "1"})
    guard = opened(winrm_variables(server))
    guard._inner._greeting = 0.2  # type: ignore[attr-defined]
    for _ in range(4):
        assert isinstance(ended(guard, Run(("true",))), Completed)
    guard.close()
    assert (server.counts["Create"], server.shells) == (3, {})


def test_an_interrupt_leaves_no_shell(start_peer: StartPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_peer()
    guard = opened(winrm_variables(server))
    assert isinstance(ended(guard, Run(("true",))), Completed)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(guard._inner._channel, "receive", interrupted)  # type: ignore[attr-defined]
        with pytest.raises(KeyboardInterrupt):
            guard.exchange([Run(("true",))])
    assert server.shells == {}
    assert isinstance(ended(guard, Run(("true",))), Completed)
    guard.close()
    assert server.shells == {}


def test_nothing_listens(start_peer: StartPeer) -> None:
    variables = winrm_variables(start_peer())
    guard = opened(variables | {"ansible_port": 1})
    with pytest.raises(Unreachable, match="nothing listens") as caught:
        guard.exchange([Run(("x",))])
    assert "ansible_port" in caught.value.next_step
    guard.close()
