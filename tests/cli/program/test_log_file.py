"""``--log-file``: what it says of a run, and what it must not hold."""

from __future__ import annotations

import json
import logging
import re
import stat
import sys
from pathlib import Path

import pytest

from tests.cli.processes import ROOT, Remediate

PLAIN = "inventory-Pa55word-here"
VAULTED, VAULT_PASSWORD = "vaulted-Pa55word-there", "vault-Pa55word-opens"
TOKEN, EXTRA = "environment-T0ken-value", "extra-S3cret-value"
HIDDEN = "nameless-value-of-a-no-log-task"
SECRETS = (PLAIN, VAULTED, VAULT_PASSWORD, TOKEN, EXTRA, HIDDEN)

CALL = re.compile(
    r"^\S+ (?:DEBUG|WARNING) remediation\.connections\.guard: (\S+): (\w+) exchange \d+, call \d+ of \d+: "
    r"(\w+)( \(write\))? [^:].*: .* in \d+\.\d{3} s",
    re.MULTILINE,
)
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (DEBUG|INFO|WARNING|ERROR) remediation\.[\w.]+: .+$")

PLAYBOOK = f"""
- hosts: all
  gather_facts: false
  tasks:
    - name: secrets on their way to the host
      command: {{cmd: whoami, stdin: "{{{{ registry_password }}}} {{{{ api_token }}}} {{{{ deploy_token }}}} {{{{ spare_password }}}}"}}
    - name: a program whose name is a secret
      command: "{{{{ registry_password }}}}"
      ignore_errors: true
    - name: an error that holds one
      fail: {{msg: "{{{{ api_token }}}} is refused"}}
      ignore_errors: true
    - name: hidden
      command: {HIDDEN}
      no_log: true
      ignore_errors: true
- import_playbook: {ROOT / "playbooks/fix-offload.yml"}
"""


def vaulted(text: str) -> str:
    from ansible.constants import DEFAULT_VAULT_ID_MATCH
    from ansible.parsing.vault import VaultLib, VaultSecret

    sealed: bytes = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(VAULT_PASSWORD.encode()))]).encrypt(text)
    return sealed.decode()


@pytest.fixture
def lab_project(tmp_path: Path) -> Path:
    """The shipped lab, with a password, a vault value, a template that reads the environment, and a playbook that uses them."""
    sealed = "".join(f"      {line}\n" for line in vaulted(VAULTED).splitlines())
    more = f"    registry_password: {PLAIN}\n    deploy_token: \"{{{{ lookup('env', 'DEPLOY_TOKEN') }}}}\"\n    api_token: !vault |\n{sealed}"
    (tmp_path / "hosts.yml").write_text((ROOT / "inventory/lab.yml").read_text("utf-8") + more, "utf-8")
    (tmp_path / "vault").write_text(VAULT_PASSWORD, "utf-8")
    (tmp_path / "vault").chmod(0o600)
    (tmp_path / "site.yml").write_text(PLAYBOOK, "utf-8")
    return tmp_path


