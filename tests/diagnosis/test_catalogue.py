"""The catalogue of messages: its data, and that each message is found in the lines that carry it and in no others."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import re
import string
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from remediation.diagnosis import catalogue as module
from remediation.diagnosis.catalogue import (
    LEAST_LETTERS,
    Catalogue,
    Message,
    catalogue,
    context,
    facts,
    fragments,
    letters,
    of_project,
)
from remediation.diagnosis.catalogue.__main__ import counts
from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.facts.base import seen_fact_name
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.schema import parse_condition
from remediation.model.text.yaml_limits import FASTEST

FOLDER = pathlib.Path(module.__file__).parent
FILES = sorted(path for path in FOLDER.glob("*.yml") if path.name not in {"facts.yml", "context.yml"})
MESSAGES = catalogue().messages
CORPUS = os.environ.get("REMEDIATION_CORPUS", "")
BOUNDED = settings(max_examples=200)


def meanings(line: str) -> list[str]:
    return [message.means or "benign" for message in catalogue().find(line)]


def message(text: str, **values: str) -> Message:
    return Message.model_validate({"text": text, "source": "a.c", "project": "x", "means": "gpu.backend_absent", **values})


# the data


def test_every_project_that_speaks_about_a_gpu_has_its_file() -> None:
    assert {path.stem for path in FILES} == {
        "containerd",
        "cuda-nvml",
        "libnvidia-container",
        "llama.cpp",
        "moby",
        "nvidia-container-toolkit",
        "nvidia-kernel",
        "ollama",
        "runc",
        "wsl",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_the_same_to_yaml_as_to_the_reader(path: pathlib.Path) -> None:
    text = path.read_text(encoding="utf-8")
    rows = yaml.load(text, Loader=FASTEST)
    read = of_project(text, path.stem)
    assert len(rows) == len(read) > 0
    for row, one in zip(rows, read, strict=True):
        assert one == Message.model_validate({**row, "project": path.stem})


def test_every_fact_of_a_message_speaks_for_a_mechanism_or_has_a_reason_why_not() -> None:
    entries = knowledge().mechanisms.values()
    conditions = [
        one
        for entry in entries
        for part in (entry.needs, entry.proves, entry.supports, entry.against, entry.excludes)
        for one in part
    ]
    used = {atom.name for condition in conditions for side in parse_condition(condition) for atom in side}
    speaking = {fact for fact in facts() if seen_fact_name(fact) in used}
    assert speaking | set(context()) == set(facts())
    assert not speaking & set(context())


PROVING = {one.means: one for one in reversed(MESSAGES) if one.means in knowledge().mechanisms}
PLATFORMS = {
    "gpu_not_visible_to_container": "docker-linux",
    "docker_desktop_state": "docker-windows",
    "vc-runtime-outdated": "windows",
    "backend-libraries-not-on-path": "windows",
}


@pytest.mark.parametrize("mechanism", [one for one, entry in knowledge().mechanisms.items() if one in PROVING and not entry.hint])
def test_a_message_that_means_a_mechanism_leads_to_its_cause(mechanism: str) -> None:
    cause, text = knowledge().mechanisms[mechanism].cause, PROVING[mechanism].text.replace("{}", "7")
    of_amd = {"amd", "kfd"} & set(mechanism.split("-")) or re.search(r"/dev/dri|/dev/kfd|rocm|amdgpu", text, re.IGNORECASE)
    gpu = "AMD Radeon RX 6600" if of_amd else "NVIDIA RTX 3060"
    evidence = Evidence(
        platform=PLATFORMS.get(mechanism, PLATFORMS.get(cause, "linux")), gpu=gpu, pieces=(Piece("other", f"{text}\n"),)
    )
    assert diagnose(evidence).findings[0].cause is cause


def test_no_two_messages_are_the_same() -> None:
    texts = [one.text for one in MESSAGES]
    assert sorted(texts) == sorted(set(texts))


def test_a_range_of_releases_does_not_end_before_it_begins() -> None:
    def number(release: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", release)]

    assert [one.text for one in MESSAGES if one.first and one.last and number(one.first) > number(one.last)] == []


def test_each_meaning_is_a_fact_that_is_explained_or_has_the_form_of_a_mechanism() -> None:
    named = {one.means for one in MESSAGES if one.is_fact}
    assert named == set(facts())
    mechanisms = {one.means for one in MESSAGES if one.means and not one.is_fact}
    assert mechanisms
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", str(name)) for name in mechanisms)


def test_each_mechanism_is_one_that_the_knowledge_has() -> None:
    try:
        known = set(importlib.import_module("remediation.diagnosis.knowledge").knowledge().mechanisms)
    except ImportError:
        pytest.skip("the knowledge is not in this tree")
    assert {str(one.means) for one in MESSAGES if one.means and not one.is_fact} - known == set()


def test_the_sources_are_files_or_functions_of_a_project_and_not_of_a_machine() -> None:
    assert [one.source for one in MESSAGES if one.source.startswith(("/", "~")) or "\\" in one.source] == []


def test_the_data_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 400_000


@pytest.mark.parametrize(
    "row",
    [
        {"text": "no device was found", "source": "a.c"},
        {"text": "no device was found", "source": "a.c", "means": "gpu.backend_absent", "benign": "it is not so"},
        {"text": "no device was found", "source": "a.c", "means": "No GPU"},
        {"text": "no device was found", "source": "a.c", "means": "gpu.backend_absent", "level": "WARN"},
        {"text": "no device was found", "source": "a.c", "means": "gpu.backend_absent", "from": "v0.1"},
    ],
)
def test_a_row_that_is_wrong_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Message.model_validate(row)
    with pytest.raises(ValueError, match="the catalogue of x cannot be read"):
        of_project(f"# x\n- {json.dumps(row)}\n", "x")


@pytest.mark.parametrize("text", ["no GPU", "failed {}", "{}: error {}", "x86{}", "ab cd ef gh ij"])
def test_words_that_any_program_may_print_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"too short|at least 8 characters"):
        Catalogue([message(text)])


def test_every_message_has_letters_enough_and_its_fragments_stand_in_it() -> None:
    for one in MESSAGES:
        assert letters(one.text) >= LEAST_LETTERS
        at = 0
        for fragment in fragments(one.text):
            at = one.text.index(fragment, at) + len(fragment)


# the matcher

FILLED = st.one_of(
    st.integers(0, 10**6).map(str),
    st.sampled_from(
        ["CUDA0", "/usr/lib/ollama/cuda_v12", "GPU-0b1c", "0x1f", "exit status 2", "5.4 GiB", "nvidia", "C:\\Users\\x"]
    ),
    st.text(string.ascii_letters + string.digits + " ./-_:", min_size=1, max_size=20),
)
FRAMES = (
    "{}",
    'time=2025-01-02T10:00:00.000Z level=WARN source=gpu.go:12 msg2="{}" error="x"',
    "Jan  2 10:00:00 host ollama[12]: {}",
    "ollama  | {}",
    "[  41.1] {}",
    "docker: Error response from daemon: {}: unknown.",
    "ggml_cuda_init: {}\r",
)


def rendered(text: str, values: list[str]) -> str:
    pieces = text.split("{}")
    return "".join(
        piece + (values[number % len(values)] if number + 1 < len(pieces) else "") for number, piece in enumerate(pieces)
    )


@pytest.mark.parametrize("frame", FRAMES)
def test_every_message_is_found_in_its_own_line(frame: str) -> None:
    lost = [one.text for one in MESSAGES if one not in catalogue().find(frame.replace("{}", rendered(one.text, ["x7"])))]
    assert lost == []


def test_every_message_is_found_where_a_logger_quoted_it() -> None:
    """What stands inside a quoted value has its own quotes behind backslashes, once for each program that passed it on."""
    lost = []
    for one in MESSAGES:
        line = rendered(one.text, ["x7"])
        for _ in range(2):
            line = json.dumps(f"cause = {line}\n, stderr", ensure_ascii=False)
            if one not in catalogue().find(line):
                lost.append(one.text)
    assert lost == []


@BOUNDED
@given(st.sampled_from(MESSAGES), st.lists(FILLED, min_size=1, max_size=4), st.sampled_from(FRAMES))
def test_a_message_is_found_whatever_it_is_filled_with(one: Message, values: list[str], frame: str) -> None:
    line = frame.replace("{}", rendered(one.text, values))
    alone = Catalogue([one])
    assert alone.find(line) == [one]
    assert one in catalogue().possible(line)


@BOUNDED
@given(st.text(max_size=300))
def test_no_line_makes_the_matcher_fail(line: str) -> None:
    for one in catalogue().find(line):
        at = 0
        plain = re.sub(r"\s{2,}", " ", re.sub(r"\\[nrt]", " ", line).replace("\\", ""))
        for fragment in fragments(one.text):
            at = plain.index(fragment, at) + len(fragment)


@pytest.mark.parametrize(
    ("line", "means"),
    [
        (
            'time=2025-02-17T19:48:25.000Z level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu compute=""',
            ["gpu.backend_absent", "gpu.backend_absent"],
        ),
        (
            'time=2024-06-13T10:00:28.9-07:00 level=INFO source=gpu.go:1 msg="inference compute" id=GPU-1 library=cuda',
            ["gpu.device_found"],
        ),
        (
            "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
            ["gpu.backend_broken", "gpu.backend_absent"],
        ),
        ("ggml_cuda_init: failed to initialize CUDA: unknown error", ["gpu.backend_broken", "uvm-lost-after-suspend"]),
        ("cuda driver library init failure: 999", ["uvm-lost-after-suspend"]),
        ("cuda driver library init failure: 3", ["uvm-hmm-driver-bug"]),
        ("cuda driver library init failure: 35", ["gpu.backend_broken"]),
        ("cuda driver library failed to get device context 800time=2025-02-11T10:00:19", ["cgroup-device-access-lost"]),
        (
            'level=DEBUG source=runner.go:98 msg="skipping available library at user\'s request" requested=cuda',
            ["llm-library-filter"],
        ),
        ("load_tensors: offloaded 0/33 layers to GPU", ["load.no_layer_on_gpu"]),
        ("load_tensors: offloaded 29/33 layers to GPU", ["load.layers_placed"]),
        (
            "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch: unknown",
            ["driver-library-version-mismatch"],
        ),
        ("nvidia-container-cli: initialization error: something new", ["driver.init_failed"]),
        ("NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=x, GPU has fallen off the bus.", ["card-fell-off", "card-fell-off"]),
        ("NVRM: Xid (PCI:0000:01:00): 45, pid=1", ["benign"]),
        ("NVRM: Xid (PCI:0000:01:00): 145, pid=1", ["driver.gpu_fault"]),
        (
            'Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]',
            ["container-toolkit-missing"],
        ),
        ("ggml_backend_sched: failed to allocate graph, reserving (backend_ids_changed = 1)", ["benign", "benign"]),
        ("levels=3 preloading models", []),
        ("a clean line about nothing", []),
        ("", []),
    ],
)
def test_a_line_says_what_its_messages_mean(line: str, means: list[str]) -> None:
    assert meanings(line) == means


def test_a_message_needs_whole_words_at_both_ends() -> None:
    small = Catalogue([message("no device was found")])
    assert small.find("there is no device was found here")
    assert not small.find("piano device was found")
    assert not small.find("no device was foundered")
    assert not small.find("was found no device")


def test_of_two_messages_in_the_same_words_the_longer_is_told_and_of_two_beside_each_other_both() -> None:
    long, short, other = (
        message("failed to allocate graph, reserving"),
        message("failed to allocate graph"),
        message("the runner has ended"),
    )
    small = Catalogue([short, long, other])
    assert small.find("x: failed to allocate graph, reserving") == [long]
    assert small.find("x: failed to allocate graph") == [short]
    assert small.find("the runner has ended: failed to allocate graph") == [other, short]


def test_a_message_between_the_words_of_another_is_told() -> None:
    around, between = message("the load of {} was given up"), message("no device was found")
    assert Catalogue([between, around]).find("the load of x (no device was found) was given up") == [around, between]


def test_the_work_grows_with_the_line_and_not_faster() -> None:
    """A line a thousand times as long has no more messages to look for, and each is looked for once."""
    line = " ".join(rendered(one.text, ["x7"]) for one in MESSAGES[::97])
    once = catalogue().possible(line)
    assert len(once) == len(set(once))
    assert {one.text for one in catalogue().possible(f"{line} " * 1000)} == {one.text for one in once}
    assert len(catalogue().possible(f"{line} " * 1000)) == len(once)


def test_an_ordinary_line_has_hardly_anything_to_look_for() -> None:
    lines = [
        '[GIN] 2025/01/02 - 10:00:00 | 200 |  1.234567s |       127.0.0.1 | POST     "/api/generate"',
        "llama_model_loader: - kv   2:                               general.name str              = Mistral 7B",
        "print_info: n_embd_head_k    = 128",
        "load_tensors: layer   3 assigned to device CUDA0, is_swa = 0",
        "llama_model_loader: - tensor    3:                blk.0.attn_k.weight q4_K     [  4096,  1024,     1,     1 ]",
    ]
    assert [len(catalogue().possible(line)) for line in lines] == [0] * len(lines)


def test_it_is_read_only_when_it_is_asked_for_and_then_once() -> None:
    program = (
        "import remediation.diagnosis.catalogue as c; print(c.catalogue.cache_info().currsize, c.catalogue() is c.catalogue())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]


def test_the_command_prints_the_counts() -> None:
    done = subprocess.run([sys.executable, "-m", "remediation.diagnosis.catalogue"], capture_output=True, text=True, check=True)
    assert done.stdout == counts(MESSAGES)
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()[1:]}
    assert set(rows) == {path.stem for path in FILES} | {"all"}
    for name, row in rows.items():
        own = [one for one in MESSAGES if name in {one.project, "all"}]
        assert [int(count) for count in row[1:6]] == [
            len(own),
            sum(bool(one.means) for one in own),
            sum(bool(one.means) and not one.is_fact for one in own),
            sum(one.is_fact for one in own),
            sum(bool(one.benign) for one in own),
        ]
    assert rows["ollama"][6:] == ["0.1.20", "..", "today"]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS, reason="REMEDIATION_CORPUS is not set")
def test_recorded_servers_whose_gpu_works_print_nothing_that_speaks_for_a_broken_one() -> None:
    """Servers that kept a GPU and placed every layer on it."""
    meanings: set[tuple[str, str]] = set()
    seen = 0
    for path in pathlib.Path(CORPUS, "recordings").rglob("*.log"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if "offloaded 33/33" not in text or re.search(r"offloaded (?!33/33)\d+/\d+", text) or "id=cpu" in text:
            continue
        seen += 1
        meanings |= {(one.means, one.text) for line in text.splitlines() for one in catalogue().find(line) if one.means}
    assert seen > 3
    wrong = (
        "gpu.backend_absent",
        "gpu.backend_broken",
        "gpu.lost",
        "driver.",
        "container.",
        "wsl.",
        "load.no_layer",
    )
    assert sorted(one for one in meanings if one[0].startswith(wrong)) == []
