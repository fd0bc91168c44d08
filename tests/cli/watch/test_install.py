"""The services that ``watch --install`` writes: systemd reads the units, and XML parsers the task."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from remediation.cli.commands.watching.watch import command_line_of
from remediation.cli.options import WatchOptions
from remediation.cli.watch.install import WatchService, install_service, task_xml, uninstall_service, units
from remediation.model.errors import UsageError
from tests.cli.processes import Remediate
from tests.support.requirements import need_program

ODD = ["watch", "--limit", 'gpu:!"a b"', "--extra-vars", "x=50% $HOME \\n"]


@pytest.mark.parametrize("stays", [False, True])
def test_systemd_accepts_the_units(tmp_path: Path, stays: bool) -> None:
    analyze = need_program("systemd-analyze", "systemd")
    files = units(WatchService("remediate-watch", ODD, 300.0, stays=stays), tmp_path)
    assert list(files) == (["remediate-watch.service"] if stays else ["remediate-watch.service", "remediate-watch.timer"])
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", *(str(tmp_path / name) for name in files)], capture_output=True, text=True, check=False
    )
    assert str(tmp_path) not in done.stderr, done.stderr


def test_every_word_of_the_command_is_kept() -> None:
    text = units(WatchService("w", ODD, 60.0), Path("/srv/100%"))["w.service"]
    assert '"gpu:!\\"a b\\"" --extra-vars "x=50%% $$HOME \\\\n"' in text
    assert "WorkingDirectory=/srv/100%%\n" in text


def test_the_task_of_windows_is_valid_xml_with_the_same_command() -> None:
    root = ET.fromstring(task_xml(WatchService("w", ODD, 300.0), Path("C:\\fleet & co")))
    names = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert root.findtext(".//t:Interval", None, names) == "PT5M"
    assert root.findtext(".//t:Command", None, names) == sys.executable
    assert root.findtext(".//t:Arguments", None, names) == f"-m remediation.cli.main {subprocess.list2cmdline(ODD)}"
    assert root.findtext(".//t:WorkingDirectory", None, names) == "C:\\fleet & co"


def test_install_and_uninstall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, folder = tmp_path / "programs", tmp_path / "units"
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n', encoding="utf-8")
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    done = install_service(WatchService("fleet", ["watch", "--once"], 90.0), folder)
    assert done[:2] == [f"wrote {folder / 'fleet.service'}", f"wrote {folder / 'fleet.timer'}"]
    assert "OnUnitInactiveSec=90s" in (folder / "fleet.timer").read_text(encoding="utf-8")
    assert uninstall_service("fleet", folder) == [f"removed {folder / 'fleet.timer'}", f"removed {folder / 'fleet.service'}"]
    assert list(folder.iterdir()) == []
    assert (tmp_path / "calls").read_text(encoding="utf-8").splitlines() == [
        "--user daemon-reload", "--user enable --now fleet.timer", "--user disable --now fleet.timer", "--user disable --now fleet.service",
        "--user daemon-reload",
    ]  # fmt: skip


def test_a_refusal_of_systemd_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n", encoding="utf-8")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UsageError, match="systemctl --user daemon-reload failed: Failed to connect to bus"):
        install_service(WatchService("fleet", ["watch"], 90.0), tmp_path / "units")
    assert list((tmp_path / "units").iterdir()) == []


def test_units_of_an_earlier_installation_stay_if_the_new_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "fleet.service").write_text("earlier", encoding="utf-8")
    with pytest.raises(UsageError, match="systemctl --user daemon-reload failed: exit code 1"):
        install_service(WatchService("fleet", ["watch"], 90.0), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("fleet*")) == ["fleet.service"]


def test_a_folder_of_units_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UsageError, match=r"the units cannot be written into .*/systemctl/units: Not a directory") as caught:
        install_service(WatchService("fleet", ["watch"], 90.0), tmp_path / "systemctl/units")
    assert "writable" in caught.value.next_step


def test_without_systemd_the_service_is_refused_with_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="systemctl is not on PATH") as caught:
        install_service(WatchService("fleet", ["watch"], 90.0), tmp_path / "units")
    assert "--once" in caught.value.next_step


def test_the_service_has_the_same_options() -> None:
    options = WatchOptions(
        inventory=("a.yml", "b.yml"), limit="gpu:!x", quiet=("22:00-06:00",), every="90s", per_hour=3, json=True, install=True
    )
    assert command_line_of(options) == [
        "--json",
        "--inventory",
        "a.yml",
        "--inventory",
        "b.yml",
        "--limit",
        "gpu:!x",
        "--per-hour",
        "3",
        "--quiet",
        "22:00-06:00",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--install", "--notify", "https://hooks.example/T0KEN"), "--install does not store the address of --notify"),
        (("--uninstall", "--name", "no-such-watch"), "no service no-such-watch in "),
        (("--name", "../x"), "--name: expected letters"),
        (("--quiet", "late"), "--quiet: expected hours"),
        (("--max-risk", "all"), "--max-risk: unknown risk"),
        (("--metrics", "x"), "--metrics: expected ADDRESS:PORT"),
    ],
)
def test_a_wrong_option_is_refused(remediate: Remediate, words: tuple[str, ...], sentence: str) -> None:
    done = remediate("watch", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
