"""The first minutes: the bare command, examples in every help, ``doctor`` and ``init``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from remediation.cli.argv import understand
from remediation.cli.checks.controller import key_files
from remediation.cli.commands.project.init import CONNECTIONS, starter_files
from remediation.cli.commands.project.init import write_files as starting
from remediation.cli.main import WELCOME, WITH_LAB, WITHOUT_LAB, RemediateProgram, namespace
from remediation.cli.plugins import add_commands
from remediation.cli.task import OptionTask
from remediation.connections.settings import from_variables
from remediation.model.errors import UsageError
from tests.cli.processes import Remediate

add_commands(namespace)
CONTEXTS = {str(context.name): context for context in namespace.to_contexts()}


def test_the_bare_command_says_in_five_lines_what_to_do_next(remediate: Remediate) -> None:
    done = remediate()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("remediate ") and len(line) <= 100 for line in lines)


@pytest.mark.parametrize("name", CONTEXTS)
def test_every_command_has_two_examples_that_its_own_parser_accepts(name: str) -> None:
    task = namespace[name]
    assert isinstance(task, OptionTask)
    assert len(task.examples) >= 2
    core = RemediateProgram(namespace=namespace).initial_context
    for example in task.examples:
        assert len(example) <= 110
        program, *words = shlex.split(example.partition(" && ")[0], comments=True)
        line = understand(words, core, CONTEXTS)
        assert (program, line.task) == ("remediate", name)


@pytest.mark.parametrize("trial", [WITH_LAB, WITHOUT_LAB])
def test_the_five_lines_fit_a_terminal_of_80_columns(trial: str) -> None:
    assert [line for line in WELCOME.format(trial=trial).splitlines() if len(line) >= 80] == []


def test_help_shows_the_examples(remediate: Remediate) -> None:
    text = remediate("fix-offload", "--help").stdout
    assert "Examples:" in text
    assert "remediate fix-offload --check --diff" in text


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_a_new_project_lints_clean(remediate: Remediate, tmp_path: Path, connection: str) -> None:
    done = remediate("init", "fleet", "--connection", connection)
    assert (done.returncode, done.stderr) == (0, "")
    linted = remediate("lint", "site", cwd=tmp_path / "fleet")
    assert (linted.returncode, linted.stdout) == (0, "playbooks/site.yml: no errors, 0 pieces of advice\n")
    listed = json.loads(remediate("hosts", "--json", cwd=tmp_path / "fleet").stdout)
    assert [(host["connection"], host["groups"]) for host in listed["hosts"]] == [(connection, ["gpu"])]
    assert (tmp_path / "fleet" / ".gitignore").is_file()


def test_init_overwrites_nothing(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/site.yml").write_text("mine", encoding="utf-8")
    done = remediate("init", ".")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(". has playbooks/site.yml already")
    assert sorted(path.name for path in tmp_path.rglob("*.yml")) == ["site.yml"]


def test_init_refuses_what_is_no_host() -> None:
    with pytest.raises(UsageError, match="not a host name"):
        starter_files("ssh", ("a: {b: c}",))
    with pytest.raises(UsageError, match="is no connection"):
        starter_files("telnet")


def test_doctor_reports_a_ready_machine(remediate: Remediate) -> None:
    done = remediate("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0
    assert checks["first host"]["ok"] is True
    assert checks["inventory"]["text"].startswith("1 host (1 by local)")


def test_doctor_names_the_mistakes_of_an_inventory(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "fleet.yml").write_text(
        "all: {hosts: {a: {ansible_connection: winrm}, b: {ansible_port: x}}}\n", encoding="utf-8"
    )
    done = remediate("doctor", "--inventory", "fleet.yml", "--json")
    wrong = [check["text"] for check in json.loads(done.stdout)["checks"] if check["ok"] is False]
    assert done.returncode == 2
    assert [text.partition(": ")[0].split(":")[0] for text in wrong] == ["fleet.yml", "fleet.yml"]
    assert "host a uses connection winrm but has no user" in wrong[0]
    assert "b: ansible_port" in wrong[1]


def test_doctor_says_that_the_first_host_cannot_be_reached(remediate: Remediate, tmp_path: Path) -> None:
    hosts = "all: {hosts: {gone: {ansible_host: 127.0.0.1, ansible_port: 1, ansible_user: x}}}\n"
    (tmp_path / "fleet.yml").write_text(hosts, encoding="utf-8")
    done = remediate("doctor", "--inventory", "fleet.yml")
    assert done.returncode == 3
    assert "✗ first host" in done.stdout


def test_key_files_are_checked_once_with_their_hosts(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("x", encoding="utf-8")
    key.chmod(0o644)
    given = [
        from_variables(name, {"ansible_connection": "ssh", "ansible_ssh_private_key_file": str(file)})
        for name, file in [("a", key), ("b", key), ("c", tmp_path / "none")]
    ]
    shared, missing = key_files(given)
    assert (shared.ok, missing.ok) == (None, False)
    assert shared.text.startswith(f"ansible_ssh_private_key_file of a, b: {key} can be read by other users")
    assert shared.cure == f"chmod 600 {key}"
    assert missing.text.endswith("none does not exist")


def test_init_on_a_full_disk_names_the_file_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resource = pytest.importorskip("resource", reason="POSIX only")
    (tmp_path / "there").mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for folder, left in (("there", ["there"]), ("new/deep", ["there"])):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))  # the inventory fits, the playbook does not
            with pytest.raises(UsageError, match=r"cannot write .*site\.yml: File too large; nothing was left behind"):
                starting(tmp_path / folder, starter_files("local"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == left
    assert capsys.readouterr().out == ""


def test_a_file_of_the_user_outlives_a_failed_init(tmp_path: Path) -> None:
    (tmp_path / "playbooks").write_text("a file in the place of a folder", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot write"):
        starting(tmp_path, starter_files("local"))
    assert [path.name for path in tmp_path.iterdir()] == ["playbooks"]
