"""A long log is condensed to its beginning and end; read from a file it gives the same without reading what lies between."""

from __future__ import annotations

import io
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediation.diagnosis.load import load_evidence
from remediation.diagnosis.readers.logs import condense, condense_file, condensing, read_log

LOG = (pathlib.Path(__file__).parent / "fixtures" / "logs" / "v0.1.33-vram.log").read_text(encoding="utf-8")
GIN = '[GIN] 2026/11/23 - 20:33:14 | 200 |  380.6ms |       127.0.0.1 | POST     "/api/generate"\n'
LINES = st.lists(
    st.tuples(
        st.sampled_from(
            [b"time=x msg=a", b"[GIN] 1", b"print_info:   x", b" more", b"", b"load_tensors: y", b"caf\xc3\xa9", b"\xff\xfe"]
        ),
        st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"]),
    ),
    max_size=60,
)


def test_condensing_keeps_line_numbers_and_the_result() -> None:
    short = condense((LOG * 50).splitlines(keepends=True), head=2000, tail=6000)
    assert len(short) < 12_000
    assert short.count("\n") == (LOG * 50).count("\n")
    assert read_log(short).loads[-1].result == (9, 33)


@settings(max_examples=300)
@given(LINES, st.integers(0, 80), st.integers(0, 80), st.integers(1, 40), st.booleans())
def test_a_file_gives_what_its_lines_give(
    parts: list[tuple[bytes, bytes]], head: int, tail: int, block: int, open_end: bool
) -> None:
    content = b"".join(line + end for line, end in parts) + (b"open end" if open_end else b"")
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="replace")
    assert condense_file(io.BytesIO(content), head=head, tail=tail, block=block) == condense(lines, head=head, tail=tail)


def test_what_lies_between_is_counted_and_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []
    telling = condensing.says_something
    monkeypatch.setattr(condensing, "says_something", lambda line: looked.append(line) is None and telling(line))
    content = (LOG * 400 + GIN * 400).encode()
    short = condense_file(io.BytesIO(content), head=2000, tail=6000, block=4096)
    assert short.count("\n") == content.count(b"\n")
    assert len(looked) < 1500 < content.count(b"\n") // 4


def test_a_log_of_one_endless_line_is_read_all_the_same() -> None:
    assert len(condense_file(io.BytesIO(b"x" * 100_000), head=10, tail=20, block=64)) == 100_000


def test_a_long_file_is_diagnosed_by_its_end(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "long.log"
    path.write_text(GIN * (33_000_000 // len(GIN)) + LOG, encoding="utf-8")
    (piece,) = load_evidence(str(path)).pieces
    (load,) = read_log(piece.text, name=piece.label).loads
    assert load.result == (9, 33)
    assert load.result_at is not None
    assert int(load.result_at.where.rpartition(":")[2]) > 33_000_000 // len(GIN)
