"""Control characters in hosts, logs, names and files: no command writes one to a terminal or a report.

Standard output and error are the pipes of the test, so the program itself has no style to write: every one that is found came
from the poisoned data.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from remediation.model.text.visible import visible
from tests.cli.processes import ROOT, Remediate

POISON = "\x1b]0;PWNED\x07\x1b[31m\x9b2J\x7f\u202e\u200b[red]"
HOST = "host\x1b(0\x9b2J\x7f\u202e\u200bPWNED"
YAML_POISON = json.dumps(POISON)[1:-1]
SHOWN = visible(POISON)

PLAYBOOK = f"""
- name: "play {YAML_POISON}"
  hosts: all
  vars: {{bad: "{YAML_POISON}"}}
  tasks:
    - name: "task {YAML_POISON}"
      debug: {{msg: "message {YAML_POISON}"}}
    - command: {{argv: [printf, '\\033[31mout\\302\\233\\n\\342\\200\\256']}}
      name: prints
    - name: "fails {YAML_POISON}"
      fail: {{msg: "[link=http://x]{YAML_POISON}"}}
      ignore_errors: true
    - name: loops
      debug: {{msg: "{{{{ item }}}}"}}
      loop: ["{YAML_POISON}"]
"""


def clean(text: str) -> None:
    assert {character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} <= {"\n", "\t"}
    assert "Traceback" not in text


@pytest.fixture
def poisoned(remediate: Remediate, tmp_path: Path) -> Path:
    """An inventory whose host answers with poison in every name that it has."""
    tape = tmp_path / "tape.jsonl"
    done = remediate("fix-offload", "--inventory", "lab", "--check", "--record", str(tape))
    assert done.returncode == 4, done.stderr
    text = tape.read_text("utf-8")
    for name in ("chrome.exe", "NVIDIA GeForce", "Discord.exe", "Windows 11", "Ollama is", "desktop-linux"):
        text = text.replace(name, f"{YAML_POISON}{name}")
    tape.write_text(text, "utf-8")
    path = tmp_path / "poisoned.yml"
    host = {"ansible_connection": "replay", "ansible_replay_file": str(tape), "note": POISON, f"x{POISON}": 1}
    path.write_text(json.dumps({"all": {"hosts": {HOST: host}}}), "utf-8")
    return path


def test_no_command_on_a_poisoned_host_writes_a_control_character(remediate: Remediate, poisoned: Path, tmp_path: Path) -> None:
    outputs = []
    for words in (
        ("diagnose",), ("diagnose", "-v"), ("diagnose", "--json"), ("check-host", "-v"), ("check-host", "--json"), ("hosts",),
        ("hosts", "--graph"), ("hosts", "--json"), ("vars", HOST), ("vars", HOST, "--json"),
        ("fix-offload", "--check", "--diff", "-v", "--report", "page.html", "--out", "plan.json"),
        ("fix-offload", "--check", "--json", "--report", "junit.xml"), ("verify", "--report", "lines.json"),
        ("monitor", "--for", "1ms"), ("monitor", "--for", "1ms", "--json"),
    ):  # fmt: skip
        done = remediate(*words, "--inventory", str(poisoned))
        clean(done.stdout)
        clean(done.stderr)
        outputs.append(done.stdout + done.stderr)
    assert sum("PWNED" in text for text in outputs) > 10, outputs  # the poison was there to be seen
    for words in (("history",), ("apply", "plan.json"), ("show", f"{POISON}")):
        done = remediate(*words)
        clean(done.stdout)
        clean(done.stderr)
    for file in ("page.html", "junit.xml", "lines.json", "plan.json"):
        text = (tmp_path / file).read_text("utf-8")
        clean(text)
        assert "PWNED" in text


def test_no_playbook_log_or_name_does(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text(PLAYBOOK, "utf-8")
    (tmp_path / "bad.yml").write_text(f'- hosts: all\n  tasks:\n    - "nosuch{YAML_POISON}": 1\n', "utf-8")
    log = f'time=2025-01-01T00:00:00 level=INFO source=x msg="offloaded {POISON}"\n{POISON}chrome.exe {POISON} docker: Error {POISON}\n'
    (tmp_path / "server.log").write_text(log, "utf-8")
    (tmp_path / "lines.jsonl").write_text(
        json.dumps({"format": POISON, "pieces": [{"kind": POISON, "text": log, "name": POISON}]}), "utf-8"
    )
    here = ("--inventory", "here,", "-e", "ansible_connection=local")
    for words in (
        ("play", "site.yml", *here, "-v", "--report", "page.html"), ("play", "site.yml", *here, "--json", "--report", "junit.xml"),
        ("play", "site.yml", *here, "--check", "--out", "plan.json"), ("lint", "site.yml"), ("lint", "bad.yml"),
        ("diagnose", "--evidence", "server.log", "-v", "--out", "out.json"), ("diagnose", "--evidence", "lines.jsonl", "--json"),
        ("diagnose", "--evidence", f"{POISON}.log"), ("steps", "--name", POISON), (POISON,), ("play", POISON, f"--{POISON}"),
        ("play", "site.yml", "--inventory", f"{POISON}.yml"), ("play", "site.yml", *here, "-e", f"{POISON}"),
        ("play", "site.yml", *here, "--limit", POISON), ("lab.status", "--json"), ("undo", POISON),
    ):  # fmt: skip
        done = remediate(*words)
        clean(done.stdout)
        clean(done.stderr)
    run = json.loads(remediate("history", "--json").stdout)[-1]["run"]
    shown = remediate("show", run, "-v")
    clean(shown.stdout)
    assert SHOWN in shown.stdout.replace("\n", "").replace(" ", "") or "PWNED" in shown.stdout
    for file in ("page.html", "junit.xml", "plan.json", "out.json"):
        clean((tmp_path / file).read_text("utf-8"))


STYLES = re.compile(r"\x1b\[(?:\d{1,3}(?:;\d{1,3})*)?m|\x1b\[(?:\d*[AK]|2K|\?25[lh])|\r")
"""What rich itself writes: colours, and the moves by which it draws its live lines again."""


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal is POSIX's here")
def test_a_terminal_gets_no_sequence_but_the_styles_of_the_program(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text(PLAYBOOK, "utf-8")
    ours, theirs = pty.openpty()
    words = ["play", "site.yml", "--inventory", "here,", "-e", "ansible_connection=local", "-v"]
    process = subprocess.Popen(
        [sys.executable, "-m", "remediation.cli.main", *words], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**environment, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(60) == 0
    text = STYLES.sub("", written.decode("utf-8"))
    clean(text)
    assert "PWNED" in text
    assert "[link=http://x]" in text  # and not rich's own markup either
