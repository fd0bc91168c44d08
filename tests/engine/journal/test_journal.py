"""The journal: on disk before a change is sent, readable at any time, private, and honest about a full disk."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from remediation.engine.journal.history import find_run, prune, runs, runs_and_errors
from remediation.engine.journal.journal import EVENTS, HEADER, Journal, JournalError, read_events
from remediation.engine.journal.run_lock import LOCK, RunAlive
from remediation.model.errors import RemediationError, UsageError
from remediation.model.event import Event
from remediation.model.secrets.masking import MASK, Masker


def event(kind: str = "note", at: float = 1.0, **data: object) -> Event:
    return Event(kind, at, host="laptop-07", play="play", task="task", data=data)


def started(root: Path, **header: object) -> Journal:
    return Journal.create({"command": "fix-offload", **header}, {"playbook.yml": "- hosts: all\n"}, root=root)


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    journal = started(tmp_path)
    written = [event("change_start", 1.5, index=0, change={"summary": "schließe é"}), event("run_end", 2.0, exit_code=0)]
    for item in written:
        journal.write(item)
    assert list(read_events(journal.folder)) == written
    journal.close()


def test_it_is_readable_while_the_run_goes_on_and_a_cut_line_is_not_read(tmp_path: Path) -> None:
    journal = started(tmp_path)
    journal.write(event(at=1.0))
    with (journal.folder / EVENTS).open("ab") as log:
        log.write(b'{"event": "note", "time": 2.0, "te')
    assert [item.time for item in read_events(journal.folder)] == [1.0]
    journal.close()


def test_going_on_ends_the_cut_line_and_loses_none_of_what_follows(tmp_path: Path) -> None:
    journal = started(tmp_path)
    journal.write(event(at=1.0))
    journal.close()
    with (journal.folder / EVENTS).open("ab") as log:
        log.write(b"x" * 10_000)
    again = Journal(journal.folder)
    again.write(event(at=2.0))
    again.close()
    assert [item.time for item in read_events(journal.folder)] == [1.0, 2.0]
    assert (journal.folder / EVENTS).read_bytes().count(b"x") >= 10_000  # nothing that another process wrote is taken away


WRITER = """
import os, sys
from pathlib import Path
from remediation.engine.journal.journal import EVENTS
number = os.open(Path(sys.argv[1]) / EVENTS, os.O_RDWR | os.O_APPEND)
print("ready", flush=True)
sys.stdin.readline()
for count in range(1000):
    os.write(number, b'{"event": "note", "time": 2.0, "text": "%s"}\\n' % (b"y" * (count % 300)))
