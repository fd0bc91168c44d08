"""The package of ``docs/extending.md``, built, installed into a scratch environment, and used there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.distributions import ROOT, Scratch, build_wheels, make_scratch

EXAMPLE = ROOT / "docs/examples/extending"
PAGE = (ROOT / "docs/extending.md").read_text("utf-8")
FILES = sorted(path for path in EXAMPLE.rglob("*") if path.suffix in {".py", ".toml", ".yml"} and path.stat().st_size)

WRAPPER = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/calls"
exec "$@"
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_page_shows_the_files_of_the_package(path: Path) -> None:
    name = str(path.relative_to(EXAMPLE))
    block = re.search(rf'^```\w+ title="{re.escape(name)}"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    if path.name == "__init__.py":
        return
    assert block is not None, f"docs/extending.md shows no {name}"
    assert block[1] == path.read_text("utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    """An environment with remediation, the lab and the example, from their wheels."""
    folder = tmp_path_factory.mktemp("extending")
    (folder / "wheels").mkdir()
    wheels = build_wheels(folder / "wheels", ROOT, ROOT / "lab", EXAMPLE)
    scratch = make_scratch(folder)
    scratch.install(*wheels.values())
    yield scratch
    scratch.remediate("lab.stop")


@pytest.fixture
def project(installed: Scratch, tmp_path: Path) -> Scratch:
    """The same environment, with a folder that holds a wrapper, an inventory and a playbook."""
    (tmp_path / "wrap").write_text(WRAPPER, "utf-8")
    (tmp_path / "wrap").chmod(0o755)
    host = {"ansible_connection": "wrapped", "wrapper": str(tmp_path / "wrap")}
    (tmp_path / "inv.json").write_text(json.dumps({"all": {"hosts": {"box": host}}}), "utf-8")
    flag = {"path": str(tmp_path / "state" / "maintenance"), "reason": "the GPU is being repaired"}
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"maintenance.flagged": flag, "register": "flag"}]}
    (tmp_path / "site.yml").write_text(json.dumps([play]), "utf-8")
    return Scratch(installed.home, tmp_path)


def test_the_step_is_listed_and_described(installed: Scratch) -> None:
    assert "maintenance.flagged" in installed.remediate("steps").stdout
    described = installed.remediate("steps", "--name", "maintenance.flagged")
    assert described.returncode == 0
    assert "A file says why the host is under maintenance" in described.stdout
    assert "reason" in described.stdout


def test_the_mechanism_is_explained(installed: Scratch) -> None:
    explained = installed.remediate("explain", "card-reserved-for-rendering")
    assert explained.returncode == 0, explained.stderr
    assert "the render farm holds the card at night" in explained.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the wrapper is a shell script")
def test_step_connection_and_report_work_together(project: Scratch) -> None:
    flag = project.folder / "state/maintenance"
    check = project.remediate("play", "site.yml", "-i", "inv.json", "--check")
    assert (check.returncode, check.stderr) == (4, ""), check.stdout
    assert not flag.exists()
    done = project.remediate("play", "site.yml", "-i", "inv.json", "--report", "run.md", "--log-file", "debug.log")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert flag.read_text("utf-8") == "the GPU is being repaired\n"
    assert "write" in (project.folder / "calls").read_text("utf-8")
    report = (project.folder / "run.md").read_text("utf-8")
    assert re.search(rf"^\| box \| write {re.escape(str(flag))} \| done \| \d+\.\d \|$", report, re.MULTILINE), report
    assert report.endswith("\nExit code 0.\n")
    log = (project.folder / "debug.log").read_text("utf-8")
    assert "box: wrapped exchange 1, call 1 of 1: " in log
    assert "remediation.remediation_example.connection: box: " in log
    again = project.remediate("play", "site.yml", "-i", "inv.json", "--json")
    results = [json.loads(line) for line in again.stdout.splitlines() if '"task_result"' in line]
    assert [result["outcome"] for result in results] == ["ok"]
    run = json.loads(project.remediate("history", "--json").stdout)[1]["run"]
    undone = project.remediate("undo", run)
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert not flag.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the wrapper is a shell script")
def test_facts_files_and_http_go_through_the_connection(project: Scratch) -> None:
    checked = project.remediate("check-host", "-i", "inv.json", "-e", "endpoint=http://127.0.0.1:9")
    assert "reached" in checked.stdout, checked.stdout + checked.stderr
    calls = (project.folder / "calls").read_text("utf-8")
    assert "env curl --disable" in calls
    assert "env sh -c" in calls


def test_the_step_works_on_the_lab(project: Scratch) -> None:
    play = {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"maintenance.flagged": {"path": "C:\\dev\\maintenance", "reason": "x"}}],
    }
    (project.folder / "lab.yml").write_text(json.dumps([play]), "utf-8")
    done = project.remediate("play", "lab.yml", "-i", "lab", "--report", "run.md")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| laptop-07 | write C:\\dev\\maintenance | done |" in (project.folder / "run.md").read_text("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="the wrapper is a shell script")
def test_the_module_is_an_action(project: Scratch) -> None:
    banner = {"text": "{{ inventory_hostname }} is ours", "path": str(project.folder / "motd")}
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"example.site.banner": banner}]}
    (project.folder / "banner.yml").write_text(json.dumps([play]), "utf-8")
    (project.folder / "wrong.yml").write_text(json.dumps([{**play, "tasks": [{"example.site.banner": {"txt": "x"}}]}]), "utf-8")
    assert "example.site.banner: the parameter 'txt'" in project.remediate("lint", "wrong.yml").stderr
    outcomes = []
    for more in (["--check"], [], []):
        done = project.remediate("play", "banner.yml", "-i", "inv.json", "--json", *more)
        outcomes += [json.loads(line)["outcome"] for line in done.stdout.splitlines() if '"task_result"' in line]
    assert outcomes == ["would-change", "changed", "ok"]
    assert (project.folder / "motd").read_text("utf-8") == "box is ours\n"


def test_the_command_is_there(project: Scratch) -> None:
    (project.folder / "maintenance").write_text("x", "utf-8")
    assert project.remediate("example.flags", str(project.folder), "--count").stdout == "1\n"


def test_mistakes_are_one_sentence_before_a_host_is_touched(project: Scratch) -> None:
    for host, sentence in (
        ({"ansible_connection": "wraped"}, "ansible_connection cannot be 'wraped'"),
        ({"ansible_connection": "wrapped"}, "the variable wrapper is missing"),
        ({"ansible_connection": "wrapped", "ansible_shell_type": "powershell", "wrapper": "x"}, "is for posix hosts"),
    ):
        (project.folder / "inv.json").write_text(json.dumps({"all": {"hosts": {"box": host}}}), "utf-8")
        done = project.remediate("diagnose", "-i", "inv.json")
        assert sentence in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == 1
    known = project.remediate("play", "site.yml", "-i", "localhost,", "--report", "run.pdf")
    assert (known.returncode, known.stdout) == (1, "")
    assert "use one of .html, .json, .jsonl, .xml, .md" in known.stderr


def test_an_extension_that_cannot_be_loaded_is_named(project: Scratch) -> None:
    (site,) = (project.home / "lib").rglob("site-packages") if sys.platform != "win32" else (project.home / "Lib/site-packages",)
    broken = site / "broken-1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n", "utf-8")
    (broken / "entry_points.txt").write_text(
        "[remediation.reports]\nodt = no_such_module:render\n[remediation.connections]\nbroken = no_such_module:Connection\n",
        "utf-8",
    )
    try:
        report = project.remediate("play", "site.yml", "-i", "localhost,", "--report", "run.odt")
        assert (report.returncode, report.stdout) == (1, "")
        assert "the extension 'odt' of remediation.reports cannot be loaded: ModuleNotFoundError" in report.stderr
        (project.folder / "inv.json").write_text(
            json.dumps({"all": {"hosts": {"box": {"ansible_connection": "broken"}}}}), "utf-8"
        )
        host = project.remediate("diagnose", "-i", "inv.json")
        assert "the extension 'broken' of remediation.connections cannot be loaded" in host.stdout + host.stderr
        assert host.returncode == 1
    finally:
        for path in broken.iterdir():
            path.unlink()
        broken.rmdir()
