"""Plans, journals, reports and recordings hold no secret of a run; who goes on from them gives it again."""

from __future__ import annotations

import base64
import json
import stat
import sys
from pathlib import Path

import pytest

from tests.cli.processes import Remediate

TOKEN, PASSWORD, QUOTED = "TOKENVALUE99", "S3cr3tPw-abc", "S'ecr\"et\\one 77"
INVENTORY = {
    "all": {
        "hosts": {"here": {"ansible_connection": "local"}},
        "vars": {"db_password": QUOTED, "repo": "https://u:pw12345@host/x"},
    }
}
PLAYBOOK = """
- hosts: all
  gather_facts: false
  vars: {header: "user:{{ db_password }}"}
  tasks:
    - command: "echo {{ db_password | quote }} {{ api_token | default('none') }}"
    - command: "echo {{ header | b64encode }} {{ db_password | urlencode }}"
    - debug: {msg: "{{ repo }} {{ [db_password] }} {{ db_password | to_json }} {{ {'a': db_password} | to_nice_yaml }}"}
    - debug: {msg: "{{ item }}"}
      loop: ["{{ db_password }}", plain]
    - fail: {msg: "{{ db_password }}"}
      ignore_errors: true
"""
FORMS = (
    TOKEN, PASSWORD, QUOTED, repr(QUOTED)[1:-1], json.dumps(QUOTED)[1:-1], QUOTED.replace("'", "''"), "S%27ecr", "pw12345",
    base64.b64encode(f"user:{QUOTED}".encode()).decode()[8:30], 'ecr"et', 'ecr\\"et',
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "site.yml").write_text(PLAYBOOK, "utf-8")
    (tmp_path / "inv.json").write_text(json.dumps(INVENTORY), "utf-8")
    return tmp_path


def leaks(project: Path, *more: str) -> list[str]:
    """Return which secrets are anywhere in what the program wrote, but for the user's own inventory."""
    files = [path for path in project.rglob("*") if path.is_file() and path.name != "inv.json"]
    texts = {str(path): path.read_text("utf-8", errors="replace") for path in files} | dict(enumerate(more))  # type: ignore[operator]
    return [f"{name}: {form}" for name, text in texts.items() for form in FORMS if form in text]


RUN = (
    "site.yml",
    "--inventory",
    "inv.json",
    "-e",
    f"api_token={TOKEN}",
    "-e",
    "plain=5",
    "-e",
    json.dumps({"ansible_password": PASSWORD, "n": 1}),
)


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
def test_a_plan_is_private_and_holds_no_secret_and_is_applied_with_it(remediate: Remediate, project: Path) -> None:
    (project / "plan.json").write_text("of others", "utf-8")
    (project / "plan.json").chmod(0o666)
    check = remediate(
        "play",
        *RUN,
        "--check",
        "--out",
        "plan.json",
        "--record",
        "tape",
        "-v",
        program=(
            "-c",
            "import os; os.umask(0); import sys; sys.argv[0] = 'remediate'; from remediation.cli.main import main; main()",
        ),
    )
    assert check.returncode == 4, check.stdout + check.stderr
    for name in ("plan.json", "tape"):
        assert stat.S_IMODE((project / name).stat().st_mode) == 0o600, name
    assert leaks(project, check.stdout, check.stderr) == []
    header = json.loads((project / "plan.json").read_text("utf-8"))["header"]
    assert header["asked"]["extra_vars"] == ["plain=5", '{"n": 1}']
    assert header["secret_vars"] == ["api_token", "ansible_password"]
    without = remediate("apply", "plan.json", "-e", f"api_token={TOKEN}")
    assert without.returncode == 1
    assert "plan.json was made with -e ansible_password, and secrets are not stored" in without.stderr
    assert "next: give it again: -e ansible_password=VALUE" in without.stderr
    applied = remediate(
        "apply", "plan.json", "-e", f"api_token={TOKEN}", "-e", f"ansible_password={PASSWORD}", "--report", "page.html"
    )
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "2 changes" in applied.stdout
    assert leaks(project, applied.stdout, applied.stderr) == []


def test_the_inventory_may_hold_it_by_then(remediate: Remediate, project: Path) -> None:
    assert remediate("play", *RUN, "--check", "--out", "plan.json").returncode == 4
    more = {"all": {"hosts": {"here": {"ansible_connection": "local", "ansible_password": PASSWORD, "api_token": TOKEN}},
                    "vars": {"db_password": QUOTED, "repo": "https://u:pw12345@host/x"}}}  # fmt: skip
    (project / "inv.json").write_text(json.dumps(more), "utf-8")
    applied = remediate("apply", "plan.json")
    assert applied.returncode == 0, applied.stdout + applied.stderr


