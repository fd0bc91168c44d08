"""What carries a text to us changes nothing: editors, mail, chats, shippers, exports, terminals, and systems in other languages."""

from __future__ import annotations

import csv
import html
import io
import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.load import load_evidence
from remediation.diagnosis.readers.texts.carriers import plain_text, system_messages
from remediation.diagnosis.readers.texts.gpus import read_gpu
from remediation.model.finding import Cause, Diagnosis

TEXT = """\
time=2026-01-02T10:00:00.100Z level=INFO source=routes.go:1205 msg="Listening on [::]:11434 (version 0.9.6)"
time=2026-01-02T10:00:01.100Z level=INFO source=types.go:130 msg="inference compute" id=GPU-1 library=cuda variant=v12 compute=8.6 driver=12.4 name="NVIDIA GeForce RTX 3060" total="12.0 GiB" available="3.1 GiB"
time=2026-01-02T10:00:02.100Z level=INFO source=server.go:175 msg=offload library=cuda layers.requested=-1 layers.model=33 layers.offload=9 layers.split="" memory.available="[3.1 GiB]" memory.gpu_overhead="0 B" memory.required.full="6.3 GiB" memory.required.partial="3.0 GiB" memory.required.kv="512.0 MiB" memory.required.allocations="[3.0 GiB]" memory.weights.total="4.3 GiB" memory.graph.full="560.0 MiB"
load_tensors: offloaded 9/33 layers to GPU
time=2026-01-02T10:00:05.100Z level=INFO source=server.go:637 msg="llama runner started in 3.25 seconds"
|    0   N/A  N/A      4711      C   /usr/bin/python3                             8700MiB |
"""


def each(form: Callable[[int, str], str]) -> Callable[[str], str]:
    return lambda text: "\n".join(form(number, line) for number, line in enumerate(text.splitlines(), 1)) + "\n"


def as_csv(text: str) -> str:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(["2026-01-02", "box", line] for line in text.splitlines())
    return file.getvalue()


CARRIERS: dict[str, Callable[[str], str]] = {
    "old Mac line ends": lambda text: text.replace("\n", "\r"),
    "empty lines between": lambda text: text.replace("\n", "\n\n"),
    "a quotation": each(lambda _, line: f"> {line}"),
    "a quotation of a quotation": each(lambda _, line: f"> > {line}"),
    "a quoted collector's log": each(lambda number, line: f"> 2026-01-02T10:00:00.{number:06d}Z {line}"),
    "a margin": each(lambda _, line: f"\t{line}"),
    "cat -n": each(lambda number, line: f"{number:6d}\t{line}"),
    "grep -n": each(lambda number, line: f"{number}:{line}"),
    "grep with names": each(lambda number, line: f"server.log:{number}:{line}"),
    "a list": each(lambda _, line: f"- {line}"),
    "code on each line": each(lambda _, line: f"`{line}`"),
    "Compose with colours": each(lambda _, line: f"\x1b[36mollama-1  | \x1b[0m{line}"),
    "Compose with times": each(lambda number, line: f"ollama-1  | 2026-01-02T10:00:00.{number:09d}Z {line}"),
    "kubectl --timestamps": each(lambda number, line: f"2026-01-02T10:00:00.{number:09d}+01:00 {line}"),
    "kubectl --prefix": each(lambda _, line: f"[pod/ollama-7c9/ollama] {line}"),
    "the journal in German": each(lambda _, line: f"Mär 02 10:00:00 box ollama[1234]: {line}"),
    "the journal in Japanese": each(lambda _, line: f" 1月 02 10:00:00 box ollama[1234]: {line}"),
    "syslog of RFC 5424": each(lambda _, line: f"<30>1 2026-01-02T10:00:00.123Z box ollama 1234 - - {line}"),
    "a German clock": each(lambda _, line: f"[02.01.2026 10:00:00] {line}"),
    "an American clock": each(lambda _, line: f"1/2/2026, 10:00:00 AM {line}"),
    "journalctl -o json": each(lambda _, line: json.dumps({"_PID": "7", "MESSAGE": line})),
    "journalctl -o json with control characters": each(lambda _, line: json.dumps({"_PID": "7", "MESSAGE": list(line.encode())})),
    "journalctl -o json-pretty": each(lambda _, line: json.dumps({"_PID": "7", "MESSAGE": line}, indent="\t")),
    "Docker's file": each(lambda _, line: json.dumps({"log": f"{line}\n", "stream": "stderr"})),
    "GELF": each(lambda _, line: json.dumps({"version": "1.1", "host": "box", "short_message": line})),
    "Graylog": lambda text: json.dumps({"messages": [{"message": {"source": "box", "message": line}} for line in text.splitlines()]}),
    "Loki": lambda text: json.dumps({"data": {"result": [{"values": [["1", line] for line in text.splitlines()]}]}}),
    "Elasticsearch": each(lambda _, line: json.dumps({"_index": "x", "_source": {"@timestamp": "x", "message": line}})),
    "an array of records": lambda text: json.dumps([{"message": line} for line in text.splitlines()], indent=1),
    "a spreadsheet": as_csv,
    "a web page": html.escape,
    "a Markdown field": lambda text: text.replace("_", r"\_").replace("[", r"\[").replace("|", r"\|"),
    "a word processor": lambda text: text.replace('="', "=\u201c").replace('"', "\u201d").replace(" GiB", "\u202fGiB"),
    "spaces that do not break": lambda text: text.replace(" ", "\u00a0"),
    "marks of no width": lambda text: text.replace(" ", "\u200b "),
    "line ends in words": lambda text: text.replace('"', '\\"').replace("\n", "\\n"),
    "colours without their escape": each(lambda _, line: f"[32m{line}[0m"),
    "colours in caret notation": each(lambda _, line: f"^[[32m{line}^[[0m"),
    "a terminal of 160 columns": lambda text: "\n".join(
        line[at : at + 160] for line in text.splitlines() for at in range(0, max(1, len(line)), 160)
    ),
}  # fmt: skip
"""One way each in which a text reaches us."""


