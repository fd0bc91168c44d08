"""Any content of a playbook, an inventory or a file of variables: it is read, or refused with a sentence."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remediation.cli.extra_vars import extra_variables
from remediation.inventory.check import check_inventory, misspelt
from remediation.inventory.load import load_inventory
from remediation.model.errors import RemediationError
from remediation.playbook.lint import lint_playbook
from remediation.playbook.load import load_playbook
from remediation.templating.templar import Scope
from remediation.templating.yaml.loader import read_yaml
from remediation.templating.yaml.located import Text
from remediation.templating.yaml.vault import Vault

CASES = sorted((Path(__file__).parent / "cases").glob("*/*.yml"))
INVENTORIES = [
    "all: {vars: {ansible_connection: local, x: !vault 'a'}, hosts: {'a[1:3]': , b:22: {v: 1}}, children: {g: {hosts: b}}}\n"
]
TEMPLATES = [
    "{{ a | default('x') }}",
    "{% for i in range(3) %}{{ loop.index }}{% endfor %}",
    "{{ 'a' ~ [1, {'b': 2}] | to_json }}",
]
PIECES = [
    "\0", "\t", "\ud7ff", "- ", ": ", "{", "}", "[", "]", "&a ", "*a", "<<: ", "!vault ", "!unsafe ", "!!int ", "? ", "|\n", ">-\n",
    "'", '"', "#", "%", "\\", "{{ ", " }}", "{% ", "~", "null", "1:1", "0x", "9" * 30, "=", "block: ", "loop: ", "when: ", "vars: ",
    "hosts: ", "include_tasks: ", "tags: ", "[0:9]", "\x85", "\u2028", "@", "`", "$ANSIBLE_VAULT;1.1;AES256\n00",
]  # fmt: skip


def mutated(text: str, chance: random.Random) -> bytes:
    """Return a text with a few pieces put in, taken out or doubled, or broken as UTF-8."""
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.randint(0, 12))
        piece = chance.choice(["", chance.choice(PIECES), text[at:to] * 2, chr(chance.randrange(32, 0x2FFF))])
        text = text[:at] + piece + text[to:]
    raw = text.encode("utf-8", "surrogatepass")
    return raw + b"\xff" if chance.random() < 0.02 else raw


def playbook(path: Path) -> None:
    found = load_playbook(path, decrypt=Vault())
    lint_playbook(found)


def inventory(path: Path) -> None:
    found = load_inventory([path], decrypt=Vault())
    misspelt(found)
    check_inventory(found)
    for host in found.hosts:
        found.select(host)
        Scope(found.layers(host)).render(dict.fromkeys(["v", "x"], 1))


def variables(path: Path) -> None:
    read_yaml(path, decrypt=Vault())
    text = path.read_bytes().decode("utf-8", "ignore").replace("\0", "")
    for given in (f"@{path}", text, f"{{{text}}}"):
        try:
            extra_variables([given], decrypt=Vault())
        except RemediationError:
            continue


def template(path: Path) -> None:
    text = Text(path.read_bytes().decode("utf-8", "ignore"))
    Scope([{"a": 1}]).render(text)
    Scope([{"a": 1}]).condition(text)


KINDS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "playbook": (playbook, [path.read_text(encoding="utf-8") for path in CASES]),
    "inventory": (inventory, INVENTORIES),
    "variables": (variables, INVENTORIES),
    "template": (template, TEMPLATES),
}


def tried(kind: str, seeds: range, folder: Path) -> None:
    read, texts = KINDS[kind]
    path = folder / "file.yml"
    for seed in seeds:
        chance = random.Random(seed)
        path.write_bytes(mutated(chance.choice(texts), chance))
        try:
            read(path)
        except RemediationError:
            continue
        except Exception as error:
            pytest.fail(f"{kind} {seed}: {type(error).__name__}: {error}\n{path.read_bytes()!r}")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_broken_is_refused(kind: str, tmp_path: Path) -> None:
    tried(kind, range(250), tmp_path)


@pytest.mark.every
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_broken_in_many_ways_is_refused(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if "every" not in str(request.config.getoption("-m")):
        pytest.skip("2,500 inputs of each kind: -m every")
    tried(kind, range(2_500), tmp_path)
