"""``play`` with what Ansible's users type: short options, lists of hosts and tasks, and nothing is run by a near miss."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.processes import Remediate

SITE = """
- hosts: web
  name: first
  tags: [base]
  tasks:
    - name: leaves a trace
      command: touch {{ playbook_dir }}/trace
    - block:
        - {name: inner, debug: {msg: x}, tags: [extra]}
- hosts: [a, b]
  tasks:
    - import_tasks: more.yml
"""
INVENTORY = "all: {vars: {ansible_connection: local}, hosts: {b: }}\nweb: {hosts: {a: , c: }}\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.yml").write_text(SITE, encoding="utf-8")
    (tmp_path / "more.yml").write_text("- debug: {msg: y}\n  tags: late\n", encoding="utf-8")
    (tmp_path / "inv.yml").write_text(INVENTORY, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (["--syntax-check"], "playbook: site.yml"),
        (["--list-hosts"], "playbook: site.yml|play #1 (first)|2 hosts:|a|c|play #2 (a,b)|2 hosts:|a|b"),
        (["--list-hosts", "-l", "c"], "playbook: site.yml|play #1 (first)|1 host:|c|play #2 (a,b)|0 hosts:"),
        (
            ["--list-tasks"],
            "playbook: site.yml|play #1 (first)|2 tasks:|leaves a trace  [base]|inner  [base, extra]|play #2 (a,b)|1 task:|debug  [late]",
        ),
        (
            ["--list-tasks", "-t", "extra"],
            "playbook: site.yml|play #1 (first)|1 task:|inner  [base, extra]|play #2 (a,b)|0 tasks:",
        ),
        (["--list-tags"], "playbook: site.yml|play #1 (first)|tags: base, extra|play #2 (a,b)|tags: late"),
    ],
)
def test_what_a_playbook_would_do_is_listed(remediate: Remediate, site: Path, words: list[str], rows: str) -> None:
    done = remediate("play", "site.yml", "-i", "inv.yml", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert [row.strip() for row in done.stdout.splitlines() if row.strip()] == rows.split("|")
    assert not (site / "trace").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--syntax-check", "-l", ""],
        ["-l", ""],
        ["--limit="],
        ["-b"],
        ["--step"],
        ["-f", "x"],
        ["-f", "0"],
        ["--list-tasks", "-l", "unknown"],
        ["more.yml"],
        ["--chek"],
        ["-T", "5"],
    ],
)
def test_a_near_miss_runs_nothing(remediate: Remediate, site: Path, words: list[str]) -> None:
    done = remediate("play", "site.yml", "-i", "inv.yml", *words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (site / "trace").exists()


def test_short_options_mean_what_they_mean_to_ansible(remediate: Remediate, site: Path) -> None:
    done = remediate("play", "site.yml", "-i", "inv.yml", "-f", "2", "-C", "-D", "-t", "base", "-l", "a")
    assert done.returncode == 4, done.stderr
    assert not (site / "trace").exists()
    assert remediate("play", "site.yml", "-i", "inv.yml", "-f5", "-tbase").returncode == 0
    assert (site / "trace").exists()


def test_a_mistake_is_found_by_the_syntax_check(remediate: Remediate, site: Path) -> None:
    (site / "more.yml").write_text("- debg: {msg: y}\n", encoding="utf-8")
    done = remediate("play", "site.yml", "-i", "inv.yml", "--syntax-check")
    assert done.returncode == 1
    assert "more.yml:1" in done.stderr


def test_an_inventory_that_leads_back_into_itself_ends(remediate: Remediate, site: Path) -> None:
    folder = site / "hosts"
    folder.mkdir()
    (folder / "one.yml").write_text(INVENTORY, encoding="utf-8")
    (folder / "round").symlink_to(folder)
    done = remediate("hosts", "-i", "hosts")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 hosts" in done.stdout
