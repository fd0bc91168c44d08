"""This machine itself: NVML by its library, nvidia-smi by command, real processes, and what is missing here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remediation.facets.host_factory import Host, open_host
from remediation.model.errors import Blocked, CallFailed, UsageError
from remediation_lab.linux.programs import install_nvidia_smi
from remediation_lab.ollama import snapshot
from tests.support import nvml_library
from tests.support.engine import DEVICE, TOTAL

MIB = 1024**2
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
_USE = """
import dataclasses, json, os
from remediation.facets.host_factory import open_host
use = open_host("localhost", {}, check=True).reader.gpu.use()
print(json.dumps(dataclasses.asdict(use)))
"""
_SAMPLE = """
import dataclasses, json
from remediation.facets.host_factory import open_host
seen = open_host("localhost", {}, check=True).reader.gpu.sample(seconds=0.2, every=0.1)
print(json.dumps([dataclasses.asdict(each) for each in seen]))
"""
_FAMILY = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import sys; print(1, flush=True); sys.stdin.read()']).wait()"
_DEAF = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); sys.stdin.read()"


@pytest.fixture
def here() -> Iterator[Host]:
    host = open_host("localhost", {}, check=False)
    yield host
    host.close()


def use(environment: dict[str, str], code: str = _USE) -> subprocess.CompletedProcess[str]:
    """Read the GPU in a new process: the path of NVML is decided when a process starts."""
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def card(path: Path, **held: int) -> Path:
    snapshot.write(path, snapshot.Snapshot(DEVICE, "555.42.06", TOTAL, held, busy=37))
    return path


@pytest.mark.live
def test_nvml_and_nvidia_smi_agree(nvml: Path, tmp_path: Path) -> None:
    path = card(tmp_path / "gpu.txt", **{f"{os.getpid()}/pytest": 700 * MIB, "ollama runner x": 1000 * MIB})
    install_nvidia_smi(tmp_path / "bin", path)
    by_library = use(nvml_library.environment(nvml, path))
    by_command = use({"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    assert by_library.returncode == 0, by_library.stderr
    assert by_command.returncode == 0, by_command.stderr
    seen, by_program = json.loads(by_library.stdout), json.loads(by_command.stdout)
    for each in (seen, by_program):
        (gpu,) = each["gpus"]
        assert (gpu["uuid"], gpu["total"], gpu["used"], gpu["free"]) == (DEVICE.uuid, TOTAL, 1700 * MIB, TOTAL - 1700 * MIB)
        assert (gpu["name"], gpu["driver_version"], gpu["utilization"]) == (DEVICE.name, "555.42.06", 37)
        (holder,) = each["processes"]
        assert (holder["pid"], holder["started"] > 0) == (os.getpid(), True)
    assert seen["gpus"][0]["compute_capability"] == "8.6"
    assert by_program["gpus"][0]["compute_capability"] is None, "the fallback asks for fewer fields"
    assert seen["processes"][0]["vram"] is None, "this NVML does not say, and unknown is not 0"
    assert by_program["processes"][0]["vram"] == 700 * MIB
    samples = json.loads(use({"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}, _SAMPLE).stdout)
    assert [(each["index"], each["utilization"], each["used"]) for each in samples] == [(0, 37, 1700 * MIB)] * 3
    assert samples[0]["at"] <= samples[1]["at"] <= samples[2]["at"]
    (sample,) = json.loads(use(nvml_library.environment(nvml, path), _SAMPLE.replace("0.2", "0")).stdout)
    assert (sample["utilization"], sample["used"]) == (37, 1700 * MIB)


@pytest.mark.live
def test_a_library_without_a_driver_is_an_error_in_its_own_words(nvml: Path, tmp_path: Path) -> None:
    done = use(nvml_library.environment(nvml, tmp_path / "missing.txt"))
    assert "CallFailed: the GPU does not answer: Driver Not Loaded" in done.stderr
    assert "next: load or install the NVIDIA driver" in done.stderr


def test_without_library_and_command_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    done = use({"PATH": str(tmp_path), "LD_LIBRARY_PATH": ""})
    assert "CallFailed: nvidia-smi is not installed" in done.stderr


def started(code: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    return process


def seen(host: Host, pid: int) -> Any:
    return next((each for each in host.reader.processes.list() if each.pid == pid), None)


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    process = started(_FAMILY)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[str]]:
    process = started(_DEAF)
    yield process
    process.kill()
    process.communicate()


def test_a_process_is_closed_with_its_children(here: Host, family: subprocess.Popen[str]) -> None:
    root = seen(here, family.pid)
    children = [each for each in here.reader.processes.list() if each.parent == family.pid]
    assert len(children) == 1
    assert root.path == os.path.realpath(sys.executable)
    assert here.writer().processes.close(root.pid, root.started, grace=10)
    family.wait(10)
    assert seen(here, family.pid) is None
    assert seen(here, children[0].pid) is None
    assert here.writer().processes.close(root.pid, root.started, grace=0), "what is gone counts as closed"


def test_another_process_with_a_reused_pid_is_left_alone(here: Host, family: subprocess.Popen[str]) -> None:
    root = seen(here, family.pid)
    assert here.writer().processes.close(root.pid, root.started - 60, grace=0, force=True)
    assert family.poll() is None


def test_this_program_and_its_parents_are_never_closed(here: Host) -> None:
    for pid in (os.getpid(), os.getppid()):
        root = seen(here, pid)
        with pytest.raises(Blocked, match="own program"):
            here.writer().processes.close(root.pid, root.started, grace=0, force=True)


def test_a_process_that_does_not_listen_is_ended_by_force_alone(here: Host, deaf: subprocess.Popen[str]) -> None:
    root = seen(here, deaf.pid)
    assert not here.writer().processes.close(root.pid, root.started, grace=0)
    assert seen(here, deaf.pid) is not None
    assert here.writer().processes.close(root.pid, root.started, grace=0, force=True)
    assert deaf.wait(10) == -9


def test_a_file_is_replaced_and_its_former_content_kept(here: Host, tmp_path: Path) -> None:
    path = tmp_path / "with space" / "docker-compose.yml"
    path.parent.mkdir()
    path.write_bytes(b"a: 1\r\n")
    here.writer().files.write(str(path), b"a: 2\r\n", backup=f"{path}.bak")
    assert (path.read_bytes(), Path(f"{path}.bak").read_bytes()) == (b"a: 2\r\n", b"a: 1\r\n")
    assert here.reader.files.read(str(path)) == b"a: 2\r\n"
    here.writer().files.write(str(tmp_path / "none" / "yet" / "x"), b"made")
    assert (tmp_path / "none" / "yet" / "x").read_bytes() == b"made"
    with pytest.raises(CallFailed, match="writing"):
        here.writer().files.write(str(path / "x"), b"")


def test_folders_are_listed_and_files_renamed_and_removed(here: Host, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / ".env").write_bytes(b"1234")
    entries = {each.name: each for each in here.reader.files.list(str(tmp_path)) or ()}
    assert {name: (each.size, each.folder) for name, each in entries.items() if not each.folder} == {".env": (4, False)}
    assert entries["a b"].folder
    assert abs(entries[".env"].modified - (tmp_path / ".env").stat().st_mtime) <= 1
    assert here.reader.files.list(str(tmp_path / "none")) is None
    files = here.writer().files
    files.rename(str(tmp_path / ".env"), str(tmp_path / "old"))
    (tmp_path / ".env").write_bytes(b"new")
    with pytest.raises(CallFailed, match="renaming"):
        files.rename(str(tmp_path / ".env"), str(tmp_path / "old"))
    assert (tmp_path / "old").read_bytes() == b"1234", "an existing file is never overwritten"
    with pytest.raises(CallFailed, match="renaming"):
        files.rename(str(tmp_path / "none"), str(tmp_path / "other"))
    files.remove(str(tmp_path / "old"))
    files.remove(str(tmp_path / "old"))
    assert not (tmp_path / "old").exists()


def test_the_space_of_a_path_that_is_not_there_yet_is_its_parents(here: Host, tmp_path: Path) -> None:
    space = here.reader.files.space(str(tmp_path / "none" / "yet"))
    assert 0 < space.free <= space.total
    assert space.total == here.reader.files.space(str(tmp_path)).total


def test_this_machine_is_never_restarted_from_itself(here: Host) -> None:
    with pytest.raises(Blocked, match="would end with it"):
        here.writer().system.reboot()
    with pytest.raises(Blocked, match="no Docker Desktop"):
        here.writer().desktop.start_docker()
    assert here.reader.desktop.docker() is None
    assert here.writer().desktop.notify("hello", seconds=1) is False


@pytest.mark.parametrize("place", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"])
def test_an_engine_that_is_down_is_one_sentence_with_a_next_action(place: str) -> None:
    host = open_host("localhost", {"docker_host": place, "endpoint": "http://127.0.0.1:1"}, check=True)
    with pytest.raises(CallFailed, match="the Docker engine does not answer") as raised:
        host.reader.engine.facts()
    assert "start Docker" in raised.value.next_step
    with pytest.raises(CallFailed, match=r"querying Ollama at .* failed: nothing listens"):
        host.reader.ollama.version()
    target = host.reader.target()
    assert (target.container, target.project, target.model) == (None, None, None)


def test_a_host_is_not_touched_before_it_is_read_and_a_bad_variable_is_an_error_at_once() -> None:
    assert open_host("far", {"ansible_host": "203.0.113.1"}, check=True).round_trips == 0
    with pytest.raises(UsageError, match="ansible_port"):
        open_host("far", {"ansible_port": "many"}, check=True)


def test_the_clock_of_a_lab_host_runs_by_its_scale() -> None:
    clock = open_host("lab", {"lab_scale": 1000}, check=True).clock
    before = clock.monotonic()
    clock.sleep(20)
    assert clock.monotonic() - before >= 20
