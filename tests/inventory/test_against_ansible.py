"""Inventories made at random, read by this package and by ansible-core itself: hosts, groups, variables, patterns.

ansible-core comes with the extra ``bench``; without it there is nothing to compare with.
"""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediation.inventory.inventory import Inventory
from remediation.inventory.load import load_inventory
from remediation.model.errors import UsageError
from remediation.templating.yaml.located import plain

GROUPS = ("aaa", "app", "big", "db", "gpu", "web")
HOSTS = ("h1", "h2", "h3", "n[1:3]", "k[a:b]-x", "p9:2222")
NAMES = "abcdefg"
PATTERNS = (
    "all", "*", "web", "h*", r"~h\d", "n*:!n2", "web:&db", "!h1", "all[0]", "all[-1]", "all[1:2]", "web,db", "h1:h2", "web[0:1]:app",
    "ungrouped", "*1", "localhost", "nope", "h1,localhost", "~(web|db)", "all:!web", "all,!web,&gpu", "[hn]1",
)  # fmt: skip
SEEDS = range(40)


class Made:
    """A random inventory: one or two sources, files of variables beside them and beside a playbook."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.sources: list[Path | str] = []
        for number in range(self.random.randint(1, 2)):
            source = folder / f"inv{number}"
            source.mkdir()
            (source / "hosts.yml").write_text(yaml.safe_dump(self.tree(), sort_keys=False), encoding="utf-8")
            self.files(source)
            self.sources.append(source if self.random.random() < 0.3 else source / "hosts.yml")
        if self.random.random() < 0.2:
            self.sources.append("extra1,h1,")
        self.play = folder / "play"
        self.play.mkdir()
        self.files(self.play)

    def tree(self) -> dict[str, Any]:
        found: dict[str, Any] = {"all": self.group("all", 0, GROUPS)} if self.random.random() < 0.6 else {}
        for name in self.random.sample(GROUPS, self.random.randint(0, 3)):
            found[name] = self.group(name, 1, [other for other in GROUPS if other > name])
        return found or {"all": {"hosts": {"h1": None}}}

    def group(self, name: str, depth: int, below: Sequence[str]) -> dict[str, Any] | None:
        content: dict[str, Any] = {}
        for part in self.random.sample(("hosts", "vars", "children"), 3):
            if self.random.random() < 0.3:
                continue
            if part == "hosts":
                chosen = self.random.sample(HOSTS, self.random.randint(0, 3))
                content[part] = {host: self.values(f"{name}/{host}") or None for host in chosen}
            elif part == "vars":
                content[part] = self.values(name)
                if self.random.random() < 0.3 and name != "all":
                    content[part]["ansible_group_priority"] = self.random.randint(1, 5)
            elif depth < 3:
                chosen = [child for child in below if self.random.random() < 0.4]
                content[part] = {
                    child: self.group(child, depth + 1, [each for each in below if each > child]) for child in chosen
                }
        return content or None

    def values(self, tag: str) -> dict[str, Any]:
        return {name: f"{tag}-{name}" for name in self.random.sample(NAMES, self.random.randint(0, 3))}

    def files(self, folder: Path) -> None:
        for kind, names in (("group_vars", ("all", "web", "db", "app", "ungrouped")), ("host_vars", ("h1", "h2", "n2"))):
            for name in names:
                if self.random.random() < 0.5:
                    continue
                path = folder / kind / name
                path.parent.mkdir(exist_ok=True)
                content = yaml.safe_dump(self.values(f"{folder.name}/{kind}/{name}"))
                form = self.random.choice(("", ".yml", "folder"))
                if form == "folder":
                    path.mkdir()
                    (path / "x.yml").write_text(content, encoding="utf-8")
                    (path / "y").write_text(f"a: {folder.name}-{kind}-{name}-y\n", encoding="utf-8")
                else:
                    path.with_name(f"{name}{form}").write_text(content, encoding="utf-8")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Made, Any]]:
    """Each inventory with what ansible-core makes of it; one process of its own, as it changes the interpreter it runs in."""
    if importlib.util.find_spec("ansible") is None:
        pytest.skip("ansible-core is not installed (extra bench)")
    made = {seed: Made(seed, tmp_path_factory.mktemp(f"seed{seed}")) for seed in SEEDS}
    asked = [{"sources": list(map(str, each.sources)), "play": str(each.play), "patterns": PATTERNS} for each in made.values()]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("ansible_reads.py"))],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=110,
    )
    return {seed: (made[seed], answer) for seed, answer in zip(made, json.loads(done.stdout), strict=True)}


def values(inventory: Inventory, host: str) -> dict[str, str]:
    found: dict[str, Any] = {}
    for layer in reversed(inventory.layers(host)):
        found |= plain(layer)
    found.pop("ansible_group_priority", None)  # Ansible keeps it to itself
    return {name: str(value) for name, value in found.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_ansible_reads_is_read(seed: int, theirs: dict[int, tuple[Made, Any]]) -> None:
    made, answer = theirs[seed]
    names = answer["patterns"]["all"]
    if not names:
        with pytest.raises(UsageError, match="has no hosts"):
            load_inventory(made.sources, playbook_dir=made.play)
        return
    ours = load_inventory(made.sources, playbook_dir=made.play)
    assert sorted(ours.hosts) == sorted(names)
    assert {name: sorted(hosts) for name, hosts in ours.groups.items()} == answer["groups"]
    for host in names:
        known = answer["hosts"][host]
        assert ours.groups_of(host) == known["group_names"]
        mine = values(ours, host)
        assert mine == {name: str(known[name]) for name in known if name in mine or name in NAMES}
    same_order = names == list(ours.hosts)  # below the second level ansible-core's own order is that of a set
    for pattern, selected in answer["patterns"].items():
        if same_order:
            assert list(ours.select(pattern)) == selected, pattern
        elif "[" not in pattern:
            assert sorted(ours.select(pattern)) == sorted(selected), pattern
