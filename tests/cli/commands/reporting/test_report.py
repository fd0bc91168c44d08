"""``report``: pages from files of samples and of runs, and from the journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.processes import Remediate
from tests.report import stream
from tests.report.samples.test_samples import taken


def write(path: Path, *values: object) -> None:
    path.write_text("".join(f"{value if isinstance(value, str) else json.dumps(value)}\n" for value in values), encoding="utf-8")


def test_monitor_records_samples_that_become_a_page(remediate: Remediate, tmp_path: Path) -> None:
    done = remediate("monitor", "--for", "0s", "--record", "samples.jsonl")
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["host"] == "localhost"
    done = remediate("report", "samples.jsonl")
    assert (done.returncode, done.stdout) == (0, "wrote samples.html\n")
    assert "1 sample of 1 host" in (tmp_path / "samples.html").read_text(encoding="utf-8")


def test_lines_that_cannot_be_read_are_counted(remediate: Remediate, tmp_path: Path) -> None:
    write(tmp_path / "s.jsonl", taken(1.0).to_json(), "{broken", [1], {"event": "sample"}, taken(2.0).to_json())
    done = remediate("report", "s.jsonl", "--out", "page.html")
    assert (done.returncode, done.stderr) == (0, "3 lines of s.jsonl could not be read and were skipped\n")
    assert "2 samples of 1 host" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_file_of_a_run_becomes_a_page_or_junit(remediate: Remediate, tmp_path: Path) -> None:
    write(tmp_path / "run.json", *(event.to_json() for event in stream.whole()))
    assert remediate("report", "run.json").returncode == 0
    assert "vram_occupied" in (tmp_path / "run.html").read_text(encoding="utf-8")
    assert remediate("report", "run.json", "--out", "run.xml").returncode == 0
    assert "<testsuite " in (tmp_path / "run.xml").read_text(encoding="utf-8")


def test_a_run_of_the_journal_becomes_a_page(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: hi}\n", encoding="utf-8"
    )
    remediate("play", "play.yml")
    run = json.loads(remediate("history", "--json").stdout)[0]["run"]
    done = remediate("report", run, "--out", "page.html")
    assert (done.returncode, done.stdout) == (0, "wrote page.html\n")
    assert f"run {run}" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("lines", "words", "sentence"),
    [
        (["text"], (), "in.jsonl has neither samples nor events of a run"),
        ([taken(1.0).to_json(), stream.run_start().to_json()], (), "in.jsonl has samples and events of a run"),
        ([taken(1.0).to_json()], ("--out", "x.xml"), "samples are written as a page"),
        ([taken(1.0).to_json()], ("--out", "x.pdf"), "--out x.pdf: unknown suffix"),
        ([taken(1.0).to_json()], ("--out", "none/x.html"), "--out none/x.html: the folder"),
        ([{**stream.run_start().to_json(), "hosts": 5}], (), "in.jsonl is damaged"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(
    remediate: Remediate, tmp_path: Path, lines: list[object], words: tuple[str, ...], sentence: str
) -> None:
    write(tmp_path / "in.jsonl", *lines)
    done = remediate("report", "in.jsonl", *words)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("*.html")) == []


def test_a_file_that_is_not_there_is_named(remediate: Remediate, tmp_path: Path) -> None:
    done = remediate("report", str(tmp_path / "none.jsonl"))
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"{tmp_path / 'none.jsonl'} is not a file")


def test_a_folder_is_named_as_one(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    done = remediate("report", "records")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "records is a folder")


def test_a_line_without_end_is_refused(remediate: Remediate, tmp_path: Path) -> None:
    with (tmp_path / "long.jsonl").open("wb") as file:
        file.truncate(64_000_001)
    done = remediate("report", "long.jsonl")
    assert done.returncode == 1
    assert done.stderr.startswith("long.jsonl has a line of more than 64 MB")


def test_monitor_refuses_a_record_that_cannot_be_written(remediate: Remediate) -> None:
    done = remediate("monitor", "--for", "0s", "--record", "none/s.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("--record none/s.jsonl: the folder")
