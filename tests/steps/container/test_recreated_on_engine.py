"""A container of `docker run` recreated with the GPU on a real Docker engine: nothing of its definition is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.factory import open_connection
from remediation.connections.settings import from_variables
from remediation.facets.docker import recreation
from remediation.facets.docker.engine import CommandEngineWriter
from remediation.facets.docker.sdk import SdkEngineWriter
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed
from remediation_lab.free_ports import free_port
from tests.live.test_docker_daemon import play, remediate
from tests.steps.on_engine import changes, excerpt
from tests.support.engine import IMAGE, Engine

pytestmark = pytest.mark.live

NAME, PEER = "my-ollama", "peer"
_OWN = ("Id", "Created", "State", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "GraphDriver", "NetworkSettings")


@pytest.fixture
def plain(gpu_engine: Engine, tmp_path: Path) -> Iterator[int]:
    """A container with all that may be lost and without a GPU request; its port."""
    docker, port = gpu_engine.docker, free_port()
    for network, subnet in (("front", "10.199.1.0/24"), ("back", "10.199.2.0/24")):
        docker("network", "create", "--subnet", subnet, network)
    (tmp_path / "shared").mkdir()
    docker(
        "run", "--detach", "--name", NAME, "--network", "front", "--network-alias", "llm", "--ip", "10.199.1.77",
        "--publish", f"127.0.0.1:{port}:11434", "--volume", "kept:/root/.ollama", "--volume", "/scratch", "--volume", f"{tmp_path}/shared:/shared:ro",
        "--env", "OLLAMA_CONTEXT_LENGTH=4096", "--env", "WORDS=a b=c 'd' $e", "--label", "team=gpu pool", "--restart", "unless-stopped",
        "--memory", "2g", "--cpus", "1.5", "--shm-size", "128m", "--ulimit", "nofile=2048:4096", "--user", "0:0", "--workdir", "/tmp",
        "--stop-timeout", "2", "--log-opt", "max-size=5m", "--add-host", "registry:10.0.0.9", "--cap-add", "SYS_NICE", "--init",
        "--hostname", "llm-host", "--tmpfs", "/spool:size=1m", IMAGE,
    )  # fmt: skip
    docker("network", "connect", "--alias", "store", "back", NAME)
    docker("exec", NAME, "sh", "-c", "echo kept > /scratch/note")
    yield port
    for name in docker("ps", "-aq").stdout.split():
        docker("rm", "-f", "-v", name)
    docker("network", "rm", "front", "back")
    docker("volume", "rm", "-f", "kept")


def inspected(engine: Engine, name: str = NAME) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.docker("inspect", name).stdout)[0]
    return found


def essence(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what is each container's own, and without the GPU request."""
    kept = {key: value for key, value in record.items() if key not in _OWN}
    host = {**record["HostConfig"], "DeviceRequests": None}
    mounts = host.pop("Mounts", None)
    assert all(each["Target"] == "/scratch" for each in mounts or ())  # the anonymous volume, by its name from now on
    config = dict(record["Config"])
    ends = {
        name: {"Aliases": sorted(set(end["Aliases"] or ()) - {record["Id"][:12]}), "IPAMConfig": end["IPAMConfig"] or None}
        for name, end in record["NetworkSettings"]["Networks"].items()
    }
    places = sorted(
        ((each["Type"], each.get("Name"), each["Source"], each["Destination"], each["RW"]) for each in record["Mounts"]), key=str
    )
    return {
        **kept,
        "HostConfig": host,
        "Config": config,
        "Mounts": places,
        "ends": ends,
        "ports": record["NetworkSettings"]["Ports"],
    }


TASK = {"container.recreated": {"container": NAME}}


