"""Completion of commands and of what they take, in a real bash, fish and zsh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remediation.cli.commands.project.bash_line import BashLine
from remediation.cli.commands.project.completion import SCRIPTS, candidates
from remediation.cli.main import namespace
from remediation.cli.plugins import add_commands
from tests.cli.processes import ROOT
from tests.powershell.shell import program as need_powershell
from tests.support.requirements import need_program

add_commands(namespace)
CONTEXTS = {str(context.name): context for context in namespace.to_contexts()}
FLEET = "gpu: {hosts: {dev-01: , dev-02: }}\nweb: {hosts: {www: }}\nmy lab: {hosts: {www: }}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/fleet.yml").write_text(FLEET, encoding="utf-8")
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/site.yml").write_text("[]", encoding="utf-8")
    (tmp_path / "state/remediation/runs/7f3a").mkdir(parents=True)
    (tmp_path / "state/remediation/lab").mkdir()
    lab = {"world": "wsl", "user": "ops", "scale": 1, "hosts": [{"name": "wsl-07"}, {"name": "wsl-08"}]}
    (tmp_path / "state/remediation/lab/lab.json").write_text(json.dumps(lab), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["fix-o"], ["fix-offload"]),
        (["fix-offload", "--max"], ["--max-risk"]),
        (["fix-offload", "--max-risk", "d"], ["destructive", "disruptive"]),
        (["fix-offload", "-i", "flee"], ["fleet", "fleet.example"]),
        (["fix-offload", "-i", "fleet", "--limit", ""], ["all", "dev-01", "dev-02", "gpu", "ungrouped", "web", "www"]),
        (["vars", "--inventory", "fleet", "dev"], ["dev-01", "dev-02"]),
        (["play", "si"], ["site"]),
        (["play", "playbooks/"], ["playbooks/site.yml"]),
        (["show", "7"], ["7f3a"]),
        (["steps", "--name", "vram.f"], ["vram.free"]),
        (["diagnose", "--fail-on", "driver"], ["driver_lost", "driver_too_old"]),
        (["explain", "other-gpu"], ["other-gpu-processes-hold-vram"]),
        (["lab.fault", "w"], ["wsl-07", "wsl-08"]),
        (["lab.fault", "l"], []),  # not localhost, a host of the inventory that is the default
        (["lab.fault", "wsl-07", "num-gpu-1-m"], ["num-gpu-1-model"]),
        (["lab.start", "--world", "w"], ["wsl"]),
        (["fix-offload", "--inventory=fleet", "--limit", "dev"], ["dev-01", "dev-02"]),
        (["fix-offload", "-i", "fleet", "--limit=dev"], ["--limit=dev-01", "--limit=dev-02"]),
        (["fix-offload", "-i", "fleet", "--limit", "gpu,!dev"], ["gpu,!dev-01", "gpu,!dev-02"]),
        (["fix-offload", "--lang", ""], ["en", "es"]),
        (["schema", "--of", "i"], ["inventory"]),
        (["fix-offload", "-i", "no-such", "--limit", ""], []),
        (["diagnose", "--evidence", ""], []),
    ],
)
def test_candidates(folder: Path, words: list[str], wanted: list[str]) -> None:
    found = candidates(words, CONTEXTS)
    if words[-1] == "":
        found = [each for each in found if each in wanted]
    assert found == wanted


def in_shell(folder: Path, command: list[str]) -> list[str]:
    """Return the lines that a shell prints; `remediate` is on its PATH."""
    (folder / "bin").mkdir()
    (folder / "bin/remediate").write_text(f'#!/bin/sh\nexec {sys.executable} -m remediation.cli.main "$@"\n', encoding="utf-8")
    (folder / "bin/remediate").chmod(0o755)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def bash(folder: Path, *lines: str) -> list[str]:
    """Return what bash offers for each line, in one line of output."""
    script = """
