"""How `fix-offload` ends on every fault of the lab: what it tries, what it says to do next, its exit code, and that it never
offers to delete data. Check mode ends as the run does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remediation_lab import control
from tests.cli.conftest import running, settings
from tests.cli.processes import Remediate
from tests.support.repair_results import Ended

LAB = ("--inventory", "lab", "--json")
CLIENT, SETTING, ROOM = (
    "A client or the model itself asks for few layers",
    "A setting turns the GPU off",
    "Make room on the GPU",
)
RECREATE = "A container without Compose has no GPU"
SEES, OVERHEAD, PARALLEL = (
    "The container does not see the GPU",
    "A setting keeps VRAM free",
    "Too many requests are served at once",
)
CONTEXT, MEMORY, DESKTOP = "The context is too long for the card", "The container has too little memory", "Restart Docker Desktop"
FETCH, SMALLER = "Fetch what is damaged of the model again", "A harder quantisation that fits"

MENDED: dict[str, list[str]] = {
    "card-tight": [SMALLER],
    "context-32768": [CLIENT, CONTEXT],
    "context-request": [CLIENT],
    "engine-down": [DESKTOP],
    "gpu-overhead": [OVERHEAD],
    "healthy": [],
    "llm-library-cuda": [SETTING],
    "memory-limit": [MEMORY, ROOM],
    "model-blob-missing": [FETCH],
    "model-corrupt": [FETCH],
    "model-truncated": [FETCH],
    "no-gpu-request": [SEES],
    "not-loaded": [ROOM],
    "num-gpu-1": [CLIENT],
    "num-gpu-1-0.32": [CLIENT],
    "num-gpu-1-client": [CLIENT],
    "num-gpu-1-model": [CLIENT],
    "num-parallel-8": [PARALLEL],
    "other-model": [CLIENT],
    "pid-reused": [ROOM],
    "runner-killed": [MEMORY],
    "settings-in-use": [ROOM],
    "slow-disk": [],
    "task-slow": [ROOM],
    "unprepared": [ROOM],
    "values-missing": [ROOM],
    "visible-devices": [SETTING],
    "vram-occupied": [ROOM],
    "vram-occupied-0.12": [ROOM],
}
"""The rungs that bring all layers onto the GPU, in their order."""

BY_HAND: dict[str, tuple[int, int, list[str], str]] = {
    "driver-too-old": (2, 2, [], "update the NVIDIA driver of Windows to 525 or newer"),
    "card-unsupported": (2, 2, [], "serve the model from a host with a supported card"),
    "driver-lost": (2, 2, [], "restart Windows, then run this again"),
    "card-needs-reset": (2, 2, [], "restart Windows, then run this again"),
    "no-rights": (
        2,
        2,
        [CLIENT, ROOM, RECREATE, SEES],
        "give LAB\\ops administrator's rights: in an elevated PowerShell: Add-LocalGroupMember",
    ),
    "no-gpu-runtime": (2, 2, [], "switch Docker Desktop to its WSL 2 engine"),
    "card-too-small": (2, 2, [SMALLER], "choose a smaller model that needs at most 3.8 GiB"),
    "not-elevated": (2, 2, [ROOM], "log in as an administrator"),
    "nobody-logged-on": (5, 5, [ROOM], "log in at the host's desktop"),
}
"""Exit codes of the run and of check mode, the rungs that are tried, and how the next step begins."""

UNFORESEEN: dict[str, tuple[int, int, list[str], str]] = {
    "chrome-immortal": (4, 2, [ROOM], "answer it at the desktop, remove chrome.exe from close"),
    "discord-hides": (4, 2, [ROOM, CLIENT], ""),
    "discord-uncounted": (2, 2, [ROOM], "close "),
    "no-gpu-counters": (2, 2, [ROOM], "close "),
    "desktop-hangs": (4, 2, [DESKTOP], "check the desktop"),
    "vram-occupied-0.32": (4, 2, [ROOM, CLIENT], ""),
    "margin-0.32": (2, 2, [ROOM], ""),
    "task-refused": (4, 5, [ROOM], "log in with an elevated account"),
}
"""What only a run shows (a program that does not end): check mode's exit code, the run's, the rungs, and how the next step begins."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remediate]:
    """One lab for all: a fault makes its machine new."""
    folder = tmp_path_factory.mktemp("lab")
    with running(folder, settings(folder)) as remediate:
        remediate("lab.start")
        yield remediate


def fixed(lab: Remediate, fault: str, *words: str) -> Ended:
    """Return the end of `fix-offload` on a machine with that fault."""
    lab("lab.fault", "laptop-07", fault)
    done = lab("fix-offload", *LAB, *words)
    assert "Traceback" not in done.stderr, done.stderr
    return Ended.of(done.returncode, done.stdout.splitlines())


@pytest.mark.parametrize("fault", BY_HAND)
def test_what_only_a_person_can_cure_is_said_at_once(lab: Remediate, fault: str) -> None:
    code, foretold, rungs, begins = BY_HAND[fault]
    for ended, expected in ((fixed(lab, fault), code), (fixed(lab, fault, "--check"), foretold)):
        assert (ended.code, ended.rungs, ended.steps, ended.deletes) == (expected, rungs, [], False), ended.summary
        assert ended.next_step.startswith(begins), ended.next_step


@pytest.mark.parametrize("fault", ["model-truncated", "runner-killed", "memory-limit"])
def test_what_can_be_repaired_is_by_the_rungs_that_treat_it_alone(lab: Remediate, fault: str) -> None:
    ended = fixed(lab, fault)
    assert (ended.code, ended.rungs, ended.deletes) == (0, MENDED[fault], False), ended.summary
    assert ended.ladder["result"]["goal"] == "met"


@pytest.mark.every
@pytest.mark.parametrize("fault", MENDED)
def test_every_fault_that_can_be_repaired(lab: Remediate, fault: str) -> None:
    foretold = fixed(lab, fault, "--check")
    assert (foretold.code, foretold.deletes) == (4 if MENDED[fault] else 0, False)
    for event in foretold.kinds("rung_start"):
        assert not event["stops"] or event["predicted"][0] == event["predicted"][1], event
    ended = fixed(lab, fault)
    assert (ended.code, ended.rungs, ended.deletes) == (0, MENDED[fault], False), ended.summary
    assert ended.ladder["result"]["goal"] == "met"


@pytest.mark.every
@pytest.mark.parametrize("fault", UNFORESEEN)
def test_every_fault_that_shows_in_the_run_alone(lab: Remediate, fault: str) -> None:
    code, expected, rungs, begins = UNFORESEEN[fault]
    foretold = fixed(lab, fault, "--check")
    assert (foretold.code, foretold.deletes) == (code, False), foretold.ladder
    ended = fixed(lab, fault)
    assert (ended.code, ended.rungs, ended.deletes) == (expected, rungs, False), ended.summary
    assert ended.next_step.startswith(begins), ended.next_step
    assert ended.next_step


@pytest.mark.every
def test_a_program_that_starts_itself_again_is_named_where_it_was_faster(lab: Remediate) -> None:
    ended = fixed(lab, "chrome-comes-back")
    assert (ended.rungs, ended.deletes, ended.code in {0, 2}) == ([ROOM], False, True), ended.summary
    assert ended.code == 0 or ended.next_step.startswith("close chrome.exe")


def test_every_fault_of_the_lab_is_in_a_table() -> None:
    blocked_before = {"constrained-language"}  # no look is possible, so there is no ladder
    assert {*MENDED, *BY_HAND, *UNFORESEEN, *blocked_before, "chrome-comes-back"} == set(control.faults())
