"""``ansible.cfg`` and its environment equivalents, and inventories that are programs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from remediation.cli.context import read_inventory
from remediation.cli.options import HostOptions, PlaybookOptions
from remediation.cli.runner import forks_of
from remediation.inventory.ansible_config import ansible_config
from remediation.inventory.check import check_inventory
from remediation.inventory.load import load_inventory
from remediation.inventory.script import run_bounded
from remediation.model.errors import InputError, UsageError

CONFIG = """[defaults]
inventory = hosts, more.yml
forks=7
roles_path = roles:/opt/roles
host_key_checking = False
timeout = 9
nocows = 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    tmp_path.chmod(0o755)
    return tmp_path


def test_the_file_of_the_working_folder_counts(folder: Path) -> None:
    (folder / "ansible.cfg").write_text(CONFIG, encoding="utf-8")
    (folder / "hosts").write_text("a\n", encoding="utf-8")
    (folder / "more.yml").write_text("b:\n", encoding="utf-8")
    found = ansible_config({})
    assert found.values["forks"] == "7"
    assert [Path(source).name for source in found.sources()] == ["hosts", "more.yml"]
    assert found.paths("roles_path", ":") == (Path("roles"), Path("/opt/roles"))
    assert found.variables() == {"ansible_host_key_checking": "False", "ansible_timeout": "9"}


@pytest.mark.parametrize(
    ("environment", "forks"),
    [({}, "7"), ({"ANSIBLE_FORKS": "3"}, "3"), ({"ANSIBLE_CONFIG": "other.cfg"}, "2"), ({"ANSIBLE_CONFIG": "none.cfg"}, "7")],
)
def test_the_environment_takes_precedence(folder: Path, environment: Mapping[str, str], forks: str) -> None:
    (folder / "ansible.cfg").write_text(CONFIG, encoding="utf-8")
    (folder / "other.cfg").write_text("[defaults]\nforks = 2\n", encoding="utf-8")
    assert ansible_config(environment).values["forks"] == forks


def test_a_file_in_a_folder_that_everyone_may_write_to_is_ignored(folder: Path) -> None:
    (folder / "ansible.cfg").write_text(CONFIG, encoding="utf-8")
    folder.chmod(0o777)
    assert ansible_config({}).values == {}


