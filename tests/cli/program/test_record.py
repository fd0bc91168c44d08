"""--record: all calls to hosts with their answers, in a file that can be diagnosed elsewhere."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from tests.cli.processes import Remediate, Started

LAB = ("--inventory", "lab")
CHANGES = {"close chrome.exe", "close Discord.exe"}


def replayed(remediate: Remediate, tape: Path, *words: str) -> Started:
    """Run a task on what a recording holds."""
    inventory = tape.with_suffix(".replay.json")
    host = {"ansible_connection": "replay", "ansible_replay_file": str(tape), "close_programs": True, "max_risk": "disruptive"}
    inventory.write_text(json.dumps({"all": {"hosts": {"somewhere": host}}}), "utf-8")
    return remediate(*words, "--inventory", str(inventory), "--json")


def causes(done: Started) -> list[str]:
    return [finding["cause"] for incident in json.loads(done.stdout) for finding in incident["findings"]]


def plan(done: Started) -> list[str]:
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return [event["change"]["summary"] for event in events if event["event"] == "change_planned"]


def run_id(remediate: Remediate) -> str:
    return str(json.loads(remediate("history", "--json").stdout)[0]["run"])


def names_in(tape: Path) -> list[str]:
    """Return whose names a recording of the lab still holds: its login's, its host's, that of the machine the run was started on."""
    lines = tape.read_text("utf-8").lower()
    return [name for name in ("maria", "laptop-07", f"@{socket.gethostname().lower()}") if name in lines]


def test_a_recorded_diagnosis_is_replayed(remediate: Remediate, tmp_path: Path) -> None:
    tape = tmp_path / "host.jsonl"
    recorded = remediate("diagnose", *LAB, "--json", "--record", str(tape))
    assert recorded.returncode == 0, recorded.stderr
    text = tape.read_text("utf-8")
    assert "laptop-07" not in text
    assert "maria" not in text.lower()
    again = replayed(remediate, tape, "diagnose")
    assert again.returncode == 0, again.stderr
    assert causes(recorded) == causes(again) != []


def test_the_recording_of_a_repair_gives_the_plan_it_began_with(remediate: Remediate, tmp_path: Path) -> None:
    wanted = remediate("fix-offload", *LAB, "--check", "--json", "--out", str(tmp_path / "plan.json"))
    assert set(plan(wanted)) > CHANGES
    tape = tmp_path / "apply.jsonl"
    applied = remediate("apply", str(tmp_path / "plan.json"), "--record", str(tape))
    assert applied.returncode == 0, applied.stdout + applied.stderr
    again = replayed(remediate, tape, "fix-offload", "--check")
    assert again.returncode == 4, again.stdout + again.stderr
    assert plan(again) == plan(wanted)
    assert "vram_occupied" in causes(replayed(remediate, tape, "diagnose"))
    assert names_in(tape) == []


def test_what_follows_a_run_is_recorded_and_leaves_the_run_s_own_recording_alone(remediate: Remediate, tmp_path: Path) -> None:
    tapes = {name: tmp_path / f"{name}.jsonl" for name in ("run", "resume", "undo", "verify")}
    blocked = remediate("fix-offload", *LAB, "--max-risk", "safe", "--record", str(tapes["run"]))
    assert blocked.returncode == 5, blocked.stdout
    before = tapes["run"].read_text("utf-8")
    run = run_id(remediate)
    resumed = remediate("resume", run, "--max-risk", "disruptive", "--record", tapes["resume"].name, "--report", "whole.json")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert set(plan(replayed(remediate, tapes["resume"], "fix-offload", "--check"))) > CHANGES
    report = [json.loads(line) for line in (tmp_path / "whole.json").read_text("utf-8").splitlines()]
    kinds = [event["event"] for event in report]
    assert kinds.count("run_end") == 1  # of both processes together
    assert "blocked" in {event["outcome"] for event in report if event["event"] == "task_result"}
    assert "change_end" in kinds
    undone = remediate("undo", run, "--record", tapes["undo"].name)
    assert undone.returncode == 0, undone.stdout + undone.stderr
    verified = remediate("verify", *LAB, "--after", "1", "--json", "--record", str(tapes["verify"]))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    again = replayed(remediate, tapes["verify"], "verify")
    assert again.returncode == 0, again.stdout + again.stderr
    assert tapes["run"].read_text("utf-8") == before
    assert [name for tape in tapes.values() for name in names_in(tape)] == []


def test_a_file_that_cannot_be_written_is_an_error_before_a_host_is_touched(remediate: Remediate, tmp_path: Path) -> None:
    done = remediate("diagnose", "--inventory", "lab", "--record", str(tmp_path / "none" / "tape"))
    assert done.returncode == 1
    assert "--record: cannot write a file" in done.stderr
