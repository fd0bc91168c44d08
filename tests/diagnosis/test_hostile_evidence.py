"""``diagnose --evidence`` of any content ends in a diagnosis or in one sentence: no traceback, no hang, no memory without end."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from remediation.diagnosis.diagnose import diagnose, to_json
from remediation.diagnosis.load import as_input_errors, load_evidence
from remediation.model.errors import UsageError
from remediation.model.finding import Diagnosis
from remediation.model.text.visible import visible_json as as_json
from tests.cli.processes import ROOT

LOG = "load_tensors: offloaded 1/33 layers to GPU\n"
INCIDENT = "platform: linux\n{more}evidence:\n- kind: server_log\n  text: |\n    " + LOG

BOMB = "\n".join([
    "a0: &a0 [x, x, x, x, x, x, x, x, x, x]",
    *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)),
    "evidence:\n- kind: server_log\n  text: *a9",
])  # fmt: skip
MERGE_BOMB = "\n".join([
    "a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)), "evidence: [{text: x, <<: *a8}]",
])  # fmt: skip

RECORD: dict[str, Any] = {
    "format": "remediation-evidence", "version": 1, "platform": "linux", "pieces": [{"kind": "server_log", "text": LOG, "name": "server.log"}],
    "runners": [{"model": "mistral", "size": 5_000_000_000, "size_vram": 100_000_000, "context_length": 4096}],
    "container": {"State": {"OOMKilled": False}, "Config": {"Env": ["OLLAMA_DEBUG=1"]}, "HostConfig": {"DeviceRequests": None}},
    "use": {"gpus": [{"index": 0, "uuid": "GPU-1", "name": "RTX", "total": 6_000_000_000, "used": 1, "free": 2, "driver_version": "551.61"}]},
    "environment": {"OLLAMA_NUM_PARALLEL": "4"}, "compose_files": {"compose.yml": "services:\n"}, "models": [], "shows": [],
}  # fmt: skip
SCREEN = 'NVIDIA-SMI 551.61  Driver Version: 551.61\n{"models": [{"name": "m", "size": 10, "size_vram": 5}]}\nNAME PROCESSOR\nm:7b 23%/77% CPU/GPU\n'

TEXTS = {
    "a date that is none": INCIDENT.format(more="date: 2024-02-30\n"),
    "models that are a number": '{"models": 5, "size_vram": 1}',
    "half a character": json.dumps(
        {"pieces": [{"kind": "server_log", "text": f"\ud800{LOG}", "name": "\udfff"}], "symptom": "\ud800"}
    ),
    "half a character in an incident": INCIDENT.format(more='symptom: "\\uD800"\n'),
    "5,000 digits": f"offloaded {'9' * 5000}/33 layers\nDriver Version: {'1' * 5000}.{'2' * 5000}\nnum_ctx: {'3' * 5000}",
    "5,000 digits in YAML": INCIDENT.format(more=f"n: {'9' * 5000}\n"),
    "5,000 digits in JSON": f'{{"pieces": [], "x": {"9" * 5000}}}',
    "nested YAML": f"evidence: {'[' * 5000}",
    "closed nested YAML": f"evidence: {'[' * 400}{']' * 400}",
    "nested JSON": f'{{"pieces": {"[" * 100_000}',
    "closed nested JSON": f'{{"pieces": {"[" * 50_000}{"]" * 50_000}}}',
    "nested in a log": f'{{"log":{"[" * 100_000}\n{LOG}',
    "nested in a screen": f'NVIDIA-SMI\n{{"models": {"[" * 100_000}',
    "alias bomb": BOMB,
    "merge bomb": MERGE_BOMB,
    "a mapping as text": "evidence:\n- kind: server_log\n  text: {a: 1}\n- kind: [x]\n  text: hello\n- 5\n- text: 7\n",
    "an alias to itself": "evidence: &e\n- text: *e\n",
    "python tags": "evidence: !!python/object/apply:os.system [id]\n",
    "NUL": f"\0\0{LOG}\0",
    "windows lines": LOG.replace("\n", "\r\n"),
    "infinity": '{"pieces": [], "collected_at": Infinity, "runners": [{"model": "m", "size": NaN, "size_vram": 1e400}]}',
    "sexagesimal": INCIDENT.format(more="n: " + ":".join(["59"] * 2000) + "\n"),
    "binary": INCIDENT.format(
        more="b: !!binary aGVsbG8\ns: !!set {a, b}\no: !!omap [a: 1]\nbad: !!int x\nf: !!float y\nt: !!timestamp z\n"
    ),
    "empty": "",
    "evidence that is a number": "evidence: 5\n",
}


def judged(argument: str, **given: Any) -> Diagnosis | None:
    """Return the diagnosis, None where it was refused in one sentence."""
    try:
        evidence = load_evidence(argument, **given)
        with as_input_errors(argument):
            found = diagnose(evidence)
            assert as_json(to_json(found)).encode()
    except UsageError as error:
        refused = error
    else:
        return found
    assert refused.next_step
    assert "\n" not in refused.message.strip()
    return None


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_diagnosed_or_refused(name: str, tmp_path: Path) -> None:
    for suffix in (".yml", ".json", ".log"):
        path = tmp_path / f"evidence{suffix}"
        path.write_bytes(TEXTS[name].encode("utf-8", "surrogatepass"))
        judged(str(path))
        judged("-", stdin=lambda: TEXTS[name])


def test_what_is_only_a_slip_is_diagnosed_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    for name in ("a date that is none", "5,000 digits in YAML", "binary", "windows lines"):
        path.write_text(TEXTS[name], "utf-8")
        found = judged(str(path))
        assert found is not None, name
        assert found.offloaded == (1, 33), name


@pytest.mark.parametrize("name", ["alias bomb", "merge bomb", "closed nested YAML"])
def test_a_bomb_is_named_and_costs_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yml"
    path.write_text(TEXTS[name], "utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"bomb\.yml: .*: at most 200,000 values and 100 levels are read"):
            load_evidence(str(path))
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_powershell_redirection_and_packed_files_simply_work(tmp_path: Path) -> None:
    for number, content in enumerate(
        (LOG.encode("utf-16"), LOG.encode("utf-8-sig"), gzip.compress(LOG.encode()), gzip.compress(LOG.encode("utf-16")))
    ):
        path = tmp_path / f"{number}.log"
        path.write_bytes(content)
        found = judged(str(path))
        assert found is not None
        assert found.offloaded == (1, 33)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices are POSIX's")
def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "empty").mkdir()
    for argument in (
        str(tmp_path / "pipe.log"),
        "/dev/zero",
        str(tmp_path / "empty"),
        "no\0name",
        "x" * 5000,
        ",",
        "",
        f"{tmp_path}/a.log,{tmp_path}/b",
    ):
        assert judged(argument) is None, argument


def test_a_line_of_100_megabytes_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "line.log"
    with path.open("wb") as file:
        file.write(LOG.encode())
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + LOG.encode())
    code = "import sys; from remediation.cli.main import main; sys.exit(main())"
    limit = 700_000_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", code, "diagnose", "--json", "--evidence", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        preexec_fn=limited,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert json.loads(done.stdout)[0]["offloaded"] == [1, 33]


def test_more_than_can_be_read_is_said(tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / f"{number}.log").touch()
    with pytest.raises(UsageError, match=r"at most 1,000 files are read as one incident, and these are 1,001"):
        load_evidence(str(tmp_path))


ODD: tuple[Any, ...] = (None, True, -1, 0, 10**20, 1e308, "", "x" * 100, "\ud800", [], {}, [[]], {"a": {"b": []}}, ["x", 5, None])


def mutated(value: Any, dice: random.Random) -> Any:
    """Return a JSON value with one part of it replaced, doubled or gone."""
    if dice.random() < 0.25 or not isinstance(value, (dict, list)) or not value:
        return dice.choice(ODD)
    if isinstance(value, dict):
        key = dice.choice(list(value))
        rest = {name: item for name, item in value.items() if name != key}
        return rest if dice.random() < 0.1 else {**rest, key: mutated(value[key], dice)}
    at = dice.randrange(len(value))
    return [*value[:at], mutated(value[at], dice), *value[at + 1 :]]


def mangled(text: str, dice: random.Random) -> str:
    at = dice.randrange(len(text))
    size = dice.randrange(1, 20)
    new = dice.choice(
        ["", "\0", "9" * 40, "{", "[" * 200, '"', "\n", "\ud800", ": ", "- ", "&a", "*a", "%", text[at : at + size] * 20]
    )
    return text[:at] + new + text[at + size :]


def attempt(seed: int, folder: Path) -> None:
    dice = random.Random(seed)
    if seed % 2:
        value = RECORD
        for _ in range(dice.randrange(1, 4)):
            value = mutated(value, dice)
            if not isinstance(value, dict):
                value = {"pieces": value}
        text = json.dumps(value)
    else:
        text = dice.choice([INCIDENT.format(more="symptom: slow\nollama_version: 0.9.6\n"), SCREEN, LOG * 3, json.dumps(RECORD)])
        for _ in range(dice.randrange(1, 6)):
            text = mangled(text, dice)
    path = folder / f"{seed}{dice.choice(['.yml', '.json', '.log'])}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    judged(str(path))
    path.unlink()


def test_mutated_evidence(tmp_path: Path) -> None:
    for seed in range(300):
        attempt(seed, tmp_path)


@pytest.mark.every
@pytest.mark.timeout(3600)
def test_mutated_evidence_at_length(tmp_path: Path) -> None:
    for seed in range(10_000):
        attempt(seed, tmp_path)


TEXT = 'time=2026-03-01T10:00:00.000Z level=INFO source=server.go:1 msg="load"\nload_tensors: offloaded 1/33 layers to GPU\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (random.Random(1).randbytes(300_000), "these are bytes, not a text"),
        (random.Random(2).randbytes(1_000), "these are bytes, not a text"),
        (b"", "the file is empty"),
        (b" \r\n\x00\x00\n", "the file is empty"),
        (b"\x7fELF\x02\x01\x01\x00" + bytes(4_000), "this is a program, not a text"),
        (b"\x28\xb5\x2f\xfd\x04\x58" + TEXT.encode(), "this is a zstd archive, not a text"),
        (b"\x1f\x8b\x08\x00 no gzip at all", "the compressed file is damaged"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "evidence.log"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        load_evidence(str(path))
    (tmp_path / "server.log").write_text(TEXT, encoding="utf-8")
    whole = load_evidence(str(tmp_path))
    assert diagnose(whole).offloaded == (1, 33)
    assert any(said in one for one in whole.skipped)
    assert not any("next:" in one for one in whole.skipped)  # what to do if the file were the only one


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT.encode() + random.Random(3).randbytes(9000).hex().encode())[:-2000],
        bz2.compress(TEXT.encode()),
        lzma.compress(TEXT.encode()),
        gzip.compress(TEXT.encode("utf-16")),
        b"\x00" * 200 + TEXT.encode(),
        "".join(f"\x01\x00\x00\x00\x00\x00\x00P{line}\n" for line in TEXT.splitlines()).encode(),
        TEXT.encode() + "Größe, 显卡\n".encode() + "Größe\n".encode("cp1252"),
    ],
)
def test_a_log_is_read_as_it_was_written_or_packed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(content)
    assert diagnose(load_evidence(str(path))).offloaded == (1, 33)
