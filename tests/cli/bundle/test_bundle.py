"""A bundle has what an issue needs, and no names and secrets."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from remediation.cli.bundle.read import evidence_in, is_bundle
from remediation.cli.bundle.write import bundle_of, quoted_lines
from remediation.engine.journal.history import RunRecord
from remediation.model.errors import UsageError
from tests.cli.processes import Remediate
from tests.report import stream

LAB = ("--inventory", "lab")
SECRET = "hunter2-hunter2"


def packed(tmp_path: Path, *, host: str = "paris-dev-01.corp.example", note: str = "") -> dict[str, str]:
    events = [
        stream.run_start(host), *stream.repair(host), stream.event("note", 18.0, host=host, text=note, level="warning"), stream.run_end(host),
    ]  # fmt: skip
    header = {
        "hosts": [host],
        "version": "0.1.0",
        "asked": {"extra_vars": ["token=x"], "max_risk": "safe", "limit": host},
        "folder": str(tmp_path),
    }
    with zipfile.ZipFile(io.BytesIO(bundle_of(RunRecord(tmp_path, header, tuple(events))))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_bundle_has_report_journal_evidence_and_versions(tmp_path: Path) -> None:
    files = packed(tmp_path)
    assert sorted(files) == ["README.txt", "evidence/host-1.txt", "journal.jsonl", "run.html", "versions.json"]
    events = [json.loads(line) for line in files["journal.jsonl"].splitlines()]
    assert {event.get("host", "host-1") for event in events} == {"host-1"}
    versions = json.loads(files["versions.json"])
    assert (versions["run"]["options"]["max_risk"], versions["run"]["options"]["limit"]) == ("safe", "host-1")
    assert versions["packages"]["rich"]


def test_names_addresses_and_secrets_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_PASSWORD", SECRET)
    note = rf"PARIS-DEV-01: C:\Users\maria.lopez\x asked 10.2.3.4 and 127.0.0.1 by {SECRET}, mail maria@corp.example; paris-dev-01.corp.example"
    text = "\n".join(packed(tmp_path, note=note).values())
    for hidden in ("paris", "PARIS", "maria", "10.2.3.4", SECRET, "token=x", str(tmp_path)):
        assert hidden not in text
    assert "127.0.0.1" in text


def test_what_a_diagnosis_quoted_is_kept_once_per_host() -> None:
    found = quoted_lines([stream.event("findings", 1.0, diagnosis=stream.DIAGNOSIS), stream.event("findings", 2.0, diagnosis={})])
    assert found[stream.HOST].splitlines()[1:] == ["OLLAMA_NUM_GPU=99", "OLLAMA_GPU_MEMORY_FRACTION=0.85"]


def test_a_recording_is_packed_too(tmp_path: Path) -> None:
    (tmp_path / "tape.jsonl").write_text("{}\n", encoding="utf-8")
    record = RunRecord(tmp_path, {"folder": str(tmp_path), "asked": {"record": "tape.jsonl"}}, tuple(stream.whole()))
    with zipfile.ZipFile(io.BytesIO(bundle_of(record))) as archive:
        assert archive.read("recording.jsonl") == b"{}\n"
    gone = replace(record, header={**record.header, "asked": {"record": "none.jsonl"}})
    with zipfile.ZipFile(io.BytesIO(bundle_of(gone))) as archive:
        assert "recording.jsonl" not in archive.namelist()


def test_a_repair_can_be_diagnosed_again_from_its_bundle(remediate: Remediate, tmp_path: Path) -> None:
    repaired = remediate("fix-offload", *LAB, "--json")
    run = next(json.loads(line)["run"] for line in repaired.stdout.splitlines())
    done = remediate("bundle", run)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / f"remediation-{run}.zip") as archive:
        texts = [archive.read(name).decode() for name in archive.namelist()]
    assert "laptop-07" not in "".join(texts)
    (found,) = json.loads(remediate("diagnose", "--evidence", f"remediation-{run}.zip", "--json").stdout)
    assert found["name"] == f"remediation-{run}.zip: host-1"
    assert (found["findings"][0]["cause"], found["offloaded"]) == ("vram_occupied", [1, 33])
    assert found["findings"][0]["confidence"] > 0.9


def write_zip(path: Path, **files: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)


def test_a_bundle_without_evidence_says_so(remediate: Remediate, tmp_path: Path) -> None:
    write_zip(tmp_path / "b.zip", readme="x")
    done = remediate("diagnose", "--evidence", "b.zip")
    assert done.returncode == 1
    assert done.stderr.startswith("b.zip has no evidence")


def test_a_bundle_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "b.zip", evidence__a=".", **{"evidence__a.txt": "0" * 64_000_001})
    with pytest.raises(UsageError, match="more than 64 MB"):
        list(evidence_in(tmp_path / "b.zip"))


def test_a_damaged_bundle_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "b.zip"
    write_zip(file, **{"evidence__a.txt": "offloaded 1/33 layers to GPU " * 50})
    content = bytearray(file.read_bytes())
    content[40:60] = b"\xff" * 20
    file.write_bytes(bytes(content))
    assert is_bundle(str(file))
    with pytest.raises(UsageError, match="damaged"):
        list(evidence_in(file))


def test_what_is_only_named_zip_is_not_diagnosed_as_a_log(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 offloaded 1/33 layers to GPU")
    done = remediate("diagnose", "--evidence", "b.zip")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("b.zip is damaged")