eval "$(remediate completion bash)"
for line; do COMP_LINE=$line COMP_POINT=${#line}; _remediate remediate; printf '%s|' "${COMPREPLY[@]}"; echo; done
"""
    return in_shell(folder, [need_program("bash", "bash"), "-c", script, "bash", *lines])


def test_a_real_bash_completes_the_word_at_the_cursor(folder: Path) -> None:
    fleet = "remediate fix-offload --inventory fleet --limit "
    assert bash(
        folder, f"{fleet}dev", "remediate fix-offload --max-risk ", "remediate show ", f"{fleet}my", f"{fleet}'my", f"{fleet}gpu:dev",
        f"{fleet.rstrip()}=dev",
    ) == [
        "dev-01|dev-02|", "destructive|disruptive|safe|", "7f3a|", "my\\ lab|", "my lab|", "dev-01|dev-02|", "dev-01|dev-02|",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "words", "kept", "inserted"),
    [
        ("a b\\ c", ["a", "b c"], "", "b\\ c\\ d"),
        ("a 'b c", ["a", "b c"], "", "b c d"),
        ("a x='b c", ["a", "x=b c"], "x=", "b c d"),
        ('a "b c', ["a", "b c"], "", "b c d"),
        ("a b:", ["a", "b:"], "b:", "c\\ d"),
        ("a 'it'\"s\" ", ["a", "its", ""], "", "b"),
        ('a "\\"b', ["a", '"b'], "", '\\"b c'),
        ("", [""], "", "b"),
    ],
)
def test_a_line_of_bash_is_read_as_bash_reads_it(line: str, words: list[str], kept: str, inserted: str) -> None:
    found = BashLine.parse(line, ":=")
    longer = {"b c": "b c d", "x=b c": "x=b c d", "b:": "b:c d", '"b': '"b c'}.get(words[-1], "b")
    assert (found.words, found.kept, found.replacing(longer)) == (words, kept, inserted)


def test_a_slow_program_of_an_inventory_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "slow").write_text("#!/bin/sh\nsleep 600\n", encoding="utf-8")
    (folder / "slow").chmod(0o755)
    monkeypatch.setattr("remediation.cli.commands.project.completion.PATIENCE", 0.1)
    assert candidates(["fix-offload", "-i", "slow", "--limit", ""], CONTEXTS) == []


def test_a_real_powershell_completes_and_quotes_words(folder: Path) -> None:
    script = """
remediate completion powershell | Out-String | Invoke-Expression
foreach ($line in 'remediate fix-offload -i fleet --limit my', 'remediate fix-offload --max-risk ', "remediate vars -i 'fleet' dev") {
  (TabExpansion2 $line $line.Length).CompletionMatches.CompletionText -join '|'
}
"""
    words = [need_powershell(), "-NoProfile", "-NonInteractive", "-Command", script]
    assert in_shell(folder, words) == ["'my lab'", "destructive|disruptive|safe", "dev-01|dev-02"]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_asks_for_its_own_candidates(shell: str) -> None:
    assert f" completion {shell} 2>" in SCRIPTS[shell]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("remediate fix-o", ["fix-offload"]),
        ("remediate fix-offload --inventory fleet --limit dev", ["dev-01", "dev-02"]),
        ("remediate fix-offload --max-risk ", ["destructive", "disruptive", "safe"]),
        ("remediate show ", ["7f3a"]),
        ("remediate fix-offload -i fleet --limit 'my", ["my lab"]),
        ("remediate diagnose --evidence inventory/", ["inventory/fleet.yml"]),
    ],
)
def test_a_real_fish_completes_words_and_else_files(folder: Path, typed: str, wanted: list[str]) -> None:
    shell = need_program("fish", "fish")
    script = f'{SCRIPTS["fish"]}\ncomplete -C "{typed}"'
    assert [line.split("\t")[0] for line in in_shell(folder, [shell, "--no-config", "-c", script])] == wanted


def test_a_real_zsh_gets_the_words_of_the_line(folder: Path) -> None:
    shell = need_program("zsh", "zsh")
    stand_ins = "compdef() { : }; _files() { print files }; compadd() { print -l -- ${(P)2} }"
    line = "words=(remediate fix-offload --inventory 'fl\\eet' --limit {0}); CURRENT=6; PREFIX={0}; _remediate"
    lines = "\n".join([stand_ins, SCRIPTS["zsh"], line.format("dev"), line.format("'my\\ l'")])
    assert in_shell(folder, [shell, "-f", "-c", lines]) == ["dev-01", "dev-02", "my lab"]
