"""Runners that die after the load, runners that no server owns, loads without an end, and which of several causes comes first."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from remediation.cli.commands.probe_figures import with_answer
from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.memory.prediction import own_memory
from remediation.diagnosis.readers.reading import read_evidence
from remediation.engine.ladder.rung_order import CONFIRMED
from remediation.facets.machine.processes import processes_from_shell
from remediation.model.facts import Process
from remediation.model.finding import Cause
from remediation.model.text.timestamps import parse_timestamp
from tests.diagnosis.hosts import GIB, MIB, card, causes, in_container, live, part, pasted, whole
from tests.diagnosis.releases import OTHER_FILE, VERSIONS, Release, post

RELEASES = [Release(version) for version in VERSIONS]
R13 = Release("0.13.5")
LIMIT = 120 * MIB
per_release = pytest.mark.parametrize("release", RELEASES, ids=lambda one: one.version)


# a runner that dies at the first token


@per_release
def test_a_runner_that_died_after_the_load_is_no_health(release: Release) -> None:
    log = release.start() + release.load() + release.died() + post(500)
    for evidence in (Evidence(pieces=(Piece("server_log", log),)), live(log, runners=[whole()])):
        found = diagnose(evidence)
        assert Cause.HEALTHY not in causes(found)
        assert {Cause.OTHER, Cause.SYSTEM_MEMORY_LIMIT} & causes(found).keys()
        assert "nothing to repair" not in found.findings[0].cure
    limited = diagnose(in_container(live(log, runners=[whole()]), LIMIT))
    assert limited.findings[0].cause is Cause.SYSTEM_MEMORY_LIMIT
    assert limited.findings[0].confidence >= 0.8


@pytest.mark.parametrize(
    "words",
    [
        'POST /api/generate 500: {"error":"model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"}',
        '{"error":"an error was encountered while running the model: unexpected EOF"}',
        'Error: POST predict: Post "http://127.0.0.1:34243/completion": EOF',
        'Error: POST predict: Post "http://127.0.0.1:50183/completion": read tcp: wsarecv: An existing connection was forcibly closed by the remote host.',
        'level=WARN msg="llama runner process no longer running" sys=9 string="signal: killed"',
        'level=WARN msg="llama-server process no longer running" sys=139 string="signal: segmentation fault"',
        'level=ERROR msg="llama runner terminated" error="exit status 2"',
        "2026-11-29T11:00:20.1Z container oom 0f1e2d3c4b5a69788796 (image=ollama/ollama, name=ollama)",
        'level=ERROR msg="post predict" error="Post \\"http://127.0.0.1:1/completion\\": read: connection reset by peer"',
    ],
)
def test_whatever_says_that_the_runner_died_speaks_against_health(words: str) -> None:
    pieces = (Piece("server_log", R13.start() + R13.load()), Piece("api", words + "\n"))
    found = diagnose(Evidence(pieces=pieces))
    assert Cause.HEALTHY not in causes(found)
    assert found.findings[0].cause in {Cause.OTHER, Cause.SYSTEM_MEMORY_LIMIT}


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat", "/api/embed", "/v1/chat/completions"])
def test_health_wants_the_last_request_to_have_been_answered(path: str) -> None:
    log = R13.start() + R13.load()
    assert pasted(log + post(500, path=path) + post(200, path=path)).findings[0].cause is Cause.HEALTHY
    found = pasted(log + post(200, path=path) + post(500, path=path))
    assert Cause.HEALTHY not in causes(found)
    assert any(one.cause is Cause.HEALTHY and "answered with 500" in one.because for one in found.ruled_out)
    assert pasted(log + post(499, path=path)).findings[0].cause is Cause.HEALTHY, "the client went away"


def test_a_probe_that_failed_counts() -> None:
    evidence = live(R13.start() + R13.load(), runners=[whole()])
    assert diagnose(evidence).findings[0].cause is Cause.HEALTHY
    found = diagnose(replace(evidence, probe="no answer within 20 s"))
    assert Cause.HEALTHY not in causes(found)
    words = "querying the model failed: model runner has unexpectedly stopped, this may be due to resource limitations"
    died = diagnose(replace(evidence, probe=words, pieces=(*evidence.pieces, Piece("api", words, "probe"))))
    assert died.findings[0].cause is Cause.OTHER
    assert died.findings[0].quotes[0].where == "probe:1"


@pytest.mark.parametrize(
    ("tokens", "reason", "counts"),
    [
        (0, "not measured: querying the model failed: model runner has unexpectedly stopped", True),
        (0, "not measured: no answer within 20 s", True),
        (6, "no answer within 20 s", False),
        (0, "not measured: this Ollama version does not report the context length of its runner", False),
        (0, "not measured: the model is not loaded, and loading it would be a change", False),
        (8, "", False),
    ],
)
def test_only_a_model_that_was_asked_can_fail_to_answer(tokens: int, reason: str, counts: bool) -> None:
    evidence = live(R13.start() + R13.load(), runners=[whole()])
    amended = with_answer(evidence, {"tokens_seen": tokens, "reason": reason})
    assert (amended is not evidence) == counts
    assert (Cause.HEALTHY in causes(diagnose(amended))) != counts


def test_what_killed_the_runner_comes_before_that_it_died() -> None:
    log = (
        R13.start()
        + R13.load()
        + "ggml_cuda_compute_forward: MUL_MAT failed\nCUDA error: unspecified launch failure\n"
        + R13.died()
        + post(500)
    )
    assert pasted(log).findings[0].cause is Cause.DRIVER_LOST


# Ollama's own processes

SERVER = Process(10, "ollama", 1.0, parent=1, runner=False)
RUNNER = Process(20, "ollama", 2.0, parent=10, vram=700 * MIB, runner=True)


@pytest.mark.parametrize(
    ("programs", "dead"),
    [
        ((SERVER,), True),
        ((SERVER, RUNNER), False),
        ((SERVER, Process(21, "ollama_llama_server", 2.0, parent=10)), False),
        ((SERVER, Process(22, "llama-server", 2.0, parent=10, path="/usr/lib/ollama/llama-server")), False),
        ((replace(SERVER, runner=None), Process(23, "ollama.exe", 2.0, parent=10)), False),
        ((), False),
    ],
)
def test_a_runner_that_is_listed_and_has_no_process_is_dead(programs: tuple[Process, ...], dead: bool) -> None:
    evidence = replace(live(R13.start() + R13.load() + post(200), runners=[whole()]), programs=programs)
    found = diagnose(evidence)
    assert (found.findings[0].cause is Cause.OTHER) == dead
    assert (Cause.HEALTHY in causes(found)) != dead
    if dead:
        assert "the runner of tiny:32 has died" in found.findings[0].because
        limited = diagnose(in_container(evidence, LIMIT)).findings[0]
        assert limited.cause is Cause.SYSTEM_MEMORY_LIMIT
    assert Cause.OTHER not in causes(diagnose(replace(evidence, platform="docker-windows"))), (
        "its processes are in another machine"
    )


@pytest.mark.parametrize(("status", "sure"), [(200, False), (500, True)])
def test_processes_alone_confirm_no_death_and_set_nothing_else_aside(status: int, sure: bool) -> None:
    evidence = live(R13.start() + R13.load() + post(status), runners=[whole()])
    found = diagnose(replace(evidence, programs=(SERVER,)))
    assert (found.findings[0].cause, found.confidence(Cause.OTHER) >= CONFIRMED) == (Cause.OTHER, sure)
    asked = diagnose(replace(evidence, programs=(SERVER,), probe="asking the model failed: EOF"))
    assert asked.confidence(Cause.OTHER) >= CONFIRMED


ORPHAN = Process(4711, "ollama", 2.0, parent=1, vram=1200 * MIB, runner=True)


@pytest.mark.parametrize("layers", [3, 0])
def test_an_orphan_runner_is_named_with_its_cure(layers: int) -> None:
    log = R13.start() + R13.load(layers)
    use = card(1300 * MIB, ORPHAN, RUNNER)
    found = diagnose(replace(live(log, runners=[part()], use=use), programs=(SERVER, RUNNER, ORPHAN)))
    first = found.findings[0]
    assert first.cause is Cause.VRAM_OCCUPIED
    assert "an orphan runner of an earlier ollama holds the card's memory (pid 4711, 1.2 GiB)" in first.because
    assert "sudo kill 4711" in first.cure
    assert "20" not in first.cure.split()


def test_orphans_are_named_while_nothing_is_loaded_and_on_windows() -> None:
    second = replace(ORPHAN, pid=4712)
    found = diagnose(replace(live(R13.start(), use=card(3 * GIB, ORPHAN, second)), programs=(SERVER, ORPHAN, second)))
    assert "orphan runners of an earlier ollama hold" in found.findings[0].because
    assert "kill 4711 4712" in found.findings[0].cure
    windows = [replace(one, name="ollama.exe", runner=None) for one in (replace(ORPHAN, parent=999), SERVER)]
    evidence = replace(
        live(R13.start() + R13.load(2), runners=[part()], use=card(GIB, windows[0])), platform="windows", programs=tuple(windows)
    )
    first = diagnose(evidence).findings[0]
    assert "taskkill /F /PID 4711" in first.cure
    assert "pid 4711 ollama.exe, holds 1.2 GiB; its parent 999 is no running server of Ollama" in [
        one.text for one in first.quotes
    ]


def test_a_runner_that_its_server_owns_and_other_peoples_servers_are_no_orphans() -> None:
    foreign = Process(50, "llama-server", 1.0, parent=1, vram=4 * GIB, path="/home/x/llama.cpp/llama-server", runner=False)
    evidence = replace(
        live(R13.start() + R13.load(2), runners=[part()], use=card(5 * GIB, foreign, RUNNER)), programs=(SERVER, RUNNER, foreign)
    )
    assert not any("orphan" in one.because for one in diagnose(evidence).findings)


def test_a_process_is_known_as_a_runner_by_its_command_line() -> None:
    lines = {
        10: ("ollama", "/usr/local/bin/ollama serve", False),
        11: ("ollama", "/usr/local/bin/ollama runner --model /m/blobs/sha256-1 --port 4000", True),
        12: ("ollama_llama_se", "/usr/lib/ollama/runners/cuda_v12/ollama_llama_server --model /m --port 1", True),
        13: ("llama-server", "/usr/lib/ollama/llama-server --model /m --port 1", True),
        14: ("llama-server", "/opt/llama.cpp/llama-server -m /m", False),
        15: ("ollama", "ollama run tiny:32", False),
        16: ("bash", "bash -c ollama runner", False),
    }
    text = "hz 100\nbtime 1000\n"
    for pid, (name, command, _) in lines.items():
        text += f"ps {pid} 1 root {command}\nstat {pid} ({name}) S {' '.join(['1'] * 30)}\n"
    assert {one.pid: one.runner for one in processes_from_shell(text)} == {pid: runner for pid, (*_, runner) in lines.items()}


def test_what_wsls_machine_holds_is_what_unloading_gives_back() -> None:
    held = [(Process(60, "vmmemWSL", 1.0, vram=2 * GIB), part().size_vram), (Process(60, "game.exe", 1.0, vram=2 * GIB), 0)]
    for holder, own in held:
        evidence = live(R13.start() + R13.load(2), runners=[part()], use=card(2 * GIB, holder))
        assert own_memory(read_evidence(evidence)) == own


def test_what_is_known_of_processes_survives_a_saved_record() -> None:
    evidence = replace(live(R13.start()), programs=(SERVER, ORPHAN), probe="no answer")
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


# a forced load without an end


@pytest.mark.parametrize("requested", [99, 999, 33])
def test_a_forced_load_that_does_not_end_is_a_server_that_hangs(requested: int) -> None:
    begun = R13.line(f'msg="loading model" "model layers"=33 requested={requested}', second=10)
    log = R13.start() + R13.line('msg="gpu memory" id=GPU-1 free="500.0 MiB" overhead="0 B"', second=9) + begun
    began = parse_timestamp("2026-11-29T11:00:10Z")
    assert began is not None
    found = diagnose(live(log, now=began + 130)).findings[0]
    assert (found.cause, found.quotes[0].text) == (Cause.EXPLICIT_NUM_GPU, begun.strip())
    assert "the server hangs" in found.because
    assert "systemctl restart ollama" in found.cure
    inside = diagnose(in_container(live(log, now=began + 130), 0)).findings[0]
    assert "docker restart ai-ollama-1" in inside.cure
    later = R13.line('msg="Load failed" error="timed out"', second=300)
    for text, now in ((log, began + 20), (log + later, began + 400), (log + R13.start(second=200), began + 400)):
        assert not any("hangs" in one.because for one in diagnose(live(text, now=now)).findings)
    assert any("hangs" in one.because for one in pasted(log + R13.line("msg=other", second=400)).findings), (
        "by the log's own clock"
    )


# order


def test_a_request_for_few_layers_comes_before_another_model() -> None:
    beside = R13.line(
        'msg="updated VRAM based on existing loaded models" gpu=GPU-1 total="6.0 GiB" available="760.0 MiB"', second=59
    )
    log = R13.start() + R13.load(17, of=17, file=OTHER_FILE) + beside + R13.load(10, requested=10, second=60)
    found = diagnose(live(log, runners=[part(), whole("wide:16")]))
    assert found.findings[0].cause is Cause.EXPLICIT_NUM_GPU
    assert causes(found).get(Cause.OTHER_MODEL_LOADED, 0.0) <= 0.5
    unasked = R13.start() + R13.load(17, of=17, file=OTHER_FILE) + beside + R13.load(10, second=60)
    assert diagnose(live(unasked, runners=[part(), whole("wide:16")])).findings[0].cause is Cause.OTHER_MODEL_LOADED


def test_a_model_in_system_memory_takes_nothing_from_the_card() -> None:
    log = R13.start() + R13.load(10)
    assert Cause.OTHER_MODEL_LOADED not in causes(diagnose(live(log, runners=[part(), part("embed:1", 0)])))
    assert Cause.OTHER_MODEL_LOADED in causes(diagnose(live(log, runners=[part(), part("embed:1", 50)])))


def test_a_native_server_is_hidden_behind_no_container() -> None:
    cpu = 'msg="inference compute" id=cpu library=cpu compute="" name=cpu description=cpu libdirs=ollama driver="" total="15.6 GiB" available="12.0 GiB"'
    log = R13.start(gpu=False) + R13.line(cpu, second=2)
    assert Cause.GPU_NOT_VISIBLE_TO_CONTAINER not in causes(diagnose(live(log)))
    assert Cause.GPU_NOT_VISIBLE_TO_CONTAINER in causes(diagnose(in_container(live(log), 0)))


def test_of_several_loaded_models_it_is_said_which_one_was_judged() -> None:
    found = diagnose(live(R13.start() + R13.load(1, requested=1), runners=[part(), whole("wide:16"), part("embed:1", 0)]))
    (note,) = (one for one in found.notes if "was judged" in one)
    assert note.startswith("tiny:32 was judged; also loaded: wide:16 (all of it on the GPU), embed:1 (on the CPU)")
    assert diagnose(live(R13.start() + R13.load(), runners=[whole()])).notes == ()
