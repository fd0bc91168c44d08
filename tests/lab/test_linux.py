"""Linux hosts of the lab over a real sshd: what their programs say, and how the program repairs each fault."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

import pytest

from remediation_lab import control
from remediation_lab.free_ports import free_port
from remediation_lab.linux import faults, sshd
from remediation_lab.linux.host import MODEL, LinuxHost
from tests.lab.product import Events, program
from tests.support.requirements import need_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a Linux host of the lab is this machine")

FOR_EVER = "2319"


@dataclass(frozen=True, slots=True)
class Place:
    """A host with its sshd, which one fault after the other takes."""

    host: LinuxHost
    door: sshd.Sshd

    def put(self, fault: str) -> LinuxHost:
        self.host.stop()
        self.host.remove()
        faults.make(self.host, fault)
        return self.host


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    need_program("sshd", "openssh-server")
    home, port = tmp_path_factory.mktemp("linux") / "gpu-07", free_port()
    # one such host at a time, since a host's processes are this machine's
    with (Path(tempfile.gettempdir()) / f"remediation-tests-service-{os.getuid()}").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        host = LinuxHost(home, free_port())
        sshd.configure(home / "sshd", port, programs=home / "bin")
        server = sshd.launch(home / "sshd")
        try:
            yield Place(host, sshd.at(home / "sshd", port))
        finally:
            host.stop()
            server.terminate()
            server.wait()


def say(host: LinuxHost, *words: str) -> str:
    path = f"{host.home}/bin:{os.environ['PATH']}"
    return run([host.home / "bin" / words[0], *words[1:]], capture_output=True, text=True, check=True, env={"PATH": path}).stdout


def test_the_hosts_programs_show_what_was_put_there(place: Place) -> None:
    host = place.put("environment-file")
    shown = say(host, "systemctl", "show", "ollama.service")
    assert f"MainPID={host.pid}" in shown
    assert f"EnvironmentFiles={host.home}/ollama.env" in shown
    assert "OLLAMA_LLM_LIBRARY:cuda" in say(host, "journalctl", "--lines", "500")
    assert "OLLAMA_LLM_LIBRARY=cuda" in Path(f"/proc/{host.pid}/environ").read_text("utf-8").split("\0")
    host.hold("trainer", 1024**3)
    (holder,) = host.others
    apps = say(host, "nvidia-smi", "--query-compute-apps=gpu_uuid,pid,used_memory,name", "--format=csv,noheader,nounits")
    assert f"{holder.pid}, 1024, trainer" in apps
    holder.send_signal(signal.SIGTERM)
    holder.wait()
    assert "trainer" not in host.card.read_text("utf-8")
    host.stop()
    assert "MainPID=0" in say(host, "systemctl", "show", "ollama.service")


def test_a_deleted_model_stays_loaded(place: Place) -> None:
    host = place.put("deleted-model-loaded")
    assert [each["name"] for each in host.ask("/api/ps")["models"]] == [faults.OTHER]
    assert [each["name"] for each in host.ask("/api/tags")["models"]] == [MODEL]


def test_the_lab_starts_a_host_and_puts_faults_into_it(tmp_path: Path) -> None:
    need_program("sshd", "openssh-server")
    lab = control.start(tmp_path, world="linux")
    try:
        (host,) = lab.hosts
        assert (host.name, lab.variables(host)["ansible_connection"]) == ("gpu-07", "ssh")
        assert control.find(tmp_path) is not None
        control.fault("gpu-07", "unit-stopped", tmp_path)
        status = control.status(tmp_path)
        assert status is not None
        assert status["gpu-07"]["fault"] == "unit-stopped"
        with pytest.raises(ConnectionRefusedError):
            LinuxHost(tmp_path, int(lab.variables(host)["endpoint"].rpartition(":")[2])).ask("/api/ps")
        control.reset(tmp_path)
        assert (control.status(tmp_path) or {})["gpu-07"]["fault"] == faults.DEFAULT
        assert control.start(tmp_path).world == "linux"
    finally:
        assert control.stop(tmp_path)
    assert control.faults("linux") == tuple(faults.FAULTS)


_SETTING = ("ollama.environment", "ollama.reconfigured", "model.reloaded")
REPAIRED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "num-gpu-1": ("explicit_num_gpu", ("model.reloaded",)),
    "num-gpu-1-model": ("explicit_num_gpu", ("model.parameter", "model.reloaded")),
    "keep-alive-forever": ("explicit_num_gpu", ("model.reloaded",)),
    "unit-llm-library": ("wrong_library_or_missing_runner", _SETTING),
    "unit-visible-devices": ("cuda_visible_devices_wrong", _SETTING),
    "unit-gpu-overhead": ("gpu_overhead_reserved", _SETTING),
    "unit-num-parallel": ("num_parallel_too_high", _SETTING),
    "drop-in-context": ("context_too_large", _SETTING),
    "environment-file": ("wrong_library_or_missing_runner", _SETTING),
    "not-reloaded": ("context_too_large", _SETTING),
    "vram-freed": ("", ("model.reloaded",)),
    "server-hangs": ("other", ("ollama.restarted", "model.loaded")),
    "no-journal": ("unknown", ("model.reloaded",)),
    "by-hand": ("explicit_num_gpu", ("model.reloaded",)),
    "deleted-model-loaded": ("", ("model.loaded",)),
    "healthy": ("healthy", ()),
}
"""The cause that a diagnosis puts first, and the steps that repair it."""
MOST: Mapping[str, int] = {"server-hangs": 40}
"""Exchanges of a repair, where there may be more than 20: a server that hangs is waited for."""
BY_HAND: Mapping[str, tuple[str, str]] = {
    "vram-occupied": ("vram_occupied", "close chrome"),
    "vram-freed-in-part": ("vram_occupied", "close trainer"),
    "libraries-missing": ("wrong_library_or_missing_runner", "install.sh"),
    "two-models-loaded": ("explicit_num_gpu", "-e model="),
    "model-truncated": ("model_corrupt", "access to the model's registry"),
    "unit-stopped": ("other", "systemctl start ollama"),
}
"""The cause, and words of the advice with which a repair ends."""
RELOADED = "vram-freed-in-part"
"""It ends with advice, too, but more layers are on the GPU then."""
SAMPLE = (RELOADED, "environment-file", "vram-freed", "libraries-missing")


def test_every_fault_has_its_outcome() -> None:
    assert {*REPAIRED, *BY_HAND} == {*faults.FAULTS}


def repaired(place: Place, fault: str, folder: Path) -> tuple[str, int, tuple[str, ...], str]:
    host = place.put(fault)
    where = place.door.variables(endpoint=host.endpoint, docker_host=f"unix://{host.home}/no-docker.sock")
    remediate = program(folder, {"gpu-07": where})
    code, found = remediate("diagnose")
    assert code == 0
    code, events = remediate("fix-offload", "--log-file", str(folder / "log"), "--log-level", "debug")
    return str(found[0]["findings"][0]["cause"]), code, steps(events), json.dumps(events)


def exchanges(log: Path) -> int:
    """Return how many exchanges a run needed, without the polls of a server that restarts or unloads a model."""
    calls = re.findall(r"ssh exchange (\d+), call \d+ of (\d+): (.*)", log.read_text("utf-8"))
    polls = re.compile(r"GET \S+/api/(?:ps|version): (?:status 200|refused: nothing listens)")
    return len({number for number, of, call in calls if of != "1" or not polls.search(call)})


def steps(events: Events) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event["step"] for event in events if event["event"] == "change_end" and event["applied"]))


@pytest.mark.parametrize("fault", [pytest.param(each, marks=() if each in SAMPLE else pytest.mark.every) for each in REPAIRED])
def test_what_is_repaired(place: Place, fault: str, tmp_path: Path) -> None:
    wanted, expected = REPAIRED[fault]
    cause, code, changed, events = repaired(place, fault, tmp_path)
    assert (code, changed) == (0, expected), events
    assert not wanted or cause == wanted
    assert 0 < exchanges(tmp_path / "log") <= MOST.get(fault, 20)
    loaded = {each["name"]: each for each in place.host.ask("/api/ps")["models"]}
    assert loaded[MODEL]["size"] == loaded[MODEL]["size_vram"]
    if fault == "keep-alive-forever":
        assert loaded[MODEL]["expires_at"].startswith(FOR_EVER)


@pytest.mark.parametrize("fault", [pytest.param(each, marks=() if each in SAMPLE else pytest.mark.every) for each in BY_HAND])
def test_what_ends_with_advice(place: Place, fault: str, tmp_path: Path) -> None:
    wanted, advice = BY_HAND[fault]
    cause, code, changed, events = repaired(place, fault, tmp_path)
    assert (code in {2, 5}, changed) == (True, ("model.reloaded",) if fault == RELOADED else ()), events
    assert not wanted or cause == wanted
    assert not advice or advice in events


CHECKED: Mapping[str, tuple[int, str, str]] = {
    "healthy": (0, "server", "the service ollama"),
    "by-hand": (0, "server", "the process "),
    "unit-stopped": (2, "server", "the service ollama is "),
    "no-journal": (0, "server log", "the journal has no entries of the unit ollama"),
    "environment-file": (0, "server", "ollama.env"),
    "not-reloaded": (0, "server", "systemd has not read its changed unit files yet"),
    "server-hangs": (2, "Ollama", "accepts connections but does not answer"),
}
"""The exit code of check-host, a check, and words of it."""


@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, marks=() if each in {"healthy", "by-hand", "unit-stopped"} else pytest.mark.every) for each in CHECKED],
)
def test_check_host_names_what_serves_and_each_gap_with_its_cure(place: Place, fault: str, tmp_path: Path) -> None:
    wanted, name, words = CHECKED[fault]
    host = place.put(fault)
    where = place.door.variables(endpoint=host.endpoint, docker_host=f"unix://{host.home}/no-docker.sock")
    code, (found,) = program(tmp_path, {"gpu-07": where})("check-host")
    gaps = [check for check in found["checks"] if check["ok"] is False]
    assert (code, bool(gaps)) == (wanted, wanted != 0), gaps
    assert all(check["blocks"] and check["cure"] for check in gaps), gaps
    assert any(words in check["text"] for check in found["checks"] if check["name"] == name), found["checks"]


def test_a_server_at_another_port_than_the_endpoint_is_named_and_its_log_is_no_evidence(place: Place, tmp_path: Path) -> None:
    host = place.put("num-gpu-1")
    other = f"http://127.0.0.1:{free_port()}"
    where = place.door.variables(endpoint=other, docker_host=f"unix://{host.home}/no-docker.sock")
    remediate = program(tmp_path, {"gpu-07": where})
    code, (found,) = remediate("check-host")
    (server,) = [check for check in found["checks"] if check["name"] == "server"]
    assert (code, server["ok"], f"listens at port {host.port}" in server["text"]) == (2, None, True)
    assert server["cure"].startswith(f"set endpoint: {host.endpoint} in the inventory")
    code, (found,) = remediate("diagnose")
    assert code == 0
    (unknown,) = found["findings"]
    assert (unknown["cause"], f"listens at port {host.port}" in unknown["because"]) == ("unknown", True)
    assert (
        unknown["cure"]
        == f"set endpoint: {host.endpoint} in the inventory to use that server, or start the one at port {other[17:]}"
    )
    assert any(f"listens at port {host.port}" in note for note in found["notes"])
