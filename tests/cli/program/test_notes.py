"""Every command that opens a connection prints its notes, once per host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.processes import Remediate

UNVERIFIED = "the certificate is not verified"


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    """Return an inventory of two hosts where nothing listens, whose certificates would not be verified."""
    path = tmp_path / "hosts.yml"
    path.write_text(
        "all:\n  vars: {ansible_connection: winrm, ansible_port: 9, ansible_user: u, ansible_password: p,\n"
        "    ansible_winrm_scheme: https, ansible_winrm_transport: ntlm, ansible_winrm_server_cert_validation: ignore}\n"
        "  hosts:\n    one: {ansible_host: 127.0.0.1}\n    two: {ansible_host: 127.0.0.2}\n",
        encoding="utf-8",
    )
    return str(path)


@pytest.mark.parametrize(
    "words",
    [
        ("diagnose",),
        ("diagnose", "--json"),
        ("check-host",),
        ("check-host", "--limit", "one,two", "-v"),
        ("monitor", "--for", "0s"),
        ("fix-offload",),
        ("fix-offload", "--check"),
        ("verify",),
    ],
)
def test_every_command_says_that_a_certificate_is_not_verified(
    remediate: Remediate, inventory: str, words: tuple[str, ...]
) -> None:
    done = remediate(*words, "--inventory", inventory)
    said = " ".join((done.stdout if "--json" not in words else "").split() + done.stderr.split())
    for host in ("one", "two"):
        assert said.count(f"{host}: {UNVERIFIED}") == 1, done.stdout + done.stderr


def test_a_playbook_of_commands_shows_and_journals_it(remediate: Remediate, inventory: str, tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    play.write_text("- hosts: all\n  tasks:\n    - command: hostname\n    - command: hostname\n", encoding="utf-8")
    report = tmp_path / "report.html"
    done = remediate("play", str(play), "--inventory", inventory, "--report", str(report))
    run = json.loads(remediate("history", "--json").stdout)[0]["run"]
    for shown in (done.stdout, remediate("show", run).stdout, report.read_text(encoding="utf-8")):
        for host in ("one", "two"):
            assert " ".join(shown.split()).count(f"{host}: {UNVERIFIED}") == 1, shown
