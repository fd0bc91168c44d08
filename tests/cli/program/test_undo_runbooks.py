"""A run of each runbook is undone on the lab: the machine is as at the start, but for what the run said could not be taken back."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from remediation_lab import control
from tests.cli.processes import Remediate
from tests.cli.program.runbook_undo import BOOKS, HOST, machine, undone

DOTENV = "C:\\dev\\activia1\\.env"
SAMPLE = {
    ("num-gpu-1-model", "fix-offload"),
    ("model-corrupt", "fix-offload"),
    ("vram-occupied", "start-clean"),
    ("healthy", "switch-model"),
}
"""What CI runs of them in addition to `test_lab_runs`; the marker ``every`` runs all."""


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


def test_an_env_file_that_the_run_made_is_taken_away_with_what_its_reader_got(remediate: Remediate, tmp_path: Path) -> None:
    place = tmp_path / "state" / "remediation" / "lab"
    recreate = {"service.recreated": {"service": "api"}}
    for name, tasks in (
        ("bare", [recreate]),
        ("edit", [{"env_file.set": {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}}, recreate]),
    ):
        (tmp_path / f"{name}.yml").write_text(json.dumps([{"hosts": "all", "tasks": tasks}]), encoding="utf-8")
    assert remediate("lab.start").returncode == 0
    assert remediate("lab.fault", HOST, "healthy").returncode == 0
    with closing(control.machine(HOST, place)) as client:
        client.call("probe", name="file", data={"action": "remove", "path": DOTENV}, timeout=30.0)
    assert remediate("play", "bare.yml", "--inventory", "lab").returncode == 0
    before = machine(place)
    played = remediate("play", "edit.yml", "--inventory", "lab", "--json")
    assert played.returncode == 0, played.stdout
    assert machine(place)["files"][DOTENV] == "OLLAMA_MODEL=phi3:3.8b\n"
    assert machine(place)["containers"] != before["containers"]
    run = next(event["run"] for event in map(json.loads, played.stdout.splitlines()) if event["event"] == "run_start")
    done = remediate("undo", run, "--max-risk", "disruptive")
    assert done.returncode == 0, done.stdout + done.stderr
    assert DOTENV not in machine(place)["files"]
    assert machine(place) == before, done.stdout
