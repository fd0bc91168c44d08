"""Collecting from a host that answers in part; a host here is a small honest double of the reader's protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import pytest

from remediation.diagnosis.advice.sender import find_senders
from remediation.diagnosis.collect import collect, nothing_read
from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import (
    ComposeProject,
    Container,
    EngineFacts,
    Found,
    Gpu,
    GpuUse,
    ModelEntry,
    ModelShow,
    Process,
    Runner,
    SessionFacts,
    SystemFacts,
    Target,
)
from remediation.model.finding import Cause
from tests.engine.fakes.examples import WEIGHTS, left_by_a_client, on_desktop, stored
from tests.engine.fakes.host import MODEL, FakeReader
from tests.engine.fakes.world import blob_path

LOG = (
    'time=x level=INFO source=routes.go:1 msg="server config" env="map[OLLAMA_CONTEXT_LENGTH:4096 OLLAMA_NUM_PARALLEL:1]"\n'
    'time=x level=INFO source=routes.go:2 msg="Listening on [::]:11434 (version 0.13.3)"\n'
    'time=x level=INFO source=server.go:1 msg="loading model" "model layers"=33 requested=1\n'
    "load_tensors: offloaded 1/33 layers to GPU\n"
    '[GIN] 2026/01/02 - 10:00:00 | 200 |  1.2s |      172.18.0.3 | POST     "/api/generate"\n'
)
RAW = {"HostConfig": {"DeviceRequests": [{"Driver": "nvidia", "Capabilities": [["gpu"]]}]}, "Config": {"Image": "ollama/ollama"}}
SETTINGS_TEXT = '{"options": {\n "num_gpu": 2}}\n'
COMPOSE_TEXT = "services:\n  api:\n    environment:\n      - MODEL_NUM_GPU=1\n"


def refused(what: str) -> NoReturn:
    raise CallFailed(f"{what} does not answer")


@dataclass
class Host:
    """A host in memory; parts named in ``broken`` fail. ``calls`` lists the calls."""

    broken: frozenset[str] = frozenset()
    calls: list[str] = field(default_factory=list)
    name: str = "laptop-07"
    variables: Mapping[str, Any] = field(default_factory=dict)
    application: bool = False
    callers: Any = None

    def _ask(self, what: str) -> None:
        self.calls.append(what)
        if what in self.broken:
            refused(what)

    @property
    def gpu(self) -> Host:
        return self

    processes = engine = compose = ollama = desktop = system = files = gpu

    def target(self) -> Target:
        self._ask("target")
        project = ComposeProject("ai", ("/srv/ai/docker-compose.yml",), "/srv/ai")
        return Target(
            model=Found("mistral:7b", "from .env"), container=Found("ollama", "port 11434"), project=Found(project, "labels")
        )

    def use(self) -> GpuUse:
        self._ask("use")
        return GpuUse(
            (Gpu(0, "GPU-1", "RTX 3060", "551.86", 6 * 1024**3, 10**8, 6 * 1024**3 - 10**8),),
            (Process(4, "chrome.exe", 1.0, vram=10**8),),
        )

    def facts(self) -> Any:
        self._ask("facts")
        return SystemFacts("linux", "6.1", "laptop-07", now=12.0)

    def version(self) -> str:
        self._ask("version")
        return "0.13.3"

    def running(self) -> Sequence[Runner]:
        self._ask("running")
        return [Runner("mistral:7b", 5_000_000_000, 400_000_000, 4096)]

    def models(self) -> Sequence[ModelEntry]:
        self._ask("models")
        return [ModelEntry("mistral:7b", 4_372_812_000, "sha256:x")]

    def show(self, model: str) -> ModelShow | None:
        self._ask("show")
        return ModelShow(model, {"num_gpu": "1"}, {})

    def log(self, *, tail: int = 4000) -> str:
        self._ask("log")
        return "".join(LOG.splitlines(keepends=True)[-tail:])

    def inspect(self, name: str) -> Container | None:
        self._ask("inspect")
        return Container("1", name, "ollama/ollama", "running", {}, {}, gpu_requested=True, raw=RAW)

    def config(self, project: ComposeProject) -> Mapping[str, Any]:
        self._ask(f"config {project.name}")
        return {
            "services": {
                "api": {"environment": {"MODEL_NUM_GPU": "1"}},
                "ollama": {"image": "ollama/ollama", "environment": {"OLLAMA_NUM_GPU": "99"}},
            }
        }

    def read(self, path: str) -> bytes | None:
        self._ask(f"read {path}")
        return SETTINGS_TEXT.encode() if path.endswith("settings.json") else COMPOSE_TEXT.encode()

    def containers(self) -> Sequence[Container]:
        if not self.application:
            return []
        labels = {"com.docker.compose.project": "ai", "com.docker.compose.service": "api"}
        environment = {"MODEL_NAME": "mistral", "SECRET": "x"}
        mounts = [
            {"Type": "bind", "Source": "/srv/ai/api/settings.json"},
            {"Type": "bind", "Source": "/srv/ai/data"},
            {"Type": "volume", "Source": "/var/lib/docker/volumes/x.json"},
        ]
        return [Container("2", "api-1", "api", "running", environment, labels, gpu_requested=False, raw={"Mounts": mounts})]

    def logs(self, name: str, *, tail: int = 4000) -> str:
        refused(f"logs of {name} {tail}")

    def list(self) -> Sequence[Process]:
        return []

    def docker(self) -> None:
        self._ask("docker")

    def warnings(self, project: ComposeProject) -> Sequence[str]:
        return [project.name]

    def stale(self, project: ComposeProject) -> Sequence[str]:
        return [project.name]

    def session(self) -> SessionFacts:
        return SessionFacts("ops", elevated=False)

    def engine_facts(self) -> EngineFacts:
        refused("engine")


class Callers:
    """What a host that can tell says of its callers."""

    def requests(self) -> Sequence[tuple[str, str]]:
        return [("/tmp/ollama-request-logs-1/1.json", '{"model": "m", "options": {"num_gpu": 1}}')]

    def connections(self) -> Sequence[str]:
        return ["python.exe (pid 7) from 127.0.0.1:50123"]


def test_everything_that_is_there_is_collected_and_diagnosed() -> None:
    host = Host()
    evidence = collect(host)  # type: ignore[arg-type]
    assert evidence.skipped == ()
    assert (evidence.platform, evidence.model, evidence.ollama_version) == ("docker-linux", "mistral:7b", "0.13.3")
    assert evidence.environment == {"OLLAMA_CONTEXT_LENGTH": "4096", "OLLAMA_NUM_PARALLEL": "1"}
    assert evidence.compose_files == {"/srv/ai/docker-compose.yml": COMPOSE_TEXT}
    found = diagnose(evidence)
    assert found.findings[0].cause is Cause.EXPLICIT_NUM_GPU
    assert found.offloaded == (1, 33)


def test_a_part_that_fails_is_named_and_the_others_are_read() -> None:
    evidence = collect(Host(broken=frozenset({"use", "log", "config ai"})))  # type: ignore[arg-type]
    assert [item.split(":")[0] for item in evidence.skipped] == ["gpu", "server log", "compose config"]
    assert evidence.runners is not None
    assert evidence.use is None
    assert diagnose(evidence).findings[0].cause is Cause.EXPLICIT_NUM_GPU


def test_a_host_that_answers_nothing_gives_unknown_and_says_what_to_collect() -> None:
    every = frozenset({"target", "use", "facts", "version", "running", "models", "log"})
    found = diagnose(collect(Host(broken=every)))  # type: ignore[arg-type]
    assert found.findings[0].cause is Cause.UNKNOWN
    assert found.collect
    assert len(found.notes) == 8


def test_the_senders_of_num_gpu_are_named_with_file_and_line() -> None:
    evidence = collect(Host())  # type: ignore[arg-type]
    body = Piece("request_log", '{"model": "mistral:7b", "options": {"num_gpu": 1}}', "request-1.json")
    broken = Piece("request_log", "no json", "request-2.json")
    senders = find_senders(replace(evidence, pieces=(*evidence.pieces, body, broken)))
    places = [one.place.where for one in senders]
    assert places[:3] == ["/api/show mistral:7b parameters", "request-1.json", "/srv/ai/docker-compose.yml:4"]
    assert any("172.18.0.3" in one.who for one in senders)
    assert not any("OLLAMA_NUM_GPU" in one.place.text for one in senders), "the server does not read OLLAMA_NUM_GPU"
    assert all(one.cure for one in senders)


def test_the_finding_names_who_asks_and_what_to_change() -> None:
    found = diagnose(collect(Host()))  # type: ignore[arg-type]
    first = found.findings[0]
    assert first.because.endswith("the Modelfile of mistral:7b asks for 1")
    assert "PARAMETER num_gpu -1" in first.cure
    assert found.senders[0].place.where == "/api/show mistral:7b parameters"


def test_configuration_that_an_application_mounts_is_read_and_its_line_named() -> None:
    found = collect(Host(application=True))  # type: ignore[arg-type]
    assert found.services == {"api": {"MODEL_NAME": "mistral"}}
    assert found.compose_files["/srv/ai/api/settings.json"] == SETTINGS_TEXT
    assert "/srv/ai/data" not in found.compose_files, "a folder is not read"
    places = [one.place.where for one in find_senders(replace(found, compose=None, shows=()))]
    assert "/srv/ai/api/settings.json:2" in places


def test_callers_are_told_where_a_host_can_tell() -> None:
    host = Host()
    host.callers = Callers()
    evidence = collect(host)  # type: ignore[arg-type]
    assert evidence.connections == ("python.exe (pid 7) from 127.0.0.1:50123",)
    assert [piece.kind for piece in evidence.pieces] == ["server_log", "request_log"]
    assert any(one.who.startswith("a client's request") for one in find_senders(evidence))


def test_a_model_whose_manifest_names_a_layer_that_is_gone_is_corrupt_although_nothing_lists_it() -> None:
    world = stored()
    del world.store[blob_path(WEIGHTS)]
    world.variables["model"] = MODEL
    del world.models[MODEL]
    (first, *_) = diagnose(collect(FakeReader(world))).findings
    assert first.cause is Cause.MODEL_CORRUPT
    assert f"the manifest of {MODEL} names it" in first.quotes[0].text


@pytest.mark.parametrize(
    ("state", "said"), [("stopped", "Docker Desktop is stopped"), ("running", "Docker Desktop hangs"), ("starting", "")]
)
def test_the_state_of_docker_desktop_proves_what_a_silent_engine_does_not_say(state: str, said: str) -> None:
    world = on_desktop()
    assert world.docker is not None
    world.docker, world.engine_up = replace(world.docker, state=state), False
    found = [one for one in diagnose(collect(FakeReader(world))).findings if one.cause is Cause.DOCKER_DESKTOP_STATE]
    assert [(one.because.rpartition(": ")[2], one.confidence >= 0.8) for one in found] == ([(said, True)] if said else [])


def test_a_native_server_that_hangs_is_no_fault_of_an_engine_that_is_not_there() -> None:
    world = left_by_a_client()
    world.os, world.project, world.engine_up = "linux", None, False
    world.containers.clear()
    world.fails["ollama.version"] = [DeadlineExceeded("Ollama accepts connections but does not answer (10 s)")] * 9
    world.fails["engine.facts"] = [
        CallFailed("refused", output="Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")
    ] * 9
    diagnosis = diagnose(collect(FakeReader(world)))
    first = diagnosis.findings[0]
    assert 0 < diagnosis.confidence(Cause.EXPLICIT_NUM_GPU) < 0.5, "the log says how it was"
    assert (first.cause, Cause.DOCKER_DESKTOP_STATE in [one.cause for one in diagnosis.findings]) == (Cause.OTHER, False)
    assert "systemctl restart ollama" in first.cure


def test_a_host_of_which_nothing_can_be_read_has_no_diagnosis() -> None:
    skipped = ("system: querying the system failed: sudo refused: a password is required", "processes: listing failed: the same")
    assert nothing_read(Evidence(skipped=skipped)) == "querying the system failed: sudo refused: a password is required"
    assert nothing_read(Evidence(skipped=skipped, ollama_version="0.13.5")) == ""
    assert nothing_read(Evidence(skipped=skipped, silent="it hangs")) == ""
    assert nothing_read(Evidence()) == ""
