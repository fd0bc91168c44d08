"""--record: what hosts were asked and answered, in a file that somebody else can diagnose."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.started import Remediate


def test_a_recorded_diagnosis_is_replayed(remediate: Remediate, tmp_path: Path) -> None:
    tape = tmp_path / "host.jsonl"
    recorded = remediate("diagnose", "--inventory", "lab", "--json", "--record", str(tape))
    assert recorded.returncode == 0, recorded.stderr
    text = tape.read_text("utf-8")
    assert "laptop-07" not in text
    assert "maria" not in text.lower()
    inventory = tmp_path / "replay.yml"
    host = {"ansible_connection": "replay", "ansible_replay_file": str(tape)}
    inventory.write_text(json.dumps({"all": {"hosts": {"somewhere": host}}}), "utf-8")
    replayed = remediate("diagnose", "--inventory", str(inventory), "--json")
    assert replayed.returncode == 0, replayed.stderr
    causes = [
        [finding["cause"] for incident in json.loads(done.stdout) for finding in incident["findings"]]
        for done in (recorded, replayed)
    ]
    assert causes[0] == causes[1] != []


def test_a_file_that_cannot_be_written_is_told_before_a_host_is_asked(remediate: Remediate, tmp_path: Path) -> None:
    done = remediate("diagnose", "--inventory", "lab", "--record", str(tmp_path / "none" / "tape"))
    assert done.returncode == 1
    assert "--record: no file can be written" in done.stderr
