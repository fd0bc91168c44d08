"""Every field that is read of the engine's, Compose's and Ollama's answers is there on the real ones, and of the same type in the lab."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from remediation.connections.calls import Http, Run
from remediation.facets.docker import compose, containers
from remediation.facets.host_factory import Host
from remediation.facets.ollama import client as ollama
from remediation.facets.snapshot import Snapshot
from remediation.model.facts import Container
from remediation_lab import control
from tests.facets import real_hosts
from tests.facets.real_hosts import Bed

pytestmark = pytest.mark.live


class Watched(dict[str, Any]):
    """A mapping that notes which paths are read, with the types found there."""

    def __init__(self, value: Mapping[str, Any], seen: dict[str, set[str]], path: str = "") -> None:
        super().__init__(value)
        self._seen, self._path = seen, path

    def __getitem__(self, key: str) -> Any:
        return self._note(key, super().__getitem__(key))

    def get(self, key: str, default: Any = None) -> Any:
        return self._note(key, super().get(key, default))

    def items(self) -> Any:
        return [(key, self._child(f"{self._path}/*", value)) for key, value in super().items()]

    def _note(self, key: str, value: Any) -> Any:
        path = f"{self._path}/{key}"
        self._seen.setdefault(path, set()).add("nothing" if value is None or value in ([], {}, "") else type(value).__name__)
        return self._child(path, value)

    def _child(self, path: str, value: Any) -> Any:
        if isinstance(value, dict):
            return Watched(value, self._seen, path)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return [Watched(each, self._seen, f"{path}[]") for each in value]
        return value


def ask(host: Host, *argv: str) -> Any:
    variables = host.reader.variables
    environment = (
        {"DOCKER_HOST": variables["docker_host"], "DOCKER_CONFIG": variables["docker_config"]}
        if "docker_host" in variables
        else {}
    )
    return json.loads(Snapshot(lambda: host.connection).run(Run(argv, env=environment), " ".join(argv)).text)


def read(host: Host, bed: Bed) -> dict[str, set[str]]:
    """Let the readers read the host's own answers, and return what they looked at."""
    seen: dict[str, set[str]] = {}
    for record in ask(host, "docker", "inspect", "--type", "container", bed.container, "ai-native-api"):
        containers.container(Watched(record, seen, "container"))
    info, version = (
        ask(host, "docker", "info", "--format", "{{json .}}"),
        ask(host, "docker", "version", "--format", "{{json .}}"),
    )
    containers.engine(Watched(info, seen, "info"), Watched(version, seen, "version"))
    users: tuple[Container, ...] = tuple(host.reader.engine.containers())
    for volume in host.reader.engine.volumes():
        record = ask(host, "docker", "volume", "inspect", volume.name)[0]
        containers.volume(Watched(record, seen, "volume"), users)
    containers.parse_stats(
        Watched(ask(host, "docker", "stats", "--no-stream", "--format", "{{json .}}", bed.container), seen, "stats"), None
    )
    target = host.reader.target()
    assert target.endpoint is not None
    assert target.project is not None
    url = str(target.endpoint.value)
    host.writer().ollama.load(bed.model, options={"num_gpu": -1})
    for call, parse in (
        (ollama.running_call(url), ollama.runners), (ollama.models_call(url), ollama.json_entries), (ollama.show_call(url, bed.model), lambda value: ollama.parse_model("m", value)),
    ):  # fmt: skip
        parse(Watched(body(host, call), seen, call.url.rpartition("/")[2]))
    return seen


def body(host: Host, call: Http) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Snapshot(lambda: host.connection).http(call, call.url).body)
    return found


@pytest.fixture
def both(request: pytest.FixtureRequest, lab: control.Lab) -> Iterator[tuple[dict[str, set[str]], dict[str, set[str]]]]:
    control.fault(lab.hosts[0].name, "healthy", lab.folder)
    real, simulated = real_hosts.of_project(request.getfixturevalue("guide")), real_hosts.of_lab(lab)
    hosts = [bed.open() for bed in (real, simulated)]
    yield read(hosts[0], real), read(hosts[1], simulated)
    for host in hosts:
        host.close()


def test_what_is_read_of_the_lab_is_what_is_read_of_the_real_engine(
    both: tuple[dict[str, set[str]], dict[str, set[str]]],
) -> None:
    real, simulated = both
    never = {path for path, types in real.items() if types == {"nothing"}}
    # other ways to request a GPU, and the fields that an engine without a fault leaves out
    assert never <= {
        "container/HostConfig/Devices", "container/HostConfig/DeviceRequests[]/DeviceIDs", "info/ServerErrors", "info/DiscoveredDevices", "volume/Labels", "info/Name",
        "container/Config/Labels", "container/NetworkSettings/Ports",
    }, f"the readers read what no real answer has: {sorted(never)}"  # fmt: skip
    for path in real.keys() & simulated.keys():
        assert simulated[path] - {"nothing"} <= real[path] | ({"int", "float"} if real[path] & {"int", "float"} else set()), path
    unread = {path for path in real.keys() ^ simulated.keys() if not path.startswith("container/HostConfig/DeviceRequests")}
    assert unread == set()


def test_compose_says_it_the_same_way(request: pytest.FixtureRequest, lab: control.Lab) -> None:
    control.fault(lab.hosts[0].name, "healthy", lab.folder)
    lengths = []
    for bed in (real_hosts.of_project(request.getfixturevalue("guide")), real_hosts.of_lab(lab)):
        host = bed.open()
        target = host.reader.target().project
        assert target is not None
        made = compose.CommandCompose(Snapshot(lambda host=host: host.connection), {  # type: ignore[misc]
            "DOCKER_HOST": str(bed.variables.get("docker_host", "")), "DOCKER_CONFIG": str(bed.variables.get("docker_config", "")),
        } if not bed.windows else {}, host.reader.engine.containers)  # fmt: skip
        hashes = Snapshot(lambda host=host: host.connection).run(made.hash_run(target.value), "hash").text  # type: ignore[misc]
        lengths.append({name: len(value) for name, value in compose.hashes(hashes).items()})
        host.close()
    assert lengths == [{"api": 64, "ollama": 64}] * 2
