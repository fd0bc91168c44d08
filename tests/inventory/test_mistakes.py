"""All mistakes in an inventory are reported at once, with place, line, and the nearest right name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from remediation.inventory.load import load_inventory
from remediation.model.errors import InputError
from tests.inventory.conftest import Written


def mistakes(path: Path, **more: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_inventory([path], **more)
    assert all(problem.place for problem in caught.value.problems)
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("web:\n  host: {a: }\n", "hosts.yml:2:3: group web: 'host' is not known; did you mean 'hosts'?"),
        ("web:\n  hosts: [a, b]\n", "hosts.yml:2:10: group web: hosts must be a mapping, got a list"),
        ("web:\n  hosts:\n    a: 5\n", "hosts.yml:3:5: host a: expected a mapping of variables, got a number"),
        ("web: 5\n", "hosts.yml:1:1: group web: expected a mapping with hosts, vars, children, got a number"),
        ("- a\n", "hosts.yml:1:1: expected a mapping of groups"),
        ("web:\n  hosts:\n    10:\n", "hosts.yml:3:5: a host name must be a string, got 10; quote it"),
        ("1: {hosts: {a: }}\n", "hosts.yml:1:1: a group name must be a string, got 1; quote it"),
        ("web: {hosts: {'n[1:]': }}\n", "hosts.yml:1:15: host n[1:]: the range has no end"),
        ("web: {hosts: {'n[01:100]': }}\n", "host n[01:100]: the range 01:100 begins with zeros"),
        ("web: {hosts: {'n[1:3': }}\n", "host n[1:3: the range is incomplete: write it as [01:64]"),
        ("web: {hosts: {'n[z:a]': }}\n", "host n[z:a]: the range z:a ends before it begins"),
        (f"web: {{hosts: {{'n[1:{10**40}]': }}}}\n", "the ends of the range are too long"),
        ("web: {hosts: {'n[5:1]': }}\n", "host n[5:1]: the range 5:1 ends before it begins"),
        ("web: {hosts: {'n[1:9999999]': }}\n", "expand to 9,999,999 hosts"),
        ("web: {hosts: {'n[a:9]': }}\n", "consists neither of numbers nor of single letters"),
        ("web: {hosts: {'n[1:3:0]': }}\n", "the step of the range is '0'"),
        ("web: {vars: {ansible_group_priority: high}}\n", "1:38: ansible_group_priority must be a number, got the string 'high'"),
        ("a: {children: {b: {children: {a: }}}}\n", "the group a contains itself: a -> b -> a"),
        ("all: {children: {b: {children: {all: }}}}\n", "the group all contains itself: all -> b -> all"),
        ("lab: {host: 1}\nall: {hosts: {a: }}\n", "hosts.yml:1:7: lab: 'host' is not known; did you mean 'hosts'?"),
        ("lab: {fault: x}\nall: {hosts: {a: }}\n", "hosts.yml:1:7: lab: 'fault' is not known; its keys are hosts and world"),
        ("lab: {world: 7}\nall: {hosts: {a: }}\n", "hosts.yml:1:14: lab: world must be the name of a kind of host"),
        ("lab: {hosts: 0}\nall: {hosts: {a: }}\n", "lab: hosts must be a number of at least 1"),
        ("all: {hosts: {a: {x: 1, x: 2}}}\n", "duplicate key 'x'"),
        ("[web]\nhost1 ansible_host\n", "hosts.yml:2:1: host host1: expected VARIABLE=VALUE, got 'ansible_host'"),
        ("[web:hosts]\nhost1\n[web]\n", "hosts.yml:1:1: expected [GROUP], [GROUP:vars] or [GROUP:children], got [web:hosts]"),
        ("[web]\nhost1 a='x\n", 'hosts.yml:2:1: "host1 a=\'x" cannot be read: no closing quotation'),
        ("all:\n\thosts:\n", "the indentation contains a tab"),
    ],
)
def test_a_mistake_has_its_place(written: Written, text: str, message: str) -> None:
    (found,) = mistakes(written(text))
    assert message in found
    assert found.splitlines()[-1].lstrip().startswith("|")  # the mark below the line
    assert found.splitlines()[-1].endswith("^")


def test_all_mistakes_of_all_files_are_reported_at_once(written: Written, tmp_path: Path) -> None:
    path = written("web: {host: {a: }}\ndb: {hosts: {'n[5:1]': }}\n", {
        "inv/group_vars/web.yml": "- no mapping\n",
        "inv/host_vars/a/one.yml": "x: 1\nx: 2\n",
        "play/group_vars/all.yml": "y: [1\n",
    })  # fmt: skip
    found = mistakes(path, playbook_dir=tmp_path / "play")
    assert [each.split(": ")[0].rpartition("/")[2] for each in found] == [
        "hosts.yml:1:7", "hosts.yml:2:14", "web.yml:1:1", "one.yml:2:1", "all.yml:2:1",
    ]  # fmt: skip


def test_files_that_cannot_be_read_are_named(written: Written) -> None:
    path = written("all: {hosts: {a: }}")
    (path.parent / "group_vars").mkdir()
    (path.parent / "group_vars/all.yml").write_bytes(b"x: \xff\n")
    with pytest.raises(InputError, match="not UTF-8"):
        load_inventory([path])


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own on Windows")
def test_a_file_that_cannot_be_opened_is_named(written: Written) -> None:
    path = written("all: {hosts: {a: }}")
    (path.parent / "host_vars").mkdir()
    (path.parent / "host_vars/a.yml").symlink_to(path.parent / "gone.yml")
    with pytest.raises(InputError, match=r"a\.yml: cannot be read: No such file"):
        load_inventory([path])


@pytest.mark.parametrize("name", ["hosts.yml", "hosts.ini", "hosts"])
def test_an_inventory_in_another_encoding_is_named_and_not_called_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes("[web]\na\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"not UTF-8 text \(byte 0\); save it as UTF-8"):
        load_inventory([tmp_path / name])


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names there")
def test_a_pipe_is_refused_by_name_and_read_once_if_the_shell_handed_it_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: cannot be read: not a regular file"):
        load_inventory([tmp_path / "pipe"])
    for text in ("gpu: {hosts: {a: , b: }}\n", "[gpu]\na\nb\n"):
        read, write = os.pipe()
        try:
            os.write(write, text.encode())
            os.close(write)
            assert load_inventory([Path(f"/dev/fd/{read}")]).groups["gpu"] == ["a", "b"]
        finally:
            os.close(read)
