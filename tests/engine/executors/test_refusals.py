"""What a run on workers is refused, with its place, before any host is touched; and what the inventory reads from the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediation.cli.spread.executor import cluster_of
from remediation.engine.executors.dask_cluster import place_of_scheduler
from remediation.engine.executors.fleet import KnownFleet, SentHosts
from remediation.engine.executors.parcels import SentError, pack, unpack
from remediation.engine.executors.refusals import carries_secrets, refuse_unsupported
from remediation.inventory.load import load_inventory
from remediation.model.errors import CallFailed, InputError, Place, RemediationError, Unreachable, UsageError
from remediation.model.secrets.masking import Masker
from remediation.playbook.load import load_playbook
from remediation.templating.templar import Scope
from remediation.templating.yaml.secret import Secret
from tests.engine.step_runs import Flow
from tests.support.preloaded_python import ROOT

TASK = "- hosts: all\n  tasks:\n    - {}\n"

REFUSED = {
    "delegate_to": (TASK.format("{debug: {msg: x}, delegate_to: other}"), "delegate_to would change a host"),
    "throttle": (TASK.format("{debug: {msg: x}, throttle: 1}"), "throttle counts the hosts of one process"),
    "include_tasks": (TASK.format("include_tasks: more.yml"), "include_tasks reads a file of the controller"),
    "template": (TASK.format("template: {src: a.j2, dest: /a}"), "template reads a file of the controller"),
    "copy": (TASK.format("copy: {src: a, dest: /a}"), "copy reads a file of the controller"),
    "lookup": (TASK.format("debug: {msg: \"{{ lookup('ansible.builtin.env', 'HOME') }}\"}"), "a lookup reads the controller"),
    "with_lines": (TASK.format("{debug: {msg: x}, with_lines: [date]}"), "with_lines reads the controller"),
    "clear_host_errors": (TASK.format("meta: clear_host_errors"), "concerns the hosts of all workers"),
    "add_host": (TASK.format("add_host: {name: new}"), "add_host changes the inventory of all workers"),
    "group_by": (TASK.format("group_by: {key: new}"), "group_by changes the inventory of all workers"),
    "connection": (TASK.format("{debug: {msg: x}, connection: local}"), "connection: local is this machine"),
    "vars_files": ("- hosts: all\n  vars_files: [v.yml]\n  tasks: []\n", "vars_files reads a file of the controller"),
    "play variables": (
        "- hosts: all\n  vars: {a: \"{{ query('file', 'x') }}\"}\n  tasks:\n    - debug: {var: a}\n",
        "a lookup reads the controller",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_controller_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    text, sentence = REFUSED[name]
    made = Flow.of(tmp_path, text, "one")
    (tmp_path / "v.yml").write_text("a: 1\n")
    with pytest.raises(UsageError, match=sentence) as refused:
        refuse_unsupported(made.request())
    assert refused.value.place is not None
    assert refused.value.place.file.endswith("play.yml")
    assert "--executor" in str(refused.value)


def test_a_host_that_is_this_machine_and_step_are_refused(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, TASK.format("debug: {msg: x}"), "one")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all: {hosts: {one: {ansible_connection: local}}}\n")
    with pytest.raises(UsageError, match="one: a local connection is this machine"):
        refuse_unsupported(made.request(inventory=load_inventory([inventory])))
    inventory.write_text("all: {hosts: {localhost: {}}}\n")
    with pytest.raises(UsageError, match="localhost: a local connection is this machine"):
        refuse_unsupported(made.request(inventory=load_inventory([inventory])))
    with pytest.raises(UsageError, match="--step"):
        refuse_unsupported(made.request(step=True))


@pytest.mark.parametrize("name", ["fix-offload", "verify"])
def test_the_shipped_playbooks_run_on_workers(name: str, tmp_path: Path) -> None:
    made = Flow.of(tmp_path, TASK.format("debug: {msg: x}"), "one")
    refuse_unsupported(made.request(playbook=load_playbook(ROOT / "playbooks" / f"{name}.yml")))


def test_values_that_the_inventory_reads_from_the_controller_are_sent_as_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("FLEET_PASSWORD", "s3cret-of-the-controller")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "all:\n  vars:\n    ansible_password: \"{{ lookup('env', 'FLEET_PASSWORD') }}\"\n    base: \"{{ inventory_hostname }}/x\"\n"
        "  hosts: {one: {own: 1}, two: {own: 2}}\n"
    )
    loaded = load_inventory([inventory])
    sent, fleet = SentHosts(loaded, {}), KnownFleet(loaded.select("all"), {"all": ["one", "two"]})
    for names in (("one",), ("one", "two")):
        message = sent.missing(names)
        assert message is not None
        fleet.know(unpack(pack(message), Masker()))
    assert sent.missing(("one", "two")) is None
    monkeypatch.delenv("FLEET_PASSWORD")
    for number, name in enumerate(("one", "two"), start=1):
        scope = Scope((*fleet.layers(name), fleet.magic(name)))
        values = [scope.render(scope[key]) for key in ("ansible_password", "base", "own")]
        assert values == ["s3cret-of-the-controller", f"{name}/x", number]


@pytest.mark.parametrize(
    ("variables", "secret"),
    [("{a: b}", False), ("{ansible_user: ops}", False), ("{ansible_password: x}", True), ('{api_token: "{{ other }}"}', True)],
)
def test_a_run_carries_secrets_if_a_variable_is_named_like_one(variables: str, secret: bool, tmp_path: Path) -> None:
    made = Flow.of(tmp_path, TASK.format("debug: {msg: x}"), "one")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(f"all: {{hosts: {{one: {variables}}}}}\n")
    assert carries_secrets(made.request(inventory=load_inventory([inventory]))) is secret


@pytest.mark.parametrize(
    "address", ["dask://host", "tcp://host:1", "tls://host:1/x", "tls://host:99999", "host:1", "tls://user@host:1"]
)
def test_an_address_that_names_no_scheduler_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="expected local, dask://HOST:PORT or tls://HOST:PORT"):
        place_of_scheduler(address)
    assert place_of_scheduler("dask://[::1]:8786") == "[::1]:8786"


def test_a_secret_travels_in_a_parcel_that_shows_nothing_and_an_error_keeps_its_class_and_masked_texts() -> None:
    parcel = pack({"password": Secret("s3cret-text"), "mask": Masker()})
    assert "s3cret" not in repr(parcel)
    own = Masker(["s3cret-text"])
    opened = unpack(parcel, own)
    assert (opened["password"].reveal(), opened["mask"]) == ("s3cret-text", own)
    errors: list[RemediationError] = [
        CallFailed("it said s3cret-text", host="one", next_step="change s3cret-text", status=3),
        Unreachable("gone", host="two"),
        UsageError("wrong", place=Place("a.yml", 3)),
        InputError(()),
    ]
    for error in errors:
        sent = unpack(pack(SentError(error, own)), own).error()
        assert (type(sent), sent.exit_code, str(sent)) == (type(error), error.exit_code, own.text(str(error)))


def test_a_local_executor_needs_no_cluster(tmp_path: Path) -> None:
    class Options:
        executor: str | None = "local"
        executor_plaintext = False
        record: str | None = None

    made: Any = Flow.of(tmp_path, TASK.format("{debug: {msg: x}, delegate_to: other}"), "one")
    with cluster_of(Options(), made.request()) as cluster:
        assert cluster is None
