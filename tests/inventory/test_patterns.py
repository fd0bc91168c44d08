"""Host patterns select what Ansible's do; the expected hosts were recorded from ansible-core 2.19."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.inventory.inventory import Inventory
from remediation.inventory.load import load_inventory
from remediation.model.errors import UsageError
from tests.inventory.conftest import Written

TEXT = """
    all:
      children:
        red: {hosts: {r1: , r2: , r3: }}
        blue: {hosts: {b1: , b2: , r3: }}
        gpu_big: {hosts: {titan1: , titan2: }}
        gpu_small: {hosts: {nano1: }}
        cpu: {hosts: {xeon1: , xeon-gpu: }}
"""


@pytest.fixture
def inventory(written: Written) -> Inventory:
    return load_inventory([written(TEXT)])


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("all", "r1 r2 r3 b1 b2 titan1 titan2 nano1 xeon1 xeon-gpu"),
        ("*", "r1 r2 r3 b1 b2 titan1 titan2 nano1 xeon1 xeon-gpu"),
        ("blue:red", "b1 b2 r3 r1 r2"),
        ("red,blue", "r1 r2 r3 b1 b2"),
        ("red:&blue", "r3"),
        ("red:!r2", "r1 r3"),
        ("!r2:red", "r1 r3"),
        ("!red", "b1 b2 titan1 titan2 nano1 xeon1 xeon-gpu"),
        ("&red", "r1 r2 r3"),
        ("red:blue:&blue:!b1", "r3 b2"),
        ("red:!r2,b1", "b1"),
        ("titan*", "titan1 titan2"),
        ("gpu_*", "titan1 titan2 nano1"),
        ("????1", "nano1 xeon1"),
        ("[rb]1", "r1 b1"),
        (r"~(nano|xeon)\d$", "nano1 xeon1"),
        ("~gpu", "titan1 titan2 nano1"),
        ("red[0]", "r1"),
        ("red[-1]", "r3"),
        ("red[0:1]", "r1 r2"),
        ("red[1:]", "r2 r3"),
        ("red[1-2]", "r2 r3"),
        ("red[:1]", ""),
        ("red[7]", ""),
        ("red[0:1]:!r2", "r1"),
        ("unknown", ""),
        ("unknown:r1", "r1"),
        ("localhost", "localhost"),
        ("red:localhost:!r1", "r2 r3 localhost"),
        ("red:!localhost", "r1 r2 r3"),
        (" r1 , r2 ", "r1 r2"),
    ],
)
def test_a_pattern_selects_its_hosts_in_its_order(inventory: Inventory, pattern: str, hosts: str) -> None:
    assert " ".join(inventory.select(pattern)) == hosts


def test_a_list_of_patterns_is_one_pattern(inventory: Inventory) -> None:
    assert inventory.select(["red", "!r2", "b1:b2"]) == ("r1", "r3", "b1", "b2")


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [("red,!r2,b1", "r1 r3 b1"), ("red:!r2,b1", "b1"), ("blue", "r3 b1 b2"), ("r1,unknown", "r1"), ("r1:&b1", "")],
)
def test_a_limit_takes_hosts_away_and_keeps_the_order(inventory: Inventory, limit: str, hosts: str) -> None:
    assert " ".join(inventory.select("red:blue", limit)) == hosts


def test_a_limit_may_be_a_file_of_names(inventory: Inventory, tmp_path: Path) -> None:
    (tmp_path / "failed.txt").write_text("# of yesterday\nr1\n\nb2\n", encoding="utf-8")
    assert inventory.select("all", f"@{tmp_path / 'failed.txt'}") == ("r1", "b2")
    with pytest.raises(UsageError, match="cannot read the file"):
        inventory.select("all", f"@{tmp_path / 'no.txt'}")


def test_a_limit_that_matches_nothing_is_an_error_with_the_nearest_name(inventory: Inventory) -> None:
    with pytest.raises(UsageError, match="no host or group matches 'titan11'; did you mean 'titan1'") as caught:
        inventory.select("all", "titan11")
    assert caught.value.next_step == "remediate hosts lists them"
    with pytest.raises(UsageError, match="'rde'; did you mean 'red'"):
        inventory.limit_hosts("rde")


def test_a_broken_regular_expression_is_an_error(inventory: Inventory) -> None:
    with pytest.raises(UsageError, match="not a valid regular expression"):
        inventory.select("~(r")


def test_an_ipv6_address_is_one_name() -> None:
    inventory = load_inventory(["fe80::1,fe80::2,"])
    assert inventory.select("fe80::1") == ("fe80::1",)


def test_the_nearest_name_is_found_in_any_case(inventory: Inventory) -> None:
    with pytest.raises(UsageError, match="'Titan1'; did you mean 'titan1'"):
        inventory.limit_hosts("Titan1")


@pytest.mark.parametrize(
    "pattern", ["[", "~[", "red[0", "red[0:", "[rb", "r]1", "!", "&", "~", "red:!", "red,&", "!red:&", ":", ",", "red:[b"]
)
def test_a_pattern_that_is_cut_or_has_a_sign_without_a_name_is_refused(inventory: Inventory, pattern: str) -> None:
    """Each was read as fewer restrictions than were written: `[` and `!` selected every host."""
    with pytest.raises(UsageError, match="the pattern"):
        inventory.limit_hosts(pattern)