def test_a_damaged_file_is_one_sentence(folder: Path) -> None:
    (folder / "ansible.cfg").write_text("forks = 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"ansible\.cfg cannot be read: File contains no section headers"):
        ansible_config({})


def _program(folder: Path, text: str) -> Path:
    path = folder / "inventory.sh"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_program_prints_groups_and_variables(folder: Path) -> None:
    path = _program(folder, """echo '{"web": ["w1"], "_meta": {"hostvars": {"w1": {"a": 1}}}}'""")
    found = load_inventory([path])
    assert found.hosts == ("w1",)
    assert found.layers("w1")[0]["a"] == 1


def test_a_compiled_program_is_run(folder: Path) -> None:
    path = folder / "inventory"
    shutil.copy("/bin/echo", path)
    with pytest.raises(InputError, match="inventory --list did not print JSON"):
        load_inventory([path])


def test_a_program_that_is_not_executable_is_said_to_be_so(folder: Path) -> None:
    path = _program(folder, """echo '{"web": ["w1"]}'""")
    path.chmod(0o644)
    with pytest.raises(InputError) as refused:
        load_inventory([path])
    assert [item.message for item in refused.value.problems] == [
        "inventory.sh begins with #! and is not executable; make it a program with chmod +x inventory.sh"
    ]
    path.write_text("#! the hosts\n[web]\nw1\n", encoding="utf-8")
    assert load_inventory([path]).hosts == ("w1",)


def test_a_number_of_forks_that_is_none_is_refused_where_it_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ansible.cfg").write_text("[defaults]\nforks = many\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match=r"ansible\.cfg: expected a number of hosts, at least 1, got 'many'"):
        forks_of(PlaybookOptions())
    monkeypatch.setenv("ANSIBLE_FORKS", "0")
    with pytest.raises(UsageError, match="ANSIBLE_FORKS: expected a number of hosts"):
        forks_of(PlaybookOptions())
    with pytest.raises(UsageError, match="--forks: expected a number of hosts"):
        forks_of(PlaybookOptions(forks="x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo no; exit 3", "--list ended with exit code 3"),
        ("echo no", "--list did not print JSON"),
        ("""echo '{"web": 5}'""", "group web: expected a list of hosts, or a mapping"),
        ("""echo '{"web": {"hosts": 5}}'""", "group web: hosts must be a list of names"),
        ("""echo '{"web": {"hosts": "web1"}}'""", "group web: hosts must be a list of names"),
        ("""echo '{"web": {"hosts": [["web1"]]}}'""", "group web: hosts must be a list of names"),
        ("""echo '{"web": {"hosts": [null]}}'""", "group web: hosts must be a list of names"),
        ("""echo '{"web": {"hosts": ["a"], "children": "db"}}'""", "group web: children must be a list of names"),
        ("""echo '{"web": {"hosts": ["a"], "vars": [1]}}'""", "group web: vars must be a mapping"),
        ("""echo '{"web": {"host": ["a"]}}'""", "group web: expected a mapping with hosts, vars, children, got 'host'"),
        ("""echo '{"web": ["a"], "_meta": {"hostvars": {"a": 5}}}'""", "hostvars of a: expected a mapping of variables"),
        ("""[ $1 = --list ] && echo '{"web": ["a"]}' || echo 5""", "--host a: expected a mapping of variables"),
        ("""[ $1 = --list ] && echo '{"web": ["a"]}' || { echo none >&2; exit 2; }""", "--host a ended with exit code 2: none"),
        (
            "printf '%400s%400s' | sed 's/ /[/g' | sed 's/\\[/]/401g'",
            "--list did not print JSON: the JSON text is nested deeper than 100 levels",
        ),
        ("""echo '{"web": {"vars": {"x": NaN}}}'""", "--list did not print JSON: NaN is not a JSON value"),
    ],
)
def test_a_program_that_fails_is_one_sentence(folder: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        load_inventory([_program(folder, text)])
    assert message in str(refused.value)


def test_a_program_without_its_interpreter_is_one_sentence(folder: Path) -> None:
    path = _program(folder, "")
    path.write_text("#!/no/such/python\n", encoding="utf-8")
    with pytest.raises(InputError, match="--list cannot be run: its first line names a program that does not exist"):
        load_inventory([path])


def test_hosts_of_a_program_without_meta_are_asked_for_one_by_one(folder: Path) -> None:
    text = (
        """[ $1 = --list ] && echo '{"web": {"hosts": ["a", "b"], "vars": {"l": [1, "x"]}}}' || echo "{\\"name\\": \\"$2\\"}\""""
    )
    found = load_inventory([_program(folder, text)])
    assert [found.layers(host)[0]["name"] for host in found.hosts] == ["a", "b"]
    assert [1, "x"] in [layer.get("l") for layer in found.layers("a")]


def test_an_ini_inventory_has_places_and_types(folder: Path) -> None:
    (folder / "hosts").write_text("[web]\nw[1:2] n=5 s='a b'\n[web:vars]\nx=[1, 2]\n[all:children]\nweb\n", encoding="utf-8")
    found = load_inventory([folder / "hosts"])
    assert found.hosts == ("w1", "w2")
    assert found.layers("w1")[0] == {"n": 5, "s": "a b"}
    place = found.places.get("w2")
    assert place is not None
    assert place.line == 2


def test_a_program_that_prints_a_list_says_so(folder: Path) -> None:
    with pytest.raises(InputError, match="--list printed a list; expected a mapping of groups"):
        load_inventory([_program(folder, "echo '[1]'")])


def test_a_program_that_prints_without_end_is_ended(folder: Path) -> None:
    with pytest.raises(OverflowError, match="it printed more than 1 MiB"):
        run_bounded([str(_program(folder, "yes"))], 60.0, 1024**2)


def test_a_program_whose_child_hangs_is_ended_with_it(folder: Path) -> None:
    path = _program(folder, f"(sleep 1000; :) & echo $! > {folder}/child; wait")
    with pytest.raises(TimeoutError, match=r"it ran longer than 0\.5 seconds"):
        run_bounded([str(path)], 0.5, 1024**2)
    child = int((folder / "child").read_text())
    for _ in range(500):
        if not _command_line(child):
            break
        time.sleep(0.01)
    else:
        pytest.fail("the child still runs")


def _command_line(pid: int) -> bytes:
    """Return a process's command line, empty if it has ended: it may end between any two looks."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[gpu]\na\n[gpu:children]\nnosuch\n", r"4:1: \[gpu:children\] names the group 'nosuch'"),
        ("[gpu]\na\n# a comment\n[gpu:vars]\nport\n", r"5:1: expected VARIABLE=VALUE in \[gpu:vars\], got 'port'"),
        ("[gpu]\na\n[nosuch:vars]\nx=1\n", r"3:1: \[nosuch:vars\] names a group that this file does not define"),
    ],
)
def test_an_ini_group_that_is_not_defined_is_a_mistake(folder: Path, text: str, sentence: str) -> None:
    (folder / "hosts").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        load_inventory([folder / "hosts"])


@pytest.mark.parametrize("value", ['""', "", '" "'])
def test_an_empty_address_is_a_mistake(folder: Path, value: str) -> None:
    (folder / "hosts.yml").write_text(f"all:\n  hosts:\n    a: {{ansible_host: {value}}}\n", encoding="utf-8")
    with pytest.raises(InputError, match="host a: ansible_host is empty"):
        check_inventory(load_inventory([folder / "hosts.yml"]))


def test_settings_without_effect_are_named_with_the_nearest_one(folder: Path) -> None:
    (folder / "ansible.cfg").write_text(
        "[defaults]\nforks = 2\nnocows = 1\nhost_key_cheking = 0\n[ssh_connection]\nx = 1\n", "utf-8"
    )
    sentence = "nocows, host_key_cheking have no effect here; did you mean 'host_key_checking' instead of 'host_key_cheking'?"
    assert ansible_config({}).note() == f"ansible.cfg: {sentence}"
    (folder / "ansible.cfg").write_text("[defaults]\nforks = 2\n", "utf-8")
    assert ansible_config({}).note() == ""


@pytest.mark.parametrize(("variable", "origin"), [("", "ansible.cfg"), ("gone.yml", "ANSIBLE_INVENTORY")])
def test_an_inventory_that_cannot_be_used_is_said_with_what_named_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, origin: str
) -> None:
    (folder / "ansible.cfg").write_text("[defaults]\ninventory = missing.yml\n", encoding="utf-8")
    monkeypatch.setenv("ANSIBLE_INVENTORY", variable)
    with pytest.raises(UsageError, match=rf"\(named by {origin}\)"):
        read_inventory(HostOptions())
    with pytest.raises(UsageError, match=r"no inventory 'other\.yml' here or in the package\n"):
        read_inventory(HostOptions(inventory=("other.yml",)))
    (folder / (variable or "missing.yml")).write_text("gpu:\n", encoding="utf-8")
    with pytest.raises(UsageError, match=rf"has no hosts \(named by {origin}\)"):
        read_inventory(HostOptions())
