"""How `fix-offload` ends on a Linux host whose Ollama is a service: no rung of Compose is tried, and the next step is for systemd."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remediation_lab.ollama.snapshot import SnapshotMemory
from tests.live.test_service import WITH_ROOT, start
from tests.support.project import MODEL
from tests.support.repair_results import Ended
from tests.support.service import Service, service

pytestmark = pytest.mark.live

GIB = 1024**3
MOST_EXCHANGES = 20
COMPOSE_RUNGS = {
    "A container without Compose has no GPU",
    "The container does not see the GPU",
    "The container has too little memory",
}
BOTH = (("--max-risk", "disruptive"), ("--max-risk", "disruptive", "--check"))


def fixed(host: Service, folder: Path, *words: str, timeout: float = 110.0, **variables: object) -> Ended:
    code, events = start(host, folder, "fix-offload", *words, timeout=timeout, **variables)
    return Ended(code, tuple(events))


UNIT = "/ollama.service.d/zz-remediation.conf"
SETTINGS = pytest.mark.parametrize(
    ("environment", "cause", "line"),
    [
        ({"OLLAMA_LLM_LIBRARY": "cuda"}, "wrong_library_or_missing_runner", "UnsetEnvironment=OLLAMA_LLM_LIBRARY"),
        ({"OLLAMA_CONTEXT_LENGTH": "32768"}, "context_too_large", 'Environment="OLLAMA_CONTEXT_LENGTH=4096"'),
        pytest.param(
            {"OLLAMA_NUM_PARALLEL": "8"}, "num_parallel_too_high", 'Environment="OLLAMA_NUM_PARALLEL=1"', marks=pytest.mark.every
        ),
        pytest.param(
            {"OLLAMA_GPU_OVERHEAD": str(3 * GIB)},
            "gpu_overhead_reserved",
            "UnsetEnvironment=OLLAMA_GPU_OVERHEAD",
            marks=pytest.mark.every,
        ),
        pytest.param(
            {"CUDA_VISIBLE_DEVICES": "-1"},
            "cuda_visible_devices_wrong",
            "UnsetEnvironment=CUDA_VISIBLE_DEVICES",
            marks=pytest.mark.every,
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)


@WITH_ROOT
@SETTINGS
def test_a_setting_of_the_unit_is_overridden_in_a_drop_in_and_undone(
    tmp_path: Path, environment: dict[str, str], cause: str, line: str
) -> None:
    with service(tmp_path / "gpu-01", **environment) as host:
        host.load()
        before = host.unit_files
        checked = fixed(host, tmp_path, "--max-risk", "disruptive", "--check")
        assert (checked.code, host.unit_files, host.restarts) == (4, before, 0), checked.ladder
        (diff,) = [event["change"]["diff"] for event in checked.kinds("change_planned") if event["step"] == "ollama.environment"]
        assert f"+{line}" in diff.splitlines()
        log = tmp_path / "calls.log"
        ended = fixed(host, tmp_path, "--max-risk", "disruptive", "--log-file", str(log), "--log-level", "debug")
        assert ended.ladder["result"]["causes"][:1] in ([cause], []), ended.summary
        assert (ended.code, host.loaded[MODEL][0], host.restarts) == (0, True, 1), ended.summary
        assert ended.steps == ["ollama.environment", "ollama.reconfigured", "model.reloaded"]
        assert {path: text for path, text in host.unit_files.items() if path in before} == before
        (made,) = [text for path, text in host.unit_files.items() if path.endswith(UNIT)]
        assert line in made.splitlines()
        assert exchanges(log) <= MOST_EXCHANGES
        run = ended.kinds("run_start")[0]["run"]
        code, _ = start(host, tmp_path, "undo", run, "--max-risk", "disruptive")
        assert (code, host.unit_files, host.restarts) == (0, before, 2)
        assert all(f"{name}={value}" in host.environment for name, value in environment.items())


def test_a_setting_that_hides_the_card_is_taken_back_though_an_old_driver_is_likelier(tmp_path: Path) -> None:
    with service(tmp_path / "gpu-01", driver="470.82", CUDA_VISIBLE_DEVICES="") as host:
        host.load()
        ended = fixed(host, tmp_path, "--max-risk", "disruptive", "--last-resort")
        causes = [each["cause"] for event in ended.kinds("findings") for each in event["diagnosis"]["findings"]]
        assert causes[:2] == ["driver_too_old", "cuda_visible_devices_wrong"]
        assert (ended.code, ended.deletes, host.loaded[MODEL][0]) == (0, False, True), ended.summary
        assert ended.steps == ["ollama.environment", "ollama.reconfigured", "model.reloaded"]


@WITH_ROOT
def test_a_program_of_another_user_is_named_and_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "300"]) as program:
        try:
            with service(tmp_path / "gpu-01", held={f"{program.pid}/trainer": 5 * GIB}) as host:
                host.load()
                for words in BOTH:
                    ended = fixed(host, tmp_path, *words)
                    assert (ended.code, ended.rungs, ended.steps) == (2, ["Make room on the GPU"], []), ended.summary
                    assert (
                        ended.next_step == f"close sleep (process {program.pid}, of root): it uses 5.0 GiB; then run this again"
                    )
                assert program.poll() is None
        finally:
            program.kill()


def cut(models: Path) -> None:
    """Cut the largest blob of a store in half."""
    blob = max((models / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(blob, blob.stat().st_size // 2)


def lose(models: Path) -> None:
    """Delete the largest blob of a store."""
    max((models / "blobs").iterdir(), key=lambda path: path.stat().st_size).unlink()


def flip(models: Path) -> None:
    """Change a byte in the header of the largest blob of a store."""
    blob = max((models / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    content = blob.read_bytes()
    blob.write_bytes(content[:8] + b"?" + content[9:])


def exchanges(log: Path) -> int:
    """Return the number of exchanges with the host during a run, without those whose number depends on how long it takes.

    Those are requests that a restarting server refuses, renewals of the lease, and reading the host again after a snapshot became too
    old.
    """
    text = log.read_text("utf-8")
    varying = len(re.findall(r"call 1 of 1: Http GET \S+/api/version: refused|lease \d+ renewed", text))
    again = re.findall(r"reading the host again.*?engine\.step\.observation: ", text, re.DOTALL)
    varying += sum(part.count(", call 1 of ") for part in again)
    return sum(int(count) for count in re.findall(r"connection closed after (\d+) exchanges", text)) - varying


@pytest.mark.parametrize("harm", [cut, lose, flip])
def test_a_damaged_model_without_a_registry_is_left_as_it_is(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    with service(tmp_path / "gpu-01") as host:
        models = host.home / "models"
        harm(models)
        stored = sorted(str(path) for path in models.rglob("*"))
        loads = host.journal.count("loading model")
        for words in BOTH:
            ended = fixed(host, tmp_path, *words, registry="http://127.0.0.1:9")
            assert ended.code == 2, ended.summary
            assert (ended.steps, ended.deletes) == ([], False)
            assert ended.next_step.startswith("give the host access to the model's registry")
            assert not any(event.get("stops") for event in ended.kinds("rung_start"))
        assert sorted(str(path) for path in models.rglob("*")) == stored
        assert host.journal.count("loading model") - loads <= 2, host.journal  # one in each run


def test_missing_libraries_are_named_and_nothing_is_changed(tmp_path: Path) -> None:
    with service(tmp_path / "gpu-01", libraries=False) as host:
        host.load()
        before = (host.unit_files, host.loaded, host.pid)
        ended = fixed(host, tmp_path, "--max-risk", "disruptive", "-e", f"model={MODEL}")
        assert (ended.code, ended.steps, ended.deletes) == (2, [], False), ended.summary
        assert (host.unit_files, host.loaded, host.pid) == before
        assert ended.next_step.startswith("Install Ollama again with all its libraries"), ended.summary


@contextmanager
def browser() -> Iterator[tuple[subprocess.Popen[bytes], Callable[[Path], threading.Thread]]]:
    """A browser of another user, and what frees its memory on the card once it ends."""
    folder = Path(tempfile.mkdtemp(prefix="chrome-"))
    folder.chmod(0o755)
    program = shutil.copy(shutil.which("sleep") or "/bin/sleep", folder / "chrome")
    try:
        with subprocess.Popen([program, "1000"], user="nobody") as process:

            def freeing(card: Path) -> threading.Thread:
                def free() -> None:
                    process.wait()
                    SnapshotMemory(card).hold(f"{process.pid}/chrome", 0)

                return threading.Thread(target=free)

            try:
                yield process, freeing
            finally:
                process.kill()
    finally:
        shutil.rmtree(folder)


@WITH_ROOT
@pytest.mark.parametrize("hangs", [False, pytest.param(True, marks=[pytest.mark.every, pytest.mark.timeout(400)])])
def test_a_browser_is_closed_and_a_load_that_hangs_is_ended_first(tmp_path: Path, hangs: bool) -> None:
    with browser() as (process, freeing), service(tmp_path / "gpu-01", held={f"{process.pid}/chrome": int(4.5 * GIB)}) as host:
        watch = freeing(host.home / "gpu.txt")
        watch.start()
        if hangs:
            body = json.dumps({"model": MODEL, "stream": False, "options": {"num_gpu": 99}}).encode()
            with pytest.raises(TimeoutError):
                urllib.request.urlopen(urllib.request.Request(f"{host.endpoint}/api/generate", body), timeout=1.0)
        else:
            host.load()
        # a load that says nothing counts as hanging after two minutes
        ended = fixed(host, tmp_path, "--max-risk", "disruptive", timeout=300.0)
        assert (ended.code, process.poll() is None, host.restarts) == (0, False, int(hangs)), ended.summary
        watch.join()
        assert "vram.free" in ended.steps
        assert host.loaded[MODEL][0] is True
