"""Ansible's YAML inventories are read as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.inventory.load import check_inventory, load_inventory
from remediation.model.errors import UsageError
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import plain
from tests.inventory.conftest import Written


def test_groups_hold_the_hosts_of_their_children(written: Written) -> None:
    inventory = load_inventory([written("""
        gpu:
          children:
            windows:
              hosts: {dev-1: , dev-2: }
            linux:
              hosts: {box: }
        loose:
        all:
          hosts: {alone: }
    """)])  # fmt: skip
    assert inventory.groups["gpu"] == ["dev-1", "dev-2", "box"]
    assert inventory.groups["loose"] == []
    assert inventory.groups["ungrouped"] == ["alone"]
    assert sorted(inventory.hosts) == ["alone", "box", "dev-1", "dev-2"]
    assert inventory.groups_of("dev-1") == ["gpu", "windows"]
    assert inventory.groups_of("alone") == ["ungrouped"]


def test_a_group_may_have_null_parts(written: Written) -> None:
    inventory = load_inventory([written("""
        all:
          hosts: {alpha: }
          children:
            empty:
            nohosts: {hosts: }
            novars: {vars: , hosts: {alpha: }}
            nochildren: {children: }
    """)])  # fmt: skip
    assert [len(inventory.groups[name]) for name in ("empty", "nohosts", "novars", "nochildren")] == [0, 0, 1, 0]
    assert inventory.groups_of("alpha") == ["novars"]


def test_a_host_named_in_several_places_is_one_host(written: Written) -> None:
    inventory = load_inventory([written("""
        first: {hosts: {alpha: {a: 1}}}
        second: {hosts: {alpha: {b: 2}, beta: }}
    """)])  # fmt: skip
    assert inventory.select("first:second") == ("alpha", "beta")
    assert {name: value for layer in reversed(inventory.layers("alpha")) for name, value in layer.items()} == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("dev-[01:03].example", ("dev-01.example", "dev-02.example", "dev-03.example")),
        ("n[8:10]", ("n8", "n9", "n10")),
        ("n[0:6:3]", ("n0", "n3", "n6")),
        ("gpu-[a:c]", ("gpu-a", "gpu-b", "gpu-c")),
        ("r[1:2]-[x:y]", ("r1-x", "r1-y", "r2-x", "r2-y")),
        ("[:1]n", ("0n", "1n")),
    ],
)
def test_ranges_stand_for_many_hosts(written: Written, name: str, hosts: tuple[str, ...]) -> None:
    inventory = load_inventory([written(f"all: {{hosts: {{'{name}': {{x: 1}}}}}}")])
    assert inventory.hosts == hosts
    assert [inventory.layers(host)[0]["x"] for host in hosts] == [1] * len(hosts)


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [
        ("box:2222", "box", 2222),
        ("'[fe80::1]:22'", "fe80::1", 22),
        ("'fe80::1:22'", "fe80::1:22", None),
        ("10.0.0.1:5986", "10.0.0.1", 5986),
    ],
)
def test_a_port_behind_the_name_is_the_hosts(written: Written, name: str, host: str, port: int | None) -> None:
    inventory = load_inventory([written(f"all:\n  hosts:\n    {name}:\n")])
    assert inventory.hosts == (host,)
    assert Scope(inventory.layers(host)).get("ansible_port") == port


def test_an_ipv6_address_with_a_port_is_no_section_of_an_ini_file(written: Written) -> None:
    inventory = load_inventory([written("[gpu]\n[2001:db8::1]:2200 model=a\nbox\n", name="hosts")])
    assert list(inventory.groups["gpu"]) == ["2001:db8::1", "box"]
    found = {name: value for layer in reversed(inventory.layers("2001:db8::1")) for name, value in layer.items()}
    assert (found["ansible_port"], found["model"]) == (2200, "a")


def test_values_are_yaml_1_1(written: Written) -> None:
    inventory = load_inventory([written("""
        all:
          vars: {flag: yes, off_: off, mode: 0755, quoted: "0755", clock: 1:30, ratio: 1.50, nothing: ~, text: "yes"}
          hosts: {alpha: }
    """)])  # fmt: skip
    assert plain(inventory.layers("alpha")[0]) == {
        "flag": True, "off_": False, "mode": 493, "quoted": "0755", "clock": 90, "ratio": 1.5, "nothing": None, "text": "yes",
    }  # fmt: skip


def test_a_list_on_the_command_line_is_an_inventory() -> None:
    inventory = load_inventory(["a, b,c-[1:2],box:22"])
    assert inventory.hosts == ("a", "b", "c-1", "c-2", "box")
    assert inventory.groups["ungrouped"] == list(inventory.hosts)
    assert inventory.layers("box") == ({"ansible_port": 22},)


def test_several_sources_are_one_inventory_the_later_stronger(written: Written) -> None:
    first = written("web: {vars: {x: 1, y: 1}, hosts: {a: {z: 1}}}", name="one.yml")
    second = written("web: {vars: {x: 2}, hosts: {b: , a: {z: 2}}}", name="two.yml")
    inventory = load_inventory([first, second, "c,"])
    assert sorted(inventory.hosts) == ["a", "b", "c"]
    scope = Scope(inventory.layers("a"))
    assert [scope[name] for name in "xyz"] == [2, 1, 2]


def test_a_folder_is_its_files_in_name_order(written: Written) -> None:
    written("all: {hosts: {a: {x: 1}}}", {
        "inv/20.yaml": "all: {hosts: {b: , a: {x: 2}}}",
        "inv/sub/30": "all: {hosts: {c: }}",
        "inv/notes.txt": "not an inventory",
        "inv/.hidden.yml": "all: {hosts: {hidden: }}",
        "inv/old.yml~": "all: {hosts: {old: }}",
        "inv/group_vars/all.yml": "y: beside",
    }, name="inv/10.yml")  # fmt: skip
    inventory = load_inventory([written("all: {hosts: {a: {x: 1}}}", name="inv/10.yml").parent])
    assert inventory.hosts == ("a", "b", "c")
    assert Scope(inventory.layers("a"))["x"] == 2
    assert Scope(inventory.layers("c"))["y"] == "beside"


def test_a_key_requests_the_lab(written: Written) -> None:
    assert load_inventory([written("lab: {hosts: 3}\nall: {hosts: {laptop-07: }}")]).lab == {"hosts": 3}
    assert load_inventory([written("lab:\nall: {hosts: {laptop-07: }}")]).lab == {"hosts": 1}
    asked = load_inventory([written("lab: {hosts: 2, world: native-windows}\nall: {hosts: {desktop-07: }}")])
    assert asked.lab == {"hosts": 2, "world": "native-windows"}
    group = load_inventory([written("lab: {hosts: {bench: }}")])
    assert (group.lab, group.hosts) == (None, ("bench",))


def test_what_the_lab_answers_is_stronger_than_the_file_and_weaker_than_host_vars(written: Written) -> None:
    path = written("all: {vars: {a: 1, b: 1}, hosts: {laptop-07: {a: 2}}}", {"inv/host_vars/laptop-07.yml": "b: 3"})
    inventory = load_inventory([path]).with_host_vars("laptop-07", {"a": 9, "b": 9, "c": 9})
    scope = Scope(inventory.layers("laptop-07"))
    assert [scope[name] for name in "abc"] == [9, 3, 9]


def test_magic_names_what_is_known_of_a_host(written: Written) -> None:
    path = written("web: {hosts: {a.example: }}")
    magic = load_inventory([path]).magic("a.example")
    assert magic["inventory_hostname"] == "a.example"
    assert magic["inventory_hostname_short"] == "a"
    assert magic["group_names"] == ["web"]
    assert magic["groups"]["all"] == ["a.example"]
    assert (magic["inventory_dir"], magic["inventory_file"]) == (str(path.parent.resolve()), str(path.resolve()))


@pytest.mark.parametrize("text", ["", "all:\n", "# nothing\n", "web: {vars: {a: 1}}\n"])
def test_an_inventory_without_hosts_is_refused(written: Written, text: str) -> None:
    with pytest.raises(UsageError, match="has no hosts") as caught:
        load_inventory([written(text)])
    assert "--inventory" in caught.value.next_step


def test_an_inventory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no inventory"):
        load_inventory([tmp_path / "no.yml"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no inventory files"):
        load_inventory([tmp_path / "empty"])


SHIPPED = Path(__file__).parents[2] / "inventory"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yml")), ids=lambda path: path.stem)
def test_a_shipped_inventory_is_whole(path: Path) -> None:
    inventory = load_inventory([path])
    if inventory.lab is not None:
        for host in inventory.hosts:
            inventory = inventory.with_host_vars(host, {"ansible_user": "u", "ansible_password": "filled in by the lab"})
    check_inventory(inventory)


def test_the_shipped_lab_may_be_disturbed() -> None:
    inventory = load_inventory([SHIPPED / "lab.yml"])
    scope = Scope(inventory.layers("laptop-07"))
    assert inventory.lab == {"hosts": 1}
    assert [scope[name] for name in ("ansible_connection", "ansible_winrm_transport", "max_risk", "close_programs", "warn_seconds")] == [
        "winrm", "ntlm", "disruptive", True, 0,
    ]  # fmt: skip


def test_the_shipped_fleet_is_an_example_of_ranges_and_nesting() -> None:
    inventory = load_inventory([SHIPPED / "fleet.example.yml"])
    assert (len(inventory.groups["windows"]), len(inventory.groups["linux"]), len(inventory.groups["gpu"])) == (64, 4, 68)
