"""Which of several values of a variable holds: Ansible's order, and where each came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.inventory.load import load_inventory
from remediation.inventory.provenance import origins
from remediation.templating.templar import Scope
from tests.inventory.conftest import Written

# weakest first; each place says which of the variables it sets: all those from its own place on
PLACES = (
    ("inv/hosts.yml", "all"),
    ("inv/hosts.yml", "parent"),
    ("inv/hosts.yml", "child"),
    ("inv/group_vars/all.yml", ""),
    ("play/group_vars/all.yml", ""),
    ("inv/group_vars/parent.yml", ""),
    ("inv/group_vars/child.yml", ""),
    ("play/group_vars/parent.yml", ""),
    ("play/group_vars/child.yml", ""),
    ("inv/hosts.yml", "host"),
    ("inv/host_vars/alpha.yml", ""),
    ("play/host_vars/alpha.yml", ""),
)


@pytest.fixture
def ladder(written: Written) -> Path:
    """One variable per place: ``v5`` is set by the places 0 to 5, so the place 5 has to win."""

    def of(number: int) -> str:
        return "{" + ", ".join(f"v{name}: {number}" for name in range(number, len(PLACES))) + "}"

    inline = {name: of(number) for number, (_, name) in enumerate(PLACES) if name}
    files = {path: of(number) for number, (path, name) in enumerate(PLACES) if not name}
    return written(f"""
        all:
          vars: {inline["all"]}
          children:
            parent:
              vars: {inline["parent"]}
              children:
                child:
                  vars: {inline["child"]}
                  hosts: {{alpha: {inline["host"]}}}
    """, files)  # fmt: skip


def test_the_order_is_ansibles(ladder: Path, tmp_path: Path) -> None:
    inventory = load_inventory([ladder], playbook_dir=tmp_path / "play")
    scope = Scope(inventory.layers("alpha"))
    assert {name: scope[name] for name in scope} == {f"v{number}": number for number in range(len(PLACES))}


def test_each_value_knows_its_place_and_what_it_overrode(ladder: Path, tmp_path: Path) -> None:
    inventory = load_inventory([ladder], playbook_dir=tmp_path / "play")
    found = origins(inventory, "alpha", {"v3": "from the command line"})
    for number, (path, _) in enumerate(PLACES):
        origin = found[f"v{number}"]
        chain = [origin, *origin.overrode]
        if number == 3:
            assert chain[0].rank == chain[0].where == "-e"
            chain = chain[1:]
        assert chain[0].place is not None
        assert chain[0].place.file == str(tmp_path / path)
        assert [each.value for each in chain] == list(range(number, -1, -1))
    assert found["v11"].rank == "host_vars of the playbook"
    assert found["v8"].rank == "group_vars of the playbook, group child"
    assert found["v9"].rank == "the host"
    assert found["v1"].rank == "group parent"


def test_the_line_is_that_of_the_variable(written: Written) -> None:
    path = written("""\
        all:
          hosts:
            alpha:
              one: 1
              two:
                deep: 2
    """)  # fmt: skip
    found = origins(load_inventory([path]), "alpha")
    assert {name: origin.where for name, origin in found.items()} == {"one": f"{path}:4", "two": f"{path}:5"}


def test_a_folder_next_to_inventory_and_playbook_is_read_once(written: Written) -> None:
    path = written("all: {hosts: {alpha: }}", {"inv/group_vars/all.yml": "x: 1"})
    (origin,) = origins(load_inventory([path], playbook_dir=path.parent), "alpha").values()
    assert (origin.value, origin.overrode) == (1, ())


def test_groups_of_equal_depth_go_by_priority_then_name(written: Written) -> None:
    inventory = load_inventory([written("""
        all:
          children:
            borealis: {vars: {colour: red, shape: square}, hosts: {alpha: }}
            aurora: {vars: {colour: green, shape: round, ansible_group_priority: 10}, hosts: {alpha: }}
            zeta: {vars: {tail: z}, hosts: {alpha: }}
            eta: {vars: {tail: e}, hosts: {alpha: }}
            top:
              vars: {tone: top, ansible_group_priority: 50}
              children:
                below: {vars: {tone: below}, hosts: {alpha: }}
    """)])  # fmt: skip
    scope = Scope(inventory.layers("alpha"))
    assert [scope[name] for name in ("colour", "shape", "tail", "tone")] == ["green", "round", "z", "below"]


def test_a_group_is_as_deep_as_its_longest_way_from_all(written: Written) -> None:
    inventory = load_inventory([written("""
        all:
          children:
            deep: {vars: {x: deep}, hosts: {alpha: }}
            a: {children: {b: {children: {deep: }}}}
            z: {vars: {x: z}, hosts: {alpha: }}
    """)])  # fmt: skip
    assert Scope(inventory.layers("alpha"))["x"] == "deep"


def test_a_mapping_replaces_the_weaker_one_whole(written: Written) -> None:
    inventory = load_inventory([written("all: {vars: {limits: {cpu: 2, memory: 4}}, hosts: {a: {limits: {memory: 8}}, b: }}")])
    assert Scope(inventory.layers("a"))["limits"] == {"memory": 8}
    assert Scope(inventory.layers("b"))["limits"] == {"cpu": 2, "memory": 4}


def test_variables_are_evaluated_where_they_are_used(written: Written) -> None:
    inventory = load_inventory([written("""
        all:
          vars: {url: "http://{{ inventory_hostname }}:{{ tcp }}", tcp: 80}
          hosts: {alpha: , beta: {tcp: 8080}}
    """)])  # fmt: skip
    for host, port in (("alpha", 80), ("beta", 8080)):
        assert Scope((*inventory.layers(host), inventory.magic(host)))["url"] == f"http://{host}:{port}"


def test_a_folder_named_for_a_group_is_all_its_files(written: Written) -> None:
    path = written("web: {hosts: {alpha: }}", {
        "inv/group_vars/web/10.yml": "{a: 1, b: 1}",
        "inv/group_vars/web/20": "{b: 2}",
        "inv/group_vars/web/deep/30.json": '{"c": 3}',
        "inv/group_vars/web/notes.md": "nothing",
        "inv/group_vars/web.yml": "a: passed over, as the folder is there",
        "inv/host_vars/alpha": "d: 4",
        "inv/host_vars/other.yml": "d: 5",
    })  # fmt: skip
    scope = Scope(load_inventory([path]).layers("alpha"))
    assert {name: scope[name] for name in scope} == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_this_machine_is_reached_directly_despite_the_variables_of_all(written: Written) -> None:
    inventory = load_inventory([written("all: {vars: {ansible_connection: winrm, x: 1}, hosts: {alpha: }}")])
    scope = Scope(inventory.layers("localhost"))
    assert (scope["ansible_connection"], scope["x"]) == ("local", 1)
    assert inventory.hosts == ("alpha",)


def test_a_named_localhost_is_a_host_like_any_other(written: Written) -> None:
    inventory = load_inventory([written("all: {vars: {ansible_connection: ssh}, hosts: {localhost: }}")])
    assert Scope(inventory.layers("localhost"))["ansible_connection"] == "ssh"