"""


def test_a_second_writer_costs_no_line(tmp_path: Path) -> None:
    journal = started(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(journal.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
        for number in range(1000):
            journal.write(event(at=1.0, text="x" * (number % 300)))
    journal.close()
    times = [item.time for item in read_events(journal.folder)]
    assert (len(times), times.count(1.0), times.count(2.0)) == (2000, 1000, 1000)


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"5", b'{"event": "note"}', b'{"event": "note", "time": "x"}', b'{"event": "note", "time": 1e999}', b"[" * 100_000,
     b'{"event": "note", "time": null}', b"\xff\xfe", b'{"time": 1}'],
)  # fmt: skip
def test_a_broken_line_is_skipped_and_counted(tmp_path: Path, line: bytes) -> None:
    journal = started(tmp_path)
    journal.write(event(at=1.0))
    journal.close()
    with (journal.folder / EVENTS).open("ab") as log:
        log.write(line + b"\n")
    again = Journal(journal.folder)
    again.write(event(at=3.0))
    again.close()
    assert [item.time for item in read_events(journal.folder)] == [1.0, 3.0]
    assert find_run(journal.run, tmp_path).broken == 1


def test_a_journal_that_was_closed_takes_nothing_more(tmp_path: Path) -> None:
    journal = started(tmp_path)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        journal.write(event())


HOLDER = """
import sys
from pathlib import Path
from remediation.engine.journal.journal import Journal
journal = Journal.create({"command": "play", "started": 1.0}, {}, root=Path(sys.argv[1]))
print(journal.run, flush=True)
sys.stdin.readline()
"""


def test_a_run_is_locked_while_its_process_lives_and_free_once_it_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        record = find_run(other.stdout.readline().strip(), tmp_path)
        assert record.summary()["state"] == "running"
        with pytest.raises(RunAlive) as caught:
            Journal(record.folder)
        assert caught.value.message.startswith(f"run {record.run} is still running (process {other.pid} on ")
        assert caught.value.exit_code == 5
        other.kill()
        other.wait()
        assert record.summary()["state"] == "cut off"
    Journal(record.folder).close()


@pytest.mark.parametrize(
    "header",
    ['{"started": "yesterday"}', '{"started": 1e300}', '{"started": NaN}', '{"started": []}', '{"hosts": 5, "command": null}',
     '{"hosts": {"a": 1}}', "[" * 100_000, "5", "", "\x00"],
)  # fmt: skip
def test_one_damaged_run_does_not_break_the_list_of_all(tmp_path: Path, header: str) -> None:
    good = started(tmp_path, started=5.0)
    good.close()
    bad = started(tmp_path)
    bad.close()
    (bad.folder / HEADER).write_text(header, encoding="utf-8")
    listed = [record.summary() for record in runs(tmp_path)]
    assert good.run in [item["run"] for item in listed]
    assert [item for item in listed if not 0 <= item["started"] < 1e12] == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
@pytest.mark.parametrize("name", [EVENTS, HEADER, LOCK])
def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    good, bad = started(tmp_path, started=5.0), started(tmp_path)
    good.close()
    bad.close()
    (bad.folder / name).unlink()
    os.mkfifo(bad.folder / name)
    assert good.run in [record.run for record in runs(tmp_path)]
    if name == LOCK:
        assert find_run(bad.run, tmp_path).run == bad.run
    else:
        with pytest.raises(RemediationError, match=bad.run):
            find_run(bad.run, tmp_path)


def test_a_run_with_an_unreadable_journal_is_left_out_of_the_list_and_an_error_by_its_id(tmp_path: Path) -> None:
    good, bad = started(tmp_path, started=5.0), started(tmp_path)
    good.close()
    bad.close()
    (bad.folder / EVENTS).unlink()
    (bad.folder / EVENTS).mkdir()
    assert [record.run for record in runs(tmp_path)] == [good.run]
    with pytest.raises(JournalError, match=f"cannot read the journal of run {bad.run}"):
        find_run(bad.run, tmp_path)


def test_a_run_that_was_resumed_after_its_end_has_ended_only_once_it_ends_again(tmp_path: Path) -> None:
    journal = started(tmp_path)
    for kind in ("run_start", "run_end", "run_start"):
        journal.write(event(kind, exit_code=2))
    journal.close()
    assert find_run(journal.run, tmp_path).summary()["state"] == "cut off"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps rights in ACLs, not in mode bits")
def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    journal = started(tmp_path / "runs")
    journal.write(event())
    for path in [journal.folder, *journal.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    journal.close()


def test_secrets_are_masked_in_the_files_that_are_kept(tmp_path: Path) -> None:
    files = {"variables.json": json.dumps({"ansible_password": "hunter22"})}
    journal = Journal.create({"command": "play -e p=hunter22"}, files, root=tmp_path, mask=Masker(["hunter22"]))
    journal.close()
    kept = "".join(path.read_text() for path in journal.folder.rglob("*.json"))
    assert "hunter22" not in kept
    assert kept.count(MASK) == 2


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    journal = started(tmp_path)
    threads = [threading.Thread(target=lambda: [journal.write(event(text="x" * 3000)) for _ in range(20)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert sum(1 for _ in read_events(journal.folder)) == 100


FULL = """
import resource, sys
from pathlib import Path
from remediation.engine.journal.journal import Journal, JournalError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    Journal.create({}, {}, root=Path(sys.argv[1]))
except JournalError as error:
    print(error.message)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit per process there")
