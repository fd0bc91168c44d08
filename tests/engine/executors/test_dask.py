"""A real Dask cluster with TLS on loopback, workers as processes, and the lab's hosts: runs, losses, secrets, refusals."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remediation.cli import runner
from remediation.cli.commands.diagnose import _from_hosts
from remediation.cli.commands.followup import apply_saved_plan, resume_from_journal
from remediation.cli.options import Apply, Diagnose, Resume
from remediation.cli.runner import RunOptions, run_playbook_task
from remediation.engine.executors.remote import RemoteExecutor
from remediation.engine.followup.plan import StalePlan
from remediation.engine.journal.history import runs
from remediation.model.errors import RemediationError, UsageError
from remediation_lab import control
from tests.support.dask_workers import LoopbackCluster, dask_settings, tls_settings

pytest.importorskip("distributed", reason="the extra dask is not installed")

HOSTS = ("laptop-07", "laptop-08", "laptop-09")
CLOSE = "- hosts: all\n  tasks:\n    - program.closed: {program: chrome}\n    - debug: {msg: closed}\n"
INVENTORY = """\
gpu:
  hosts:
{hosts}
  vars:
    ansible_connection: winrm
    ansible_winrm_transport: ntlm
    ansible_winrm_scheme: http
    ansible_user: "{user}"
    ansible_password: "{password}"
    model: "mistral:7b-instruct-q4_K_M"
    max_risk: disruptive
    close_programs: true
    warn_seconds: 0
    lab_scale: {scale}
"""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tls_settings(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, tls: dict[str, str]) -> Iterator[LoopbackCluster]:
    with LoopbackCluster(tmp_path_factory.mktemp("dask"), tls) as started:
        started.start("a", "b", "c")
        yield started


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Lab]:
    folder = tmp_path_factory.mktemp("lab")
    yield control.start(folder, hosts=len(HOSTS), scale=10)
    control.stop(folder)


@pytest.fixture
def fleet(lab: control.Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inventory of the lab's hosts, broken again, and a state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    for host in lab.hosts:
        control.fault(host.name, "vram-occupied", lab.folder)
    rows = [f"    {host.name}: {{ansible_host: {host.address}, ansible_port: {host.port}}}" for host in lab.hosts]
    path = tmp_path / "fleet.yml"
    text = INVENTORY.format(hosts="\n".join(rows), user=lab.user, password=lab.password, scale=lab.scale)
    path.write_text(text, encoding="utf-8")
    return path


class Stream(io.StringIO):
    """The run's JSON Lines; `on_event` sees each event once it was written."""

    def __init__(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._on_event = on_event

    def write(self, text: str) -> int:
        for line in filter(str.strip, text.splitlines()):
            self._on_event(json.loads(line))
        return super().write(text)

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.getvalue().splitlines()]
        return [event for event in found if not kind or event["event"] == kind]


def started(
    address: str, fleet: Path, text: str = CLOSE, on_event: Callable[[dict[str, Any]], None] = lambda _: None, **more: Any
) -> tuple[int, Stream]:
    playbook = fleet.parent / "play.yml"
    playbook.write_text(text, encoding="utf-8")
    stream = Stream(on_event)
    options = RunOptions(playbook=str(playbook), inventory=(str(fleet),), executor=address, json=True, **more)
    return run_playbook_task("play", options, stream), stream


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> list[RemoteExecutor]:
    """The executors that runs create, to find out which worker runs a host."""
    made: list[RemoteExecutor] = []
    create = runner.executor_on

    def kept(*given: Any) -> Any:
        made.append(create(*given))  # type: ignore[arg-type]  # a run on a cluster
        return made[-1]

    monkeypatch.setattr(runner, "executor_on", kept)
    return made


def worker_of(executor: RemoteExecutor, host: str, cluster: LoopbackCluster) -> str:
    worker = executor._hosts[host].worker
    assert worker is not None
    return next(name for name in cluster.workers if worker.name in cluster.log(name))


