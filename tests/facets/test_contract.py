"""One suite for every way to a host: the lab over WinRM, this machine by libraries, and by commands over SSH."""

from __future__ import annotations

from typing import Any

import pytest

from remediation.facets.protocols import Reader
from remediation.model.errors import CallFailed, WriteRefused
from remediation.model.facts import ComposeProject, Container
from tests.facets.real_hosts import Bed
from tests.facets.server_state import answers, loaded


@pytest.fixture
def reader(host: Any) -> Reader:
    found: Reader = host.reader
    return found


@pytest.fixture
def project(reader: Reader) -> ComposeProject:
    found = reader.target().project
    assert found is not None
    assert isinstance(found.value, ComposeProject)
    return found.value


def ollama(reader: Reader, bed: Bed) -> Container:
    found = reader.engine.inspect(bed.container)
    assert found is not None
    return found


def test_the_target_is_found_with_its_sources(reader: Reader, bed: Bed) -> None:
    target = reader.target()
    assert target.container is not None
    assert (target.container.value, target.service and target.service.value) == (bed.container, "ollama")
    assert "publishes port 11434" in target.container.source
    assert target.endpoint is not None
    assert target.endpoint.value.startswith("http://127.0.0.1:")
    assert target.project is not None
    assert (target.project.value.files, target.project.value.working_dir) == (bed.files, bed.folder)
    assert target.application is not None
    assert (target.application.value, target.application.source.split()[0]) == ("api", "OLLAMA_BASE_URL")
    assert target.model is not None
    assert target.model.value == bed.model


def test_a_variable_is_believed_before_anything_else(bed: Bed) -> None:
    opened = bed.open(model="phi3:3.8b", endpoint="http://127.0.0.1:9/", compose_files=["x.yml"], compose_dir="/srv/x")
    try:
        target = opened.reader.target()
    finally:
        opened.close()
    assert target.model is not None
    assert (target.model.value, target.model.source) == ("phi3:3.8b", "the variable model")
    assert target.endpoint is not None
    assert target.endpoint.value == "http://127.0.0.1:9"
    assert target.project is not None
    assert target.project.value == ComposeProject("x", ("/srv/x/x.yml",), "/srv/x")
    assert target.container is None


def test_the_engine_says_what_it_is(reader: Reader) -> None:
    facts = reader.engine.facts()
    assert facts.version[:1].isdigit()
    assert facts.memory_total is not None
    assert facts.memory_total > 2**20
    assert "runc" in facts.runtimes
    assert facts.server_errors == ()


def test_a_container_is_read_whole(reader: Reader, bed: Bed) -> None:
    found = ollama(reader, bed)
    assert (found.name, found.status, found.service, found.gpu_requested) == (bed.container, "running", "ollama", True)
    assert found.image.endswith("ollama:0.13.5")
    assert found.environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert found.ports["11434/tcp"][0].rpartition(":")[2].isdecimal()
    assert found.raw["Config"]["Labels"] == found.labels
    assert found.started_at.startswith("2")
    api = next(each for each in reader.engine.containers() if each.service == "api")
    assert not api.gpu_requested
    assert reader.engine.inspect("no-such-container") is None


def test_the_log_has_both_streams_in_the_order_of_time(reader: Reader, bed: Bed) -> None:
    reader.ollama.version()
    text = reader.engine.logs(bed.container)
    assert "server config" in text
    assert text.index("server config") < text.index("[GIN]")  # stderr first, then the first request on stdout
    assert not text.startswith("20"), "the engine's stamps are taken off"
    assert len(reader.engine.logs(bed.container, tail=3).splitlines()) in {3, 6}  # of each stream where they are separate
    with pytest.raises(CallFailed, match="no-such"):
        reader.engine.logs("no-such-container")
    assert reader.ollama.log() == text


def test_compose_resolves_the_project(reader: Reader, project: ComposeProject) -> None:
    config = reader.compose.config(project)
    assert config["name"] == project.name
    assert set(config["services"]) == {"ollama", "api"}
    devices = config["services"]["ollama"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"capabilities": ["gpu"], "driver": "nvidia", "count": -1}]
    assert reader.compose.warnings(project) == ()
    assert list(reader.compose.stale(project)) == []


def test_a_compose_file_that_is_not_there_is_one_sentence_with_a_next_action(reader: Reader, project: ComposeProject) -> None:
    missing = ComposeProject(project.name, (f"{project.files[0]}.missing",), project.working_dir)
    with pytest.raises(CallFailed, match=rf"Compose project {project.name}: .*missing") as raised:
        reader.compose.config(missing)
    assert "compose_files" in raised.value.next_step


def test_ollama_is_read_over_http(reader: Reader, bed: Bed) -> None:
    assert reader.ollama.version() == bed.version
    (entry,) = reader.ollama.models()
    assert (entry.name, entry.details["family"]) == (bed.model, "llama")
    assert entry.size > 4 * 10**9
    show = reader.ollama.show(bed.model)
    assert show is not None
    assert show.info["llama.block_count"] == 32
    assert "stop" in show.parameters
    assert reader.ollama.show("no-such-model") is None


def test_files_are_read(reader: Reader, bed: Bed) -> None:
    content = reader.files.read(bed.files[1])
    assert content is not None
    assert b"driver: nvidia" in content
    assert reader.files.read(f"{bed.files[1]}.missing") is None


def test_the_machine_and_the_login(reader: Reader, bed: Bed) -> None:
    system, session = reader.system.facts(), reader.desktop.session()
    assert system.os == ("windows" if bed.windows else "linux")
    assert system.memory_total is not None
    assert system.memory_free is not None
    assert system.booted is not None
    assert 0 < system.memory_free <= system.memory_total
    assert 0 < system.booted < system.now
    assert session.user
    assert session.credential_store is (False if bed.windows else None)