@pytest.mark.parametrize("suffix", [".html", ".json", ".xml"])
def test_no_output_of_a_run_holds_a_secret(remediate: Remediate, project: Path, suffix: str) -> None:
    done = remediate(
        "play",
        *RUN,
        "-v",
        "--diff",
        "--report",
        f"report{suffix}",
        "--record",
        "tape",
        *(["--json"] if suffix == ".json" else []),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads(remediate("history", "--json").stdout)[0]["run"]
    shown = remediate("show", run, "-v")
    assert leaks(project, done.stdout, done.stderr, shown.stdout, shown.stderr) == []
    assert "***" in done.stdout


def test_queries_show_no_secret(remediate: Remediate, project: Path) -> None:
    for words in (("vars", "here"), ("vars", "here", "--json"), ("hosts", "--json")):
        done = remediate(*words, "--inventory", "inv.json", "-e", f"api_token={TOKEN}")
        assert done.returncode == 0, done.stderr
        assert leaks(project, done.stdout, done.stderr) == []


def test_an_error_about_a_secret_does_not_show_it(remediate: Remediate, project: Path) -> None:
    for words in (
        ("play", "site.yml", "--inventory", "inv.json", "-e", f"api_token={TOKEN} x"),
        ("play", "site.yml", "--inventory", "https://u:pw12345@host/x.yml"),
    ):
        done = remediate(*words)
        assert done.returncode == 1
        assert leaks(project, done.stdout, done.stderr) == []


def test_environment_variables_with_a_secret_name_are_not_shown(remediate: Remediate, project: Path) -> None:
    (project / "env.yml").write_text(
        "- hosts: all\n  tasks: [{command: env}, {debug: {msg: \"{{ lookup('env', 'DEPLOY_TOKEN') }}\"}}]\n", "utf-8"
    )
    done = remediate("play", "env.yml", "--inventory", "inv.json", "-v", "--json", DEPLOY_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert "DEPLOY_TOKEN=***" in done.stdout
    assert leaks(project, done.stdout, done.stderr) == []


def test_a_run_that_is_resumed_gets_its_secret_again(remediate: Remediate, project: Path) -> None:
    (project / "stop.yml").write_text("- hosts: all\n  tasks: [{command: 'echo {{ api_token }}'}, {fail: {msg: no}}]\n", "utf-8")
    first = remediate("play", "stop.yml", "--inventory", "inv.json", "-e", f"api_token={TOKEN}")
    assert first.returncode == 2, first.stderr
    run = json.loads(remediate("history", "--json").stdout)[0]["run"]
    without = remediate("resume", run)
    assert without.returncode == 1
    assert f"run {run} was made with -e api_token" in without.stderr
    again = remediate("resume", run, "-e", f"api_token={TOKEN}")
    assert again.returncode == 2, again.stderr
    assert leaks(project, again.stdout, again.stderr) == []


NO_LOG = """
- hosts: all
  gather_facts: false
  tasks:
    - command: {argv: [sh, -c, "echo ERR-HIDDEN1 >&2; exit 3"]}
    - command: /nonexistent/HIDDEN2
    - command: {cmd: ls, chdir: /HIDDEN3}
    - fail: {msg: HIDDEN4}
    - env_file.set: {path: "{{ playbook_dir }}/a.env", set: {ENDPOINT: new-HIDDEN5}}
    - block:
        - command: {argv: [sh, -c, "echo HIDDEN6; exit 4"]}
          until: false
          retries: 1
          delay: 0
          ignore_errors: false
  no_log: true
  ignore_errors: true
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the tasks run POSIX programs")
def test_no_log_hides_errors_reasons_and_settings_everywhere(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text(NO_LOG, "utf-8")
    (tmp_path / "inv.json").write_text(json.dumps({"all": {"hosts": {"here": {"ansible_connection": "local"}}}}), "utf-8")
    (tmp_path / "a.env").write_text("ENDPOINT=old-HIDDEN7\n", "utf-8")
    rehearsed = remediate("play", "site.yml", "-i", "inv.json", "--check", "--diff", "-v", "--out", "plan.json")
    done = remediate("play", "site.yml", "-i", "inv.json", "--diff", "-v", "--report", "run.html")
    assert (rehearsed.returncode, done.returncode) == (4, 2), done.stderr
    assert (tmp_path / "a.env").read_text("utf-8") == "ENDPOINT=new-HIDDEN5\n"
    shown = [done.stdout, done.stderr, rehearsed.stdout, rehearsed.stderr]
    files = [tmp_path / "plan.json", tmp_path / "run.html", *(tmp_path / "state").rglob("events.jsonl")]
    assert not [text for text in (*shown, *(path.read_text("utf-8") for path in files)) if "HIDDEN" in text]
    (run,) = {path.parent.name for path in (tmp_path / "state").rglob("events.jsonl") if "change_end" in path.read_text("utf-8")}
    undone = remediate("undo", run)
    assert "cannot be undone: set ENDPOINT" not in undone.stdout, undone.stdout + undone.stderr
    assert (tmp_path / "a.env").read_text("utf-8") == "ENDPOINT=old-HIDDEN7\n", undone.stdout + undone.stderr


def test_a_file_of_variables_is_relative_to_the_folder_where_it_is_given(remediate: Remediate, project: Path) -> None:
    assert remediate("play", *RUN, "--check", "--out", "plan.json").returncode == 4
    (project / "other").mkdir()
    (project / "other" / "again.json").write_text(json.dumps({"api_token": TOKEN, "ansible_password": PASSWORD}), "utf-8")
    applied = remediate("apply", "../plan.json", "-e", "@again.json", cwd=project / "other")
    assert applied.returncode == 0, applied.stdout + applied.stderr
