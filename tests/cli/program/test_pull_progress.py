"""A pull on a remote host is watched as it goes on: the real program, on the lab, over real WinRM."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.processes import Remediate

BOOK = """\
- hosts: all
  tasks:
    - name: fetch it
      model.present: { model: "phi3:3.8b" }
"""


def test_a_pull_shows_its_progress(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "book.yml").write_text(BOOK, "utf-8")
    done = remediate("play", "book.yml", "--inventory", "lab", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events if event["event"].startswith("change_")]
    assert kinds[0] == "change_start"
    assert kinds[-1] == "change_end"
    progress = [event for event in events if event["event"] == "change_progress"]
    assert len(progress) == len(kinds) - 2
    assert (progress[0]["status"], progress[-1]["status"]) == ("pulling manifest", "success")
    assert {(each["step"], each["index"], each["host"]) for each in progress} == {("model.present", 0, "laptop-07")}
    parts = [each["completed"] / each["total"] for each in progress if each["completed"]]
    assert parts == sorted(set(parts))
    assert parts[-1] == 1.0
