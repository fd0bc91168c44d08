"""How a kernel module is reloaded, with real programs in place of systemctl, rmmod and modprobe: their order, and their refusals."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from remediation.connections.posix.local import LocalConnection
from remediation.facets.services.daemon import LinuxDaemonWriter
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed

IN_USE = "rmmod: ERROR: Module nvidia_uvm is in use"
NOT_PERMITTED = "rmmod: ERROR: could not remove module nvidia_uvm: Operation not permitted"
MISSING = "modprobe: FATAL: Module nvidia_uvm not found in directory /lib/modules/6.1.0"
Machine = Callable[..., tuple[LinuxDaemonWriter, Path]]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    def made(**refusals: str) -> tuple[LinuxDaemonWriter, Path]:
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        for name in ("systemctl", "rmmod", "modprobe"):
            refusal = f"echo '{refusals[name]}' >&2; exit 1" if name in refusals else "exit 0"
            program = tmp_path / name
            program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\n{refusal}\n', encoding="utf-8")
            program.chmod(0o755)
        return LinuxDaemonWriter(Snapshot(lambda: LocalConnection("box"), changing=True)), tmp_path / "calls"

    return made


def test_the_unit_is_stopped_meanwhile(machine: Machine) -> None:
    daemon, calls = machine()
    daemon.reload_module("nvidia_uvm", "ollama")
    assert calls.read_text().splitlines() == [
        "systemctl stop ollama",
        "rmmod nvidia_uvm",
        "modprobe nvidia_uvm",
        "systemctl start ollama",
    ]


@pytest.mark.parametrize(("program", "message"), [("rmmod", IN_USE), ("rmmod", NOT_PERMITTED), ("modprobe", MISSING)])
def test_a_refusal_is_said_in_the_words_of_the_program_and_the_unit_runs_again(
    machine: Machine, program: str, message: str
) -> None:
    daemon, calls = machine(**{program: message})
    with pytest.raises(CallFailed) as raised:
        daemon.reload_module("nvidia_uvm", "ollama")
    assert message in raised.value.message
    assert raised.value.next_step == "fuser -v /dev/nvidia-uvm"
    assert calls.read_text().splitlines()[-1] == "systemctl start ollama"
    assert ("modprobe nvidia_uvm" in calls.read_text()) == (program == "modprobe"), "a module that is in use is not forced out"


def test_a_unit_that_cannot_be_stopped_keeps_the_module_in_place(machine: Machine) -> None:
    daemon, calls = machine(systemctl="Failed to stop ollama.service: Interactive authentication required.")
    with pytest.raises(CallFailed, match="Interactive authentication required"):
        daemon.reload_module("nvidia_uvm", "ollama")
    assert calls.read_text().splitlines() == ["systemctl stop ollama"]
