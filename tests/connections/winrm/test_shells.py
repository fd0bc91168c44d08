"""The worker and its shell over WinRM: how they are opened, what they cost, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Run
from remediation.model.errors import Blocked, OutcomeUnknown
from tests.connections.conftest import StartPeer, opened, winrm_variables
from tests.connections.planned_faults import Impatient, add, ended


@pytest.mark.parametrize(
    ("variable", "writes"), [("PEER_DIES", True), ("PEER_DIES_AFTER", True), ("PEER_DIES", False), ("PEER_DIES_AFTER", False)]
)
def test_a_worker_that_dies(start_peer: StartPeer, tmp_path: Path, variable: str, *, writes: bool) -> None:
    server = start_peer(environment={variable: "1"})
    guard = opened(winrm_variables(server), clock=Impatient())
    found = ended(guard, add(tmp_path / "count", writes=writes))
    if writes:
        assert isinstance(found, OutcomeUnknown)
        assert "Out of memory." in found.message
    else:
        assert isinstance(found, Completed)
    assert isinstance(ended(guard, add(tmp_path / "next", writes=True)), Completed)
    guard.close()
    assert server.shells == {}


def test_a_language_mode_that_forbids_the_worker_is_said(start_peer: StartPeer) -> None:
    server = start_peer(environment={"PEER_MODE": "ConstrainedLanguage"})
    guard = opened(winrm_variables(server))
    with pytest.raises(Blocked, match="PowerShell runs in ConstrainedLanguage mode") as caught:
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
    assert "each call starts a separate PowerShell" in heard[0]
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


def test_how_the_shell_is_requested(start_peer: StartPeer) -> None:
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
    monkeypatch.setattr("remediation.connections.winrm.channel.RECYCLE", 2)
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
