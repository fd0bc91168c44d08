"""The main job as its users start it: the real program, on the lab, over real WinRM."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import ROOT, Remediate, Started

LAB = ("--inventory", "lab")


@pytest.fixture
def lab(remediate: Remediate) -> Remediate:
    return remediate


def events(done: Started) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def kinds(done: Started, kind: str) -> list[dict[str, Any]]:
    return [event for event in events(done) if event["event"] == kind]


def steps_of(done: Started) -> list[str]:
    return [event["step"] for event in kinds(done, "change_end") if event["applied"]]


def test_programs_that_hold_the_card_are_closed_and_a_second_run_changes_nothing(lab: Remediate) -> None:
    first = lab("fix-offload", *LAB)
    assert first.returncode == 0, first.stdout + first.stderr
    for wanted in ("1/33", "vram_occupied", "close chrome.exe", "goal met  33/33", "1 host repaired", "simulated"):
        assert wanted in first.stdout
    # what a look asked the last time it asks at once the next time: four changes, each looked at, in few exchanges
    assert json.loads(lab("lab.status", "--json").stdout)["laptop-07"]["winrm"]["send"] <= 34
    second = lab("fix-offload", *LAB, "--json")
    assert second.returncode == 0
    assert steps_of(second) == []
    assert kinds(second, "goal")[0]["state"] == "met"


def without_times(text: str) -> list[str]:
    """The words of an output, with what differs from run to run left out: seconds, tokens seen in time, the run's ID, the wrapping."""
    for pattern, word in ((r"[\d.]+ s\b", "N s"), (r"\(\d+ seen\)", "(N seen)"), (r"\b(undo|show) [0-9a-f]{4}\b", r"\1 ID")):
        text = re.sub(pattern, word, text)
    return text.split()


