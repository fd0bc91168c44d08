"""Evidence with a gap: the state, the step that closes it, and the cause where the rest of the evidence is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.model.facts import Gpu, GpuUse, ModelEntry, ModelShow, Process, Runner, SystemFacts
from remediation.model.finding import Cause, Diagnosis

GIB = 1024**3
ASKED = [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
NOW = 1796040000.0
FILE, OTHER = "sha256-" + "1" * 64, "sha256-" + "2" * 64
START = (
    'time=2026-11-29T10:00:00Z level=INFO source=routes.go:1 msg="server config" env="map[OLLAMA_CONTEXT_LENGTH:4096]"\n'
    'time=2026-11-29T10:00:01Z level=INFO source=routes.go:2 msg="Listening on 127.0.0.1:11434 (version 0.13.3)"\n'
    'time=2026-11-29T10:00:02Z level=INFO source=types.go:42 msg="inference compute" id=GPU-1 library=CUDA compute=8.6 name=CUDA0 '
    'description="NVIDIA GeForce RTX 3060" driver=12.4 total="12.0 GiB" available="11.5 GiB"\n'
)
REQUESTS = '[GIN] 2026/11/30 - 09:00:00 | 200 |  1.2s |      172.18.0.3 | POST     "/api/generate"\n' * 3


def load(file: str = OTHER, *, requested: int = 1, layers: int = 1) -> str:
    return (
        f'time=2026-11-29T10:02:00Z level=INFO source=server.go:1 msg="starting runner" cmd="ollama runner --model /m/blobs/{file} --port 1"\n'
        f'time=2026-11-29T10:02:00Z level=INFO source=server.go:1 msg="loading model" "model layers"=33 requested={requested}\n'
        f"load_tensors: offloaded {layers}/33 layers to GPU\n"
        'time=2026-11-29T10:03:00Z level=INFO source=server.go:1 msg="llama runner started in 1.00 seconds"\n'
    )


def host(log: str = "", *, model: str | None = "a:8b", on_card: int = 2, others: Sequence[Process] = ()) -> Evidence:
    """Return a Linux host with the model a:8b of 6 GiB, `on_card` GiB of it on a card of 12 GiB."""
    used = on_card * GIB + sum(one.vram or 0 for one in others)
    own = Process(950, "ollama", NOW - 1000, parent=900, runner=True, vram=on_card * GIB)
    return Evidence(
        platform="linux",
        ollama_version="0.13.3",
        gpu="NVIDIA GeForce RTX 3060 12288 MiB",
        host="box",
        model=model,
        pieces=(Piece("server_log", log, "server.log"),) if log else (),
        runners=(Runner("a:8b", 6 * GIB, on_card * GIB, 4096),),
        models=(ModelEntry("a:8b", 1, "sha256:x"), ModelEntry("b:1b", 1, "sha256:y")),
        shows=(ModelShow("a:8b", {}, {"general.architecture": "llama"}, modelfile=f"FROM /m/blobs/{FILE}\n"),),
        use=GpuUse((Gpu(0, "GPU-1", "NVIDIA GeForce RTX 3060", "550.90", 12 * GIB, used, 12 * GIB - used),), (own, *others)),
        programs=(Process(900, "ollama", NOW - 200_000), own),
        system=SystemFacts("linux", "6.1", "box", now=NOW, booted=NOW - 400_000),
        collected_at=NOW,
    )


def started(evidence: Evidence, when: float) -> Evidence:
    """Return the host with a server that was started then."""
    server, *rest = evidence.programs or ()
    return replace(evidence, programs=(replace(server, started=when), *rest))


def open_with(found: Diagnosis, state: str, step: str) -> None:
    first = found.findings[0]
    assert first.cause is Cause.UNKNOWN
    assert state in first.because
    assert found.collect == (step,)
    assert first.cure.startswith(f"First: {step}; then ")


@pytest.mark.parametrize(
    ("log", "state"),
    [
        ("", "the server's log is empty; the card holds 33% of a:8b and has 10.0 GiB of 12.0 GiB free now"),
        (REQUESTS, "the log begins after the model was loaded (2026/11/30 - 09:00)"),
        (START, "the log shows the start of the server, and no load of the model"),
        (
            START.replace("0.13.3", "0.5.7") + load(FILE),
            "the log is of another server: release 0.5.7 wrote it, and 0.13.3 answers",
        ),
    ],
    ids=["empty", "begins late", "no load", "another release"],
)
def test_a_log_without_the_load_names_the_state_and_the_reload_that_shows_it(log: str, state: str) -> None:
    open_with(diagnose(host(log)), state, 'ollama stop a:8b; ollama run a:8b ""')


def test_a_log_that_ends_before_the_server_began_is_another_servers() -> None:
    open_with(
        diagnose(started(host(START + load(FILE)), NOW - 2000)),
        "the log is of an earlier server",
        'ollama stop a:8b; ollama run a:8b ""',
    )
    assert diagnose(host(START + load(FILE))).findings[0].cause is Cause.EXPLICIT_NUM_GPU


def test_a_model_on_the_processor_needs_a_start_as_well() -> None:
    found = diagnose(host(on_card=0))
    assert found.collect == ('sudo systemctl restart ollama; ollama run a:8b ""',)
    inside = replace(
        host(on_card=0), platform="docker-linux", container={"Name": "/llm", "HostConfig": {"DeviceRequests": ASKED}}
    )
    assert diagnose(inside).collect == ('docker restart llm; docker exec llm ollama run a:8b ""',)


def test_a_server_that_came_up_with_the_machine_may_have_missed_the_driver() -> None:
    early = diagnose(started(host(on_card=0), NOW - 399_970)).findings
    known = {one.mechanism: one.confidence for one in early}
    assert known["server-started-before-driver"] > 0.1
    assert "server-started-before-driver" not in {one.mechanism for one in diagnose(host(on_card=0)).findings}


def test_what_else_was_read_names_the_cause_without_a_log() -> None:
    holder = Process(4000, "python3", 1.0, vram=9 * GIB)
    assert diagnose(host(on_card=2, others=(holder,))).findings[0].cause is Cause.VRAM_OCCUPIED
    baked = replace(host(), shows=(ModelShow("a:8b", {"num_gpu": "10"}, {}),))
    found = diagnose(baked)
    assert found.findings[0].cause is Cause.EXPLICIT_NUM_GPU
    assert any("the server's log is empty" in note for note in found.notes)
    assert diagnose(host(on_card=6)).findings[0].cause is Cause.HEALTHY


@pytest.mark.parametrize("end", ["", 'time=2026-11-29T10:04:00Z level=ERROR source=sched.go:1 msg="CUDA error: out of memory"\n'])
def test_a_model_that_is_not_stored_is_not_judged_by_another_load(end: str) -> None:
    found = diagnose(host(START + load() + end, model="gone:1b"))
    open_with(found, "gone:1b is not stored on this server, which stores a:8b, b:1b", "ollama pull gone:1b")
    assert found.offloaded is None


def test_a_stored_model_that_was_not_loaded_is_not_judged_by_another_load() -> None:
    stored = replace(host(START + load(FILE), model="b:1b"), runners=())
    open_with(diagnose(stored), "b:1b is not loaded, and the log shows no load of it", 'ollama run b:1b ""')
    beside = host(START + load(FILE), model="b:1b")
    open_with(diagnose(beside), "b:1b is not loaded, and the log shows no load of it", 'ollama run b:1b ""')


def test_an_empty_store_and_a_server_without_loads() -> None:
    empty = replace(host(START, model=None), models=(), runners=(), shows=())
    open_with(diagnose(empty), "this server stores no model", "ollama pull MODEL")
    idle = replace(host(START, model=None), runners=(), shows=())
    open_with(diagnose(idle), "no model is loaded, and the log shows no load", 'ollama run MODEL ""')


def test_a_pasted_log_is_judged_for_the_named_model() -> None:
    log = START + load(OTHER) + load(FILE, requested=-1, layers=33)
    pasted = Evidence(model="a:8b", pieces=(Piece("server_log", log, "server.log"),))
    assert any("ollama show --modelfile a:8b" in note for note in diagnose(pasted).notes)
    known = replace(pasted, pieces=(*pasted.pieces, Piece("modelfile", f"FROM /m/blobs/{FILE}\n", "modelfile")))
    assert diagnose(known).offloaded == (33, 33)
    missing = replace(known, pieces=(Piece("server_log", START + load(OTHER), "server.log"), known.pieces[1]))
    found = diagnose(missing)
    assert "the log shows no load of a:8b" in found.findings[0].because
    assert found.offloaded is None


def test_a_pasted_list_is_judged_for_the_named_model() -> None:
    rows = "NAME ID SIZE PROCESSOR UNTIL\na:8b 1 6.0 GB 100% GPU 4 minutes\nb:1b 2 2.0 GB 30%/70% CPU/GPU 4 minutes\n"
    listed = Evidence(model="a:8b", pieces=(Piece("ollama_ps", rows, "ps"),))
    assert diagnose(listed).findings[0].cause is Cause.HEALTHY
    assert "has no row of c:2b" in diagnose(replace(listed, model="c:2b")).findings[0].because
