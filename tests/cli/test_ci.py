"""What CI is offered: the pre-commit hook and the workflow in the documentation."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from tests.cli.processes import ROOT, Remediate

PAGE = (ROOT / "docs/ci.md").read_text(encoding="utf-8")


def _example(title: str) -> Any:
    found = re.search(rf'^```yaml title="{re.escape(title)}"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return yaml.safe_load(found[1])


def test_the_hook_takes_playbooks_and_its_entry_is_a_command() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["entry"] == "remediate lint"
    assert [bool(re.search(hook["files"], path)) for path in ("playbooks/a.yml", "x/playbooks/b.yaml", "inventory/a.yml", "a.yml")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert _example(".pre-commit-config.yaml")["repos"][0]["hooks"][0]["id"] == hook["id"]


def test_lint_checks_all_playbooks_and_reports_the_errors_of_each(remediate: Remediate, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yml").write_text("- hosts: all\n  tasks:\n    - modle.offloaded: {}\n")
    shipped = [str(ROOT / "playbooks" / f"{name}.yml") for name in ("verify", "fix-offload")]
    done = remediate("lint", *shipped)
    assert (done.returncode, done.stdout.count("no errors")) == (0, 2)
    failed = remediate("lint", "one.yml", shipped[0], "two.yml", "--sarif", "all.sarif")
    assert failed.returncode == 1
    for name in ("one", "two"):
        assert f"{name}.yml:3:7: the step 'modle.offloaded' is not known" in failed.stderr
        assert f"{name}.yml" in (tmp_path / "all.sarif").read_text()


def test_the_workflow_passes(remediate: Remediate) -> None:
    """Run its commands as its job does."""
    steps = _example(".github/workflows/playbooks.yml")["jobs"]["lab"]["steps"]
    commands = [shlex.split(step["run"], comments=True)[1:] for step in steps if step.get("run", "").startswith("remediate")]
    assert [words[0] for words in commands] == ["lint", "fix-offload", "fix-offload"]
    for words in commands:
        done = remediate(*words)
        assert done.returncode == 0, done.stdout + done.stderr
