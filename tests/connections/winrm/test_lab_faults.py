"""The lab's faults of the wire at each message of a run, counted on its side: what was written to the machine, what shells are left."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from remediation.connections.calls import FileContent, ReadFile, Reply, WriteFile
from remediation.connections.guard import Guard
from remediation.model.clock import SystemClock
from remediation.model.errors import AuthenticationFailed, HostError, OutcomeUnknown, Unreachable
from remediation_lab import control
from remediation_lab.winrm.faults import KINDS
from tests.connections.conftest import opened
from tests.powershell import shell

PATH = "C:\\dev\\activia1\\.env"
# the n-th message of a kind after the fault was put in; of send and receive the second is the call's own
MESSAGES = [
    ("authentication", 1), ("create", 1), ("command", 1), ("send", 1), ("receive", 1), ("send", 2), ("receive", 2), ("delete", 1)
]  # fmt: skip


@pytest.fixture(scope="module", params=["stand-in", pytest.param("powershell", marks=pytest.mark.every)])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Lab]:
    """A lab with the stand-in; and one that starts a real PowerShell for each of its several hundred shells."""
    folder = tmp_path_factory.mktemp("lab")
    real = request.param == "powershell"
    yield control.start(folder, hosts=1, scale=20 if real else 100, powershell=shell.program() if real else "")
    control.stop(folder)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restarted host of the lab is back soon."""
    monkeypatch.setattr("remediation.connections.worker.connection._PAUSES", (0.0, 0.3, 0.6))
    monkeypatch.setattr("remediation.connections.winrm.channel._BUSY_PAUSE", 0.05)


class Patient(SystemClock):
    """A clock whose time passes when the test says so; counts the seconds that were waited."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = self.slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def connect(lab: control.Lab, clock: SystemClock | None = None) -> Guard:
    host = lab.hosts[0]
    return opened(
        {
            "ansible_connection": "winrm", "ansible_host": host.address, "ansible_port": host.port, "ansible_winrm_scheme": "http",
            "ansible_user": lab.user, "ansible_password": lab.password, "ansible_winrm_operation_timeout_sec": 2,
            "ansible_winrm_read_timeout_sec": 20, "ansible_timeout": 20,
        },
        clock=clock,
    )  # fmt: skip


def seen(lab: control.Lab) -> tuple[int, Counter[str]]:
    """Return how often the file was written, and what the server counted."""
    found = control.status(lab.folder)
    assert found is not None
    one = found[lab.hosts[0].name]
    return one["writes"].get("file .env", 0), Counter(one["winrm"])


def write(guard: Guard, content: bytes) -> Reply | HostError:
    try:
        return guard.exchange([WriteFile(PATH, content, timeout=20)])[0]
    except HostError as error:
        return error


def awaited(lab: control.Lab) -> None:
    """Return once the host answers HTTP again: a fault that is put in while it restarts would strike nothing."""
    host = lab.hosts[0]
    for _ in range(500):
        asked = http.client.HTTPConnection(host.address, host.port, timeout=5)
        try:
            asked.request("GET", "/")
            asked.getresponse()
        except (OSError, http.client.HTTPException):
            threading.Event().wait(0.02)
        else:
            return
        finally:
            asked.close()
    pytest.fail("the host of the lab does not come back")


def _halves() -> Iterator[object]:
    """Yield each fault with half of the messages, in turn the even and the odd ones; the other halves run with ``every``."""
    for number, kind in enumerate(sorted(KINDS)):
        yield pytest.param(kind, MESSAGES[number % 2 :: 2], id=kind)
        yield pytest.param(kind, MESSAGES[1 - number % 2 :: 2], id=f"{kind}-rest", marks=pytest.mark.every)


@pytest.mark.parametrize(("kind", "messages"), list(_halves()))
def test_a_fault_at_each_message(lab: control.Lab, kind: str, messages: list[tuple[str, int]]) -> None:
    for message, nth in messages:
        before, counted = seen(lab)
        control.wire(None, kind, lab.folder, message=message, nth=nth, seconds=0.2, size=7)
        guard = connect(lab)
        content = f"{kind} {message} {nth}\n".encode()
        found = write(guard, content)
        if message == "delete":
            guard.close()
        writes, now = seen(lab)
        written = writes - before
        where = f"{kind} at {message} {nth}: {found!r}"
        if isinstance(found, FileContent):
            assert written == 1, where
        elif isinstance(found, OutcomeUnknown):
            assert written <= 1, where
        else:
            # before anything worked no second try helps, and a restart takes longer than all tries
            assert isinstance(found, Unreachable | AuthenticationFailed), where
            assert written == 0, where
            assert (message, nth) in MESSAGES[:4] or "reboot" in kind, where
        assert now[f"wire {kind}"] == 1, where
        control.unwire(None, lab.folder)
        if "reboot" in kind:
            control.reset(lab.folder)  # its time stands still without a client, and so would its restart
            awaited(lab)
        elif not isinstance(found, Unreachable):
            # after each fault the next look at the host is right
            guard = connect(lab) if message == "delete" else guard
            (content_now,) = guard.exchange([ReadFile(PATH)])
            assert isinstance(content_now, FileContent), where
            assert (content_now.content == content) == (written == 1), where
        guard.close()
        after = seen(lab)[1]
        assert after["shells_open"] == counted["shells_open"] == 0, where
        assert after["commands_running"] == 0, where


def expired(lab: control.Lab) -> None:
    """Return once the lab's service has ended the idle shells."""
    for _ in range(1500):
        if not seen(lab)[1]["shells_open"]:
            return
        threading.Event().wait(0.02)
    pytest.fail("the shell does not expire")