def test_it_gets_the_gpu_and_loses_nothing_and_undo_takes_the_request_back(
    gpu_engine: Engine, plain: int, tmp_path: Path
) -> None:
    before = inspected(gpu_engine)
    assert before["HostConfig"]["DeviceRequests"] is None
    code, events = play(gpu_engine, tmp_path, TASK, words=("--check", "--diff"))
    assert (code, inspected(gpu_engine)["Id"]) == (4, before["Id"])  # changes are predicted
    assert "+HostConfig.DeviceRequests" in json.dumps(events)
    code, events = play(gpu_engine, tmp_path, TASK)
    assert (code, changes(events)) == (0, [f"recreate {NAME} with the GPU"]), excerpt(events)
    run = next(event["run"] for event in events if event["event"] == "run_start")
    now = inspected(gpu_engine)
    assert now["Id"] != before["Id"]
    assert now["State"]["Running"]
    assert now["HostConfig"]["DeviceRequests"][0]["Capabilities"] == [["gpu"]]
    assert essence(now) == essence(before)
    assert gpu_engine.docker("exec", NAME, "cat", "/scratch/note").stdout == "kept\n"
    assert gpu_engine.docker("ps", "-a", "--format", "{{.Names}}").stdout.split() == [NAME]
    code, events = play(gpu_engine, tmp_path, TASK)
    assert (code, changes(events)) == (0, []), excerpt(events)
    code, events = remediate(gpu_engine, tmp_path, "undo", run, "--max-risk", "disruptive")
    assert inspected(gpu_engine)["HostConfig"]["DeviceRequests"] is None, excerpt(events)
    assert essence(inspected(gpu_engine)) == essence(before)


WRONG = {
    "it cannot be created": ({"Runtime": "is-not-there"}, "is-not-there"),
    "it cannot be started": (
        {"Devices": [{"PathOnHost": "/dev/is-not-there", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]},
        "is-not-there",
    ),
    "it ends at once": ({"Tmpfs": {"/opt": ""}}, "ended at once"),
}


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("kind", [CommandEngineWriter, SdkEngineWriter])
def test_the_old_container_runs_again_if_the_new_one_does_not(
    kind: type[CommandEngineWriter | SdkEngineWriter], fault: str, gpu_engine: Engine, plain: int
) -> None:
    changed, words = WRONG[fault]
    before = inspected(gpu_engine)
    settings = from_variables("host", {"ansible_connection": "local"})
    guard = open_connection(settings, scripts=lambda name: name)
    engine = kind(Snapshot(lambda: guard, changing=True), gpu_engine.environment)
    with pytest.raises(CallFailed, match=words):
        engine.recreate(NAME, changed)
    now = inspected(gpu_engine)
    assert (now["Id"], now["Name"], now["State"]["Running"]) == (before["Id"], f"/{NAME}", True)
    assert essence(now) == essence(before)
    assert gpu_engine.docker("ps", "-a", "--format", "{{.Names}}").stdout.split() == [NAME]


def test_what_an_interrupted_run_left_is_given_its_name_back(gpu_engine: Engine, plain: int, tmp_path: Path) -> None:
    before = inspected(gpu_engine)
    gpu_engine.docker("stop", NAME)
    gpu_engine.docker("rename", NAME, recreation.spare_name(NAME))
    code, events = play(gpu_engine, tmp_path, TASK)
    assert code == 0, excerpt(events)
    assert changes(events) == [f"give {recreation.spare_name(NAME)} its name back, and start it", f"recreate {NAME} with the GPU"]
    assert essence(inspected(gpu_engine)) == essence(before)


def test_models_in_the_container_itself_are_not_lost(gpu_engine: Engine, plain: int, tmp_path: Path) -> None:
    gpu_engine.docker("run", "--detach", "--name", PEER, "--network", "front", IMAGE)
    before = inspected(gpu_engine, PEER)
    code, events = play(gpu_engine, tmp_path, {"container.recreated": {"container": PEER}})
    assert (code, inspected(gpu_engine, PEER)["Id"]) == (2, before["Id"]), excerpt(events)
    assert "are in the container itself" in excerpt(events)
    gpu_engine.docker("rm", "-f", PEER)
    gpu_engine.docker("run", "--detach", "--name", PEER, "--network", f"container:{NAME}", "--entrypoint", "sleep", IMAGE, "60")
    code, events = play(gpu_engine, tmp_path, TASK)
    assert (code, changes(events)) == (2, []), excerpt(events)
    assert f"{PEER} uses the network of {NAME}" in excerpt(events)
