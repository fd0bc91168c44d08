"""Plugins: commands of other distributions, and the message where one is missing or broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.processes import ROOT, Remediate

PLUGIN = """
import dataclasses, sys
from remediation.model.plugin import PluginCommand, Plugin, option, required

@dataclasses.dataclass
class Greet:
    whom: str = required("Who is greeted.")
    loud: bool = option("In capitals.", default=False)

def greet(options):
    '''Greet.'''
    text = f"hello {options.whom}"
    sys.stdout.write((text.upper() if options.loud else text) + chr(10))
    return 0

def empty(options):
    '''Do nothing.'''
    return 3

PLUGIN = Plugin((PluginCommand("greet", Greet, greet, changes=True), PluginCommand("empty", Greet, empty)))
"""
INSTALL = "\n  next: in the checkout: pip install ./lab\n"


def distribution(folder: Path, name: str, points: str = "", **modules: str) -> str:
    """Install a distribution into `folder`; return the path on which Python finds it before all others."""
    about = folder / f"{name.replace('-', '_')}-9.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9\n", encoding="utf-8")
    if points:
        (about / "entry_points.txt").write_text(f"[remediation.plugins]\n{points}\n", encoding="utf-8")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
    return str(folder)


@pytest.fixture
def without_lab(tmp_path: Path) -> str:
    """A path on which the lab is a distribution without entry points, so that nothing finds it."""
    return distribution(tmp_path / "hidden", "remediation-lab")


def test_another_distribution_brings_commands(remediate: Remediate, tmp_path: Path) -> None:
    path = f"{distribution(tmp_path / 'more', 'more', 'more = more_commands:PLUGIN', more_commands=PLUGIN)}{os.pathsep}{ROOT}"
    done = remediate("more.greet", "ann", "--loud", fresh=True, PYTHONPATH=path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "HELLO ANN\n", "")
    assert remediate("more.empty", "ann", fresh=True, PYTHONPATH=path).returncode == 3
    assert remediate("--dry", "more.greet", "ann", fresh=True, PYTHONPATH=path).stderr.startswith(
        "this task does not support --dry"
    )
    listed = remediate("--list", fresh=True, PYTHONPATH=path).stdout
    assert "more.greet" in listed
    assert "lab.start" in listed
    assert "Who is greeted." in remediate("--help", "more.greet", fresh=True, PYTHONPATH=path).stdout


@pytest.mark.parametrize("text", ["import no_such_module", "PLUGIN = 1", "raise RuntimeError('broken')"])
def test_a_broken_plugin_is_a_warning_and_the_rest_works(remediate: Remediate, tmp_path: Path, text: str) -> None:
    path = f"{distribution(tmp_path / 'more', 'more', 'more = more_commands:PLUGIN', more_commands=text)}{os.pathsep}{ROOT}"
    listed = remediate("--list", fresh=True, PYTHONPATH=path)
    assert listed.returncode == 0
    assert listed.stderr.startswith("warning: the plugin more cannot be loaded: ")
    assert listed.stderr.count("\n") == 1
    assert "lab.start" in listed.stdout
    assert remediate("steps", fresh=True, PYTHONPATH=path).stderr == ""


@pytest.mark.parametrize("words", [("lab.start",), ("lab.fault", "laptop-07", "num-gpu-1"), ("lab",), ("--help", "lab.start")])
def test_without_the_lab_its_commands_say_how_to_install_it(
    remediate: Remediate, without_lab: str, words: tuple[str, ...]
) -> None:
    done = remediate(*words, fresh=True, PYTHONPATH=f"{without_lab}{os.pathsep}{ROOT}")
    name = next(word for word in words if word.startswith("lab"))
    sentence = f"{name} needs the distribution remediation-lab, which is not installed here"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{sentence}{INSTALL}")


@pytest.mark.parametrize("task", ["fix-offload", "diagnose", "check-host"])
def test_without_the_lab_an_inventory_of_it_says_how_to_install_it(remediate: Remediate, without_lab: str, task: str) -> None:
    done = remediate(task, "--inventory", "lab", fresh=True, PYTHONPATH=f"{without_lab}{os.pathsep}{ROOT}")
    sentence = "an inventory with the key lab: needs the distribution remediation-lab, which is not installed here"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{sentence}{INSTALL}")


def test_without_the_lab_its_inventory_can_still_be_read(remediate: Remediate, without_lab: str) -> None:
    done = remediate("hosts", "--inventory", "lab", fresh=True, PYTHONPATH=f"{without_lab}{os.pathsep}{ROOT}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "laptop-07" in done.stdout
    assert "lab." not in remediate("--list", fresh=True, PYTHONPATH=f"{without_lab}{os.pathsep}{ROOT}").stdout
