"""``shell``, ``script``, ``raw`` and ``command`` on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.model.errors import InputError
from remediation.modules.commands.programs import Shell
from remediation.playbook.actions import from_text
from tests.modules.local import run_tasks


def test_a_shell_keeps_the_lines_and_spaces_of_its_script(tmp_path: Path) -> None:
    ran = run_tasks(tmp_path, [{"shell": 'for i in 1 2; do\n  echo "$i   x"\ndone\n', "args": {"chdir": str(tmp_path)}}])
    assert ran.result("shell")["stdout_lines"] == ["1   x", "2   x"]


def test_words_inside_a_command_line_are_taken_out_of_it() -> None:
    assert from_text(Shell, "echo a=b  c chdir=/tmp && pwd") == {"cmd": "echo a=b  c && pwd", "chdir": "/tmp"}
    assert from_text(Shell, "creates=/x\nchdir=/y\necho a\n") == {"cmd": "echo a\n", "creates": "/x", "chdir": "/y"}
    assert from_text(Shell, "echo a creates=/x\necho b") == {"cmd": "echo a echo b", "creates": "/x"}
    assert from_text(Shell, r"C:\Tools\x.exe -a creates='C:\a b'") == {"cmd": r"C:\Tools\x.exe -a", "creates": r"C:\a b"}


def test_a_script_of_the_playbook_gets_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/s.sh").write_text('#!/bin/sh\necho "$1|$2|$PWD"\nexit 3\n')
    ran = run_tasks(tmp_path, [{"script": "s.sh one 'two three'", "args": {"chdir": "/"}, "ignore_errors": True}])
    assert (ran.result("script")["rc"], ran.result("script")["stdout"].strip()) == (3, "one|two three|/")


def test_creates_and_removes_may_be_patterns(tmp_path: Path) -> None:
    (tmp_path / "made one").touch()
    ran = run_tasks(
        tmp_path,
        [
            {"shell": "false", "args": {"creates": f"{tmp_path}/made*"}},
            {"command": "false", "args": {"removes": f"{tmp_path}/no*"}},
        ],
    )
    assert ran.outcomes() == {"shell": "ok", "command": "ok"}
    assert ran.result("shell")["msg"] == f"Did not run command since '{tmp_path}/made*' exists"


def test_check_mode_runs_nothing_and_expects_a_change_where_the_state_is_known(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    ran = run_tasks(tmp_path, [{"shell": f"touch {path}"}, {"command": f"touch {path}", "args": {"creates": path}}], check=True)
    assert ran.outcomes() == {"shell": "skipped", "command": "would-change"}
    assert not Path(path).exists()


def test_a_windows_module_says_what_to_use_on_another_host(tmp_path: Path) -> None:
    ran = run_tasks(tmp_path, [{"ansible.windows.win_shell": "dir", "ignore_errors": True}])
    assert "win_shell does not support" in ran.results["ansible.windows.win_shell"]["reason"]
    assert ran.results["ansible.windows.win_shell"]["next_step"] == "use shell"


def test_a_risk_above_the_limit_is_blocked(tmp_path: Path) -> None:
    ran = run_tasks(tmp_path, [{"shell": "true", "risk": "disruptive", "ignore_errors": True}])
    assert ran.outcomes() == {"shell": "blocked"}


def test_modules_that_are_not_there_are_refused_together_with_what_to_use(tmp_path: Path) -> None:
    tasks = [
        {"apt": {"name": "x"}},
        {"community.docker.docker_container": {"name": "x"}},
        {"amazon.aws.ec2_instance": {}},
        {"win_domain_user": {}},
    ]
    with pytest.raises(InputError) as refused:
        run_tasks(tmp_path, tasks)
    said = [str(problem) for problem in refused.value.problems]
    assert len(said) == 4
    for text, words in zip(said, ("install them before", "steps of compose", "uri, or command", "ActiveDirectory"), strict=True):
        assert "site.yml:" in text
        assert words in text


def test_the_output_of_a_program_keeps_its_line_ends(tmp_path: Path) -> None:
    command = {"argv": ["printf", "a\\r\\nb \\r\\n"]}
    tasks = [
        {"name": "kept", "command": {**command, "strip_empty_ends": False, "executable": "/bin/sh"}},
        {"name": "stripped", "command": command},
    ]
    ran = run_tasks(tmp_path, tasks)
    assert (ran.result("kept")["stdout"], ran.result("stripped")["stdout"]) == ("a\r\nb \r\n", "a\r\nb ")
    assert (ran.result("stripped")["stdout_lines"], "warnings" in ran.result("stripped")) == (["a", "b "], False)
    assert ran.result("kept")["warnings"][0].endswith("Not using '/bin/sh'.")


def test_a_program_that_is_not_started_has_ansibles_result(tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_text("#!/bin/sh\n")
    tasks = [
        {"name": "missing", "command": "/no/such/program 'a b'"},
        {"name": "denied", "command": str(tmp_path)},
        {"name": "shell", "shell": "echo x", "args": {"executable": "/no/shell"}},
        {"name": "folder", "command": {"argv": ["pwd"], "chdir": "/no/folder"}},
        {"name": "script", "script": "s.sh", "args": {"chdir": "/no/folder"}},
    ]
    ran = run_tasks(tmp_path, [{**task, "ignore_errors": True} for task in tasks])
    found = {name: (ran.result(name)["rc"], ran.result(name).get("cmd")) for name in ran.results}
    assert found.pop("script")[0] > 0
    assert found == {
        "missing": (2, "/no/such/program 'a b'"), "denied": (13, str(tmp_path)), "shell": (2, "/no/shell -c 'echo x'"),
        "folder": (None, ["pwd"]),
    }  # fmt: skip
    assert ran.result("denied")["msg"] == "Error executing command."
    assert "permission denied" in ran.results["denied"]["reason"]


def test_raw_refuses_the_words_that_ansible_takes_out_of_its_line(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    ran = run_tasks(tmp_path, [{"raw": f"echo a creates={tmp_path}/there", "ignore_errors": True}])
    assert ran.outcomes() == {"raw": "failed"}
    assert "creates" in ran.result("raw")["msg"]
