"""check-host: which parts a host has, which are missing, which steps that blocks, and the command that cures it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from remediation.cli.checks import readiness
from remediation.cli.checks.check import Check
from remediation.facets.machine.readiness import Compose, Distribution, PosixReadiness, WindowsReadiness, Wsl
from remediation.model.facts import DockerDesktop
from remediation.steps.registry import registry
from tests.cli.processes import Remediate

QUOTAS = {
    "MaxShellsPerUser": 30, "MaxProcessesPerShell": 25, "MaxMemoryPerShellMB": 1024, "IdleTimeout": 7_200_000,
    "MaxConcurrentOperationsPerUser": 1500, "MaxEnvelopeSizekb": 500,
}  # fmt: skip
CLASSES = tuple(
    f"Win32_PerfFormattedData_GPUPerformanceCounters_{name}" for name in ("GPUAdapterMemory", "GPUEngine", "GPUProcessMemory")
)
WINDOWS = WindowsReadiness(Compose("2.31.0"), QUOTAS, classes=CLASSES, wsl=Wsl("WSLService", "Running", "2.3.26.0"))
LINUX = PosixReadiness(
    Compose("2.31.0"), ("ops",), "writable", "550.54.14", "nvidia-ctk", ("docker", "curl", "systemctl"), {"docker": "active"}
)
STEP = re.compile(r"\b[a-z_]+\.(?:[a-z_]+|\*)")


def lacked(checks: Iterable[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks if check.ok is not True}


def on_windows(**other: Any) -> dict[str, Check]:
    return lacked(readiness.windows_checks(replace(WINDOWS, **other), remote=True))


def on_linux(*, gpu: bool = True, elevated: bool = False, **other: Any) -> dict[str, Check]:
    return lacked(readiness.posix_checks(replace(LINUX, **other), gpu=gpu, elevated=elevated))


def test_a_host_that_has_everything_lacks_nothing() -> None:
    assert on_windows() == {}
    assert on_linux() == {}


@pytest.mark.parametrize("on", [on_windows, on_linux])
def test_a_docker_that_does_not_end_is_not_cured_by_an_installation(on: Callable[..., dict[str, Check]]) -> None:
    check = on(compose=Compose(problem="docker did not end within 3 s and was stopped", hangs=True))["Compose"]
    assert check.cure == readiness.RESTART_ENGINE


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("MaxShellsPerUser", 1, r"Set-Item WSMan:\localhost\Shell\MaxShellsPerUser 30"),
        ("MaxMemoryPerShellMB", 150, r"Set-Item WSMan:\localhost\Shell\MaxMemoryPerShellMB 1024"),
        ("MaxConcurrentOperationsPerUser", 5, r"Set-Item WSMan:\localhost\Service\MaxConcurrentOperationsPerUser 1500"),
        ("MaxEnvelopeSizekb", 150, r"Set-Item WSMan:\localhost\MaxEnvelopeSizekb 500"),
    ],
)
def test_a_quota_that_is_too_low_comes_with_its_command(name: str, value: int, command: str) -> None:
    check = on_windows(quotas=QUOTAS | {name: value})["WinRM quotas"]
    assert check.ok is False
    assert str(value) in check.text
    assert check.blocks
    assert check.cure == f"in an elevated PowerShell: {command}"


def test_what_a_policy_sets_no_command_changes() -> None:
    check = on_windows(quotas=QUOTAS | {"IdleTimeout": 60_000}, by_policy=("IdleTimeout",))["WinRM quotas"]
    assert check.ok is None
    assert "60 s" in check.text
    assert "policy" in check.cure
    assert "Set-Item" not in check.cure


def test_unknown_quotas_are_no_fault() -> None:
    check = on_windows(quotas={}, quotas_problem="Access is denied. ")["WinRM quotas"]
    assert check.ok is None
    assert "Access is denied" in check.text
    assert lacked(readiness.windows_checks(replace(WINDOWS, quotas={}), remote=False)) == {}


def test_missing_classes_are_named() -> None:
    check = on_windows(classes=CLASSES[:2])["GPU counters"]
    assert check.text == f"Windows lacks {CLASSES[2]}"
    assert "lodctr /R" in check.cure


def test_what_is_refused_is_not_called_missing() -> None:
    refused = "Access denied (0x80041003)"
    found = on_windows(classes=(), classes_problem=refused, wsl=Wsl(version="2.3.26.0"), problems={"WslService": refused})
    assert {name: check.ok for name, check in found.items()} == {"GPU counters": None, "WSL": None}
    assert all(refused in check.text and "rights" in check.cure for check in found.values())
    desktop = readiness.docker_desktop(DockerDesktop("4.37.1", "unknown", problems={"Processes": refused}), needed=True)
    assert (desktop.ok, "unknown whether it runs" in desktop.text) == (None, True)


def test_wsl_is_missing_or_of_version_1() -> None:
    assert "wsl --install" in on_windows(wsl=Wsl())["WSL"].cure
    old = Wsl("LxssManager", "Running", "", (Distribution("Ubuntu", 1, own=True),))
    assert on_windows(wsl=old)["WSL"].cure == "wsl --set-version Ubuntu 2"


@pytest.mark.parametrize(
    ("found", "needed", "ok", "said"),
    [
        (None, True, False, "not installed"),
        (None, False, None, "not installed"),
        (DockerDesktop("4.37.1", "running"), True, True, "4.37.1, running"),
        (DockerDesktop("4.37.1", "running", locked=("memoryMiB",)), True, True, "locked memoryMiB"),
        (DockerDesktop("4.36.0", "running"), True, None, "requires 4.37"),
        (DockerDesktop("4.37.1", "stopped"), True, False, "stopped"),
        (DockerDesktop("", "running"), True, True, "unknown version, running"),
    ],
)
def test_docker_desktop(found: DockerDesktop | None, *, needed: bool, ok: bool | None, said: str) -> None:
    check = readiness.docker_desktop(found, needed=needed)
    assert check.ok is ok
    assert said in check.text
    assert bool(check.cure) is (ok is not True)


def test_what_a_linux_host_may_lack() -> None:
    assert "modprobe" in on_linux(gpu=False, module="")["kernel module"].cure
    assert on_linux(module="")["kernel module"].ok is None
    assert "nvidia-ctk runtime configure" in on_linux(toolkit="")["container toolkit"].cure
    without = readiness.posix_checks(replace(LINUX, toolkit=""), gpu=True, elevated=False, docker=False)
    assert "container toolkit" not in {check.name for check in without}
    assert "usermod" in on_linux(socket="closed")["engine's socket"].cure
    assert on_linux(socket="closed", elevated=True) == {}
    assert on_linux(compose=Compose(problem="no such command"))["Compose"].ok is False
    assert "systemctl start ollama" in on_linux(units={"ollama": "failed"})["ollama.service"].cure
    assert set(on_linux(programs=())) == {"curl"}


def test_only_steps_that_exist_are_said_to_be_blocked() -> None:
    nothing = WindowsReadiness(Compose(problem="none"), dict.fromkeys(QUOTAS, 1))
    bare = PosixReadiness(Compose(problem="none"), socket="closed", programs=("docker",))
    checks = [
        *readiness.windows_checks(nothing, remote=True), *readiness.posix_checks(bare, gpu=False, elevated=False), readiness.docker_desktop(None, needed=True),
    ]  # fmt: skip
    named = {step for check in checks for step in STEP.findall(check.blocks)}
    known = {*registry(), *(f"{name.split('.')[0]}.*" for name in registry())}
    assert len(named) > 5
    assert named <= known


def test_the_program_shows_all_of_it(remediate: Remediate) -> None:
    done = remediate("check-host", "--inventory", "lab", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in (
        "WinRM quotas",
        "30 shells",
        "GPUProcessMemory",
        "4.37.1, running",
        "2.31.0-desktop.2",
        "WSLService",
        "551.86",
        "0.13.5",
        "LAB\\maria",
    ):
        assert wanted in done.stdout, wanted


def test_the_program_says_what_is_missing_and_its_cure(remediate: Remediate) -> None:
    remediate("lab.start")
    remediate("lab.fault", "laptop-07", "unprepared")
    done = remediate("check-host", "--inventory", "lab", "--json")
    assert done.returncode == 2
    (host,) = json.loads(done.stdout)
    failed = {(check["name"], check["cure"].rpartition(" ")[2]) for check in host["checks"] if check["ok"] is False}
    assert failed == {("WinRM quotas", "25"), ("WinRM quotas", "1024"), ("WSL", "Windows")}
    assert all(check["blocks"] and check["cure"] for check in host["checks"] if check["ok"] is False)


USAGE = "unknown flag: --short Usage: docker [OPTIONS] COMMAND [ARG...] Run 'docker --help' for more information"


@pytest.mark.parametrize("windows", [True, False])
def test_what_only_docker_needs_is_no_fault_where_ollama_runs_without_it(windows: bool) -> None:
    missing = replace(LINUX, compose=Compose(problem=USAGE), socket="closed")
    absent = replace(WINDOWS, compose=Compose(problem=USAGE), wsl=Wsl())
    for needed in (True, False):
        found = (
            readiness.windows_checks(absent, remote=True, docker=needed)
            if windows
            else readiness.posix_checks(missing, gpu=True, elevated=False, docker=needed)
        )
        failed = {check.name: check.text for check in found if check.ok is False}
        wanted = ["WSL", "Compose"] if windows else ["engine's socket", "Compose"]
        assert list(failed) == (wanted if needed else [])
        assert failed.get("Compose", "docker has no Compose plugin") == "docker has no Compose plugin"
