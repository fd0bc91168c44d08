"""Outputs of several programs in one text: each is read as what it is, and every line keeps its number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.load import load_evidence
from remediation.diagnosis.pasted import parts
from remediation.model.finding import Cause

LOG = """\
time=2026-03-02T10:01:02.900Z level=INFO source=types.go:112 msg="inference compute" id=cpu library=cpu compute="" name=cpu total="31.2 GiB"
time=2026-03-02T10:02:10.900Z level=INFO source=server.go:400 msg="starting runner" cmd="/usr/bin/ollama runner --port 41111"
load_tensors: offloaded 0/33 layers to GPU
"""
RECORD = {
    "Name": "/ollama",
    "HostConfig": {"DeviceRequests": None, "Runtime": "runc"},
    "Config": {"Image": "ollama/ollama:0.12.6"},
}
SMI = """\
Mon Mar  2 10:05:00 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.86.10              Driver Version: 570.86.10      CUDA Version: 12.8     |
|=========================================+========================+======================|
|   0  NVIDIA GeForce RTX 3060        Off |   00000000:01:00.0  On |                  N/A |
|  0%   41C    P8             12W /  170W |     312MiB /  12288MiB |      3%      Default |
+-----------------------------------------------------------------------------------------+
"""
COMPOSE = """\
services:
  ollama:
    image: ollama/ollama:0.12.6
    ports: ["11434:11434"]
"""


@pytest.mark.parametrize("record", [json.dumps([RECORD]), json.dumps([RECORD], indent=4)], ids=["one line", "many lines"])
def test_a_record_between_a_log_and_a_table_proves_the_cause(tmp_path: Path, record: str) -> None:
    path = tmp_path / "all.txt"
    path.write_text(f"It is slow since yesterday.\n{LOG}{record}\n{SMI}")
    evidence = load_evidence(str(path))
    assert {piece.kind for piece in evidence.pieces} == {"other", "server_log", "docker_inspect", "nvidia_smi"}
    found = diagnose(evidence)
    assert found.findings[0].cause is Cause.GPU_NOT_VISIBLE_TO_CONTAINER
    (where,) = {quote.where.rpartition(":")[2] for quote in found.findings[0].quotes if "offloaded" in quote.text}
    assert where == "4"


def test_a_file_that_was_printed_after_the_log_proves_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    path.write_text(f"$ docker logs ollama\n{LOG}\n$ cat docker-compose.yml\n{COMPOSE}\n$ nvidia-smi\n{SMI}")
    assert diagnose(load_evidence(str(path))).findings[0].cause is Cause.GPU_NOT_VISIBLE_TO_CONTAINER


@pytest.mark.parametrize(
    "text",
    [
        LOG,
        SMI,
        COMPOSE,
        json.dumps([RECORD], indent=4),
        "".join(json.dumps({"log": line, "stream": "stderr"}) + "\n" for line in LOG.splitlines()),
        "".join(f"ollama-1  | {line}\n" for line in LOG.splitlines()),
        f"{LOG}panic: runtime error\n\ngoroutine 1 [running]:\nmain.main()\n{LOG}",
        '[GIN] 2026/03/02 - 10:02:10 | 200 |  1.2ms | 127.0.0.1 | GET "/api/ps"\n',
        "",
        "[" * 5000,
        "{" + '"HostConfig": {' * 5000,
    ],
    ids=[
        "log",
        "table",
        "compose",
        "record",
        "json lines",
        "compose log",
        "stack trace",
        "requests",
        "nothing",
        "deep list",
        "deep record",
    ],
)
def test_the_output_of_one_program_stays_whole(text: str) -> None:
    assert parts(text) == [text]


def test_no_line_is_lost_or_moved() -> None:
    text = f"Hello.\n{LOG}{json.dumps(RECORD, indent=1)}\n{SMI}\n$ ollama ps\nNAME  PROCESSOR\n"
    found = parts(text)
    lines = text.split("\n")
    kept = {number: line for part in found for number, line in enumerate(part.split("\n")) if line}
    assert kept == {number: line for number, line in enumerate(lines) if line}
    assert len(found) == 5