def test_a_worker_killed_during_a_change_loses_its_host_and_no_change_is_made_twice(
    cluster: LoopbackCluster, fleet: Path, lab: control.Lab, tls: dict[str, str], executors: list[RemoteExecutor]
) -> None:
    killed: list[tuple[str, str]] = []

    def kill(event: dict[str, Any]) -> None:
        if event["event"] == "change_start" and not killed:
            killed.append((event["host"], worker_of(executors[0], event["host"], cluster)))
            cluster.kill(killed[0][1])

    with dask_settings(tls):
        code, stream = started(cluster.address, fleet, on_event=kill)
        (host, name), endings = killed[0], {event["host"]: event for event in stream.events("host_end")}
        assert code == 2
        assert {each: event["outcome"] for each, event in endings.items()} == {
            each: "unverified" if each == host else "changed" for each in HOSTS
        }
        assert "was lost during a change, and whether it was made is unknown: close chrome" in endings[host]["reason"]
        cluster.start(f"{name}2")
        (record,) = runs()
        resumed = Stream(lambda _: None)
        assert resume_from_journal(Resume(run=record.run, json=True), resumed) == 0
    assert {event["host"] for event in resumed.events("task_result")} == {host}
    (record,) = runs()
    (taken,) = [event for event in record.events if event.kind == "note" and event.host == host]
    assert "was in flight when the run was interrupted" in taken.data["text"]
    sent = [event for event in record.events if event.kind == "change_start" and event.host == host]
    assert len(sent) == (1 if taken.data["text"].endswith("did happen") and "did not" not in taken.data["text"] else 2)


def test_the_hosts_of_a_worker_killed_before_a_change_continue_elsewhere(
    cluster: LoopbackCluster, fleet: Path, tls: dict[str, str], executors: list[RemoteExecutor]
) -> None:
    killed: list[str] = []

    def kill(event: dict[str, Any]) -> None:
        if event["event"] == "host_facts" and not killed:
            killed.append(worker_of(executors[0], event["host"], cluster))
            cluster.kill(killed[0])

    with dask_settings(tls):
        # check mode: what a host waits for after its facts is no change
        code, stream = started(cluster.address, fleet, on_event=kill, check=True)
    cluster.start(f"{killed[0]}2")
    assert code == 4
    assert {event["host"]: event["outcome"] for event in stream.events("host_end")} == dict.fromkeys(HOSTS, "would-change")
    assert any("continues on another one" in event["text"] for event in stream.events("note"))


def test_ctrl_c_ends_the_hosts_in_order_and_their_leases_are_returned(
    cluster: LoopbackCluster, fleet: Path, tls: dict[str, str]
) -> None:
    def press(event: dict[str, Any]) -> None:
        if event["event"] == "change_start" and event["host"] == HOSTS[0]:
            os.kill(os.getpid(), signal.SIGINT)

    with dask_settings(tls):
        code, stream = started(cluster.address, fleet, on_event=press)
        assert code == 130
        ends = [event["event"] for event in stream.events()]
        assert ends[-1] == "run_end"
        assert len(stream.events("change_start")) == len(stream.events("change_end"))
        # the next run need not wait for a lease
        assert started(cluster.address, fleet)[0] == 0


def test_a_fleet_is_diagnosed_on_the_workers(cluster: LoopbackCluster, fleet: Path, tls: dict[str, str]) -> None:
    with dask_settings(tls):
        found = _from_hosts(Diagnose(inventory=(str(fleet),), executor=cluster.address))
    assert [one.name for one in found] == list(HOSTS)
    assert {one.found["findings"][0]["cause"] for one in found} == {"vram_occupied"}


def test_a_saved_plan_is_applied_on_the_workers_and_refused_if_a_host_has_changed(
    cluster: LoopbackCluster, fleet: Path, lab: control.Lab, tls: dict[str, str]
) -> None:
    stream = Stream(lambda _: None)
    with dask_settings(tls):
        assert started("local", fleet, check=True, out="plan.json")[0] == 4
        control.fault(HOSTS[1], "healthy", lab.folder)  # chrome does not run there any more
        apply = Apply(plan="plan.json", executor=cluster.address, json=True, max_risk="disruptive")
        with pytest.raises(StalePlan) as caught:
            apply_saved_plan(apply, stream)
        assert caught.value.message.splitlines()[1:] == [
            f"  - {HOSTS[1]}: program.closed: close chrome.exe (in the plan, not predicted now)"
        ]
        assert not stream.events("change_start")
        assert started("local", fleet, check=True, out="plan.json", limit=f"!{HOSTS[1]}")[0] == 4
        code = apply_saved_plan(apply, stream)
    assert code == 0, stream.getvalue()
    made = [(event["host"], event["change"]["summary"], event["applied"]) for event in stream.events("change_end")]
    assert sorted(made) == [(HOSTS[0], "close chrome.exe", True), (HOSTS[2], "close chrome.exe", True)]


