"""Hosts whose variables cannot be a connection are reported before any host is touched."""

from __future__ import annotations

import pytest

from remediation.engine.context import Policy
from remediation.inventory.load import check_inventory, load_inventory
from remediation.model.errors import InputError
from remediation.templating.yaml.located import mark_trusted
from tests.inventory.conftest import Written

FLEET = """\
windows:
  vars:
    ansible_connection: winrm
    ansible_password: "{{ lookup('env', 'NOBODY_READS_THIS') }}"
  hosts:
    dev-12: {ansible_user: ops}
    dev-13:
"""


def problems_of(path: object, extra: dict[str, object] | None = None) -> list[str]:
    with pytest.raises(InputError) as caught:
        check_inventory(load_inventory([path]), mark_trusted(extra) if extra else None)  # type: ignore[list-item]
    return [str(problem).rpartition("/inv/")[2] for problem in caught.value.problems]


def test_a_windows_host_without_a_user_is_an_error_that_says_where_one_belongs(written: Written) -> None:
    (found,) = problems_of(written(FLEET))
    assert found.splitlines() == [
        "hosts.yml:7:5: host dev-13 uses connection winrm but has no user; set ansible_user here or in group_vars/windows.yml",
        "    7 |     dev-13:",
        "      |     ^",
    ]


def test_what_the_command_line_gives_is_enough(written: Written) -> None:
    check_inventory(load_inventory([written(FLEET)]), {"ansible_user": "ops"})


def test_a_certificate_needs_no_password(written: Written) -> None:
    path = written("""
        all:
          vars:
            ansible_connection: winrm
            ansible_winrm_transport: certificate
            ansible_winrm_cert_pem: "{{ folder }}/me.pem"
            ansible_winrm_cert_key_pem: me.key
          hosts: {a: }
    """)  # fmt: skip
    check_inventory(load_inventory([path]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ansible_connection: winrn", "hosts.yml:4:7: host a: ansible_connection cannot be 'winrn'; did you mean winrm?"),
        ("ansible_port: 70000", "hosts.yml:4:7: host a: ansible_port is 70000, not a TCP port"),
        ("ansible_timeout: soon", "hosts.yml:4:7: host a: ansible_timeout is 'soon', not a number of seconds"),
        ("ansible_host: [1]", "hosts.yml:4:7: host a: ansible_host: expected a string, got Rows"),
    ],
)
def test_a_wrong_value_is_an_error_with_its_place(written: Written, line: str, message: str) -> None:
    (found,) = problems_of(written(f"all:\n  hosts:\n    a:\n      {line}\n"))
    assert message in found


def test_a_value_that_is_evaluated_later_is_not_judged(written: Written) -> None:
    path = written("""
        all:
          vars: {ansible_port: "{{ ports[inventory_hostname] }}", ansible_connection: ssh, ansible_timeout: "{{ patience }}"}
          hosts: {a: , b: {ansible_connection: "{{ kind }}"}}
    """)  # fmt: skip
    check_inventory(load_inventory([path]))


def test_all_wrong_hosts_are_reported(written: Written) -> None:
    found = problems_of(written("all:\n  vars: {ansible_connection: winrm}\n  hosts:\n    a: {ansible_user: x}\n    b:\n"))
    assert [each.splitlines()[0] for each in found] == [
        "hosts.yml:4:5: host a uses connection winrm but has no password; set ansible_password here or in group_vars/all.yml",
        "hosts.yml:5:5: host b uses connection winrm but has no user; set ansible_user here or in group_vars/all.yml",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "max_risk: dangerous",
            "hosts.yml:4:7: host a: max_risk: unknown risk 'dangerous'; one of observe, safe, disruptive, destructive",
        ),
        ("close_programs: maybe", "hosts.yml:4:7: host a: close_programs: expected true or false, got 'maybe'"),
        ("warn_seconds: soon", "hosts.yml:4:7: host a: warn_seconds: expected a number of seconds, got 'soon'"),
    ],
)
def test_a_limit_of_a_host_that_cannot_be_read_is_known_before_the_host_is_touched(
    written: Written, line: str, message: str
) -> None:
    path = written(f"all:\n  hosts:\n    a:\n      {line}\n")
    with pytest.raises(InputError) as caught:
        check_inventory(load_inventory([path]), None, Policy().for_host)
    assert [str(problem).rpartition("/inv/")[2].splitlines()[0] for problem in caught.value.problems] == [message]


def test_a_limit_that_is_a_template_is_read_when_a_task_runs(written: Written) -> None:
    path = written('all: {hosts: {a: {max_risk: "{{ risk }}", warn_seconds: 5}}}\n')
    check_inventory(load_inventory([path]), None, Policy().for_host)
