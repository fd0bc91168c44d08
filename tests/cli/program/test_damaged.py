"""Runs, plans and streams that are not as they should be end in a sentence."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import ROOT, Remediate, Started

PLAY = "- hosts: all\n  tasks:\n    - command: 'true'\n      risk: disruptive\n    - debug: {msg: on}\n"
FOLLOWING = (("show", "-v"), ("resume",), ("undo",))


@pytest.fixture
def run(remediate: Remediate, tmp_path: Path) -> Path:
    """Return the folder of a run."""
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    (tmp_path / "hosts.yml").write_text("all:\n  hosts:\n    h: {ansible_connection: local}\n", encoding="utf-8")
    done = remediate("play", "play.yml", "--inventory", "hosts.yml", "--max-risk", "disruptive")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "state" / "remediation" / "runs").iterdir()
    return folder


def in_a_sentence(done: Started) -> None:
    """Check that a command ended without a signal, with a sentence where it failed."""
    assert done.returncode in {0, 1, 2, 5}, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "internal error" not in done.stderr
    assert done.returncode == 0 or done.stdout + done.stderr


VALUES = ("null", "5", "-1", '"x"', "[]", "{}", "1e400", "NaN", "[[5]]", "true", '{"a": null}', "9" * 400)


def damaged(text: str, draw: random.Random) -> str:
    """Return JSON lines of which one value is another, or one line is cut."""
    lines = text.splitlines()
    at = draw.randrange(len(lines))
    value = json.loads(lines[at])
    place = value
    while True:
        key = draw.choice(sorted(place))
        if not isinstance(place[key], dict) or not place[key] or draw.random() < 0.4:
            break
        place = place[key]
    place[key] = "@@"
    lines[at] = json.dumps(value).replace('"@@"', draw.choice(VALUES))
    if draw.random() < 0.2:
        lines[at] = lines[at][: draw.randrange(len(lines[at]))]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.every) for seed in range(5, 200))])
@pytest.mark.parametrize("name", ["run.json", "events.jsonl"])
def test_a_damaged_run_ends_in_a_sentence(remediate: Remediate, run: Path, seed: int, name: str) -> None:
    draw = random.Random(seed)
    path = run / name
    text = path.read_text(encoding="utf-8")
    if name == "run.json":
        text = json.dumps(json.loads(text)) + "\n"
    path.write_text(damaged(text, draw), encoding="utf-8")
    in_a_sentence(remediate("history"))
    in_a_sentence(remediate("history", "--json"))
    for words in FOLLOWING:
        in_a_sentence(remediate(words[0], run.name, *words[1:]))


@pytest.mark.parametrize("content", ["", "5", "[]", "{}", "[" * 100_000, '{"format": 1, "digest": 5}', "\x00", "9" * 5000])
def test_a_file_that_is_no_plan_is_refused(remediate: Remediate, tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content, encoding="utf-8")
    done = remediate("apply", "plan.json")
    in_a_sentence(done)
    assert done.returncode in {1, 5}


def test_a_run_that_is_still_running_is_not_joined(remediate: Remediate, environment: dict[str, str], tmp_path: Path) -> None:
    flag = tmp_path / "go"
    (tmp_path / "play.yml").write_text(
        f"- hosts: all\n  tasks:\n    - wait_for: {{path: {flag}, timeout: 600}}\n", encoding="utf-8"
    )
    (tmp_path / "hosts.yml").write_text("all:\n  hosts:\n    h: {ansible_connection: local}\n", encoding="utf-8")
    command = [sys.executable, "-m", "remediation.cli.main", "play", "play.yml", "--inventory", "hosts.yml", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    name = json.loads(process.stdout.readline())["run"]
    assert json.loads(remediate("history", "--json").stdout)[0]["state"] == "running"
    for command_name in ("resume", "undo"):
        done = remediate(command_name, name)
        assert (done.returncode, done.stderr.split(" on ")[0]) == (5, f"run {name} is still running (process {process.pid}")
    assert "the run is still running" in remediate("show", name).stdout
    flag.touch()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(remediate("history", "--json").stdout)[0]["state"] == "ended"


@pytest.mark.skipif(sys.platform == "win32", reason="no shell that closes streams there")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_ends_nothing_and_its_number_is_given_to_no_file(
    run: Path, environment: dict[str, str], tmp_path: Path, closed: str
) -> None:
    words = f"{sys.executable} -m remediation.cli.main play play.yml --inventory hosts.yml --max-risk disruptive {closed}"
    done = subprocess.run(
        ["sh", "-c", words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    newest = max(run.parent.iterdir(), key=lambda folder: folder.stat().st_mtime)
    lines = (newest / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines][-1] == "run_end"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="takes root to become a user without a home")
@pytest.mark.parametrize(
    "words", [("lab.start",), ("fix-offload", "--inventory", "lab"), ("history",), ("diagnose", "-i", "local")]
)
def test_without_a_writable_home_the_reason_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "home"
    (folder / ".local").mkdir(parents=True)
    (folder / ".local" / "state").write_text("a file in the place of the folder", encoding="utf-8")
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "remediation.cli.main", *words]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=60)
    in_a_sentence(done)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("task_result", {"outcome": None}),
        ("task_result", {"result": [5]}),
        ("host_end", {"outcome": "gone"}),
        ("measurement", {"figures": [5]}),
        ("findings", {"findings": [[5]]}),
    ],
)
def test_a_run_cut_off_with_a_damaged_event_is_resumed_or_refused(
    remediate: Remediate, run: Path, kind: str, fields: dict[str, object]
) -> None:
    path = run / "events.jsonl"
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [event for event in events if event["event"] != "run_end"]
    odd = {**next((event for event in kept if event["event"] == kind), {"event": kind, "time": 1.0, "host": "h"}), **fields}
    lost = {"event": "host_end", "time": 2.0, "host": "h", "outcome": "unreachable", "reason": ""}
    path.write_text("".join(f"{json.dumps(event)}\n" for event in [*kept, lost, odd]), encoding="utf-8")
    in_a_sentence(remediate("resume", run.name))


def test_odd_names_of_secret_variables_are_a_sentence(remediate: Remediate, run: Path) -> None:
    header = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**header, "secret_vars": [["a"], None]}), encoding="utf-8")
    for words in FOLLOWING:
        in_a_sentence(remediate(words[0], run.name, *words[1:]))
