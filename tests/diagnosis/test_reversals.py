"""Advice of an open cause: the next cause's cure, and what undoes the change with which the fault began."""

from __future__ import annotations

import pytest

from remediation.diagnosis.advice.reversals import reversal
from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.facts.base import Fact, Facts


def of_facts(*names: str) -> Facts:
    return Facts({name: Fact(name, holds=True) for name in names})


@pytest.mark.parametrize(
    ("fact", "cure", "says"),
    [
        ("reported.updated", "Lower num_ctx.", "the release that worked"),
        ("reported.driver_updated", "Recreate the container.", "the driver that worked"),
        ("reported.kernel_updated", "Lower num_ctx.", "dkms"),
        ("reported.toolkit_updated", "Lower num_ctx.", "one version"),
    ],
)
def test_a_cure_says_how_to_undo_the_change_with_which_the_fault_began(fact: str, cure: str, says: str) -> None:
    assert says in reversal(cure, of_facts(fact))
    assert reversal(cure, of_facts()) == ""


@pytest.mark.parametrize(
    ("fact", "cure"),
    [
        ("reported.updated", "Update Ollama to a newer release."),
        ("reported.updated", "Go back to the earlier release."),
        ("reported.updated", "Use another image of Ollama (the newest, or the tag that worked)."),
        ("reported.driver_updated", "Go back to the earlier driver."),
        ("reported.driver_updated", "Reboot the host."),
        ("reported.kernel_updated", "Install the driver for the running kernel."),
        ("reported.toolkit_updated", "Go back to the earlier container toolkit."),
    ],
)
def test_a_cure_that_names_it_is_left_alone(fact: str, cure: str) -> None:
    assert reversal(cure, of_facts(fact)) == ""


def cures(symptom: str, *texts: str) -> str:
    pieces = tuple(Piece("other", text) for text in texts)
    return diagnose(Evidence(platform="linux", gpu="RTX 3090", symptom=symptom, pieces=pieces)).findings[0].cure


def test_an_open_cause_is_followed_by_the_cure_of_the_one_that_is_as_likely() -> None:
    listed = "NAME  ID  SIZE  PROCESSOR  UNTIL\nqwen3:32b  aaa  26 GB  6%/94% CPU/GPU  4 minutes from now"
    said = diagnose(
        Evidence(
            platform="linux",
            gpu="RTX 3090 24GB",
            symptom="With a longer context layers go to the CPU, although there is plenty of VRAM.",
            pieces=(Piece("ollama_ps", listed),),
        )
    ).findings
    assert {str(one.cause) for one in said[:2]} == {"context_too_large", "estimate_too_conservative"}
    assert "Lower the context" in said[0].cure
    assert "Update Ollama" in said[0].cure


def test_an_unknown_cause_says_how_to_undo_the_update() -> None:
    assert "the release that worked" in cures("Since the update from 0.9.0 to 0.9.1 something is odd.")
    assert "the release that worked" not in cures("Something is odd.")
