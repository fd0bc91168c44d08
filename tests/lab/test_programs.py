"""Programs on a lab machine: closed, forced, refused, back again, and the memory that they hold."""

from __future__ import annotations

from remediation_lab.host.host import Host
from remediation_lab.scenarios import docker_desktop as scenario
from remediation_lab.scenarios.faults import LIBRARY_LINE
from remediation_lab.world.scheduler import DENIED, NOT_LOGGED_ON, QUEUED, RUNNING
from remediation_lab.world.state import MIB
from tests.lab.conftest import made
from tests.lab.machine_queries import ask, close, offloaded, program, reload, running


def test_closing_two_programs_makes_room_for_all_layers(machine: Host) -> None:
    before = machine.memory.free()
    done = close(machine, "chrome.exe")
    assert {key: done[key] for key in ("ended", "how", "asked")} == {"ended": True, "how": "polite", "asked": 1}
    assert (done["task"], done["task_code"], done["task_result"], done["Problems"]) == ("ended", None, 0, {})
    assert reload(machine) != "33/33"  # one is not enough
    assert close(machine, "Discord.exe")["how"] == "polite"
    assert machine.memory.free() > before + 1500 * MIB
    assert reload(machine) == "33/33"
    assert running(machine, "Code.exe")
    assert {key: machine.state.writes[key] for key in machine.state.writes} == {"close chrome.exe": 1, "close Discord.exe": 1}


def test_a_sticky_runner_keeps_its_layers_until_it_is_reloaded() -> None:
    machine = made("num-gpu-1")
    ask(machine, prompt="x", options={"num_predict": 2})
    assert offloaded(machine) == "1/33"
    assert reload(machine, num_gpu=-1) == "33/33"


def test_the_library_filter_is_gone_after_an_up_without_it() -> None:
    machine = made("llm-library-cuda")
    path = f"{scenario.FOLDER}\\docker-compose.gpu.yml"
    text = (machine.files.get(path) or b"").decode()
    machine.files.put(path, text.replace(f"      - {LIBRARY_LINE}\n", "").encode())
    machine.call(
        "run", argv=["docker", "compose", "-f", "docker-compose.yml", "-f", path, "up", "-d"], cwd=scenario.FOLDER, timeout=600
    )
    ask(machine)
    assert offloaded(machine) == "33/33"


def test_a_program_with_unsaved_work_stays_unless_forced(machine: Host) -> None:
    assert close(machine, "Code.exe", grace=3)["how"] == "still-there"
    assert close(machine, "Code.exe", grace=3, force=True)["how"] == "forced"
    assert not running(machine, "Code.exe")


def test_a_tree_ends_as_a_whole_and_identity_is_pid_and_start(machine: Host) -> None:
    chrome = program(machine, "chrome.exe")
    other = {"pid": chrome.pid, "started": chrome.started + 1, "grace": 1, "force": True}
    assert machine.call("probe", name="close", data=other)["how"] == "gone"
    assert running(machine, "chrome.exe")
    assert len(machine.processes.tree(chrome.pid)) == 3
    close(machine, "chrome.exe")
    assert not running(machine, "chrome.exe")


def test_without_a_user_at_the_desktop_no_window_gets_a_request() -> None:
    machine = made("nobody-logged-on")
    done = close(machine, "chrome.exe")
    assert (done["how"], done["asked"], done["task"], done["task_code"]) == ("still-there", 0, "no-user", NOT_LOGGED_ON)
    assert machine.state.writes == {}


def test_a_login_does_not_close_what_it_came_from_and_the_system_is_not_ended(machine: Host) -> None:
    assert close(machine, "winrshost.exe", force=True)["how"] == "own"
    done = close(machine, "NVDisplay.Container.exe", force=True)
    assert (done["how"], done["asked"], done["task"], done["task_code"]) == ("still-there", 0, None, None)
    assert machine.state.writes == {}


def test_a_login_without_rights_reaches_no_window_and_ends_no_program_of_another_user() -> None:
    machine = made("not-elevated")
    done = close(machine, "chrome.exe", force=True)
    assert (done["how"], done["asked"], done["task"], done["task_code"]) == ("still-there", 0, "refused", DENIED)
    assert running(machine, "chrome.exe")
    assert machine.state.writes == {}


