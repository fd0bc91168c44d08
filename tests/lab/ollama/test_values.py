"""Go's notations and the snapshot file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from remediation_lab.ollama import golang, snapshot
from tests.lab.ollama.play import DEVICE


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (300_000_000_000, "5m0s"),
        (3_600_000_000_000, "1h0m0s"),
        (480_777_087, "480.777087ms"),
        (24_356, "24.356µs"),
        (15_552_647_017, "15.552647017s"),
    ],
)
def test_durations_are_written_and_read_as_in_go(ns: int, text: str) -> None:
    assert golang.duration(ns) == text
    assert golang.parse_duration(text) == ns


def test_a_duration_without_a_unit_is_refused_with_gos_words() -> None:
    with pytest.raises(ValueError, match='time: invalid duration "10"'):
        golang.parse_duration("10")


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (480896, "469.6 KiB"), (606820992, "578.7 MiB"), (6442450944, "6.0 GiB")])
def test_sizes_are_written_as_ollama_does(size: int, text: str) -> None:
    assert golang.human_bytes(size) == text


@pytest.mark.parametrize(
    ("of", "text"),
    [(1, "1"), (1048576, "1.048576e+06"), (0.1, "0.1"), (1.5, "1.5"), (1e6, "1e+06"), (True, "true"), ("one", "one")],
)
def test_values_print_as_gos_percent_v(of: object, text: str) -> None:
    assert golang.value(of) == text


def test_processes_change_a_snapshot_without_losing_each_others_holdings(tmp_path: Path) -> None:
    path = tmp_path / "gpu.txt"
    snapshot.write(path, snapshot.Snapshot(DEVICE, "555.42.06", 6 * 1024**3, {"4312/chrome.exe": 1024}, busy=5))
    threads = [
        threading.Thread(target=snapshot.SnapshotMemory(path).hold, args=(f"program {number}", 2048)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = snapshot.read(path)
    assert len(seen.held) == 9
    assert seen.free == 6 * 1024**3 - 1024 - 8 * 2048
    assert (seen.device, seen.driver, seen.busy) == (DEVICE, "555.42.06", 5)
    snapshot.SnapshotMemory(path).forget("program ")
    assert snapshot.read(path).held == {"4312/chrome.exe": 1024}


def test_a_file_that_is_no_snapshot_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("name A\n", "utf-8")
    with pytest.raises(ValueError, match="x: no line `compute`: this is no GPU snapshot"):
        snapshot.read(tmp_path / "x")
