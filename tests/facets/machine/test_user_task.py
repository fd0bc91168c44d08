"""What a reader makes of a one-shot task: refused, failed and still running are different errors, and an answer that is missing is no absence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from remediation.facets.machine import processes
from remediation.facets.machine import session as desktop
from remediation.facets.machine.session import WindowsDesktopWriter
from remediation.facets.machine.user_task import task_of
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded
from remediation.model.facts import EngineFacts
from tests.engine.fakes.world import FakeClock
from tests.facets.prepared_connection import Answering

STATE = {
    "Installed": True, "Version": "4.40", "Now": 10.0, "Processes": [], "SettingsPath": "C:\\s.json", "Settings": None, "AdminSettings": None,
    "WslConfigPath": None, "WslConfig": None, "Problems": {},
}  # fmt: skip
ROW = {"Name": "com.docker.backend.exe", "ProcessId": 8, "SessionId": 1, "CreationDate": 5.0}


def task(outcome: str | None, code: int | None = None, **more: object) -> dict[str, Any]:
    return {
        "done": outcome == "ended",
        "problem": None,
        "task": outcome,
        "task_code": code,
        "task_result": code,
        "Problems": {},
        **more,
    }


def control(value: Mapping[str, Any], state: Mapping[str, Any] = STATE, *, up_after: float = 0.0) -> WindowsDesktopWriter:
    clock = FakeClock()

    def engine() -> EngineFacts:
        if clock.passed < up_after:
            raise CallFailed("the engine does not answer")
        return EngineFacts("29.0", "1.52", "linux")

    look = Answering(platform="windows", probes={"docker-desktop": value, "desktop": state}).look(changing=True)
    return WindowsDesktopWriter(look, engine, clock, remote=True)


@pytest.mark.parametrize("value", [task("running", 267009), {"done": False, "problem": "267009", "task_result": 267045}])
def test_a_start_that_is_under_way_is_waited_for(value: dict[str, Any]) -> None:
    control(value, up_after=100.0).start_docker(timeout=300.0)
    with pytest.raises(DeadlineExceeded, match=r"within 300 s \(its scheduled task (runs|is queued)\)"):
        control(value, up_after=1e9).start_docker(timeout=300.0)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (
            task("refused", 0x80070005, Problems={"task": "Access is denied."}),
            Blocked,
            r"may not start programs .* \(Access is denied\.\)",
        ),
        (task("no-user", 0x800710E0), Blocked, "no user is logged on"),
        (task("failed", 0x8007042B), CallFailed, "ended with 0x8007042B"),
        (task("ended", done=False, problem="Docker Desktop.exe is nowhere"), CallFailed, "is nowhere"),
    ],
)
def test_a_start_that_failed_says_how(value: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        control(value).start_docker(timeout=10.0)


def test_processes_that_windows_does_not_show_are_not_stopped_ones() -> None:
    hidden = {**STATE, "Problems": {"Processes": "Access denied"}}
    for call in (
        lambda: control(task(None), hidden).stop_docker(timeout=5.0),
        lambda: control(task(None), hidden).set_docker({"a": 1}),
    ):
        with pytest.raises(CallFailed, match="cannot determine whether Docker Desktop is running: Access denied"):
            call()


def test_a_stop_that_fails_names_the_reason() -> None:
    value = task("refused", problem="com.docker.backend.exe (8): Access is denied")
    with pytest.raises(
        DeadlineExceeded, match=r"still running: com.docker.backend \(com\.docker\.backend\.exe \(8\): Access is denied\)"
    ):
        control(value, {**STATE, "Processes": [ROW]}).stop_docker(timeout=5.0)


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ({"task_result": None}, ""), ({"task_result": 0}, "ended"), ({"task_result": -0x7FF8FFFB}, "refused"), ({"task_result": 267011}, "running"),
        ({"task_result": 0x800710E0}, "no-user"), ({"task_result": 1}, "failed"), ({"task": None, "task_result": 0}, ""), ({"shown": False}, ""),
    ],
)  # fmt: skip
def test_older_answers_are_read_as_well(value: dict[str, Any], outcome: str) -> None:
    assert task_of(value).outcome == outcome


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        (
            {"task": None, "Problems": {"Process": "Access denied (0x80041003)"}},
            Blocked,
            "cannot determine whether process 4 is running",
        ),
        ({"task": None, "Problems": {"Process": "Call cancelled"}}, CallFailed, "cannot determine whether process 4 is running"),
        ({"task": "running", "task_code": 267045}, DeadlineExceeded, "is queued"),
        ({"task": "failed", "task_code": 0xC0000142}, CallFailed, "ended with 0xC0000142"),
        (
            {"task": None, "Problems": {"ended": "taskkill ended with 5"}},
            CallFailed,
            "could not be killed: taskkill ended with 5",
        ),
    ],
)
def test_why_a_process_is_still_there_is_said(more: dict[str, Any], kind: type[Exception], words: str) -> None:
    value = {"ended": False, "how": "still-there", "asked": 0, "task_result": None, "task_code": None, "Problems": {}, **more}
    look = Answering(platform="windows", probes={"close": value}).look(changing=True)
    with pytest.raises(kind, match=words):
        processes.WindowsProcessWriter(look).close(4, 1.0, grace=0)


def test_a_message_that_is_not_shown_has_a_reason() -> None:
    def no_engine() -> EngineFacts:
        raise CallFailed("no engine")

    value = {"shown": False, "task": "refused", "task_code": None, "Problems": {"task": "Access is denied."}}
    look = Answering(platform="windows", probes={"notify": value}).look(changing=True)
    writer = desktop.WindowsDesktopWriter(look, no_engine, FakeClock(), remote=True)
    assert writer.notify("x", seconds=1) is False
    assert "Access is denied." in writer.unshown