def test_the_documentation_and_the_picture_show_what_the_first_command_prints(lab: Remediate) -> None:
    page = (ROOT / "docs/getting-started.md").read_text(encoding="utf-8")
    sample = re.search(r"^```text\n(laptop-07 .*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert sample is not None
    printed = without_times(lab("fix-offload", *LAB, COLUMNS="100").stdout)
    assert without_times(sample[1]) == printed
    picture = (ROOT / "docs/images/run.svg").read_text(encoding="utf-8")
    drawn = re.findall(r'<text [^>]*clip-path="url\(#run-line[^>]*>([^<]*)</text>', picture)
    text = " ".join(html.unescape(part).replace("\xa0", " ") for part in drawn)
    assert "docs/images/run.svg" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert without_times(text.partition("inventory/lab.yml")[2]) == printed


def test_a_runner_left_with_one_layer_is_reloaded_and_nothing_stronger_is_done(lab: Remediate) -> None:
    lab("lab.start")
    lab("lab.fault", "laptop-07", "num-gpu-1")
    done = lab("fix-offload", *LAB, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(steps_of(done)) == {"model.reloaded"}
    assert kinds(done, "findings")[0]["diagnosis"]["findings"][0]["cause"] == "explicit_num_gpu"


def test_a_healthy_host_is_left_alone(lab: Remediate) -> None:
    lab("lab.start")
    lab("lab.fault", "laptop-07", "healthy")
    done = lab("fix-offload", *LAB, "--json")
    assert done.returncode == 0
    assert steps_of(done) == []
    status = json.loads(lab("lab.status", "--json").stdout)
    written = {kind for kind in status["laptop-07"]["writes"] if "lease" not in kind}
    assert written <= {"generate"}  # a few tokens for the figures, from the runner that is loaded


def test_check_mode_changes_nothing_and_says_what_would_be_done(lab: Remediate) -> None:
    done = lab("fix-offload", *LAB, "--check", "--diff")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "close chrome.exe" in done.stdout
    assert "nothing was changed" in done.stdout
    assert json.loads(lab("lab.status", "--json").stdout)["laptop-07"]["writes"] == {}


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_dry_means_check(lab: Remediate, how: str) -> None:
    words = ("--dry", "fix-offload") if how == "flag" else ("fix-offload",)
    done = lab(*words, *LAB, **({} if how == "flag" else {"INVOKE_RUN_DRY": "1"}))
    assert done.returncode == 4, done.stdout + done.stderr
    assert json.loads(lab("lab.status", "--json").stdout)["laptop-07"]["writes"] == {}


def test_without_a_terminal_a_risk_that_was_not_allowed_is_blocked(lab: Remediate) -> None:
    done = lab("fix-offload", *LAB, "--max-risk", "safe")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "--max-risk disruptive" in done.stdout
    assert "closed" not in json.dumps(json.loads(lab("lab.status", "--json").stdout)["laptop-07"]["writes"])


def test_a_saved_plan_is_applied_once(lab: Remediate, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.json")
    assert lab("fix-offload", *LAB, "--check", "--out", plan).returncode == 4
    applied = lab("apply", plan)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "goal met  33/33" in applied.stdout
    stale = lab("apply", plan)
    assert stale.returncode == 5
    assert "stale plan" in stale.stderr
    text = Path(plan).read_text(encoding="utf-8").replace("chrome.exe", "winlogon.exe")
    Path(plan).write_text(text, encoding="utf-8")
    edited = lab("apply", plan)
    assert edited.returncode == 5
    assert "was edited" in edited.stderr


def test_a_run_can_be_shown_listed_and_undone(lab: Remediate) -> None:
    lab("lab.start")
    lab("lab.fault", "laptop-07", "llm-library-cuda")
    done = lab("fix-offload", *LAB)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ollama.environment" in done.stdout
    (run,) = json.loads(lab("history", "--json").stdout)
    shown = lab("show", run["run"][:3], "--diff")
    assert "OLLAMA_LLM_LIBRARY=cuda" in shown.stdout
    undone = lab("undo", run["run"], "--json")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert any(step in {"file.restored", "ollama.environment"} for step in steps_of(undone))


def test_the_page_and_the_xml_of_a_run_are_written(lab: Remediate, tmp_path: Path) -> None:
    assert lab("fix-offload", *LAB, "--report", str(tmp_path / "run.html")).returncode == 0
    assert "laptop-07" in (tmp_path / "run.html").read_text(encoding="utf-8")
    assert lab("fix-offload", *LAB, "--report", str(tmp_path / "run.xml")).returncode == 0
    assert "<testsuite" in (tmp_path / "run.xml").read_text(encoding="utf-8")


def test_two_runs_at_once_and_one_of_them_changes_the_host(lab: Remediate, environment: dict[str, str], tmp_path: Path) -> None:
    lab("lab.start")
    command = [sys.executable, "-m", "remediation.cli.main", "fix-offload", *LAB, "--json"]
    running = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [(process, *process.communicate(timeout=90)) for process in running]
    changed = ['"step": "vram.free"' in out or '"step":"vram.free"' in out for _, out, _ in ended]
    assert sum(changed) == 1, [out for _, out, _ in ended]
    assert {process.returncode for process, *_ in ended} <= {0, 5}


def test_ctrl_c_finishes_the_change_in_flight_and_says_how_to_go_on(
    lab: Remediate, environment: dict[str, str], tmp_path: Path
) -> None:
    lab("lab.start")
    command = [sys.executable, "-m", "remediation.cli.main", "fix-offload", *LAB, "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if seen[-1]["event"] == "change_start":
            os.kill(process.pid, signal.SIGINT)
            break
    rest, stderr = process.communicate(timeout=60)
    seen += [json.loads(line) for line in rest.splitlines()]
    assert process.returncode == 130, stderr
    assert "remediate resume" in stderr
    assert seen[-1]["event"] == "run_end"
    started = [event for event in seen if event["event"] == "change_start"]
    ended = [event for event in seen if event["event"] == "change_end"]
    assert len(started) == len(ended) == 1
    resumed = lab("resume", seen[-1]["run"])
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert ["layers", "on", "the", "GPU", "1/33", "33/33"] in [line.split() for line in resumed.stdout.splitlines()]


def test_a_diagnosis_names_the_cause_and_leaves_the_host_as_it_was(lab: Remediate) -> None:
    done = lab("diagnose", *LAB, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)
    assert found["findings"][0]["cause"] == "vram_occupied"
    assert found["offloaded"] == [1, 33]
    assert json.loads(lab("lab.status", "--json").stdout)["laptop-07"]["writes"] == {}


def test_check_host_names_what_there_is(lab: Remediate) -> None:
    done = lab("check-host", *LAB)
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in ("FullLanguage", "RTX 3060", "messages encrypted", "Ollama"):
        assert wanted in done.stdout


def test_monitor_samples_at_the_given_interval(lab: Remediate) -> None:
    done = lab("monitor", *LAB, "--every", "0.1s", "--for", "0.5s", "--json")
    assert done.returncode == 0, done.stderr
    samples = events(done)
    assert samples[0]["gpus"][0]["name"].startswith("NVIDIA")
    assert samples[0]["models"][0]["model"] == "mistral:7b-instruct-q4_K_M"


def test_the_password_stands_nowhere(lab: Remediate, tmp_path: Path) -> None:
    done = lab("fix-offload", *LAB, "--json", "-v", "--report", str(tmp_path / "run.json"))
    (users,) = (tmp_path / "state").rglob("users")
    password = users.read_text(encoding="utf-8").splitlines()[0].split(":", 2)[2]
    texts = [done.stdout, done.stderr, (tmp_path / "run.json").read_text(encoding="utf-8")]
    texts += [
        path.read_text(encoding="utf-8", errors="replace") for path in (tmp_path / "state").rglob("runs/**/*") if path.is_file()
    ]
    assert len(password) > 10
    assert [text for text in texts if password in text] == []


def test_plain_invoke_has_the_same_tasks(lab: Remediate) -> None:
    done = lab("fix-offload", *LAB, program=("-m", "invoke"), cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "33/33" in done.stdout
    listed = lab("--list", program=("-m", "invoke"), cwd=ROOT).stdout
    assert "fix-offload" in listed
