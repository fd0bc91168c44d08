"""One-shot tasks of the desktop user: each result is distinguished from the others, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest

from remediation.facets.machine.processes import WindowsProcessWriter
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded
from tests.powershell.windows import STARTED, Windows, disturbance, process, refused

GAME = {"pid": 5000, "started": STARTED + 5000, "grace": 30, "force": False}
FORCED = {**GAME, "force": True}
START = {"action": "start", "seconds": 0}
STUBBORN = process(5000, "game.exe", parent=1000, window=77, closes=False)
REFUSALS = {
    "registration refused": ([refused("Register-ScheduledTask")], "refused", 0x80070005),
    "registration answers nothing": ([disturbance("empty", "Register-ScheduledTask")], "refused", None),
    "start refused": ([refused("Start-ScheduledTask")], "refused", 0x80070005),
    "start without the user": ([refused("Start-ScheduledTask", Code="0x800710E0")], "no-user", 0x800710E0),
    "no action": ([disturbance("empty", "New-ScheduledTaskAction")], "refused", None),
    "no principal": ([disturbance("empty", "New-ScheduledTaskPrincipal")], "refused", None),
    "no settings": ([disturbance("empty", "New-ScheduledTaskSettingsSet")], "refused", None),
    "no cim": ([refused("Get-CimInstance", "explorer"), refused("Get-CimInstance", "Win32_ComputerSystem")], "refused", 0x80070005),
}  # fmt: skip


def clean(windows: Windows) -> bool:
    """Return whether neither a task nor the folder of an answer is left."""
    return windows.state()["tasks"] == [] and not list(windows.data.glob("remediation-*"))


def stubborn(windows: Windows) -> None:
    """Let the game keep its window open."""
    windows.world["processes"] = [STUBBORN if each["ProcessId"] == 5000 else each for each in windows.world["processes"]]


def close(windows: Windows, grace: float = 5.0, *, force: bool = False) -> bool:
    look = Snapshot(lambda: windows.connection, changing=True)
    return WindowsProcessWriter(look).close(5000, STARTED + 5000, grace=grace, force=force)


def test_a_window_gets_the_request_and_its_program_closes(windows: Windows) -> None:
    value = windows.answer("close", GAME)
    assert (value["ended"], value["how"], value["task"], value["Problems"]) == (True, "polite", "ended", {})
    assert clean(windows)


def test_a_program_that_stays_got_the_request(windows: Windows) -> None:
    stubborn(windows)
    value = windows.answer("close", GAME)
    assert (value["ended"], value["how"], value["asked"], value["task"]) == (False, "still-there", 1, "ended")
    assert (value["task_code"], value["task_result"]) == (None, 0)


@pytest.mark.parametrize("code", [0, 1, 5, 267008, 267014, 0x8007042B, 0xC0000142])
def test_no_code_of_the_scheduler_is_a_count_of_windows(windows: Windows, code: int) -> None:
    stubborn(windows)
    windows.world["task"]["code"] = code
    value = windows.answer("close", GAME)
    assert (value["asked"], value["task"], value["task_code"]) == (0, "failed", code)
    with pytest.raises(CallFailed, match=f"ended with 0x{code:X}"):
        close(windows)
    value = windows.answer("docker-desktop", START)
    assert (value["done"], value["task"], value["task_code"]) == (False, "failed", code)
    assert f"0x{code:08X}" in value["problem"]
    assert windows.answer("notify", {"message": "x", "seconds": 3})["shown"] is False


@pytest.mark.parametrize("code", [267009, 267011, 267045])
def test_a_task_that_has_not_ended_is_still_running(windows: Windows, code: int) -> None:
    stubborn(windows)
    windows.world["task"]["code"] = code
    assert windows.answer("docker-desktop", START)["task"] == "running"
    assert clean(windows)
    value = windows.answer("close", GAME)
    assert (value["asked"], value["task"], value["task_code"]) == (0, "running", code)
    with pytest.raises(DeadlineExceeded, match="may not have received the close request"):
        close(windows)
    # a message is on the screen while its task runs
    assert windows.answer("notify", {"message": "x", "seconds": 3})["shown"] is (code == 267009)


def test_an_answer_that_may_not_be_written_arrives_as_the_exit_code(windows: Windows) -> None:
    stubborn(windows)
    windows.world["environment"]["ProgramData"] = "/proc/none"
    value = windows.answer("close", GAME)
    assert (value["asked"], value["task"]) == (1, "ended")
    windows.world["task"]["code"] = 0x2D5A0000 + 7
    assert windows.answer("close", GAME)["asked"] == 7


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_leaves_a_reason_and_nothing_behind(windows: Windows, name: str) -> None:
    disturbed, task, code = REFUSALS[name]
    value = windows.answer("docker-desktop", START, disturbed=disturbed)
    assert (value["done"], value["task"], value["task_code"]) == (False, task, code), value
    assert value["Problems"]["task"]
    assert clean(windows)
    assert windows.answer("notify", {"message": "x", "seconds": 3}, disturbed=disturbed)["shown"] is False
    assert clean(windows)


@pytest.mark.parametrize("how", ["refused", "null", "empty", "gone"])
def test_an_answer_arrives_although_the_scheduler_does_not_say_what_became_of_the_task(windows: Windows, how: str) -> None:
    disturbed = [disturbance(how, "Get-ScheduledTaskInfo")]
    value = windows.answer("docker-desktop", START, disturbed=disturbed)
    assert (value["done"], value["task"], value["task_result"], value["Problems"]) == (False, "ended", 2, {})
    windows.world["environment"]["ProgramData"] = "/proc/none"
    value = windows.answer("docker-desktop", START, disturbed=disturbed)
    assert (value["done"], value["task"]) == (False, "running")
    assert "does not say what became of the task" in value["Problems"]["task"]


def test_a_task_that_cannot_be_removed_at_once_is_removed_later(windows: Windows) -> None:
    once = disturbance("refused", "Unregister-ScheduledTask")
    value = windows.answer("docker-desktop", START, disturbed=[once])
    assert "stays behind" in value["Problems"]["task_left"]
    calls = [each for each in windows.state()["calls"] if each.startswith("Unregister-ScheduledTask")]
    assert len(calls) == 4
    assert not list(windows.data.glob("remediation-*"))


@pytest.mark.parametrize("name", [*REFUSALS, "ended", "failed", "running", "no-screen"])
def test_nothing_is_ended_before_its_grace_is_over(windows: Windows, name: str) -> None:
    stubborn(windows)
    if name == "no-screen":
        windows.world["console"] = None
        windows.world["processes"] = [each for each in windows.world["processes"] if each["Name"] != "explorer.exe"]
    windows.world["task"] = {"seconds": 0, "code": {"failed": 1, "running": 267009}.get(name)}
    disturbed: list[dict[str, Any]] = REFUSALS[name][0] if name in REFUSALS else []
    value = windows.answer("close", FORCED, disturbed=disturbed)
    assert (value["ended"], value["how"]) == (True, "forced"), value
    # the stopwatch adds what really passes
    assert windows.state()["waited"] > 20


def test_the_grace_begins_when_a_slow_task_has_sent_the_request(windows: Windows) -> None:
    stubborn(windows)
    windows.world["task"]["seconds"] = 20
    value = windows.answer("close", FORCED)
    assert (value["how"], value["task"], value["asked"]) == ("forced", "ended", 1)
    assert windows.state()["waited"] > 40


def test_a_refused_task_says_what_this_login_may_not_do(windows: Windows) -> None:
    stubborn(windows)
    windows.control([refused("Register-ScheduledTask")])
    with pytest.raises(Blocked, match="may not start programs in the desktop user's session") as raised:
        close(windows)
    assert "elevated" in raised.value.next_step


@pytest.mark.parametrize("how", ["refused", "null"])
def test_a_process_that_windows_does_not_show_is_neither_gone_nor_ended(windows: Windows, how: str) -> None:
    disturbed = [disturbance(how, "Get-CimInstance", "ProcessId")]
    value = windows.answer("close", FORCED, disturbed=disturbed)
    assert (value["ended"], value["how"], value["asked"]) == (False, "still-there", 0)
    assert value["Problems"]["Process"]
    assert not list(windows.ended.iterdir())
    windows.control(disturbed)
    with pytest.raises((Blocked, CallFailed), match="cannot determine whether process 5000 is running"):
        close(windows, force=True)


def test_parents_that_name_each_other_are_one_tree(windows: Windows) -> None:
    at = STARTED + 5000
    windows.world["processes"] += [
        process(5010, "a.exe", parent=5000, CreationDate=at), process(5011, "b.exe", parent=5010, CreationDate=at),
    ]  # fmt: skip
    windows.world["processes"].append(process(5012, "c.exe", parent=5011, CreationDate=None))
    for each in windows.world["processes"]:
        if each["ProcessId"] == 5000:
            each["ParentProcessId"] = 5011
    assert windows.answer("close", GAME)["how"] == "polite"


def test_taskkill_that_is_missing_or_fails_is_a_reason(windows: Windows) -> None:
    stubborn(windows)
    program = windows.system / "System32" / "taskkill.exe"
    # more than a pipe holds
    windows.program(program, "#!/bin/sh\nyes | head -c 200000\nyes | head -c 200000 >&2\nexit 5")
    value = windows.answer("close", {**FORCED, "grace": 1})
    assert (value["ended"], value["Problems"]) == (False, {"ended": "taskkill ended with 5"})
    program.unlink()
    value = windows.answer("close", {**FORCED, "grace": 1})
    assert (value["ended"], list(value["Problems"])) == (False, ["ended"])


@pytest.mark.parametrize("action", ["", "STOP", "restart", None])
def test_an_unknown_action_is_refused(windows: Windows, action: str | None) -> None:
    value = windows.answer("docker-desktop", {"action": action, "seconds": 0})
    assert (value["done"], value["task"]) == (False, None)
    assert "there is no action" in value["problem"]
    assert not any("ScheduledTask" in each for each in windows.state()["calls"])


def test_docker_desktop_that_is_not_there_is_an_answer_of_the_task(windows: Windows) -> None:
    value = windows.answer("docker-desktop", START)
    assert (value["done"], value["task"], value["task_result"]) == (False, "ended", 2)
    assert "neither in Program Files" in value["problem"]


@pytest.mark.parametrize("action", ["start", "stop"])
def test_programs_are_started_by_their_full_path(windows: Windows, action: str) -> None:
    folder = windows.programs / "Docker" / "Docker"
    for path in (folder / "Docker Desktop.exe", folder / "resources" / "bin" / "docker.exe"):
        windows.program(path, "#!/bin/sh\n")
    value = windows.answer("docker-desktop", {"action": action, "seconds": 30})
    assert (value["done"], value["task"], value["problem"]) == (True, "ended", None)
    assert str(folder) in windows.started.read_text("utf-8")


@pytest.mark.parametrize(
    ("disturbed", "done", "problem"),
    [
        ([], True, None),
        ([disturbance("gone", "Stop-Process", "6000")], True, None),
        ([disturbance("vanishing", "Get-CimInstance", "Win32_Process")], True, None),
        ([refused("Stop-Process", "6000")], False, "Docker Desktop.exe (6000): Access is denied"),
        ([refused("Get-CimInstance")], False, "denied"),
    ],
)
def test_only_what_is_left_makes_killing_fail(
    windows: Windows, disturbed: list[dict[str, Any]], *, done: bool, problem: str | None
) -> None:
    value = windows.answer("docker-desktop", {"action": "kill", "seconds": 0}, disturbed=disturbed)
    assert value["done"] is done, value
    assert (problem or "") in (value["problem"] or "")
    assert (value["problem"] is None) is done
