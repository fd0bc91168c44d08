"""Runners whose server has ended are distinguished from those of a live server, and from unrelated programs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediation.facets.machine import processes
from remediation.facets.machine.processes import mark_orphans
from remediation.model.facts import Process

INIT = Process(1, "systemd", 1.0)
SERVER = Process(40, "ollama", 10.0, parent=1, path="/usr/local/bin/ollama", runner=False)
RUNNER = Process(50, "ollama", 20.0, parent=40, path="/usr/local/bin/ollama", runner=True)


def orphans(*running: Process) -> list[int]:
    return [each.pid for each in mark_orphans(running) if each.orphan]


def test_the_runner_of_a_server_that_lives_is_none() -> None:
    assert orphans(INIT, SERVER, RUNNER) == []


@pytest.mark.parametrize("reaper", ["systemd", "tini", "docker-init"])
def test_a_runner_that_init_has_taken_over_is_one(reaper: str) -> None:
    assert orphans(replace(INIT, name=reaper), SERVER, replace(RUNNER, parent=1)) == [50]


def test_a_parent_that_ended_or_whose_number_was_given_to_another_is_no_server() -> None:
    assert orphans(INIT, RUNNER) == [50]
    assert orphans(INIT, replace(SERVER, started=30.0), RUNNER) == [50]


def test_one_that_another_process_has_taken_over_is_one_and_that_of_a_renamed_server_is_none() -> None:
    user = Process(30, "subreaper", 5.0, parent=1, path="/usr/lib/subreaper")
    assert orphans(INIT, user, replace(RUNNER, parent=30)) == [50]
    renamed = replace(SERVER, name="models", path=RUNNER.path)
    assert orphans(INIT, renamed, RUNNER) == []
    assert orphans(INIT, replace(SERVER, name="ollama-linux-amd64", path="/opt/o"), RUNNER) == []
    newer = replace(RUNNER, name="llama-server", path="/usr/local/lib/ollama/llama-server")
    assert orphans(INIT, replace(SERVER, name="models"), newer) == []


def test_the_server_itself_is_none_however_it_was_started() -> None:
    assert orphans(INIT, SERVER, replace(SERVER, pid=41, parent=999)) == []


def test_in_a_container_the_server_may_be_the_first_process() -> None:
    assert orphans(replace(SERVER, pid=1, parent=0), replace(RUNNER, parent=1)) == []


@pytest.mark.parametrize(
    ("path", "alone"),
    [
        ("C:\\Users\\ana\\AppData\\Local\\Programs\\Ollama\\lib\\ollama\\llama-server.exe", True),
        ("/usr/bin/llama-server", False),
        (None, False),
    ],
)
def test_without_a_command_line_a_llama_server_is_one_only_where_it_lies_in_ollamas_folder(path: str | None, alone: bool) -> None:
    process = Process(60, "llama-server", 20.0, parent=1, path=path)
    assert orphans(INIT, process) == ([60] if alone else [])


@pytest.mark.parametrize(
    ("runner", "parent", "alone"), [(True, 9, True), (True, 3, False), (False, 9, False), (None, 9, False), ("yes", 9, False)]
)
def test_the_listing_of_a_windows_host_says_which_of_ollamas_processes_is_a_runner(
    runner: object, parent: int, alone: bool
) -> None:
    rows = [
        {"ProcessId": 3, "Name": "ollama.exe", "CreationDate": 10.0, "ParentProcessId": 2, "SessionId": 1, "Runner": False},
        {"ProcessId": 4, "Name": "ollama.exe", "CreationDate": 20.0, "ParentProcessId": parent, "SessionId": 1, "Runner": runner},
    ]
    assert [each.pid for each in processes.from_rows(rows) if each.orphan] == [4] * alone


def test_the_listing_of_a_linux_host_distinguishes_runners_and_orphans() -> None:
    stat = "stat {0} (ollama) S {1} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {2} 0"
    text = "\n".join(
        [
            "hz 100", "btime 1000", "ps 40 1 ollama /usr/bin/ollama serve", "ps 50 1 ollama /usr/bin/ollama runner --port 2",
            "ps 51 40 ollama /usr/bin/ollama runner --port 3", "ps 1 0 root /sbin/init", stat.format(40, 1, 500),
            "ps 60 1 ana /usr/bin/llama-server -m mine.gguf", "stat 60 (llama-server) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 300 0",
            stat.format(50, 1, 300), stat.format(51, 40, 600), "stat 1 (systemd) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 0",
        ]
    )  # fmt: skip
    found = {each.pid: each for each in processes.processes_from_shell(text)}
    assert {pid for pid, each in found.items() if each.orphan} == {50}
    assert (found[51].runner, found[60].runner) == (True, False)
