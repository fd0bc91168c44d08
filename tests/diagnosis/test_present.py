"""Old evidence is not the present: lines of earlier server processes, of earlier loads, and what something later contradicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.memory.prediction import own_memory
from remediation.diagnosis.readers.reading import read_evidence
from remediation.model.facts import Process
from remediation.model.finding import Cause
from tests.diagnosis.hosts import GIB, MIB, card, causes, live, part, pasted, whole
from tests.diagnosis.releases import OTHER_FILE, VERSIONS, Release, post

RELEASES = [Release(version) for version in VERSIONS]
R13 = Release("0.13.5")
UNREADABLE = 'level=ERROR source=images.go:92 msg="couldn\'t open model file" error="{}"\n'
per_release = pytest.mark.parametrize("release", RELEASES, ids=lambda one: one.version)


# messages about a model's file


@per_release
def test_a_load_after_the_message_shows_that_the_file_can_be_read(release: Release) -> None:
    log = UNREADABLE.format("unsupported version 0") + release.begun(33)
    assert Cause.MODEL_CORRUPT in causes(pasted(UNREADABLE.format("unsupported version 0") + post(500)))
    found = pasted(log)
    assert Cause.MODEL_CORRUPT not in causes(found)
    assert Cause.OTHER not in causes(found)
    assert found.findings[0].cause is Cause.HEALTHY


@pytest.mark.parametrize(
    "sign",
    [
        UNREADABLE.format("open /models/blobs/sha256-1: no such file or directory"),
        'level=ERROR msg="digest mismatch, file must be downloaded again: want sha256:1, got sha256:2"\n',
        "llama_model_load: error loading model: tensor 'blk.3.ffn' data is not within the file bounds, model is corrupted or incomplete\n",
        "llama_model_load: error loading model: invalid file magic\n",
        'level=WARN msg="bad manifest" error="unexpected end of JSON input"\n',
        "error loading model: read /models/blobs/sha256-1: input/output error\n",
    ],
)
def test_no_sign_of_damage_outlives_a_later_load_of_the_model(sign: str) -> None:
    failed = R13.start() + sign
    assert causes(pasted(failed))[Cause.MODEL_CORRUPT] >= 0.9
    assert Cause.MODEL_CORRUPT not in causes(pasted(failed + R13.load()))
    assert Cause.MODEL_CORRUPT not in causes(diagnose(live(failed + R13.load(second=60), runners=[whole()])))


def test_a_load_of_another_file_says_nothing_of_the_damaged_one() -> None:
    sign = f'level=INFO source=sched.go:453 msg="Load failed" model={OTHER_FILE} error="unable to load model: {OTHER_FILE}: invalid file magic"\n'
    assert Cause.MODEL_CORRUPT in causes(pasted(R13.start() + sign + R13.load()))


@pytest.mark.parametrize(
    ("error", "cause", "words"),
    [
        ("unsupported version 0", Cause.MODEL_CORRUPT, "damaged"),
        ("seek /m/blobs/sha256-1: invalid argument", Cause.MODEL_CORRUPT, "cannot be read: it is damaged"),
        ("unsupported version 3405691582", Cause.MODEL_CORRUPT, "damaged"),
        ("invalid file magic", Cause.MODEL_CORRUPT, "no model file"),
        ("open /m/blobs/sha256-1: no such file or directory", Cause.MODEL_CORRUPT, "not in the store"),
        (r"open C:\\m\\blobs\\sha256-1: The system cannot find the file specified.", Cause.MODEL_CORRUPT, "not in the store"),
        ("unsupported version 4", Cause.OTHER, "does not know"),
        ("open /m/blobs/sha256-1: permission denied", Cause.OTHER, "may not read"),
    ],
)
def test_why_a_model_file_could_not_be_opened_is_told_apart(error: str, cause: Cause, words: str) -> None:
    found = pasted(UNREADABLE.format(error))
    assert (found.findings[0].cause, words in found.findings[0].because) == (cause, True)
    assert len(found.findings) == 1


def test_metadata_that_the_server_reads_now_outweighs_a_line_about_the_header() -> None:
    log = R13.start() + UNREADABLE.format("unsupported version 0")
    assert Cause.MODEL_CORRUPT not in causes(diagnose(live(log)))
    assert Cause.MODEL_CORRUPT in causes(diagnose(replace(live(log), shows=())))


# server processes

RESTARTS = {
    "settings and address": R13.start(second=100),
    "address alone": R13.line('msg="Listening on 127.0.0.1:11434 (version 0.13.5)"', second=100, source="routes.go:1607"),
    "address without a version": R13.line('msg="Listening on 127.0.0.1:11434"', second=100, source="routes.go:1607"),
    "systemd": "Stopping Ollama Service...\nollama.service: Deactivated successfully.\nStarted Ollama Service.\n",
    "systemd, newer": "Started ollama.service - Ollama Service.\n",
    "killed": "ollama.service: Main process exited, code=killed, status=9/KILL\n",
    "another boot": "-- Boot 1f0c6d8a2b6c4d1c9c1e0a9a3a1f4b5c --\n",
}


@pytest.mark.parametrize("between", RESTARTS.values(), ids=RESTARTS)
def test_what_an_earlier_server_process_said_is_over(between: str) -> None:
    old = (
        R13.start()
        + R13.line(
            'msg="updated VRAM based on existing loaded models" gpu=GPU-1 library=CUDA total="6.0 GiB" available="760.0 MiB"',
            second=9,
        )
        + R13.load(3, second=10)
        + "ggml_cuda_init: failed to initialize CUDA: unknown error\n"
    )
    assert {Cause.OTHER_MODEL_LOADED, Cause.DRIVER_LOST} <= causes(diagnose(live(old, runners=[part()]))).keys()
    found = causes(diagnose(live(old + between)))
    assert Cause.OTHER_MODEL_LOADED not in found
    assert Cause.DRIVER_LOST not in found


def test_another_process_number_in_the_journal_is_another_server() -> None:
    def journal(pid: int, text: str) -> str:
        return "".join(f"Nov 29 11:00:00 box ollama[{pid}]: {line}\n" for line in text.splitlines())

    old = journal(812, R13.load(1, requested=1) + "ggml_cuda_init: failed to initialize CUDA: unknown error\n")
    assert Cause.DRIVER_LOST in causes(diagnose(live(old, runners=[part()])))
    found = diagnose(live(old + journal(977, post(200)), runners=()))
    assert Cause.DRIVER_LOST not in causes(found)
    assert Cause.EXPLICIT_NUM_GPU not in causes(found)


def test_a_child_of_the_server_with_another_number_is_no_restart() -> None:
    lines = R13.load(1, requested=1).splitlines()
    text = "".join(f"box ollama[{813 if 'load_tensors' in line else 812}]: {line}\n" for line in lines)
    assert causes(diagnose(live(text, runners=[part()])))[Cause.EXPLICIT_NUM_GPU] >= 0.9


@per_release
def test_the_log_of_a_container_outlives_its_restarts(release: Release) -> None:
    log = release.start() + release.load(1, requested=1) + post(200) + release.start(second=300) + release.load(33, second=310)
    assert causes(diagnose(live(release.start() + release.load(1, requested=1), runners=[part()])))[Cause.EXPLICIT_NUM_GPU] >= 0.9
    found = diagnose(live(log, runners=[whole()]))
    assert found.findings[0].cause is Cause.HEALTHY
    assert found.offloaded == (33, 33)


def test_a_server_that_was_killed_for_memory_and_loaded_nothing_since_still_shows_why() -> None:
    log = R13.start() + R13.begun(0) + "Out of memory: Killed process 4711 (ollama)\n" + R13.start(second=60)
    assert causes(diagnose(live(log)))[Cause.SYSTEM_MEMORY_LIMIT] >= 0.9
    assert Cause.SYSTEM_MEMORY_LIMIT not in causes(diagnose(live(log + R13.load(second=90), runners=[whole()])))


def test_lines_of_other_programs_before_a_pasted_log_keep_their_meaning() -> None:
    text = "[ 12.3] NVRM: Xid (PCI:0000:01:00): 79, pid=1, GPU has fallen off the bus.\n" + R13.start(gpu=False)
    assert pasted(text).findings[0].cause is Cause.DRIVER_LOST


# loads of one model


@per_release
def test_a_later_load_that_the_server_decided_refutes_an_earlier_request(release: Release) -> None:
    log = release.start() + release.load(1, requested=1) + release.load(33, second=60)
    assert pasted(release.start() + release.load(1, requested=1)).findings[0].cause is Cause.EXPLICIT_NUM_GPU
    for found in (pasted(log), diagnose(live(log, runners=[whole()])), diagnose(live(log, runners=None))):
        assert Cause.EXPLICIT_NUM_GPU not in causes(found)
        assert found.offloaded == (33, 33)


def test_a_load_that_is_cut_off_is_no_proof_that_the_short_one_is_over_where_a_list_shows_it() -> None:
    log = R13.start() + R13.load(1, requested=1) + R13.begun(33, second=60)
    listed = Piece("ollama_ps", "NAME ID SIZE PROCESSOR CONTEXT UNTIL\ntiny:32 1 800 MB 91%/9% CPU/GPU 4096 4 minutes from now\n")
    found = diagnose(Evidence(pieces=(Piece("server_log", log, "server.log"), listed)))
    assert found.findings[0].cause is Cause.EXPLICIT_NUM_GPU


def test_of_two_models_the_load_of_the_one_in_question_counts() -> None:
    log = R13.start() + R13.load(1, requested=1) + R13.load(17, of=17, file=OTHER_FILE, second=60)
    found = diagnose(live(log, runners=[part(), whole("wide:16")]))
    assert found.findings[0].cause is Cause.EXPLICIT_NUM_GPU
    assert found.offloaded == (1, 33)
    other = R13.start() + R13.load(33) + R13.load(2, of=17, requested=2, file=OTHER_FILE, second=60)
    assert diagnose(live(other, runners=[whole(), part("wide:16")])).offloaded == (33, 33)


def test_a_list_that_shows_the_model_whole_outweighs_a_line_about_few_layers() -> None:
    found = diagnose(live(R13.start() + R13.load(1, requested=1), runners=[whole()]))
    assert Cause.EXPLICIT_NUM_GPU not in causes(found)
    assert found.findings[0].cause is Cause.HEALTHY


def test_healthy_is_in_the_past_where_nothing_is_loaded() -> None:
    found = diagnose(live(R13.start() + R13.load(33)))
    assert (found.findings[0].cause, found.findings[0].confidence <= 0.8) == (Cause.HEALTHY, True)
    assert "no model is loaded now" in found.findings[0].because


def test_a_crash_that_a_later_load_survived_is_over() -> None:
    log = R13.start() + R13.load() + R13.died() + post(500)
    assert Cause.HEALTHY not in causes(pasted(log))
    again = log + R13.load(second=60) + post(200)
    assert pasted(again).findings[0].cause is Cause.HEALTHY
    assert diagnose(live(again, runners=[whole()])).findings[0].cause is Cause.HEALTHY


def test_vram_that_recovers_late_after_the_models_own_unloading_is_no_other_model() -> None:
    late = R13.line(
        'msg="gpu VRAM usage didn\'t recover within timeout" seconds=5.2 runner.name=x',
        level="WARN",
        source="sched.go:694",
        second=50,
    )
    alone = R13.start() + R13.load(1, requested=1) + late + R13.load(5, second=60)
    assert Cause.OTHER_MODEL_LOADED not in causes(diagnose(live(alone, runners=[part()])))
    beside = R13.start() + R13.load(17, of=17, file=OTHER_FILE) + late + R13.load(5, second=60)
    assert Cause.OTHER_MODEL_LOADED in causes(diagnose(live(beside, runners=[part()])))


def test_a_message_between_two_loads_belongs_to_the_next() -> None:
    late = R13.line(
        'msg="updated VRAM based on existing loaded models" gpu=GPU-1 total="6.0 GiB" available="760.0 MiB"', second=100
    )
    log = R13.start() + R13.load(8) + late
    assert Cause.OTHER_MODEL_LOADED not in causes(pasted(log))
    assert Cause.OTHER_MODEL_LOADED in causes(pasted(R13.start() + late + R13.load(8, second=110)))


# the card

FULL = R13.line(
    'msg="gpu memory" id=GPU-1 library=CUDA available="0 B" free="500.0 MiB" minimum="457.0 MiB" overhead="0 B"', second=9
)


def test_memory_that_is_free_again_was_in_use() -> None:
    log = R13.start() + FULL + R13.load(1)
    held = diagnose(live(log, runners=[part(share=60)], use=card(5 * GIB + 400 * MIB)))
    assert "are in use by others" in held.findings[0].because
    free = diagnose(live(log, runners=[part(share=60)], use=card(400 * MIB)))
    (first,) = (one for one in free.findings if one.cause is Cause.VRAM_OCCUPIED)
    assert "were in use by others when the model was loaded" in first.because
    assert "close" not in first.cure
    assert "reload" in first.cure


def test_what_a_model_gives_back_is_what_its_runner_holds() -> None:
    runner = Process(20, "ollama", 1.0, parent=10, vram=68 * MIB, runner=True)
    programs = (Process(10, "ollama", 1.0, parent=1, runner=False), runner)
    evidence = replace(live(R13.start(), runners=[part(share=120)], use=card(500 * MIB, runner)), programs=programs)
    assert own_memory(read_evidence(evidence)) == 68 * MIB
    unmeasured = replace(evidence, use=card(500 * MIB, replace(runner, vram=None)))
    assert own_memory(read_evidence(unmeasured)) == 120 * MIB


# who sends the request


def test_the_request_that_is_quoted_is_the_one_after_the_load() -> None:
    log = R13.start() + R13.load(33) + post(caller="10.0.0.1") + R13.load(1, requested=1, second=60) + post(caller="10.0.0.2")
    found = diagnose(live(log, runners=[part()]))
    assert [one.who for one in found.senders] == ["a client that calls from 10.0.0.2"]
    still_running = diagnose(live(log[: log.rindex("[GIN]")], runners=[part()]))
    assert [one.who for one in still_running.senders] == ["a client that calls from 10.0.0.1"]
