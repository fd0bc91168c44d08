"""``hosts`` and ``vars`` show an inventory; they reach no host, start no lab and show no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from remediation.cli.commands import inventory
from tests.inventory.conftest import Written

FLEET = """\
lab: {hosts: 2}
windows:
  vars:
    ansible_connection: winrm
    ansible_port: 5986
    ansible_password: "{{ lookup('env', 'QUERIES_PASSWORD') }}"
    api_token: written-down
    settings: {db_password: also-here, size: 4}
    url: "https://{{ inventory_hostname }}/{{ missing }}"
  hosts:
    dev-[1:2]: {ansible_user: ops}
linux:
  hosts:
    box: {ansible_host: 10.0.0.7, model: "{{ size }}b", size: "07"}
gpu:
  children: {windows: , linux: }
  vars: {model: small}
"""


@pytest.fixture
def fleet(written: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("QUERIES_PASSWORD", "never shown")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return written(FLEET, {"inv/group_vars/gpu.yml": "model: middle\n"})


def hosts(fleet: Path, capsys: pytest.CaptureFixture[str], **options: object) -> str:
    inventory.hosts(Context(), inventory=[str(fleet)], **options)
    return capsys.readouterr().out


def printed(fleet: Path, capsys: pytest.CaptureFixture[str], host: str, **options: object) -> str:
    inventory.variables(Context(), inventory=[str(fleet)], host=host, **options)
    return capsys.readouterr().out


def test_hosts_are_listed_with_connection_and_groups(fleet: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert hosts(fleet, capsys).splitlines() == [
        "dev-1  winrm  dev-1:5986  gpu, windows",
        "dev-2  winrm  dev-2:5986  gpu, windows",
        "box           10.0.0.7    gpu, linux",
        f"3 hosts of {fleet}",
    ]
    assert not (tmp_path / "state").exists()  # no lab was started


def test_a_limit_narrows_the_list_and_the_tree(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hosts(fleet, capsys, limit="box").splitlines()[0].startswith("box ")
    assert hosts(fleet, capsys, graph=True).splitlines() == [
        "all", "└─ gpu:", "   ├─ windows:", "   │  ├─ dev-1", "   │  └─ dev-2", "   └─ linux:", "      └─ box",
    ]  # fmt: skip
    assert hosts(fleet, capsys, graph=True, limit="dev-2").splitlines() == [
        "all", "└─ gpu:", "   └─ windows:", "      └─ dev-2",
    ]  # fmt: skip


def test_hosts_are_one_json_document(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(hosts(fleet, capsys, json=True, limit="dev-1"))
    assert found["hosts"] == [
        {
            "host": "dev-1", "connection": "winrm", "address": "dev-1:5986", "user": "ops", "groups": ["gpu", "windows"],
            "place": f"{fleet}:11",
        }
    ]  # fmt: skip
    assert found["groups"]["gpu"] == {"hosts": [], "children": ["windows", "linux"]}


def test_variables_come_with_place_and_what_they_overrode(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(fleet, capsys, "box", extra_vars=["model=large"])
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["box", "(gpu,", "linux)"]
    assert rows[2:] == [
        ["model", "large", "-e"],
        ["over", "'{{", "size", "}}b'", f"{fleet}:14"],
        ["over", "middle", f"{fleet.parent}/group_vars/gpu.yml:1"],
        ["over", "small", f"{fleet}:17"],
        ["size", "'07'", f"{fleet}:14"],
    ]


def test_values_are_evaluated_as_far_as_they_can_be(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(fleet, capsys, "box", json=True))["variables"]
    assert found["model"]["value"] == "07b"
    found = json.loads(printed(fleet, capsys, "dev-1", json=True))["variables"]
    assert found["url"]["value"] == "https://{{ inventory_hostname }}/{{ missing }}"
    assert (found["url"]["file"], found["url"]["line"], found["url"]["from"]) == (str(fleet), 9, "group windows")


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_shown(fleet: Path, capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    out = printed(fleet, capsys, "dev-1", json=as_json, extra_vars=["ansible_password=on-the-line"])
    assert not [word for word in ("never shown", "written-down", "also-here", "on-the-line") if word in out]
    assert out.count("***") == 4


def test_a_query_runs_no_program_and_prompts_for_nothing(
    written: Written, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = written(f"""\
        all:
          vars:
            one: "{{{{ lookup('pipe', ['touch', '{tmp_path}/ran']) }}}}"
            two: "{{{{ lookup('prompt', 'Password') }}}}"
          hosts: {{a: }}
    """)  # fmt: skip
    out = printed(path, capsys, "a")
    assert "lookup('pipe'" in out.replace("''", "'")
    assert not (tmp_path / "ran").exists()


def test_an_unknown_host_is_an_error_with_the_nearest_name(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        printed(fleet, capsys, "dve-1")
    assert caught.value.code == 1
    assert "no host 'dve-1' in the inventory; did you mean 'dev-1'?" in capsys.readouterr().err
