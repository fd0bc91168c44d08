"""container.recreated: which containers get the GPU, and which stay unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediation.facets.docker.recreation import definition, parse_answer, wire
from remediation.model.facts import ExecResult
from remediation.model.outcome import Outcome
from tests.engine.fakes.examples import by_docker_run, stack
from tests.engine.fakes.host import OLLAMA
from tests.steps.step_runner import run, seen, summaries, undo

LOST = ExecResult(255, "", "Failed to initialize NVML: Unknown Error\n")
NODES = ExecResult(0, "/dev/nvidia0\n/dev/nvidiactl\n/dev/nvidia-uvm\n/dev/nvidia-caps\n")
REQUEST = {"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]}


def test_a_container_without_a_request_gets_one_and_undo_takes_it_back() -> None:
    world = by_docker_run(Memory=5)
    result = run(world, "container.recreated")
    assert (result.outcome, summaries(result)) == (Outcome.CHANGED, [f"recreate {OLLAMA} with the GPU"])
    config = world.containers[OLLAMA].raw["HostConfig"]
    assert (config["Memory"], config["DeviceRequests"][0]["Count"]) == (5, -1)
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert not world.containers[OLLAMA].gpu_requested
    assert run(world, "container.recreated", {"gpus": "cdi"}).outcome is Outcome.CHANGED
    assert world.containers[OLLAMA].raw["HostConfig"]["DeviceRequests"][-1]["DeviceIDs"] == ["nvidia.com/gpu=all"]


def test_a_container_that_lost_the_card_gets_its_device_files_by_name() -> None:
    named = [{"PathOnHost": "/dev/nvidiactl", "PathInContainer": "/dev/nvidiactl", "CgroupPermissions": "rwm"}]
    world = by_docker_run(**REQUEST, Devices=named)
    world.answers["nvidia-smi", "-L"] = LOST
    world.answers["sh", "-c", "ls -1d /dev/nvidia*"] = NODES
    _, _, (change,) = seen(world, "container.recreated")
    assert change.summary == f"recreate {OLLAMA} with the GPU's device files by name"
    devices = [each["PathOnHost"] for each in change.data["host_config"]["Devices"]]
    assert devices == ["/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm"]
    assert change.undo is not None
    assert change.undo.params["restore"] == {"Devices": named}


def test_a_container_of_compose_is_left_to_compose() -> None:
    result = run(stack(), "container.recreated")
    assert "because Compose created the container" in result.reason
    assert result.changes == ()


def test_a_container_whose_removal_would_lose_something_is_left_alone() -> None:
    world = by_docker_run(AutoRemove=True)
    result = run(world, "container.recreated")
    assert (result.outcome, result.changes) == (Outcome.FAILED, ())
    assert "--rm" in result.reason
    assert "docker commit" in result.next_step


def record(**more: Any) -> dict[str, Any]:
    return {
        "Id": "0123456789abcdef", "Image": "sha256:1", "Mounts": [],
        "Config": {"Hostname": "0123456789ab", "Image": "ollama/ollama", "ExposedPorts": {"11434/tcp": {}}}, "HostConfig": {}, **more,
    }  # fmt: skip


def test_what_the_engine_chose_is_chosen_again() -> None:
    body, more = definition(record(), {}, "ollama/ollama")
    assert ("Hostname" in body, more) == (False, {})
    shared = record(HostConfig={"NetworkMode": "container:abc"})
    assert "ExposedPorts" not in definition(shared, {}, "ollama/ollama")[0]
    linked = record(HostConfig={"Links": ["/db:/ollama/store"]})
    assert definition(linked, {}, "ollama/ollama")[0]["HostConfig"]["Links"] == ["db:store"]


def test_the_answer_to_the_first_request_is_read() -> None:
    sent = wire("POST", "/containers/create?name=a%20b", {"Env": ["A=é"]})
    head, _, rest = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /containers/create?name=a%20b HTTP/1.1\r\nHost: ")
    assert json.loads(rest.partition(b"GET /_ping")[0]) == {"Env": ["A=é"]}
    chunked = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{}\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
    assert parse_answer("POST", chunked) == (201, b"{}\r\n")
    for bad in (b"", b"Error: no such host\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"):
        with pytest.raises(ValueError, match=r"."):
            parse_answer("GET", bad)
