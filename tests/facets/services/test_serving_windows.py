"""The manager of Ollama on a Windows host, found by the parent of the server's process."""

from __future__ import annotations

import pytest

from remediation.facets.services.serving import from_processes
from remediation.model.facts import Manager, Process

EXPLORER = Process(1, "explorer.exe", 1.0)
APP = Process(2, "ollama app.exe", 2.0, parent=1, owner="PC\\ana")
SERVE = Process(
    3, "ollama.exe", 3.0, parent=2, owner="PC\\ana", path="C:\\Users\\ana\\AppData\\Local\\Programs\\Ollama\\ollama.exe"
)
RUNNER = Process(4, "ollama.exe", 4.0, parent=3)
SERVICES = Process(10, "services.exe", 0.5)


def serve(pid: int, parent: Process, **more: str) -> Process:
    return Process(pid, "ollama.exe", 5.0, parent=parent.pid, owner="SYSTEM", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("running", "manager", "pid", "words"),
    [
        ([EXPLORER, APP, SERVE, RUNNER], Manager.WINDOWS_APP, 3, "the Ollama app"),
        ([SERVICES, serve(7, SERVICES, service="Ollama")], Manager.WINDOWS_SERVICE, 7, "the service Ollama"),
        (
            [nssm := Process(6, "nssm.exe", 1.0, parent=10, service="OllamaNssm"), serve(7, nssm)],
            Manager.WINDOWS_SERVICE,
            7,
            "the service OllamaNssm",
        ),
        (
            [host := Process(8, "svchost.exe", 1.0, service="Schedule"), serve(9, host)],
            Manager.WINDOWS_TASK,
            9,
            "the scheduled task",
        ),
        (
            [host, cmd := Process(13, "cmd.exe", 2.0, parent=8), serve(14, cmd)],
            Manager.WINDOWS_TASK,
            14,
            "the scheduled task",
        ),
        (
            [shell := Process(11, "powershell.exe", 1.0), serve(12, shell)],
            Manager.PROCESS,
            12,
            "the process 12 that SYSTEM started",
        ),
        ([EXPLORER, APP], Manager.WINDOWS_APP, None, "the Ollama app"),
        ([EXPLORER], Manager.NOTHING, None, "the server"),
    ],
    ids=["app", "service", "nssm", "task", "task with a shell", "by hand", "app without its server", "nothing"],
)
def test_the_manager_is_the_parent(running: list[Process], manager: Manager, pid: int | None, words: str) -> None:
    found = from_processes(running)
    assert (found.manager, found.process.pid if found.process else None, found.words) == (manager, pid, words)
    assert found.others == ()


def test_a_second_server_beside_the_app_is_named() -> None:
    service = serve(7, SERVICES, service="Ollama")
    found = from_processes([EXPLORER, APP, SERVE, RUNNER, SERVICES, service])
    assert (found.manager, [one.pid for one in found.others]) == (Manager.WINDOWS_APP, [7])


def test_a_reused_parent_pid_is_not_the_parent() -> None:
    later = Process(2, "svchost.exe", 9.0)
    assert from_processes([later, SERVE]).manager is Manager.PROCESS
