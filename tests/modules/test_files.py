"""The file modules on this machine: content, mode, check mode, differences, idempotence and undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediation.modules.files.attributes import parse_mode
from tests.modules.local import Run, run_tasks


def thrice(folder: Path, tasks: list[dict[str, Any]]) -> tuple[Run, Run, Run]:
    """Return check mode, a run and a second run."""
    return run_tasks(folder, tasks, check=True, diff=True), run_tasks(folder, tasks, diff=True), run_tasks(folder, tasks)


def test_copy_predicts_changes_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    check, first, second = thrice(tmp_path, [{"copy": {"content": "one\n", "dest": str(path), "mode": "0600"}}])
    assert [each.outcomes()["copy"] for each in (check, first, second)] == ["would-change", "changed", "ok"]
    assert check.result("copy")["diff"][0]["after"] == first.result("copy")["diff"][0]["after"] == "one\n"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("one\n", 0o600)
    assert first.result("copy")["checksum"] == second.result("copy")["checksum"]


def test_a_backup_has_ansibles_name_and_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("old")
    ran = run_tasks(tmp_path, [{"copy": {"content": "new", "dest": str(tmp_path / "d"), "backup": True}}])
    backup = Path(ran.result("copy")["backup_file"])
    assert backup.name.startswith("d.")
    assert backup.name.endswith("~")
    assert backup.read_text() == "old"


def test_the_undo_of_a_written_file_holds_its_old_content(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("old\n")
    ran = run_tasks(tmp_path, [{"copy": {"content": "new\n", "dest": str(tmp_path / "d")}}])
    undo = ran.changes[0]["change"]["undo"]
    assert undo["step"] == "file.managed"
    back = run_tasks(tmp_path, [{"file.managed": undo["params"]}])
    assert (back.code, (tmp_path / "d").read_text()) == (0, "old\n")


def test_a_file_edited_since_is_left_alone_by_undo(tmp_path: Path) -> None:
    ran = run_tasks(tmp_path, [{"copy": {"content": "new\n", "dest": str(tmp_path / "d")}}])
    (tmp_path / "d").write_text("mine\n")
    back = run_tasks(tmp_path, [{"file.managed": ran.changes[0]["change"]["undo"]["params"]}])
    assert "was edited since" in back.results["file.managed"]["reason"]
    assert (tmp_path / "d").read_text() == "mine\n"


def test_no_log_shows_no_content_and_keeps_a_copy_next_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("old-secret\n")
    ran = run_tasks(tmp_path, [{"copy": {"content": "new-secret\n", "dest": str(tmp_path / "d")}, "no_log": True}], diff=True)
    assert "secret" not in repr([event.data for event in ran.events])
    assert [path.read_text() for path in tmp_path.glob("d.*.bak")] == ["old-secret\n"]


def test_a_validation_that_fails_leaves_the_file(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("old")
    ran = run_tasks(
        tmp_path, [{"copy": {"content": "x", "dest": str(tmp_path / "d"), "validate": "grep -q y %s"}, "ignore_errors": True}]
    )
    assert ran.result("copy")["msg"] == "failed to validate"
    assert (tmp_path / "d").read_text() == "old"


def test_a_folder_is_copied_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "files/tree/sub").mkdir(parents=True)
    (tmp_path / "files/tree/sub/two").write_text("2")
    ran = run_tasks(
        tmp_path,
        [
            {"copy": {"src": "tree", "dest": str(tmp_path / "x")}},
            {"name": "inner", "copy": {"src": "tree/", "dest": str(tmp_path / "y")}},
        ],
    )
    assert ran.code == 0
    assert (tmp_path / "x/tree/sub/two").read_text() == (tmp_path / "y/sub/two").read_text() == "2"


def test_a_template_file_is_evaluated_as_ansible_does(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/t.j2").write_text(
        "#jinja2: lstrip_blocks: True\n{{ who }}\n  {% if true %}\nin\n  {% endif %}\n{{ 'a\\tb' }}\n[% no %]\n{% raw %}{{ x }}{% endraw %}\n"
    )
    (tmp_path / "templates/u.j2").write_text("<< who >> {{ kept }}\n")
    own = {"src": "u.j2", "dest": str(tmp_path / "u"), "variable_start_string": "<<", "variable_end_string": ">>"}
    ran = run_tasks(
        tmp_path,
        [
            {"template": {"src": "t.j2", "dest": str(tmp_path / "t")}},
            {"name": "win", "template": {"src": "t.j2", "dest": str(tmp_path / "w"), "newline_sequence": "\\r\\n"}},
            {"name": "own", "template": own},
        ],
        vars={"who": "me"},
    )
    assert ran.code == 0
    assert (tmp_path / "t").read_text() == "me\nin\na\tb\n[% no %]\n{{ x }}\n"
    assert (tmp_path / "w").read_bytes().startswith(b"me\r\nin\r\n")
    assert (tmp_path / "u").read_text() == "me {{ kept }}\n"


@pytest.mark.parametrize(
    ("text", "given", "after", "msg"),
    [
        ("a=1\nb\n", {"regexp": "^a=", "line": "a=2"}, "a=2\nb\n", "line replaced"),
        ("a\nb\n", {"line": "b"}, "a\nb\n", ""),
        ("a", {"line": "b"}, "a\nb\n", "line added"),
        ("a\nb\n", {"line": "x", "insertafter": "^a"}, "a\nx\nb\n", "line added"),
        ("a\nb\n", {"line": "x", "insertbefore": "^b"}, "a\nx\nb\n", "line added"),
        ("a\nb\n", {"line": "x", "insertbefore": "BOF"}, "x\na\nb\n", "line added"),
        ("k=1\n", {"regexp": "^(k)=", "line": r"\1=2", "backrefs": True}, "k=2\n", "line replaced"),
        ("z\n", {"regexp": "^(k)=", "line": r"\1=2", "backrefs": True}, "z\n", ""),
        ("a\nb\na\n", {"regexp": "^a", "state": "absent"}, "b\n", "2 line(s) removed"),
    ],
)
def test_lines_are_set_and_removed(tmp_path: Path, text: str, given: dict[str, Any], after: str, msg: str) -> None:
    (tmp_path / "l").write_text(text)
    ran = run_tasks(tmp_path, [{"lineinfile": {"path": str(tmp_path / "l"), **given}}])
    assert ((tmp_path / "l").read_text(), ran.result("lineinfile")["msg"]) == (after, msg)


def test_a_block_is_inserted_replaced_and_removed(tmp_path: Path) -> None:
    block = {"path": str(tmp_path / "b"), "create": True, "block": "x\ny"}
    first = run_tasks(tmp_path, [{"blockinfile": block}])
    assert (tmp_path / "b").read_text() == "# BEGIN ANSIBLE MANAGED BLOCK\nx\ny\n# END ANSIBLE MANAGED BLOCK\n"
    again = run_tasks(tmp_path, [{"blockinfile": block}])
    gone = run_tasks(tmp_path, [{"blockinfile": {**block, "state": "absent"}}])
    assert [each.result("blockinfile")["msg"] for each in (first, again, gone)] == ["File created", "", "Block removed"]
    assert (tmp_path / "b").read_text() == ""


def test_folders_links_and_modes(tmp_path: Path) -> None:
    tasks = [
        {"name": "dir", "file": {"path": str(tmp_path / "a/b"), "state": "directory", "mode": "0750"}},
        {"name": "touch", "file": {"path": str(tmp_path / "a/b/f"), "state": "touch", "mode": "u=rw,g=,o="}},
        {"name": "link", "file": {"src": "f", "dest": str(tmp_path / "a/b/l"), "state": "link"}},
        {"name": "mode", "file": {"path": str(tmp_path / "a"), "mode": "g-rwx", "recurse": True}},
    ]
    assert run_tasks(tmp_path, tasks).outcomes() == dict.fromkeys(("dir", "touch", "link", "mode"), "changed")
    assert (tmp_path / "a/b/l").readlink() == Path("f")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    gone = run_tasks(tmp_path, [{"file": {"path": str(tmp_path / "a"), "state": "absent"}}])
    assert (gone.outcomes()["file"], (tmp_path / "a").exists()) == ("changed", False)


def test_stat_and_slurp_return_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("abc")
    ran = run_tasks(
        tmp_path,
        [
            {"stat": {"path": str(tmp_path / "f")}},
            {"slurp": {"src": str(tmp_path / "f")}},
            {"name": "none", "stat": {"path": "/no/such"}},
        ],
    )
    found = ran.result("stat")["stat"]
    assert (found["isreg"], found["size"], found["checksum"]) == (True, 3, "a9993e364706816aba3e25717850c26c9cd0d89d")
    assert ran.result("slurp")["content"] == "YWJj"
    assert ran.result("none")["stat"] == {"exists": False}


@pytest.mark.parametrize(
    ("given", "now", "mode"),
    [
        ("0644", 0, 0o644),
        (420, 0, 0o644),
        ("u=rwx,g=rx,o=", 0o777, 0o750),
        ("a+X", 0o644, 0o644),
        ("a+X", 0o744, 0o755),
        ("g-w", 0o664, 0o644),
        ("u+s", 0o755, 0o4755),
    ],
)
def test_modes_are_read_as_chmod_reads_them(given: Any, now: int, mode: int) -> None:
    assert parse_mode(given, now, directory=False) == mode


def test_a_file_that_got_no_owner_is_named_as_made(tmp_path: Path) -> None:
    task = {"copy": {"content": "x", "dest": str(tmp_path / "f"), "owner": "no-such-user"}}
    ran = run_tasks(tmp_path, [task])
    created, owned = ran.changes
    assert (created["applied"], created["error"], owned["applied"]) == (True, "", False)
    assert created["effect"].startswith("made, although the call ended with: ")
    assert "no-such-user" in owned["error"]
    assert (ran.outcomes()["copy"], ran.result("copy")["changed"]) == ("failed", True)


PATHS = [{"stat": {"path": "PATH"}}, {"file": {"path": "PATH", "state": "touch"}}, {"copy": {"content": "x", "dest": "PATH"}}, {"slurp": {"src": "PATH"}},
         {"lineinfile": {"path": "PATH", "line": "x"}}, {"command": {"cmd": "ls", "chdir": "PATH"}},
         {"command": {"cmd": "ls", "creates": "PATH"}}, {"wait_for": {"path": "PATH", "timeout": 1}}]  # fmt: skip


@pytest.mark.parametrize("task", PATHS, ids=lambda task: next(iter(task)))
def test_a_path_with_a_nul_is_refused_before_the_host_is_asked(tmp_path: Path, task: dict[str, Any]) -> None:
    ((name, given),) = task.items()
    key = next(key for key, value in given.items() if value == "PATH")
    ran = run_tasks(tmp_path, [{name: {**given, key: "{{ nul }}"}}], vars={"nul": "/a\0b"})
    assert ran.result(name)["msg"].endswith(f"{name}: {key}: a path cannot contain a NUL character")


def test_a_secret_in_a_line_is_refused_with_what_to_use_and_a_loops_items_show_none(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("a\n")
    secret = {"ansible_password": "hunter2secret"}
    refused = run_tasks(
        tmp_path, [{"lineinfile": {"path": str(tmp_path / "d"), "line": "k={{ ansible_password }}"}}], vars=secret
    )
    assert (
        "a secret is not accepted here; a file with a secret is written with template or copy"
        in refused.result("lineinfile")["msg"]
    )
    url = {"url": "http://127.0.0.1:9/", "url_password": "{{ ansible_password }}", "headers": {"X-Key": "abc"}, "timeout": 2}
    loop = {"uri": url, "loop": [1], "register": "asked", "ignore_errors": True}
    shown = run_tasks(
        tmp_path,
        [
            loop,
            {
                "debug": {
                    "msg": "{{ asked.results[0].invocation.module_args | dict2items | selectattr('key', 'in', ['headers', 'url_password']) | map(attribute='value') }}"
                }
            },
        ],
        vars=secret,
    )
    assert shown.result("debug")["msg"] == ["VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "***"]
    assert "hunter2secret" not in str(shown.events)


def test_results_that_playbooks_test_are_ansibles(tmp_path: Path) -> None:
    """Warnings, files with several names, differences of the mode alone, expressions that cannot be expanded, and searched paths."""
    (tmp_path / "f").write_text("a\n")
    (tmp_path / "one").touch()
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "x").write_text("x")
    path = str(tmp_path / "f")
    tasks = [
        {"name": "empty", "lineinfile": {"path": path, "regexp": "", "line": "b"}},
        {"name": "plain", "lineinfile": {"path": path, "line": "c"}},
        {"name": "expand", "replace": {"path": path, "regexp": "b", "replace": "\\D"}, "ignore_errors": True},
        {"name": "names", "file": {"path": str(tmp_path / "one"), "mode": "0600"}},
        {"name": "mode", "copy": {"content": "z\n", "dest": str(tmp_path / "z"), "mode": "0600"}},
        {"name": "other mode", "copy": {"content": "z\n", "dest": str(tmp_path / "z"), "mode": "0640"}, "diff": True},
        {"name": "gone", "copy": {"src": "gone", "dest": path}, "ignore_errors": True},
        {"name": "folder", "copy": {"src": str(tmp_path / "from"), "dest": str(tmp_path / "to"), "remote_src": True}},
        {"name": "no folder", "include_vars": {"dir": "none"}, "ignore_errors": True},
        {"name": "endings", "include_vars": {"dir": "from"}, "ignore_errors": True},
        {"name": "raw", "raw": "true", "environment": {"A": "b"}},
        {"name": "script", "script": "from/x", "check_mode": True},
    ]
    ran = run_tasks(tmp_path, tasks)
    assert ran.result("empty")["warnings"][0].startswith("The regular expression is an empty string")
    assert "warnings" not in ran.result("plain")
    assert ran.result("expand")["msg"] == "Unable to process replace due to error: bad escape \\D at position 0"
    assert (ran.result("names")["dest"], ran.result("names")["src"]) == (str(tmp_path / "one"), None)
    before, after = (ran.result("other mode")["diff"][side]["mode"] for side in ("before", "after"))
    assert (before, after) == ("0600", "0640")
    assert f"\nSearched in:\n\t{tmp_path}/files/gone\n\t{tmp_path}/gone" in ran.result("gone")["msg"]
    assert (tmp_path / "to" / "from" / "x").read_text() == "x"
    assert ran.result("no folder")["message"] == f"{tmp_path}/none directory does not exist"
    assert ran.result("endings")["message"] == f"{tmp_path}/from/x does not have a valid extension: yaml, yml, json"
    assert ran.result("raw")["warnings"] == ["raw module does not support the environment keyword"]
    assert ran.result("script")["msg"] == "Check mode is not supported for this task."


def test_a_link_is_replaced_also_by_the_content_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("same")
    for name in ("followed", "replaced"):
        (tmp_path / name).symlink_to("target")
    tasks = [
        {"name": name, "copy": {"content": "same", "dest": str(tmp_path / name), "follow": name == "followed"}}
        for name in ("followed", "replaced")
    ]
    assert run_tasks(tmp_path, tasks).outcomes() == {"followed": "ok", "replaced": "changed"}
    assert [(tmp_path / name).is_symlink() for name in ("followed", "replaced")] == [True, False]
    assert (tmp_path / "replaced").read_text() == (tmp_path / "target").read_text() == "same"


def test_check_mode_returns_the_state_of_a_file_whose_mode_alone_differs(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("a")
    path.chmod(0o644)
    task = {"copy": {"content": "a", "dest": str(path), "mode": "0600"}}
    check, first = run_tasks(tmp_path, [task], check=True).result("copy"), run_tasks(tmp_path, [task]).result("copy")
    assert (check["mode"], first["mode"]) == ("0644", "0600")
    assert {name: check[name] for name in ("dest", "checksum", "size", "state", "uid")} == {
        name: first[name] for name in ("dest", "checksum", "size", "state", "uid")
    }


@pytest.mark.parametrize(
    ("module", "given", "modes"),
    [
        ("file", {"state": "directory", "mode": "0700"}, ("0755", "0700")),
        ("file", {"state": "touch", "mode": "0600"}, ("0644", "0600")),
        ("file", {"state": "touch", "mode": "0644"}, (None, None)),
        ("lineinfile", {"line": "a", "create": True, "mode": "0600"}, ("0644", "0600")),
    ],
)
def test_the_difference_of_a_new_path_has_the_mode_that_it_had_at_first(
    tmp_path: Path, module: str, given: dict[str, Any], modes: tuple[str | None, str | None]
) -> None:
    task = {"name": "task", module: {"path": str(tmp_path / "new"), **given}}
    check = run_tasks(tmp_path, [task], check=True, diff=True).result("task").get("diff")
    found = run_tasks(tmp_path, [task], diff=True).result("task")["diff"]
    shown = found if module == "file" else found[1]
    assert tuple(shown.get(side, {}).get("mode") for side in ("before", "after")) == modes
    assert "mode" not in str(check)


def test_an_owner_named_by_its_id_is_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    task = {"file": {"path": str(path), "owner": str(path.stat().st_uid), "group": path.stat().st_gid}}
    assert run_tasks(tmp_path, [task], diff=True).result("file")["diff"] == {
        side: {"path": str(path)} for side in ("before", "after")
    }


def test_check_mode_names_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("a\n")
    edits = {
        "lineinfile": {"line": "b"}, "blockinfile": {"block": "b"}, "replace": {"regexp": "a", "replace": "b"},
    }  # fmt: skip
    tasks = [{name: {"path": str(path), "backup": True, **edit}} for name, edit in edits.items()]
    ran = run_tasks(tmp_path, tasks, check=True)
    assert set(ran.outcomes().values()) == {"would-change"}
    assert [ran.result(name).get("backup", "") or ran.result(name).get("backup_file", "") for name in edits] == ["", "", ""]