def test_a_debug_log_of_a_repair_names_each_call_and_holds_no_secret(remediate: Remediate, lab_project: Path) -> None:
    done = remediate(
        "play", "site.yml", "--inventory", "hosts.yml", "--vault-password-file", "vault", "-e", f"spare_password={EXTRA}",
        "--log-file", "debug.log", "--record", "tape", DEPLOY_TOKEN=TOKEN,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    log = (lab_project / "debug.log").read_text("utf-8")
    calls = CALL.findall(log)
    assert {(host, connection) for host, connection, _, _ in calls} == {("laptop-07", "winrm")}
    assert {kind for _, _, kind, _ in calls} >= {"Run", "Probe", "Http", "ReadFile"}
    assert any(writes for *_, writes in calls)
    recorded = [json.loads(line)["call"]["type"] for line in (lab_project / "tape").read_text("utf-8").splitlines()[1:]]
    assert sorted(kind for _, _, kind, _ in calls) == sorted(recorded)
    for decision in (
        "causes vram_occupied",
        "allowed: close chrome.exe",
        "lease 1 taken",
        "model.offloaded is met",
        "ended with exit code 0",
    ):
        assert decision in log
    assert "Run (write) of a task with no_log: not-found in " in log
    assert "outcome=failed, reason=***" in log
    assert [secret for secret in SECRETS if secret in log] == []
    assert [line for line in log.splitlines() if not LINE.match(line)] == []


def test_a_record_of_any_module_is_masked(tmp_path: Path) -> None:
    from remediation.cli.log_file import log_to
    from remediation.model.secrets.masking import Masker, no_log

    masker, log = Masker(), logging.getLogger("remediation.some.module")
    with log_to(str(tmp_path / "a.log"), None, masker):
        masker.add(PLAIN)
        log.info("login with %s at %s", PLAIN, f"https://ann:{TOKEN}@host/")
        try:
            int(PLAIN)
        except ValueError:
            log.exception("failed")
        with no_log(active=True):
            log.info("nameless %s", HIDDEN)
    log.info("after")
    text = (tmp_path / "a.log").read_text("utf-8")
    assert "login with *** at https://" in text
    assert "ValueError: invalid literal for int() with base 10: '***'" in text
    assert "hidden: no_log" in text
    assert "after" not in text
    assert [secret for secret in SECRETS if secret in text] == []


@pytest.fixture
def local(tmp_path: Path) -> Path:
    (tmp_path / "inv.json").write_text(json.dumps({"all": {"hosts": {"here": {"ansible_connection": "local"}}}}), "utf-8")
    return tmp_path


def play(folder: Path, *tasks: object) -> None:
    (folder / "site.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), "utf-8")


def test_a_host_cannot_forge_a_line_or_steer_a_terminal(remediate: Remediate, local: Path) -> None:
    play(local, {"fail": {"msg": "one\nforged: line \x1b[2J\u202e"}, "ignore_errors": True})
    done = remediate("play", "site.yml", "-i", "inv.json", "--log-file", "a.log")
    assert done.returncode == 0, done.stderr
    log = (local / "a.log").read_text("utf-8")
    assert r"one\nforged: line \x1b[2J\u202e" in log
    assert [line for line in log.splitlines() if not LINE.match(line)] == []


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
def test_the_file_is_private_and_appended_to(remediate: Remediate, local: Path) -> None:
    play(local, {"command": "true"})
    (local / "a.log").write_text("before\n", "utf-8")
    (local / "a.log").chmod(0o666)
    for _ in range(2):
        assert remediate("play", "site.yml", "-i", "inv.json", "--log-file", "a.log").returncode == 0
    log = (local / "a.log").read_text("utf-8")
    assert log.startswith("before\n")
    assert log.count("play ended with exit code 0") == 2
    assert stat.S_IMODE((local / "a.log").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--log-file", "none/a.log"), "--log-file none/a.log: the folder"),
        (("--log-file", "."), "--log-file .: is a folder"),
        (("--log-file", "a.log", "--log-level", "loud"), "--log-level cannot be 'loud'"),
        (("--log-level", "debug"), "--log-level has no effect without --log-file"),
    ],
)
@pytest.mark.parametrize(
    "command", [("play", "site.yml"), ("diagnose",), ("check-host",), ("monitor", "--for", "1s"), ("undo", "abcd")]
)
def test_a_bad_file_or_level_is_one_sentence_before_a_host_is_touched(
    remediate: Remediate, local: Path, words: tuple[str, ...], sentence: str, command: tuple[str, ...]
) -> None:
    play(local, {"command": "touch touched"})
    done = remediate(*command, *(() if command[0] == "undo" else ("-i", "inv.json")), *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
    assert "Traceback" not in done.stderr
    assert not (local / "touched").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links are POSIX's")
def test_a_link_is_not_followed(remediate: Remediate, local: Path) -> None:
    (local / "target").write_text("mine", "utf-8")
    (local / "a.log").symlink_to(local / "target")
    done = remediate("diagnose", "-i", "inv.json", "--log-file", "a.log")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("--log-file a.log: ")
    assert (local / "target").read_text("utf-8") == "mine"


def test_a_level_leaves_out_what_is_below_it(remediate: Remediate, local: Path) -> None:
    play(local, {"command": "true"})
    assert remediate("play", "site.yml", "-i", "inv.json", "--log-file", "a.log", "--log-level", "INFO").returncode == 0
    log = (local / "a.log").read_text("utf-8")
    assert " INFO " in log
    assert " DEBUG " not in log


def test_without_a_log_file_nothing_is_written_about_it(remediate: Remediate, local: Path) -> None:
    play(local, {"command": "/no/such/program", "ignore_errors": True})
    done = remediate("play", "site.yml", "-i", "inv.json")
    assert done.stderr == ""
    assert "remediation." not in done.stdout


def test_a_full_disk_ends_the_log_and_not_the_run(remediate: Remediate, local: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    play(local, {"command": "true"})
    done = remediate("play", "site.yml", "-i", "inv.json", "--log-file", "/dev/full")
    assert done.returncode == 0
    assert done.stderr.count("warning: the log file cannot be written any more") == 1


def test_an_exception_of_ours_is_logged_with_its_traceback(remediate: Remediate, local: Path) -> None:
    crash = (
        "import sys; import remediation.cli.context as c; from remediation.cli.main import main; "
        "c.check_inventory = lambda *a: {}['no such key \\x1b[2J']; sys.argv[0] = 'remediate'; main()"
    )
    done = remediate("diagnose", "-i", "inv.json", "--log-file", "a.log", program=("-c", crash))
    assert done.returncode == 1
    log = (local / "a.log").read_text("utf-8")
    assert "Traceback (most recent call last):" in log
    assert "KeyError" in log
    assert "\x1b" not in log