def read(tmp_path: Path, text: str | bytes) -> Diagnosis:
    file = tmp_path / "pasted.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return diagnose(load_evidence(str(file)))


@pytest.mark.parametrize("carry", CARRIERS.values(), ids=CARRIERS)
def test_a_carrier_changes_neither_layers_nor_cause(carry: Callable[[str], str], tmp_path: Path) -> None:
    found = read(tmp_path, carry(TEXT))
    assert found.offloaded == (9, 33)
    assert found.findings[0].cause is Cause.VRAM_OCCUPIED
    assert found.findings[0].confidence >= 0.9


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1252", "cp850", "gb18030", "cp932"])
def test_an_encoding_changes_nothing(encoding: str, tmp_path: Path) -> None:
    assert read(tmp_path, TEXT.replace("\n", "\r\n").encode(encoding)).offloaded == (9, 33)


def test_a_text_without_a_carrier_is_returned_as_it_is() -> None:
    texts = (
        TEXT,
        "services:\n  ollama:\n    image: ollama/ollama\n    environment:\n      - OLLAMA_DEBUG=1\n",
        json.dumps([{"Name": "/ollama", "HostConfig": {"DeviceRequests": None}, "State": {"log": "x"}}], indent=2),
        json.dumps({"items": [{"status": {"containerStatuses": [{"message": name} for name in "abcd"]}}]}),
        json.dumps({"model": "a", "messages": [{"role": "user", "content": "message"}] * 4}),
        "C:\\Users\\me\\AppData\\Local\\Programs\\Ollama\\new_folder\\notes",
        "I updated it.\n- first I looked at the card\n- then at the log\nNothing helped.",
    )
    assert [plain_text(text) for text in texts] == list(texts)


def test_lines_keep_their_numbers() -> None:
    quoted = CARRIERS["a quotation"](TEXT)
    assert plain_text(quoted) == TEXT
    wrapped = plain_text(CARRIERS["a terminal of 160 columns"](TEXT))
    assert [line for line in wrapped.splitlines() if line] == TEXT.splitlines()


def test_lines_that_were_cut_between_words_or_behind_a_journals_prefix_are_whole_again() -> None:
    journal = "".join(f"Jan  2 10:00:00 box ollama[1995]: {line}\n" for line in TEXT.splitlines()[:5])
    for text in (TEXT, journal):
        cut = "\n".join(line[at : at + 100] for line in text.splitlines() for at in range(0, len(line), 100)) + "\n"
        broken = "\n".join(part for line in text.splitlines() for part in textwrap.wrap(line, 100, break_on_hyphens=False)) + "\n"
        for carried in (cut, broken):
            whole = [" ".join(line.split()) for line in plain_text(carried).splitlines() if line]
            assert whole == [" ".join(line.split()) for line in plain_text(text).splitlines()]


SYSTEM = {
    "no space left on device": ("Error: write /m/blobs/sha256-1-partial: {}", "disk-full"),
    "There is not enough space on the disk.": ("Error: write C:\\m\\blobs\\sha256-1-partial: {}", "disk-full"),
    "permission denied": ("Error: open /usr/share/ollama/.ollama/models/blobs/sha256-1: {}", "store-not-readable-by-server"),
    "Access is denied.": ("Error: open C:\\m\\blobs\\sha256-1: {}", "store-not-readable-by-server"),
    "command not found": ("bash: nvidia-smi: {}", "driver-not-installed"),
    "is not recognized": ("'nvidia-smi' {}", "driver-not-installed"),
}
"""Messages of systems with a line of each and the mechanism that it speaks for."""


@pytest.mark.parametrize("message", SYSTEM)
def test_a_system_in_another_language_is_understood_like_an_english_one(message: str, tmp_path: Path) -> None:
    line, mechanism = SYSTEM[message]
    english = read(tmp_path, line.format(message))
    assert mechanism in {one.mechanism for one in english.findings}
    for wording in system_messages()[message]:
        found = read(tmp_path, line.format(wording))
        assert [(one.mechanism, one.confidence) for one in found.findings] == [
            (one.mechanism, one.confidence) for one in english.findings
        ]


def test_each_message_has_eight_languages_and_each_wording_one_message() -> None:
    wordings = [wording for each_one in system_messages().values() for wording in each_one]
    assert len(wordings) == len(set(wordings))
    assert all(len(each_one) >= 7 for each_one in system_messages().values())


@pytest.mark.parametrize(
    "size",
    ["12 GB", "12 Go", "12 Гб", "12 ГБ видеопамяти", "12GB显存", "12.288 MB", "12,288 MB", "12 288 Mo", "12288 МБ", "12,0 GB", "12 Gio"],
)  # fmt: skip
def test_a_cards_size_is_read_as_other_languages_write_it(size: str) -> None:
    assert read_gpu(f"NVIDIA GeForce RTX 3060 {size}").memory == 12 * 1024**3
