"""``diagnose --evidence`` through the real program: pasted evidence, and files that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.processes import Remediate

# the shape of Ollama 0.5 to 0.12's offload line (facts/ollama 2), written for this test
LOG = (
    'time=2026-02-03T10:00:00.000+01:00 level=INFO source=server.go:168 msg=offload library=cuda layers.requested=1 layers.model=33 '
    'layers.offload=1 layers.split="" memory.available="[5.6 GiB]" memory.gpu_overhead="0 B" memory.required.full="5.4 GiB" '
    'memory.required.partial="1.0 GiB" memory.required.kv="512.0 MiB" memory.required.allocations="[1.0 GiB]"\n'
    "load_tensors: offloaded 1/33 layers to GPU\n"
)  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "their-log.txt"
    path.write_text(LOG, encoding="utf-8")
    return path


@pytest.mark.usefixtures("log")
def test_a_pasted_log_gives_cause_proof_and_cure(remediate: Remediate) -> None:
    done = remediate("diagnose", "--evidence", "their-log.txt")
    assert (done.returncode, done.stderr) == (0, "")
    assert "explicit_num_gpu" in done.stdout
    assert "their-log.txt:1" in done.stdout
    assert "1/33" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.usefixtures("log")
def test_json_is_one_list_with_one_object_per_evidence(remediate: Remediate) -> None:
    done = remediate("diagnose", "--json", "--evidence", "their-log.txt", "--evidence", "their-log.txt")
    answers = json.loads(done.stdout)
    assert [answer["offloaded"] for answer in answers] == [[1, 33], [1, 33]]
    assert all({"findings", "offloaded", "predicted", "target"} <= set(answer) for answer in answers)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--evidence", "no-such.log"], "no-such.log: there is no such file"),
        (["--evidence", "their-log.txt", "--limit", "x"], "--limit needs hosts and cannot be combined with --evidence"),
        (["--evidence"], "--evidence needs a value"),
    ],
)
@pytest.mark.usefixtures("log")
def test_what_cannot_be_diagnosed_ends_1_with_one_sentence(remediate: Remediate, words: list[str], sentence: str) -> None:
    done = remediate("diagnose", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("log")
def test_what_was_read_is_saved_and_gives_the_same_answer(remediate: Remediate, tmp_path: Path) -> None:
    done = remediate("diagnose", "--json", "--evidence", "their-log.txt", "--out", "record.json")
    assert (done.returncode, done.stderr.count("record.json")) == (0, 1)
    assert json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["format"] == "remediation-evidence"
    again = remediate("diagnose", "--json", "--evidence", "record.json")
    assert json.loads(again.stdout)[0]["findings"] == json.loads(done.stdout)[0]["findings"]


@pytest.mark.usefixtures("log")
def test_several_incidents_are_saved_to_a_file_each(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(LOG, encoding="utf-8")
    assert remediate("diagnose", "--evidence", "their-log.txt", "--evidence", "other.txt", "--out", "r.json").returncode == 0
    assert {path.name for path in tmp_path.glob("r-*.json")} == {"r-their-log.txt.json", "r-other.txt.json"}


@pytest.mark.parametrize(("cause", "code"), [("explicit_num_gpu", 2), ("vram_occupied", 0), ("healthy", 0)])
@pytest.mark.usefixtures("log")
def test_fail_on_a_cause_ends_2_only_when_that_is_found(remediate: Remediate, cause: str, code: int) -> None:
    assert remediate("diagnose", "--evidence", "their-log.txt", "--fail-on", cause).returncode == code


@pytest.mark.usefixtures("log")
def test_fail_on_a_cause_that_there_is_not_names_the_nearest(remediate: Remediate) -> None:
    done = remediate("diagnose", "--evidence", "their-log.txt", "--fail-on", "explicit_num_gpus")
    assert done.returncode == 1
    assert "did you mean 'explicit_num_gpu'?" in done.stderr


def test_a_host_that_is_not_there_is_no_finding(remediate: Remediate, tmp_path: Path) -> None:
    winrm = {
        "ansible_connection": "winrm",
        "ansible_host": "127.0.0.9",
        "ansible_port": 1,
        "ansible_user": "a",
        "ansible_password": "not-the-one",
    }
    hosts = {
        "gone": winrm,
        "lost": {"ansible_connection": "ssh", "ansible_host": "127.0.0.9", "ansible_port": 1, "ansible_user": "a"},
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}), "utf-8")
    done = remediate("diagnose", "--inventory", str(inventory))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "gone  could not be checked: connection refused at that address and port" in done.stdout
    assert "lost  could not be checked: nothing answers at 127.0.0.9:1" in done.stdout
    assert done.stderr.count("next:") == 2
    assert "unknown" not in done.stdout
    hosts = json.loads(remediate("diagnose", "--inventory", str(inventory), "--json", "--fail-on", "unknown").stdout)
    assert [(one["name"], one["findings"], bool(one["error"])) for one in hosts] == [("gone", [], True), ("lost", [], True)]


def test_a_refused_login_is_tried_once(remediate: Remediate) -> None:
    remediate("lab.start")

    def logins() -> int:
        counted: dict[str, int] = json.loads(remediate("lab.status", "--json").stdout)["laptop-07"]["winrm"]
        return counted.get("authentication", 0)

    before = logins()
    done = remediate("diagnose", "--inventory", "lab", "-e", "ansible_password=not-the-one")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "could not be checked: the login ops was refused by ntlm" in done.stdout
    assert "not retried" in done.stderr
    assert logins() - before == 2  # the two messages of one login


def test_a_powershell_that_is_held_back_is_no_finding(remediate: Remediate) -> None:
    remediate("lab.start")
    remediate("lab.fault", "laptop-07", "constrained-language")
    done = remediate("diagnose", "--inventory", "lab")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "PowerShell runs in ConstrainedLanguage mode there" in done.stdout
