"""Which Docker daemon is meant and where its settings are, whether it would start with new ones, and how it is restarted."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from remediation.connections.posix.local import LocalConnection
from remediation.facets.services.daemon import LinuxDaemonWriter, gpu_software, without_config
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import Blocked, CallFailed
from remediation.model.facts import DaemonFacts

PLAIN = "daemon 10 0 /usr/bin/dockerd\nword 10 -H\nword 10 fd://\nmain 10\n"
ROOTLESS = "daemon 20 1000 /usr/bin/dockerd\nhome 20 /home/ann\nunit 20 docker.service\nword 20 --host=unix:///run/user/1000/docker.sock\n"
SNAP = "daemon 30 0 /snap/docker/7/bin/dockerd (deleted)\n"
NAMED = "daemon 40 0 /usr/bin/dockerd\nunit 40 big.service\nword 40 --config-file\nword 40 /srv/d.json\n"


@pytest.mark.parametrize(
    ("text", "engine", "found"),
    [
        (PLAIN, "", (10, "/usr/bin/dockerd", "/etc/docker/daemon.json", "docker.service", False, False)),
        (PLAIN + ROOTLESS, "unix:///run/user/1000/docker.sock",
         (20, "/usr/bin/dockerd", "/home/ann/.config/docker/daemon.json", "docker.service", True, False)),
        (ROOTLESS + PLAIN, "unix:///var/run/docker.sock", (10, "/usr/bin/dockerd", "/etc/docker/daemon.json", "docker.service", False, False)),
        (SNAP, "", (30, "/snap/docker/7/bin/dockerd", "/var/snap/docker/current/config/daemon.json", "", False, True)),
        (NAMED, "", (40, "/usr/bin/dockerd", "/srv/d.json", "big.service", False, False)),
        (PLAIN, "tcp://127.0.0.1:2375", None),
        ("tool nvidia-ctk\n", "", None),
    ],
)  # fmt: skip
def test_the_daemon_of_the_addressed_engine_is_found(text: str, engine: str, found: tuple[object, ...] | None) -> None:
    daemon = gpu_software(text, engine).daemon
    values = daemon and (daemon.pid, daemon.program, daemon.config, daemon.unit, daemon.rootless, daemon.snap)
    assert values == found


def test_the_toolkit_and_the_modules_are_read() -> None:
    text = "tool nvidia-ctk\nrelease NVIDIA Container Toolkit CLI version 1.17.0\ntoml [nvidia]\ntoml a = 1\nmodule nvidia 7 nvidia_uvm,nvidia_drm\nmodule nvidia_uvm x \n"
    software = gpu_software(text, "")
    assert (software.toolkit.programs, software.toolkit.config) == (("nvidia-ctk",), "[nvidia]\na = 1\n")
    assert software.toolkit.release.endswith("1.17.0")
    assert [(each.name, each.users, each.by) for each in software.modules.values()] == [
        ("nvidia", 7, ("nvidia_uvm", "nvidia_drm")),
        ("nvidia_uvm", 0, ()),
    ]


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (("--config-file", "/a", "-D"), ("-D",)),
        (("-D", "-config-file=x", "--config-file=/a"), ("-D", "-config-file=x")),
        ((), ()),
    ],
)
def test_flags_without_the_file(flags: tuple[str, ...], left: tuple[str, ...]) -> None:
    assert without_config(flags) == left


def put_program(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LinuxDaemonWriter:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return LinuxDaemonWriter(Snapshot(lambda: LocalConnection("box"), changing=True))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ('grep -q good "$3"', ""),
        ('grep -q better "$3" || { echo "unable to configure: bad" >&2; exit 1; }', "unable to configure: bad"),
        ('echo "unknown flag: --validate" >&2; exit 125', ""),
        ('case "$*" in *"-H fd://"*) exit 0 ;; *) echo "no host" >&2; exit 1 ;; esac', ""),
    ],
)
def test_the_daemon_is_asked_whether_it_would_start(tmp_path: Path, writer: LinuxDaemonWriter, program: str, reason: str) -> None:
    daemon = DaemonFacts(
        1, put_program(tmp_path, "dockerd", program), "/x", None, ("--config-file", "/x", "-H", "fd://"), "", False, False
    )
    assert writer.rejects(daemon, '{"good": 1}') == reason


@pytest.mark.parametrize(
    ("unit", "rootless", "snap", "call"),
    [
        ("docker.service", False, False, "systemctl restart docker"),
        ("docker.service", True, False, "systemctl --user restart docker"),
        ("", False, True, "snap restart docker"),
    ],
)
def test_the_daemon_is_restarted_as_it_was_started(
    tmp_path: Path, writer: LinuxDaemonWriter, unit: str, rootless: bool, snap: bool, call: str
) -> None:
    for name in ("systemctl", "snap"):
        put_program(tmp_path, name, f'echo {name} "$@" >>{tmp_path}/calls')
    writer.restart(DaemonFacts(1, "dockerd", "/x", None, (), unit, rootless, snap))
    assert (tmp_path / "calls").read_text("utf-8").splitlines() == [call]
    put_program(tmp_path, call.split(maxsplit=1)[0], "echo refused >&2; exit 1")
    with pytest.raises(CallFailed, match="refused"):
        writer.restart(DaemonFacts(1, "dockerd", "/x", None, (), unit, rootless, snap))


def test_a_daemon_that_nothing_starts_again_is_left_alone_and_reads_its_file_on_a_signal(writer: LinuxDaemonWriter) -> None:
    with subprocess.Popen(
        ["sh", "-c", "trap 'exit 7' HUP; echo ready; while :; do sleep 0.05; done"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        daemon = DaemonFacts(process.pid, "dockerd", "/x", None, (), "", False, False)
        with pytest.raises(Blocked, match="no systemd unit started it"):
            writer.restart(daemon)
        assert process.poll() is None
        writer.reload(daemon)
        assert process.wait() == 7
