"""The product on a lab whose WinRM server starts a real PowerShell: a repair, its requests, large files, and every runbook."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remediation.connections.calls import Completed, FileContent, ReadFile, Run, WriteFile
from remediation.connections.guard import Guard
from remediation_lab import control
from tests.cli.conftest import environment, remediate
from tests.cli.processes import Remediate
from tests.cli.program.runbook_undo import BOOKS, HOST, undone
from tests.connections.conftest import opened
from tests.facets.real_hosts import lab_variables
from tests.powershell import shell

__all__ = ["environment", "remediate"]
FILE = "C:\\Users\\ops\\large.bin"
CALLS = 10


@pytest.fixture
def lab(remediate: Remediate) -> Remediate:
    done = remediate("lab.start", "--powershell", shell.program())
    assert done.returncode == 0, done.stderr
    assert f"each shell runs {shell.program()}" in done.stdout
    return remediate


@contextmanager
def connected(folder: Path, powershell: str) -> Iterator[tuple[control.Lab, Guard]]:
    made = control.start(folder, powershell=powershell)
    guard = opened(lab_variables(made), made.hosts[0].name)
    yield made, guard
    guard.close()
    control.stop(folder)


def counted(made: control.Lab) -> Counter[str]:
    status = control.status(made.folder)
    assert status is not None
    return Counter(status[made.hosts[0].name]["winrm"])


def test_a_repair_runs_the_scripts_themselves(lab: Remediate) -> None:
    done = lab("fix-offload", "--inventory", "lab", "--json", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["step"] for each in events if each["event"] == "change_end" and each["applied"]] == [
        "vram.free", "vram.free", "model.reloaded", "model.reloaded"
    ]  # fmt: skip
    status = json.loads(lab("lab.status", "--json").stdout)[HOST]
    assert status["writes"]["close chrome.exe"] == status["writes"]["close Discord.exe"] == 1
    assert status["winrm"]["send"] <= 34
    assert lab("lab.start").stdout.count("each shell runs") == 1, "a command that names none keeps it"
    assert "each shell runs" not in lab("lab.start", "--powershell", "stand-in").stdout


def test_a_powershell_that_is_none_is_refused(remediate: Remediate, tmp_path: Path) -> None:
    none = tmp_path / "none"
    none.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n", encoding="utf-8")
    for program in (str(none), "/no/such/pwsh"):
        done = remediate("lab.start", "--powershell", program)
        assert (done.returncode, "there is no program" in done.stderr) == (1, True), done.stderr
    none.chmod(0o755)
    done = remediate("lab.start", "--powershell", str(none))
    assert (done.returncode, "does not run as PowerShell 7: no such thing" in done.stderr) == (1, True), done.stderr


def test_a_short_command_takes_two_requests(tmp_path: Path) -> None:
    with connected(tmp_path / "lab", shell.program()) as (made, guard):
        guard.exchange([Run(("hostname",))])
        before = counted(made)
        for _ in range(CALLS):
            (reply,) = guard.exchange([Run(("hostname",))])
            assert isinstance(reply, Completed)
        assert counted(made)["requests"] - before["requests"] == 2 * CALLS


def timed(folder: Path, powershell: str) -> dict[str, float]:
    """Return the seconds of a first call, of a file of 20 MB there and back, and of 10 MB of output."""
    content, took = bytes(range(256)) * 78125, {}
    with connected(folder, powershell) as (_, guard):
        for name, call in (
            ("start", Run(("hostname",))), ("write", WriteFile(FILE, content, timeout=300)), ("read", ReadFile(FILE, limit=20_000_000, timeout=300)),
            ("output", Run(("lab-echo", "--bytes", "10000000"), timeout=300)),
        ):  # fmt: skip
            began = time.monotonic()
            (reply,) = guard.exchange([call])
            took[name] = time.monotonic() - began
            assert isinstance(reply, Completed | FileContent), reply
            if isinstance(call, ReadFile):
                assert isinstance(reply, FileContent)
                assert reply.content == content
    return took


@pytest.mark.every
def test_large_contents_take_at_most_half_as_long_again_as_with_the_stand_in(tmp_path: Path) -> None:
    ours, real = timed(tmp_path / "ours", ""), timed(tmp_path / "real", shell.program())
    print(ours, real)
    for name in ("write", "read", "output"):
        assert real[name] <= 1.5 * ours[name] + real["start"], (ours, real)


@pytest.mark.every
@pytest.mark.parametrize(("fault", "book", "words"), [pytest.param(*each, id=f"{each[1]}-{each[0]}") for each in BOOKS])
def test_every_runbook_runs_and_is_undone(lab: Remediate, tmp_path: Path, fault: str, book: str, words: tuple[str, ...]) -> None:
    found = undone(lab, tmp_path / "state" / "remediation" / "lab", fault, book, words)
    assert found.code == 0, found.said
    closed = any(summary.startswith("close ") for summary in found.lasting)
    assert found.differs == (("programs",) if closed else ()), found.said
