"""Limits of a WinRM service: messages get smaller where they are too large, and each other limit is named with its setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.connections.calls import Completed, FileContent, Run, WriteFile
from remediation.connections.winrm.channel import CHUNK
from remediation.model.errors import OutcomeUnknown, Unreachable
from tests.connections.conftest import StartPeer, opened, winrm_variables
from tests.connections.faulty import Impatient, add, ended


@pytest.mark.parametrize("kilobytes", [150, 32])
@pytest.mark.parametrize("how", ["413", "2150858805"])
def test_messages_get_smaller_where_the_host_takes_no_larger_ones(
    start_peer: StartPeer, tmp_path: Path, kilobytes: int, how: str
) -> None:
    server = start_peer(envelope=(1024 * kilobytes, how))
    guard = opened(winrm_variables(server), clock=Impatient())
    for size in (90_000, 1_000_000):
        path = tmp_path / str(size)
        assert guard.exchange([WriteFile(str(path), b"x" * size)]) == [FileContent()]
        assert path.read_bytes() == b"x" * size
    (said,) = guard.exchange([Run(("cat",), stdin=b"y" * 300_000)])
    assert isinstance(said, Completed)
    assert said.stdout == b"y" * 300_000
    refused = server.counts["too large"]
    assert 0 < refused <= 5, "what was learnt is kept"
    ended(guard, add(tmp_path / "count", writes=True))
    assert (server.counts["too large"], guard._inner._channel._chunk < CHUNK) == (refused, True)  # type: ignore[attr-defined]
    guard.close()


@pytest.mark.parametrize("action", ["Create", "Command", "Send", "Receive"])
@pytest.mark.parametrize("how", ["413", "2150858805", "2150858823"])
def test_a_host_that_takes_no_message_at_all_is_told_which_setting_to_raise(
    start_peer: StartPeer, tmp_path: Path, action: str, how: str
) -> None:
    server = start_peer()
    server.plan(action, 0, how)
    clock = Impatient()
    guard = opened(winrm_variables(server), clock=clock)
    found = ended(guard, add(tmp_path / "count", writes=True))
    guard.close()
    assert isinstance(found, Unreachable)
    assert not isinstance(found, OutcomeUnknown)
    assert "winrm set winrm/config '@{MaxEnvelopeSizekb=\"500\"}'" in str(found.next_step)
    assert not (tmp_path / "count").exists()
    assert not any(clock.slept), "it is not retried"
    assert server.shells == {}


@pytest.mark.parametrize(
    ("action", "code", "setting"),
    [
        ("Create", 2150859173, "MaxShellsPerUser"), ("Create", 2150859179, "MaxConcurrentUsers"), ("Create", 2147942414, "MaxMemoryPerShellMB"),
        ("Command", 2150859241, "MaxProcessesPerShell"), ("Command", 2150859174, "MaxConcurrentOperationsPerUser"),
        ("Send", 2150859175, "MaxConcurrentOperationsPerUser"), ("Create", 2150859176, "MaxConnections"),
    ],
)  # fmt: skip
def test_a_limit_of_the_host_is_named_with_its_setting(
    start_peer: StartPeer, tmp_path: Path, action: str, code: int, setting: str
) -> None:
    server = start_peer()
    server.plan(action, 0, str(code))
    guard = opened(winrm_variables(server), clock=Impatient())
    found = ended(guard, add(tmp_path / "count", writes=True))
    guard.close()
    assert isinstance(found, Unreachable)
    assert f"@{{{setting}=" in str(found.next_step)
    assert not (tmp_path / "count").exists()


def test_a_short_program_of_the_default_timeout_costs_two_requests(start_peer: StartPeer) -> None:
    server = start_peer()
    guard = opened(winrm_variables(server))
    for _ in range(10):
        (said,) = guard.exchange([Run(("hostname",), timeout=3600.0, writes=True)])
        assert isinstance(said, Completed)
    guard.close()
    assert server.counts["requests"] <= 2 * 10 + 10
