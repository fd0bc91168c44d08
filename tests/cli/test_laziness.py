"""What a start leaves unloaded: imports are most of the time that a short command takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import ROOT

HEAVY = {
    "asyncssh", "cryptography", "docker", "fabric", "jinja2", "paramiko", "platformdirs", "pydantic", "pynvml", "requests", "rich",
    "ruamel", "spnego", "urllib3", "winrm",
}  # fmt: skip
LAYERS = {"report", "engine", "playbook", "inventory", "templating", "steps", "diagnosis", "facets", "connections"}

LIST_LOADED = """
import json, sys
{code}
print("LOADED" + json.dumps(sorted(sys.modules)))
"""


def loaded(code: str, environment: dict[str, str]) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LIST_LOADED.format(code=code)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    names: list[str] = json.loads(done.stdout.rpartition("LOADED")[2])
    return set(names)


def start(*words: str) -> str:
    return f"""
from remediation.cli.main import main
try:
    main(["remediate", {", ".join(map(repr, words))}])
except SystemExit as end:
    assert end.code == 0, end.code
"""


def test_importing_the_package_loads_no_other_module_of_it(environment: dict[str, str]) -> None:
    names = loaded("import remediation", environment)
    assert {name for name in names if name.startswith("remediation")} == {"remediation"}
    assert not HEAVY & {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("words", [("--version",), ("--list",), ("--help",), ("fix-offload", "--help"), ("--help", "steps")])
def test_a_short_command_loads_the_command_line_and_nothing_heavy(words: tuple[str, ...], environment: dict[str, str]) -> None:
    names = loaded(start(*words), environment)
    assert not HEAVY & {name.partition(".")[0] for name in names}
    assert not {name for name in names if name.startswith("remediation.") and name.split(".")[1] in LAYERS}
    assert {name for name in names if name.startswith("remediation_lab.")} <= {
        "remediation_lab.plugin",
        "remediation_lab.commands",
    }


@pytest.mark.parametrize("words", [("--version",), ("fix-offload", "--help"), ("--help", "steps")])
def test_a_built_in_task_looks_for_no_plugin(words: tuple[str, ...], environment: dict[str, str]) -> None:
    names = loaded(start(*words), environment)
    assert not {name for name in names if name == "importlib.metadata" or name.startswith("remediation_lab")}


def test_the_bytecode_cache_stays_on(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", start("--list") + "\nimport sys; assert not sys.dont_write_bytecode"],
        cwd=ROOT, env={key: value for key, value in environment.items() if key != "PYTHONDONTWRITEBYTECODE"}, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_first_task_that_asks_no_host_waits_for_no_facet(environment: dict[str, str], tmp_path: Path) -> None:
    book, inventory = tmp_path / "play.yml", tmp_path / "hosts.yml"
    book.write_text("- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: hi}\n", encoding="utf-8")
    inventory.write_text("all: {hosts: {here: {ansible_connection: local}}}\n", encoding="utf-8")
    first = "remediation.engine.play.runner"
    names = loaded(f"import {first}, remediation.cli.runner", environment)
    assert first in names
    unwanted = ("remediation.facets", "remediation.model.facts", "remediation.model.finding", "remediation.diagnosis")
    assert not {name for name in names if name.startswith(unwanted)}
    modules = loaded(start("play", str(book), "--inventory", str(inventory), "--json"), environment)
    assert not {name for name in modules if name.startswith("remediation.diagnosis")}
    assert not {name for name in modules if name.startswith("remediation.engine.ladder")}
    assert {name for name in modules if name.startswith("remediation.playbook.flow_actions.")} == {
        "remediation.playbook.flow_actions.output"
    }
