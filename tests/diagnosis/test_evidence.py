from __future__ import annotations

import json
import os
import pathlib

import pytest

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.load import load_evidence, of_incident
from remediation.diagnosis.redaction import redact, redact_text, save
from remediation.model.errors import UsageError
from remediation.model.facts import (
    Gpu,
    GpuUse,
    Manager,
    ModelEntry,
    ModelShow,
    Process,
    Runner,
    ServerProcess,
    ServiceUnit,
    Serving,
    SourcedSetting,
    SystemFacts,
)


def full() -> Evidence:
    return Evidence(
        platform="docker-windows",
        ollama_version="0.13.3",
        gpu="NVIDIA GeForce RTX 3060 6 GB",
        symptom="slow",
        pieces=(Piece("server_log", "load_tensors: offloaded 1/33 layers to GPU\n", "server.log"),),
        host="laptop-07",
        model="mistral:7b",
        runners=(Runner("mistral:7b", 5_000, 1_000, 4096),),
        models=(ModelEntry("mistral:7b", 4_372_812_000, "sha256:x", {"quantization_level": "Q4_K_M"}),),
        shows=(ModelShow("mistral:7b", {"num_gpu": "1"}, {"general.architecture": "llama"}, {}, "FROM /home/ana/models/x"),),
        container={"HostConfig": {"DeviceRequests": None}, "Config": {"Env": ["API_TOKEN=abc"]}},
        compose={"services": {"api": {"environment": {"OPENAI_API_KEY": "sk-verysecretverysecret", "NUM_GPU": "1"}}}},
        compose_files={r"C:\Users\ana\proj\docker-compose.yml": "services: {}\n"},
        environment={"OLLAMA_NUM_PARALLEL": "1", "OLLAMA_MODELS": "/home/ana/.ollama/models"},
        use=GpuUse(
            (Gpu(0, "GPU-1", "RTX 3060", "551.86", 6 * 1024**3, 10, 20),),
            (Process(4, "chrome.exe", 1.0, owner="PC\\ana", vram=99),),
        ),
        serving=Serving(
            Manager.SYSTEMD,
            "ollama.service",
            ServerProcess(7, "ana", "/home/ana/bin/ollama", "ollama.service", environment={"HF_TOKEN": "verysecret"}),
            ServiceUnit(
                "ollama.service",
                environment={"HF_TOKEN": "verysecret", "OLLAMA_NUM_PARALLEL": "1"},
                settings=(SourcedSetting("HF_TOKEN", "verysecret", "drop-in", True, "/home/ana/x.conf"),),
                files={"/home/ana/x.conf": "Environment=HF_TOKEN=verysecret\n"},
            ),
            others=(ServerProcess(8, "ana"),),
            settings=(SourcedSetting("HF_TOKEN", "verysecret", "drop-in", True),),
        ),
        system=SystemFacts("windows", "10.0.22631", "ANA-PC", memory_total=16, now=5.0),
        collected_at=5.0,
        skipped=("compose: not there",),
    )


def test_a_record_comes_back_unchanged() -> None:
    evidence = full()
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence
    assert Evidence.from_json(Evidence().to_json()) == Evidence()


def test_unknown_and_damaged_parts_are_named_and_the_rest_is_read() -> None:
    data = full().to_json()
    data |= {"aura": 1, "use": {"gpus": "many"}, "runners": [{"model": "x"}], "pieces": "text", "serving": {"manager": "an elf"}}
    found = Evidence.from_json(data)
    assert found.ollama_version == "0.13.3"
    assert found.use is None
    assert found.runners is None
    assert found.serving is None
    assert found.pieces == ()
    assert {item.split(":")[0] for item in found.skipped} == {
        "compose",
        "unknown part 'aura'",
        "damaged part 'use'",
        "damaged part 'runners'",
        "damaged part 'pieces'",
        "damaged part 'serving'",
    }


def test_another_format_version_is_said() -> None:
    assert any("version 7" in item for item in Evidence.from_json({"version": 7, "platform": "linux"}).skipped)


def test_numbers_as_versions_and_odd_kinds_are_taken() -> None:
    found = Evidence.from_json({"ollama_version": 0.33, "platform": "amiga", "pieces": [{"kind": "song", "text": "x"}]})
    assert (found.ollama_version, found.platform, found.pieces[0].kind) == ("0.33", "unknown", "other")


def test_redaction_takes_names_tokens_and_home_paths() -> None:
    clean = redact(full())
    text = json.dumps(clean.to_json())
    text = text.replace('"manager":', "")  # contains a name of this record by chance
    for secret in ("ana", "ANA-PC", "abc", "verysecret", "laptop-07"):
        assert secret not in text, secret
    assert "offloaded 1/33" in text
    assert '"NUM_GPU": "1"' in text
    assert clean.environment is not None
    assert clean.environment["OLLAMA_MODELS"] == "/home/USER/.ollama/models"


def test_redaction_of_texts() -> None:
    assert redact_text("Authorization: Bearer abcdefghijklmnop") == "Authorization: Bearer ***"
    assert redact_text("https://bob:hunter2@host/x") == "https://***@host/x"
    assert redact_text("password=hunter2 num_gpu=1") == "password=*** num_gpu=1"
    assert redact_text(r"C:\Users\bob\secret plans\x.txt") == r"C:\Users\USER/… plans\x.txt"
    assert redact_text("/home/bob/private/x.log says hello") == "/home/USER/… says hello"
    kept = "print_info: EOS token        = 2 '</s>'; prompt tokens: 50; token_embd.weight = 72 MiB"
    assert redact_text(kept) == kept


def test_a_name_that_a_home_folder_has_is_taken_out_everywhere() -> None:
    text = "model=/home/maria/models/x.gguf\nstarted by maria on HOST; ollama serve\n"
    clean = redact(Evidence(pieces=(Piece("server_log", text),))).pieces[0].text
    assert "maria" not in clean
    assert "ollama serve" in clean


def test_a_saved_record_gives_the_same_diagnosis_and_only_its_owner_may_read_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "record.json"
    before = of_incident(
        {"platform": "linux", "evidence": [{"kind": "server_log", "text": "load_tensors: offloaded 1/33 layers to GPU\n"}]}
    )
    save(before, path)
    after = load_evidence(str(path))
    assert diagnose(after) == diagnose(before)
    assert [one.name for one in tmp_path.iterdir()] == ["record.json"]
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="cannot be written"):
        save(before, tmp_path / "no" / "such" / "folder.json")
