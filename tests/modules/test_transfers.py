"""``find``, ``fetch``, ``tempfile`` and ``assemble`` on this machine, with undo."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from tests.modules.local import run_tasks


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name, content in {
        "a.log": "error 1\n",
        "b.log": "fine\n",
        "sub/c.log": "an error\n",
        "sub/low/d.txt": "x" * 2000,
        ".h/e.log": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "a.log").chmod(0o600)
    os.utime(root / "b.log", (10**9, 10**9))
    (root / "link.log").symlink_to("a.log")
    (root / "odd\nname | x").write_text("odd")
    return root


FOUND = {
    "{}": ["a.log", "b.log", "odd\nname | x"],
    "{patterns: '*.log', recurse: true}": ["a.log", "b.log", "c.log", "e.log"],
    "{patterns: ['^[ab].log$', 'd.*'], use_regex: true, recurse: true, excludes: ['a']}": ["b.log", "d.txt"],
    "{contains: '.*error', recurse: true}": ["a.log", "c.log"],
    "{contains: '^an', recurse: true, read_whole_file: true}": ["c.log"],
    "{size: 2k, recurse: true}": [],
    "{size: 1k, recurse: true}": ["d.txt"],
    "{size: -4, patterns: 'odd*'}": ["odd\nname | x"],
    "{age: 1w}": ["b.log"],
    "{age: -1w, patterns: '*.log'}": ["a.log"],
    "{mode: '0600'}": ["a.log"],
    "{mode: 'u=rw', exact_mode: false, patterns: 'b*'}": ["b.log"],
    "{file_type: directory}": ["sub"],
    "{file_type: directory, hidden: true, recurse: true}": [".h", "low", "sub"],
    "{file_type: directory, recurse: true, depth: 1}": ["sub"],
    "{file_type: link}": ["link.log"],
    "{file_type: any, patterns: '*.log'}": ["a.log", "b.log", "link.log"],
}


def test_find_returns_the_files_that_fulfil_all_conditions(tmp_path: Path, tree: Path) -> None:
    tasks = [{"name": given, "find": {"paths": str(tree), **yaml.safe_load(given)}} for given in FOUND]
    ran = run_tasks(tmp_path, tasks)
    assert {task: sorted(Path(each["path"]).name for each in ran.result(task)["files"]) for task in FOUND} == FOUND
    assert {task: ran.result(task)["matched"] for task in FOUND} == {task: len(names) for task, names in FOUND.items()}
    assert (ran.result("{}")["examined"], ran.changes) == (6, [])


def test_find_reports_folders_that_do_not_exist_and_amounts_that_are_none(tmp_path: Path, tree: Path) -> None:
    tasks = [
        {"name": "gone", "find": {"paths": [str(tree / "gone"), str(tree)], "get_checksum": True, "patterns": "a.log"}},
        {"name": "limited", "find": {"paths": str(tree), "limit": 1}},
        {"name": "bytes", "find": {"paths": str(tree), "contains": "o", "encoding": "ascii"}},
        {"name": "encoding", "find": {"paths": str(tree), "contains": "o", "encoding": "none-such"}},
        {"name": "age", "find": {"paths": str(tree), "age": "soon"}, "ignore_errors": True},
    ]
    (tree / "a.log").write_bytes(b"\xe9")
    ran = run_tasks(tmp_path, tasks, check=True)
    assert "an encoding error. current encoding: ascii" in ran.result("bytes")["skipped_paths"][str(tree)]
    assert "none-such" in ran.result("encoding")["skipped_paths"][str(tree)]
    assert ran.result("gone")["skipped_paths"] == {str(tree / "gone"): f"'{tree / 'gone'}' is not a directory"}
    assert [len(each["checksum"]) for each in ran.result("gone")["files"]] == [40]
    assert (ran.result("limited")["matched"], ran.result("age")["msg"]) == (1, "failed to process age")


def test_fetch_writes_below_the_hosts_name_or_flat(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xff\0data")
    source, got = str(tmp_path / "f"), tmp_path / "got"
    tasks = [
        {"name": "one", "fetch": {"src": source, "dest": str(got)}},
        {"name": "again", "fetch": {"src": source, "dest": str(got)}},
        {"name": "flat", "fetch": {"src": source, "dest": "flat/", "flat": True}},
        {"name": "gone", "fetch": {"src": "/gone/x", "dest": str(got), "fail_on_missing": False}},
        {"name": "folder", "fetch": {"src": str(tmp_path), "dest": str(got)}, "ignore_errors": True},
        {"name": "out", "fetch": {"src": "/tmp/../../../../f", "dest": str(got)}, "ignore_errors": True},
    ]
    ran = run_tasks(tmp_path, tasks)
    assert [ran.outcomes()[name] for name in ("one", "again", "flat", "gone", "folder")] == [
        "changed",
        "ok",
        "changed",
        "ok",
        "failed",
    ]
    assert Path(ran.result("one")["dest"]) == got / f"alpha{source}"
    assert [Path(ran.result(name)["dest"]).read_bytes() for name in ("one", "flat")] == [b"\xff\0data"] * 2
    assert Path(ran.result("flat")["dest"]) == tmp_path / "flat" / "f"
    assert ran.result("folder")["msg"] == "remote file is a directory, fetch cannot work on directories"
    assert run_tasks(tmp_path, tasks[:1], check=True).outcomes() == {"one": "skipped"}


def test_tempfile_creates_a_private_file_or_folder_that_undo_removes(tmp_path: Path) -> None:
    tasks = [
        {"name": "file", "tempfile": {"path": str(tmp_path), "prefix": "p-", "suffix": ".s"}},
        {"name": "folder", "tempfile": {"path": str(tmp_path), "state": "directory"}},
        {"name": "gone", "tempfile": {"path": str(tmp_path / "gone")}, "ignore_errors": True},
    ]
    ran = run_tasks(tmp_path, tasks)
    made = [Path(ran.result(name)["path"]) for name in ("file", "folder")]
    assert [oct(path.stat().st_mode & 0o777) for path in made] == ["0o600", "0o700"]
    assert re.fullmatch(r"p-[a-z0-9_]{8}\.s", made[0].name)
    assert ran.outcomes()["gone"] == "failed"
    for change in ran.changes:
        assert run_tasks(tmp_path, [{"file.managed": change["change"]["undo"]["params"]}]).code == 0
    assert [path.exists() for path in made] == [False, False]


def test_assemble_joins_fragments_of_the_host_and_of_the_playbook(tmp_path: Path) -> None:
    parts, dest = tmp_path / "files" / "parts", tmp_path / "out"
    parts.mkdir(parents=True)
    for name, content in {"2-b": "b\n", "1-a": "a", ".0": "hidden\n", "x": "x\n"}.items():
        (parts / name).write_text(content)
    given = {"src": str(parts), "dest": str(dest), "regexp": r"^[\d.]", "delimiter": "#--", "ignore_hidden": True, "mode": "0640"}
    tasks = [
        {"name": "host", "assemble": given},
        {"name": "playbook", "assemble": {"src": "parts", "dest": f"{dest}2", "remote_src": False}},
    ]
    check, first, second = run_tasks(tmp_path, tasks, check=True), run_tasks(tmp_path, tasks), run_tasks(tmp_path, tasks)
    assert [set(each.outcomes().values()) for each in (check, first, second)] == [{"would-change"}, {"changed"}, {"ok"}]
    assert (dest.read_text(), oct(dest.stat().st_mode & 0o777)) == ("a\n#--\nb\n", "0o640")
    assert Path(f"{dest}2").read_text() == "hidden\na\nb\nx\n"
    refused = run_tasks(tmp_path, [{"assemble": {**given, "regexp": None, "validate": "grep -q zz %s"}}])
    assert (refused.result("assemble")["msg"], dest.read_text()) == ("failed to validate: rc:1 error:", "a\n#--\nb\n")
