"""A run of each runbook is undone on the lab: the machine is as at the start, but for what the run said could not be taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.started import Remediate
from tests.cli.undone import BOOKS, undone

SAMPLE = {
    ("num-gpu-1-model", "fix-offload"),
    ("model-corrupt", "fix-offload"),
    ("vram-occupied", "start-clean"),
    ("healthy", "switch-model"),
}
"""What CI runs of them beside `test_lab_runs`; the marker ``every`` runs all."""


@pytest.mark.parametrize(
    ("fault", "book", "words"),
    [
        pytest.param(*each, id=f"{each[1]}-{each[0]}", marks=() if each[:2] in SAMPLE else pytest.mark.every)
        for each in BOOKS
    ],
)  # fmt: skip
def test_a_runbook_is_undone(remediate: Remediate, tmp_path: Path, fault: str, book: str, words: tuple[str, ...]) -> None:
    found = undone(remediate, tmp_path / "state" / "remediation" / "lab", fault, book, words)
    assert found.code == 0, found.said
    closed = any(summary.startswith("close ") for summary in found.lasting)
    assert found.differs == (("programs",) if closed else ()), found.said
    for summary in found.lasting:
        assert " ".join(summary.split()) in " ".join(found.said.split()), f"{summary} was not said to last:\n{found.said}"
