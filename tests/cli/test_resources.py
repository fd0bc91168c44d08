"""Playbooks and inventories: the working folder first, then the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from remediation.cli import resources
from remediation.cli.resources import INVENTORY, PLAYBOOKS, find_resource
from remediation.model.errors import UsageError
from tests.cli.processes import Remediate


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}\n", encoding="utf-8")
    return path


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "mine.yml")
    assert find_resource(INVENTORY, "mine.yml", working=tmp_path) == Path("mine.yml")


@pytest.mark.parametrize("name", ["lab", "lab.yml", "inventory/lab.yml", "inventory/lab"])
def test_the_working_folder_comes_first(tmp_path: Path, name: str) -> None:
    write(tmp_path / "inventory" / "lab.yml")
    assert tmp_path / find_resource(INVENTORY, name, working=tmp_path) == tmp_path / "inventory" / "lab.yml"


@pytest.mark.parametrize(
    ("kind", "name"),
    [(INVENTORY, "lab"), (INVENTORY, "inventory/lab.yml"), (PLAYBOOKS, "fix-offload"), (PLAYBOOKS, "playbooks/fix-offload.yml")],
)
def test_in_an_empty_folder_the_package_has_it(tmp_path: Path, kind: str, name: str) -> None:
    found = find_resource(kind, name, working=tmp_path)
    assert found.is_file()
    assert found.parent == resources.shipped_folder(kind)


def test_a_missing_one_names_the_nearest_and_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_resource(INVENTORY, "lba", working=tmp_path)
    assert caught.value.message == "no inventory 'lba' here or in the package; did you mean 'lab'?"
    assert "lab" in caught.value.next_step


@pytest.mark.parametrize("inner", [None, "code.py", "README.md"])
def test_a_folder_that_holds_no_inventory_does_not_hide_a_shipped_one(
    remediate: Remediate, tmp_path: Path, inner: str | None
) -> None:
    (tmp_path / "lab").mkdir()
    if inner is not None:
        (tmp_path / "lab" / inner).write_text("", encoding="utf-8")
    assert "laptop-07" in remediate("hosts", "--inventory", "lab").stdout


def test_a_folder_that_holds_one_comes_first(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "mine.yml").write_text("all: {hosts: {my-own-host: }}\n", encoding="utf-8")
    listed = remediate("hosts", "--inventory", "lab").stdout
    assert "my-own-host" in listed
    assert "laptop-07" not in listed


def test_a_folder_is_no_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    with pytest.raises(UsageError, match="hosts is a folder, not an inventory"):
        find_resource(INVENTORY, "hosts", working=tmp_path)


def test_every_shipped_file_is_found_by_its_name(tmp_path: Path) -> None:
    for kind in (PLAYBOOKS, INVENTORY):
        assert resources.names(kind, working=tmp_path)
        for name in resources.names(kind, working=tmp_path):
            assert find_resource(kind, name, working=tmp_path).stem == name


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names there")
@pytest.mark.parametrize("kind", [PLAYBOOKS, INVENTORY])
def test_a_shells_pipe_is_a_file(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert find_resource(kind, str(tmp_path / "pipe")) == tmp_path / "pipe"
