"""What the guide's other steps do, on the lab and on a real engine by its API and by commands over SSH: volumes, Compose down, the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, Container, PullProgress
from remediation_lab import control
from tests.facets import real_hosts
from tests.facets.real_hosts import Bed
from tests.facets.server_state import answers
from tests.support.project import MODEL, Project


@pytest.fixture(
    params=["lab", pytest.param("native", marks=pytest.mark.live), pytest.param("ssh", marks=pytest.mark.live)], scope="module"
)
def bed(request: pytest.FixtureRequest) -> Bed:
    if request.param == "lab":
        bed = real_hosts.of_lab(request.getfixturevalue("lab"))
        control.fault(bed.name, "healthy", request.getfixturevalue("lab").folder)
        return bed
    server = request.getfixturevalue("server") if request.param == "ssh" else None
    return real_hosts.of_project(request.getfixturevalue("guide"), server)


@pytest.fixture
def host(bed: Bed) -> Iterator[Any]:
    opened = bed.open()
    yield opened
    opened.close()


@pytest.fixture
def writer(host: Any) -> Any:
    return host.writer()


def inspect(host: Any, bed: Bed) -> Container:
    found: Container = host.reader.engine.inspect(bed.container)
    return found


def the_project(host: Any) -> ComposeProject:
    found: ComposeProject = host.reader.target().project.value
    return found


def test_a_program_in_a_container_has_a_code_and_both_streams(host: Any, bed: Bed) -> None:
    run = host.reader.engine.exec
    if not bed.windows:
        done = run(bed.container, ["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert "NVIDIA_VISIBLE_DEVICES=all" in run(bed.container, ["env"]).stdout
    missing = run(bed.container, ["no-such-program", "-L"])
    assert (missing.code, missing.stdout) == (127, "")
    assert "not found" in missing.stderr
    assert bed.windows or run(bed.container, ["/etc"]).code == 126
    with pytest.raises(CallFailed, match=r"no-such|No such"):
        run("no-such-container", ["env"])


def test_a_program_in_a_stopped_container_is_refused(host: Any, writer: Any, bed: Bed) -> None:
    writer.engine.stop("ai-native-api", timeout=0)
    writer.engine.stop("ai-native-api", timeout=0)  # nothing where it does not run
    try:
        found = host.reader.engine.inspect("ai-native-api")
        assert (found.status, found.exit_code in {0, 137}) == ("exited", True)
        assert found.finished_at > found.started_at > found.created_at
        with pytest.raises(CallFailed, match="not running"):
            host.reader.engine.exec("ai-native-api", ["env"])
        with pytest.raises(CallFailed, match="is not running"):
            host.reader.engine.stats("ai-native-api")
    finally:
        writer.engine.start("ai-native-api")
        writer.engine.start("ai-native-api")  # nothing where it runs
    assert host.reader.engine.inspect("ai-native-api").status == "running"
    assert inspect(host, bed).status == "running"


def test_what_a_container_uses(host: Any, bed: Bed) -> None:
    seen = host.reader.engine.stats(bed.container)
    assert 2**20 < seen.memory_used < 2**34
    assert seen.memory_limit == (12 * 1024**3 if bed.windows else None)
    assert seen.cpu_percent is None or seen.cpu_percent >= 0


def test_volumes_are_made_filled_and_removed(host: Any, writer: Any, bed: Bed) -> None:
    source, image = inspect(host, bed).volumes[0], inspect(host, bed).image
    volumes = {each.name: each for each in host.reader.engine.volumes()}
    assert volumes[source].users == (bed.container,)
    assert volumes[source].labels["com.docker.compose.volume"] == "ollama_data"
    assert volumes[source].created_at.startswith("2")
    with pytest.raises(CallFailed, match="in use"):
        writer.engine.remove_volume(source)
    writer.engine.create_volume("copy", labels={"made.by": "a test"})
    writer.engine.create_volume("copy", labels={"made.by": "a test"})
    try:
        copied = writer.engine.copy_volume(source, "copy", image=image, paths=["models", "no-such"])
        assert copied > 500
        assert writer.engine.copy_volume(source, "copy", image=image, paths=["models"]) == 0, "existing files stay"
        assert {each.name: each.labels for each in host.reader.engine.volumes()}["copy"] == {"made.by": "a test"}
        back = writer.engine.copy_volume("copy", source, image=image)
        assert back == 0, "the same files, whichever way"
        with pytest.raises(CallFailed, match="no-such"):
            writer.engine.copy_volume(source, "copy", image="no-such:1")
    finally:
        writer.engine.remove_volume("copy")
        writer.engine.remove_volume("copy")
    assert "copy" not in {each.name for each in host.reader.engine.volumes()}
    assert [each.name for each in host.reader.engine.containers() if each.service is None] == [], "nothing is left behind"


def test_a_service_is_stopped_started_and_recreated_alone(host: Any, writer: Any, bed: Bed) -> None:
    project = the_project(host)
    before = {each.service: each.id for each in host.reader.engine.containers()}
    writer.compose.stop(project, ["ollama"])
    assert inspect(host, bed).status == "exited"
    writer.compose.start(project, ["ollama"])
    assert inspect(host, bed).status == "running"
    writer.compose.up(project, ["ollama"], recreate=True, deps=False)
    after = {each.service: each.id for each in host.reader.engine.containers()}
    assert (after["ollama"] != before["ollama"], after["api"] == before["api"]) == (True, True)
    writer.compose.build(project, [])  # nothing here has a build section
    answers(host)


def test_down_takes_containers_and_keeps_the_volume(host: Any, writer: Any, bed: Bed) -> None:
    project = the_project(host)
    writer.compose.remove(project, ["api"])
    assert [each.service for each in host.reader.engine.containers()] == ["ollama"]
    writer.compose.down(project)
    assert host.reader.engine.containers() == ()
    assert len(host.reader.engine.volumes()) == 1
    assert list(host.reader.compose.stale(project)) == ["api", "ollama"]
    writer.compose.up(project, [])
    answers(host)
    assert host.reader.ollama.show(bed.model) is not None, "the model was in the volume"


def test_a_model_is_pulled_made_and_deleted(host: Any, writer: Any, bed: Bed) -> None:
    reported: list[PullProgress] = []
    writer.ollama.pull("phi3:3.8b", progress=reported.append)
    assert {reported[0].status, reported[-1].status} == {"pulling manifest", "success"}
    assert any(each.completed == each.total and each.total for each in reported)
    assert len(reported) == len(set(reported)), "no line comes twice in a row"
    writer.ollama.create("plain", source="phi3:3.8b", parameters={"num_gpu": -1, "stop": "<|end|>"})
    show = host.reader.ollama.show("plain")
    assert (show.parameters["num_gpu"], show.details["family"]) == ("-1", "phi3")
    for name in ("plain", "phi3:3.8b"):
        writer.ollama.delete(name)
        writer.ollama.delete(name)
    assert [each.name for each in host.reader.ollama.models()] == [bed.model]
    with pytest.raises(CallFailed, match=r"file does not exist|not found") as raised:
        writer.ollama.pull("mistral:no-such-tag")
    assert "tag" in raised.value.next_step


@pytest.mark.live
def test_a_bad_blob_is_found_set_aside_and_fetched_again(real: Bed, guide: Project) -> None:
    host = real.open()
    writer = host.writer()
    bed = real
    weights = next(each for each in host.reader.ollama.blobs(MODEL) if each.media_type.endswith(".model"))
    assert (weights.sound, weights.actual) == (None, None)
    assert all(each.sound for each in host.reader.ollama.blobs(MODEL, verify=True))
    assert host.reader.ollama.blobs("no-such-model") is None
    path = f"/root/.ollama/models/blobs/{weights.digest.replace(':', '-')}"
    same_size = "GGUF" + "x" * (weights.size - 4)
    guide.engine.docker("exec", bed.container, "sh", "-c", f"printf %s '{same_size}' > {path}")
    bad = [each.digest for each in host.reader.ollama.blobs(MODEL, verify=True) if not each.sound]
    assert bad == [weights.digest]
    assert all(each.sound is None for each in host.reader.ollama.blobs(MODEL)), "its size alone tells nothing"
    writer.ollama.quarantine(weights.digest)
    writer.ollama.quarantine(weights.digest)
    assert [each.digest for each in host.reader.ollama.blobs(MODEL) if each.present is None] == bad
    writer.ollama.restore(weights.digest)
    writer.ollama.quarantine(weights.digest)
    writer.ollama.pull(MODEL)
    assert all(each.sound for each in host.reader.ollama.blobs(MODEL, verify=True))
    writer.ollama.discard(weights.digest)
    with pytest.raises(CallFailed, match=r"blob .* was not moved aside"):
        writer.ollama.restore(weights.digest)


def test_the_server_is_restarted_and_waited_for(host: Any, writer: Any, bed: Bed) -> None:
    before = inspect(host, bed).started_at
    writer.ollama.restart(timeout=60)
    assert inspect(host, bed).started_at > before
    assert host.reader.ollama.version() == bed.version


def test_limits_are_what_the_engine_and_the_machine_have(host: Any) -> None:
    limits = host.reader.system.limits()
    assert limits.host is not None
    assert limits.engine is not None
    assert limits.engine <= limits.host
    assert limits.wsl is None
