"""Completion of commands and of what they take, in a real bash, fish and zsh."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remediation.cli.commands.project.completion import SCRIPTS, candidates
from remediation.cli.main import namespace
from remediation.cli.plugins import add_commands
from tests.cli.started import ROOT
from tests.support.parts import need_program

add_commands(namespace)
CONTEXTS = {str(context.name): context for context in namespace.to_contexts()}
FLEET = "gpu: {hosts: {dev-01: , dev-02: }}\nweb: {hosts: {www: }}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/fleet.yml").write_text(FLEET, encoding="utf-8")
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/site.yml").write_text("[]", encoding="utf-8")
    (tmp_path / "state/remediation/runs/7f3a").mkdir(parents=True)
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
        (["lab.fault", "laptop-07", "num-gpu-1-m"], ["num-gpu-1-model"]),
        (["fix-offload", "-i", "no-such", "--limit", ""], []),
        (["diagnose", "--evidence", ""], []),
    ],
)
def test_candidates(folder: Path, words: list[str], wanted: list[str]) -> None:
    found = candidates(words, CONTEXTS)
    if "--limit" in words:
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


def bash(folder: Path, line: str) -> list[str]:
    script = 'eval "$(remediate completion bash)"; COMP_LINE=$1 COMP_POINT=${#1}; _remediate; printf "%s\\n" "${COMPREPLY[@]}"'
    return in_shell(folder, [need_program("bash", "bash"), "-c", script, "bash", line])


def test_a_real_bash_completes_hosts_of_the_named_inventory(folder: Path) -> None:
    assert bash(folder, "remediate fix-offload --inventory fleet --limit dev") == ["dev-01", "dev-02"]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_asks_for_its_own_candidates(shell: str) -> None:
    assert f"remediate completion {shell}" in SCRIPTS[shell]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("remediate fix-o", ["fix-offload"]),
        ("remediate fix-offload --inventory fleet --limit dev", ["dev-01", "dev-02"]),
        ("remediate fix-offload --max-risk ", ["destructive", "disruptive", "safe"]),
        ("remediate show 7", ["7f3a"]),
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
    line = "words=(remediate fix-offload --inventory fleet --limit dev); CURRENT=6; _remediate"
    assert in_shell(folder, [shell, "-f", "-c", f"{stand_ins}\n{SCRIPTS['zsh']}\n{line}"]) == ["dev-01", "dev-02"]