def test_a_slow_task_asks_after_the_script_has_given_up_waiting_for_it() -> None:
    for queued, code in ((False, RUNNING), (True, QUEUED)):
        machine = made("task-slow")
        machine.state.tasks.queued = queued
        done = close(machine, "chrome.exe", grace=1)
        assert (done["how"], done["asked"], done["task"], done["task_code"]) == ("still-there", 0, "running", code)
        assert machine.state.writes == {}
        machine.clock.sleep(60)
        machine.call("clock")
        assert not running(machine, "chrome.exe")
        assert machine.state.writes == {"close chrome.exe": 1}


def test_a_slow_task_does_not_shorten_the_grace_of_a_program_that_is_ended_by_force() -> None:
    machine = made("task-slow")
    before = machine.clock.now()
    done = close(machine, "chrome.exe", grace=20, force=True)
    assert (done["how"], done["task"], machine.state.writes) == ("forced", "running", {"kill chrome.exe": 1})
    assert machine.clock.now() - before >= 35
    patient = made("task-slow")
    done = close(patient, "chrome.exe", grace=60, force=True)
    assert (done["how"], done["task"], patient.state.writes) == ("polite", "ended", {"close chrome.exe": 1})


def test_a_task_that_fails_returns_its_code_and_reaches_no_window(machine: Host) -> None:
    machine.state.tasks.code = 0xC0000142
    done = close(machine, "chrome.exe", grace=1)
    assert (done["how"], done["asked"], done["task"], done["task_code"]) == ("still-there", 0, "failed", 0xC0000142)


def test_no_task_is_registered_against_a_policy_or_without_rights() -> None:
    machine = made("task-refused")
    done = close(machine, "chrome.exe", grace=1)
    assert (done["how"], done["task"], done["task_code"]) == ("still-there", "refused", DENIED)
    assert done["Problems"] == {"task": "Access is denied. (0x80070005)"}
    assert machine.state.writes == {}
    machine = made("no-rights")
    done = close(machine, "chrome.exe", grace=1, force=True)
    assert (done["ended"], done["how"], done["task"]) == (False, "still-there", None)
    assert done["Problems"] == {"Process": "Access denied (0x80041003)"}
    assert running(machine, "chrome.exe")


def test_a_program_of_the_login_s_own_session_needs_no_task(machine: Host) -> None:
    machine.state.login.session = 1
    machine.state.tasks.refused = True
    done = close(machine, "chrome.exe")
    assert (done["how"], done["asked"], done["task"]) == ("polite", 1, None)


def test_a_start_time_may_differ_by_its_resolution(machine: Host) -> None:
    chrome = program(machine, "chrome.exe")
    asked = {"pid": chrome.pid, "grace": 1, "force": False}
    assert machine.call("probe", name="close", data={**asked, "started": chrome.started + 0.2})["how"] == "gone"
    assert machine.call("probe", name="close", data={**asked, "started": chrome.started + 0.04})["asked"] == 1


def test_chrome_comes_back_with_another_number() -> None:
    machine = made("chrome-comes-back")
    first = program(machine, "chrome.exe").pid
    assert close(machine, "chrome.exe")["ended"]
    machine.clock.sleep(30)
    machine.call("clock")
    assert program(machine, "chrome.exe").pid != first
    assert len(machine.processes.tree(program(machine, "chrome.exe").pid)) == 3


def test_a_program_that_hides_keeps_running_with_less_memory() -> None:
    machine = made("discord-hides")
    before = machine.memory.used()
    assert close(machine, "Discord.exe")["how"] == "still-there"
    assert machine.memory.used() < before - 1000 * MIB
    assert close(machine, "Discord.exe")["asked"] == 0  # no window left to ask


def test_the_loaded_model_is_charged_to_the_virtual_machine(machine: Host) -> None:
    pid = program(machine, "vmmemWSL").pid
    rows = {row["Name"]: row["LocalUsage"] for row in machine.memory.process_rows()}
    held = rows[f"pid_{pid}_luid_{machine.state.card.luid}_phys_0"]
    assert held == sum(machine.state.held.values()) > 300 * MIB
    ask(machine, keep_alive=0)
    machine.clock.sleep(1)
    machine.engine.servers()[0].tick()
    assert machine.state.held == {}


def test_rows_and_the_driver_agree_on_what_is_resident(machine: Host) -> None:
    card = machine.state.card
    own = sum(row["LocalUsage"] for row in machine.memory.process_rows() if card.luid in row["Name"])
    assert own == machine.memory.used() == card.total - card.reserve - machine.memory.free()


def test_video_memory_is_never_given_twice(machine: Host) -> None:
    machine.memory.hold("x", 100 * 1024 * MIB)
    assert machine.memory.free() == 0
    machine.memory.hold("x", 0)
    assert machine.memory.free() > 0
