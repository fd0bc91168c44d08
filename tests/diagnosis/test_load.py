from __future__ import annotations

import gzip
import json
import pathlib

import pytest

from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.load import load_evidence, recognise
from remediation.model.errors import UsageError

LOG = "load_tensors: offloaded 1/33 layers to GPU\n"


def write(folder: pathlib.Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_incident_file_is_read_without_what_is_expected(tmp_path: pathlib.Path) -> None:
    path = write(
        tmp_path,
        "x.yml",
        "platform: linux\nollama_version: 0.9.6\nexpected: {cause: healthy}\nevidence:\n- kind: server_log\n  text: |\n    "
        + LOG
        + "- kind: env\n",
    )
    found = load_evidence(path)
    assert (found.platform, found.ollama_version) == ("linux", "0.9.6")
    assert found.pieces == (Piece("server_log", LOG),)
    assert found.skipped == ("item 2 of the evidence has no text",)


def test_a_saved_record_is_read(tmp_path: pathlib.Path) -> None:
    evidence = Evidence(platform="linux", pieces=(Piece("server_log", LOG, "server.log"),), runners=())
    assert load_evidence(write(tmp_path, "saved.json", json.dumps(evidence.to_json()))) == evidence


def test_a_plain_log_several_pieces_a_folder_and_stdin(tmp_path: pathlib.Path) -> None:
    log = write(tmp_path, "a.log", LOG)
    smi = write(tmp_path, "b.txt", "| NVIDIA-SMI 551.86   Driver Version: 551.86\n")
    assert load_evidence(log).pieces == (Piece("server_log", LOG, "a.log"),)
    assert [piece.kind for piece in load_evidence(f"{log},{smi}").pieces] == ["server_log", "nvidia_smi"]
    assert [piece.name for piece in load_evidence(str(tmp_path)).pieces] == ["a.log", "b.txt"]
    assert load_evidence("-", stdin=lambda: LOG).pieces == (Piece("server_log", LOG, "stdin"),)


def test_pieces_of_one_incident_complete_each_other(tmp_path: pathlib.Path) -> None:
    record = write(tmp_path, "a.json", json.dumps(Evidence(platform="wsl", gpu="RTX", runners=()).to_json()))
    log = write(tmp_path, "b.log", LOG)
    found = load_evidence(f"{log},{record}")
    assert (found.platform, found.gpu, found.runners, len(found.pieces)) == ("wsl", "RTX", (), 1)


def test_a_file_with_a_comma_in_its_name_is_one_file(tmp_path: pathlib.Path) -> None:
    assert len(load_evidence(write(tmp_path, "a,b.log", LOG)).pieces) == 1


@pytest.mark.parametrize("argument", ["nowhere.log", "nowhere.log,neither.log"])
def test_what_is_not_there_is_a_usage_error(argument: str) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_evidence(argument)


def test_an_empty_folder_is_a_usage_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="holds no evidence"):
        load_evidence(str(tmp_path))


def test_broken_yaml_and_bytes_are_taken_as_text(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.yml"
    path.write_bytes(b"evidence: [\xff\xfe unclosed\n" + LOG.encode())
    found = load_evidence(str(path))
    assert [piece.kind for piece in found.pieces] == ["other", "server_log"]
    assert found.skipped == ("x.yml: this looks like an incident file, but is no valid YAML; it was read as plain text",)


def test_evidence_that_is_no_list_is_noted(tmp_path: pathlib.Path) -> None:
    found = load_evidence(write(tmp_path, "x.yml", "platform: linux\nevidence: 5\n"))
    assert found.skipped == ("the evidence is no list but a int: a list of {kind, text} is read",)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (LOG, "server_log"),
        ('time=x level=INFO source=a.go:1 msg="server config" env="map[]"', "server_log"),
        ("Failed to initialize NVML: Unknown Error", "nvidia_smi"),
        ("NAME ID SIZE PROCESSOR UNTIL\nm a 5 GB 100% GPU", "ollama_ps"),
        ('[{"HostConfig": {"DeviceRequests": null}}]', "docker_inspect"),
        ("services:\n  ollama:\n    image: ollama/ollama\n", "docker_compose"),
        ("docker: Error response from daemon: x", "docker_error"),
        ("FROM mistral\nPARAMETER num_gpu 1\n", "modelfile"),
        ('Environment="OLLAMA_NUM_PARALLEL=1"', "env"),
        ("num_gpu: 1", "client_config"),
        ("it is slow", "other"),
    ],
)
def test_kinds_are_recognised_by_content(text: str, kind: str) -> None:
    assert recognise(text) == kind


def test_what_powershell_redirected_and_what_gzip_packed_is_read(tmp_path: pathlib.Path) -> None:
    line = 'time=x level=INFO source=server.go:1 msg="loading model" "model layers"=33 requested=1\n'
    (tmp_path / "redirected.log").write_bytes(line.encode("utf-16"))
    (tmp_path / "packed.log.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "broken.log.gz").write_bytes(gzip.compress(line.encode())[:20])
    (tmp_path / "cut.log.gz").write_bytes(gzip.compress(line.encode())[:-8])
    for name in ("redirected.log", "packed.log.gz"):
        evidence = load_evidence(str(tmp_path / name))
        assert evidence.pieces[0].text == line
        assert evidence.pieces[0].kind == "server_log"
    assert load_evidence(str(tmp_path / "cut.log.gz")).pieces[0].text == line
    with pytest.raises(UsageError, match=r"broken\.log\.gz: the compressed file is damaged"):
        load_evidence(str(tmp_path / "broken.log.gz"))