def test_no_room_for_the_journal_is_said_before_anything_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), "4096"], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.startswith(f"cannot write the run's journal in {tmp_path}")
    assert ": File too large" in done.stdout


def test_a_folder_that_cannot_be_made_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError) as caught:
        started(tmp_path / "file" / "runs")
    assert "XDG_STATE_HOME" in caught.value.next_step


def test_history_lists_the_newest_first_and_finds_by_the_start_of_an_id(tmp_path: Path) -> None:
    first, second = started(tmp_path, started=1.0), started(tmp_path, started=2.0, hosts=["a", "b"])
    second.write(event("change_end", applied=True))
    second.write(event("run_end", exit_code=2, seconds=3.5))
    (tmp_path / "stray").mkdir()
    assert [record.run for record in runs(tmp_path)] == [second.run, first.run]
    assert find_run(second.run, tmp_path).summary()["state"] == "running"
    for journal in (first, second):
        journal.close()
    summary = find_run(second.run, tmp_path).summary()
    assert (summary["changes"], summary["exit_code"], summary["hosts"], summary["state"]) == (1, 2, ["a", "b"], "ended")
    assert find_run(first.run, tmp_path).summary()["state"] == "cut off"
    assert find_run(first.run, tmp_path).file("playbook.yml") == "- hosts: all\n"


@pytest.mark.parametrize("run", ["", "zz", "..", "../runs"])
def test_a_run_that_is_not_there_is_a_usage_error(tmp_path: Path, run: str) -> None:
    started(tmp_path).close()
    with pytest.raises(UsageError):
        find_run(run, tmp_path)


def test_an_id_that_may_be_two_runs_lists_them(tmp_path: Path) -> None:
    for name in ("ab12", "ab34"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="ab12, ab34"):
        find_run("ab", tmp_path)


def test_old_runs_go_but_one_that_was_cut_off_stays(tmp_path: Path) -> None:
    made = [started(tmp_path, started=float(number)) for number in range(4)]
    for journal in made[1:]:
        journal.write(event("run_end", exit_code=0))
    for journal in made:
        journal.close()
    assert prune(tmp_path, keep=1) == [made[2].run, made[1].run]
    assert [record.run for record in runs(tmp_path)] == [made[3].run, made[0].run]


def test_a_run_begins_without_reading_the_journals_of_those_that_stay(tmp_path: Path) -> None:
    made = [started(tmp_path, started=float(number)) for number in range(3)]
    for journal in made:
        journal.write(event("run_end", 2.0, exit_code=0))
        journal.close()
    for journal in made[1:]:
        (journal.folder / EVENTS).unlink()
        (journal.folder / EVENTS).mkdir()  # reading it fails
    assert prune(tmp_path, keep=2) == [made[0].run]
    assert prune(tmp_path, keep=2) == []


@pytest.mark.parametrize("part", [1, 99])
def test_a_run_without_a_readable_header_is_damaged_and_not_ambiguous(tmp_path: Path, part: int) -> None:
    journal = started(tmp_path)
    journal.close()
    (journal.folder / HEADER).unlink()
    with pytest.raises(UsageError, match=f"run {journal.run} is damaged"):
        find_run(journal.run[:part], tmp_path)


def test_runs_that_cannot_be_read_are_named_and_the_others_are_listed(tmp_path: Path) -> None:
    well, *ill = (started(tmp_path, started=float(number)) for number in range(5))
    for journal in (well, *ill):
        journal.close()
    (ill[0].folder / "events.jsonl").unlink()
    (ill[0].folder / "events.jsonl").mkdir()
    (ill[1].folder / "run.json").write_text('{"a')
    (ill[2].folder / "run.json").unlink()
    (ill[3].folder / "run.json").unlink()
    (ill[3].folder / "run.json").mkdir()
    (tmp_path / "stray").mkdir()
    (tmp_path / "file").touch()
    found, errors = runs_and_errors(tmp_path)
    assert [record.run for record in found] == [well.run]
    assert len(errors) == len(ill)
    assert all(any(journal.run in error.message for error in errors) for journal in ill)