@pytest.mark.parametrize("reads", [True, False], ids=["read", "write"])
@pytest.mark.parametrize("away", [0.0, 3600.0], ids=["at once", "an hour later"])
def test_a_shell_that_idled_away_is_opened_again_and_nothing_is_done_twice(
    lab: control.Lab, monkeypatch: pytest.MonkeyPatch, away: float, *, reads: bool
) -> None:
    # longer than a real PowerShell takes to start on a busy computer
    monkeypatch.setattr("remediation.connections.winrm.messages.IDLE", "PT10S" if lab.powershell else "PT0.3S")
    clock = Patient()
    before, counted = seen(lab)
    guard = connect(lab, clock)
    assert write(guard, b"first\n") == FileContent()
    for number in range(2):
        expired(lab)
        clock.ahead += away
        found = guard.exchange([ReadFile(PATH)])[0] if reads else write(guard, f"again {number}\n".encode())
        assert isinstance(found, FileContent), found
    guard.close()
    writes, after = seen(lab)
    assert writes - before == (1 if reads else 3)
    assert after["create"] - counted["create"] == 3
    assert clock.slept == 0.0
    assert guard.notes == []
    assert after["shells_open"] == after["commands_running"] == 0


def test_a_login_that_is_refused_before_it_began_is_said(lab: control.Lab) -> None:
    before, counted = seen(lab)
    control.wire(None, "http-401", lab.folder, message="authentication", times=0)
    guard = connect(lab)
    found = write(guard, b"never\n")
    again = write(guard, b"never\n")
    control.unwire(None, lab.folder)
    guard.close()
    for each in (found, again):
        assert isinstance(each, AuthenticationFailed), each
        assert "refused an NTLM login without a challenge" in each.message
        assert "winrm/config/service/auth" in each.next_step
        assert "password" not in each.next_step
    writes, now = seen(lab)
    assert (writes, now["create"]) == (before, counted["create"])


def test_one_refused_beginning_in_a_run_is_tried_once_more(lab: control.Lab) -> None:
    guard = connect(lab)
    assert write(guard, b"one\n") == FileContent()
    control.wire(None, "http-400", lab.folder, message="send")  # a new session is built
    control.wire(None, "http-401", lab.folder, message="authentication")
    assert write(guard, b"two\n") == FileContent()
    assert seen(lab)[1]["wire http-401"] == 1
    control.unwire(None, lab.folder)
    guard.close()