class Tap(threading.Thread):
    """Forwards connections to an address, and keeps all bytes of both directions."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        host, _, port = address.rpartition("//")[2].rpartition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.bytes = bytearray()
        self.start()

    def run(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                self.bytes += data
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()

    def close(self) -> None:
        self._listener.close()


def test_secrets_are_neither_on_the_wire_in_clear_nor_on_disk_nor_in_a_log(
    cluster: LoopbackCluster, fleet: Path, lab: control.Lab, tls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediation.engine.executors.dask_cluster.REACHING", 0.0)  # all goes through the scheduler, and the tap
    tap = Tap(cluster.address)
    with dask_settings(tls):
        code, _ = started(f"tls://127.0.0.1:{tap.port}", fleet, extra_vars=("api_token=tok-5f3a9c1e77",), check=True)
    tap.close()
    assert code == 4
    assert len(tap.bytes) > 10_000
    for secret in (lab.password, "tok-5f3a9c1e77"):
        assert secret.encode() not in tap.bytes
        for folder in (cluster.folder, tmp_path / "state"):
            assert [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []


def test_a_cluster_without_tls_gets_no_secrets_and_a_scheduler_that_vanishes_ends_the_hosts(
    fleet: Path, lab: control.Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediation.engine.executors.remote.NEW_WORKERS", 2.0)
    monkeypatch.setattr("remediation.engine.executors.dask_cluster.REACHING", 0.0)
    with LoopbackCluster(tmp_path / "plain") as plain:
        plain.start("d")
        address = plain.address.replace("tcp:", "dask:")
        with pytest.raises(UsageError, match=r"the run carries secrets, and the Dask cluster .* is not encrypted"):
            started(address, fleet)
        assert not runs()
        with pytest.raises(UsageError, match="Dask has no TLS files for a client"):
            started(plain.address.replace("tcp:", "tls:"), fleet)
        tap = Tap(plain.address)
        through = f"dask://127.0.0.1:{tap.port}"
        assert started(through, fleet, check=True, executor_plaintext=True)[0] == 4
        tap.close()
        assert lab.password.encode() in tap.bytes  # what the test of TLS would have found

        def stop(event: dict[str, Any]) -> None:
            if event["event"] == "host_facts" and plain.scheduler is not None:
                plain.scheduler.kill()

        code, stream = started(address, fleet, on_event=stop, check=True, executor_plaintext=True)
    endings = {event["host"]: event for event in stream.events("host_end")}
    assert code == 2, endings
    assert set(endings) == set(HOSTS)
    assert {event["outcome"] for event in endings.values()} <= {"failed", "would-change"}
    assert any("no worker is left at dask://" in event["reason"] for event in endings.values())


def test_an_address_without_a_scheduler_is_one_sentence(
    fleet: Path, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediation.engine.executors.dask_cluster.CONNECTING", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent, dask_settings(tls):
        port = silent.getsockname()[1]
        with pytest.raises(RemediationError) as failed:
            started(f"tls://127.0.0.1:{port}", fleet)
    assert failed.value.message.startswith(f"cannot connect to the Dask scheduler tls://127.0.0.1:{port}: ")
    assert "\n" not in failed.value.message
    assert failed.value.exit_code == 1
    assert not runs()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_worker_without_remediation_or_with_another_version_is_refused(
    cluster: LoopbackCluster, fleet: Path, tls: dict[str, str], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("remediation", "_remediation", "__editable__")):
            (bare / entry.name).symlink_to(entry)
    cluster.start("bare", PYTHONPATH=str(bare), PYTHONNOUSERSITE="1", words=("-S",))
    try:
        with dask_settings(tls):
            with pytest.raises(UsageError, match="remediation is not installed on the worker tls://"):
                started(cluster.address, fleet)
            other = bare / "remediation-9.9.dist-info"
            other.mkdir()
            (other / "METADATA").write_text("Metadata-Version: 2.1\nName: remediation\nVersion: 9.9\n")
            with pytest.raises(UsageError, match=r"has remediation 9\.9, and this is "):
                started(cluster.address, fleet)
    finally:
        cluster.kill("bare")
        shutil.rmtree(bare)
    assert not runs()