def test_processes_have_an_identity(reader: Reader) -> None:
    found = reader.processes.list()
    assert len({each.key for each in found}) == len(found) > 3
    assert all(each.name for each in found)
    assert {each.pid for each in found} & {each.parent for each in found}


def test_one_look_reads_once_and_the_next_one_again(host: Any, bed: Bed) -> None:
    look = host.reader
    look.ollama.running()
    before = host.round_trips
    look.ollama.running()
    look.target()
    assert host.round_trips == before
    host.writer().ollama.load(bed.model, options={"num_gpu": -1})
    before = host.round_trips
    assert host.reader.ollama.running()
    assert host.round_trips > before


def test_a_diagnosis_is_prefetched_in_few_exchanges(host: Any, bed: Bed) -> None:
    look = host.reader
    before = host.round_trips
    look.prefetch()
    # one more where the server's port is another than Ollama's own and so cannot be guessed; over SSH, eight calls share a round trip
    assert host.round_trips - before <= {"lab": 3, "native": 4, "ssh": 10}[bed.kind]
    look.system.facts()
    look.processes.list()
    look.desktop.session()
    after = host.round_trips
    look.system.facts()
    assert host.round_trips == after


def test_a_runner_that_was_loaded_with_one_layer_is_reloaded_whole(host: Any, bed: Bed) -> None:
    writer = host.writer()
    for program in {each.pid: each for each in host.reader.gpu.use().processes if each.vram}.values() if bed.windows else ():
        if program.program in {"chrome", "discord"}:
            writer.processes.close(program.pid, program.started, grace=20)
    writer.ollama.load(bed.model, options={"num_gpu": 1})
    vram, size = loaded(host, bed.model)
    assert vram < size / 5
    writer.ollama.load(bed.model, options={"num_gpu": -1})
    assert loaded(host, bed.model) == (vram, size), "a plain load keeps the runner that is there"
    writer.ollama.unload(bed.model)
    assert host.reader.ollama.running() == ()
    writer.ollama.load(bed.model, options={"num_gpu": -1})
    vram, size = loaded(host, bed.model)
    assert vram == size


def test_a_request_has_its_figures(host: Any, bed: Bed) -> None:
    writer = host.writer()
    writer.ollama.load(bed.model, options={"num_gpu": -1})
    seen = writer.ollama.generate(bed.model, "Count.", options={"num_predict": 8, "num_ctx": 4096}, timeout=60)
    assert seen.tokens == 8
    assert seen.done_reason == "length"
    assert 0 < seen.eval <= seen.total
    assert seen.first_token is not None
    assert seen.first_token > 0
    assert seen.cpu_percent is not None
    assert 0 <= seen.cpu_percent <= 100
    assert bed.windows == (seen.gpu_percent is not None)


def test_what_ollama_refuses_is_an_error_in_its_words(host: Any) -> None:
    with pytest.raises(CallFailed, match="not found") as raised:
        host.writer().ollama.load("no-such-model", options={})
    assert raised.value.status == 404


def test_a_changed_file_makes_one_service_stale_and_up_recreates_it(host: Any, bed: Bed, project: ComposeProject) -> None:
    writer = host.writer()
    path = bed.files[1]
    before = host.reader.files.read(path)
    assert before is not None
    changed = before.replace(b"OLLAMA_CONTEXT_LENGTH=4096", b"OLLAMA_CONTEXT_LENGTH=2048")
    assert changed != before
    identity = ollama(host.reader, bed).id
    writer.files.write(path, changed, backup=f"{path}.bak")
    try:
        assert host.reader.files.read(f"{path}.bak") == before
        assert list(host.reader.compose.stale(project)) == ["ollama"]
        writer.compose.up(project, ["ollama"])
        recreated = ollama(host.reader, bed)
        assert (recreated.id != identity, recreated.environment["OLLAMA_CONTEXT_LENGTH"]) == (True, "2048")
        assert list(host.reader.compose.stale(project)) == []
    finally:
        writer.files.write(path, before)
        writer.compose.up(project, [])
        answers(host)
    assert ollama(host.reader, bed).environment["OLLAMA_CONTEXT_LENGTH"] == "4096"


def test_restarting_a_container_starts_it_later(host: Any, bed: Bed) -> None:
    before = ollama(host.reader, bed).started_at
    host.writer().engine.restart(bed.container, timeout=1)
    after = ollama(host.reader, bed)
    assert after.status == "running"
    assert after.started_at > before
    answers(host)


def test_in_check_mode_there_is_no_writer_and_nothing_is_sent(bed: Bed) -> None:
    opened = bed.open(check=True)
    try:
        with pytest.raises(WriteRefused):
            opened.writer()
        assert opened.round_trips == 0
        assert opened.reader.ollama.version() == bed.version
    finally:
        opened.close()


def test_what_an_earlier_look_found_saves_the_next_one_exchanges(host: Any, bed: Bed) -> None:
    host.writer().ollama.load(bed.model, options={"num_gpu": -1})
    first = host.reader.target()
    before = host.round_trips
    assert host.reader.target() == first
    if bed.windows:
        assert host.round_trips - before == 1
    host.writer().engine.restart("ai-native-api", timeout=1)
    again = host.reader
    assert again.target() == first
    assert {each.name: each.started_at for each in again.engine.containers()}["ai-native-api"] > "2", (
        "the answer is never the hint's"
    )


def test_a_writer_finds_its_target_once(host: Any, bed: Bed) -> None:
    writer = host.writer()
    writer.ollama.load(bed.model, options={"num_gpu": -1})
    before = host.round_trips
    writer.ollama.load(bed.model, options={"num_gpu": -1})
    assert host.round_trips - before == 1
