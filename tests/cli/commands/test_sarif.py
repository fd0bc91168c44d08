"""``lint --sarif``: errors and advice at their lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Remediate


def linted(remediate: Remediate, folder: Path, tasks: str) -> tuple[int, dict[str, Any]]:
    (folder / "site.yml").write_text(f"- hosts: all\n  tasks:\n{tasks}", encoding="utf-8")
    done = remediate("lint", "site.yml", "--sarif", "lint.sarif")
    (run,) = json.loads((folder / "lint.sarif").read_text(encoding="utf-8"))["runs"]
    return done.returncode, run


def test_advice_is_a_warning_at_its_line(remediate: Remediate, tmp_path: Path) -> None:
    code, run = linted(remediate, tmp_path, "    - command: hostname\n")
    (result,) = run["results"]
    where = result["locations"][0]["physicalLocation"]
    assert (code, result["level"], result["ruleId"]) == (0, "warning", "command-without-changed-when")
    assert (where["artifactLocation"]["uri"], where["region"]["startLine"]) == ("site.yml", 3)
    assert run["tool"]["driver"]["rules"] == [{"id": "command-without-changed-when"}]


def test_every_error_is_a_result(remediate: Remediate, tmp_path: Path) -> None:
    code, run = linted(remediate, tmp_path, "    - vram.free: {wants: 1 GiB}\n    - no.such.step: {}\n")
    assert code == 1
    assert [result["level"] for result in run["results"]] == ["error", "error"]
    assert [result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in run["results"]] == [3, 4]


def test_a_clean_playbook_has_no_results(remediate: Remediate, tmp_path: Path) -> None:
    code, run = linted(remediate, tmp_path, "    - debug: {msg: hi}\n")
    assert (code, run["results"]) == (0, [])


@pytest.mark.parametrize("target", ["none/lint.sarif", "."])
def test_a_file_that_cannot_be_written_is_refused(remediate: Remediate, tmp_path: Path, target: str) -> None:
    (tmp_path / "site.yml").write_text("- hosts: all\n", encoding="utf-8")
    done = remediate("lint", "site.yml", "--sarif", target)
    assert done.returncode == 1
    assert done.stderr.startswith(f"--sarif {target}: ")


def test_advice_is_given_in_the_language(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text('- hosts: all\n  tasks: [{debug: {msg: "{{ unknown }}"}}]\n', encoding="utf-8")
    done = remediate("lint", "play.yml", "--lang", "es")
    first, *_, last = done.stdout.splitlines()
    assert "la variable 'unknown' no está definida [undefined-variable]" in first
    assert last == "play.yml: sin errores, 1 consejo"
