"""Files that a run writes besides its journal: what happens when one cannot be written."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from remediation.cli.runner import RunOptions, run_playbook_task


@pytest.mark.parametrize("name", ["run.html", "run.xml", "run.json"])
def test_a_run_whose_report_cannot_be_written_has_failed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    play = tmp_path / "play.yml"
    # the folder is there when the run begins, and gone when it ends
    play.write_text(
        f"- hosts: all\n  gather_facts: false\n  tasks: [{{file: {{path: {tmp_path}/reports, state: absent}}}}]\n", "utf-8"
    )
    options = RunOptions(playbook=str(play), inventory=("local",), report=f"reports/{name}", max_risk="destructive")
    assert run_playbook_task("play", options, io.StringIO()) == 2
    assert f"--report reports/{name}: cannot be written: No such file or directory" in capsys.readouterr().err
