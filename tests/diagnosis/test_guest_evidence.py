"""A server in a distribution of WSL in the evidence: saved, read back, and without secrets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.redaction import redact
from remediation.diagnosis.units import GIB
from remediation.model.facts import Manager, ServiceUnit, Serving, SourcedSetting, SystemFacts, WslConfig, WslServer

UNIT = ServiceUnit(
    "ollama.service", environment={"OLLAMA_API_KEY": "hidden-5577"},
    settings=(SourcedSetting("OLLAMA_API_KEY", "hidden-5577", "the unit", wins=True),),
    files={"/home/mariaperez/ollama.conf": 'Environment="OLLAMA_API_KEY=hidden-5577"\n'},
)  # fmt: skip
EVIDENCE = Evidence(
    serving=Serving(
        Manager.WSL, "Ubuntu", wsl=True, settings=UNIT.settings,
        guest=WslServer(2, running=True, unit=UNIT, pid=201, memory=4 * GIB, config=WslConfig("C:\\Users\\mariaperez\\.wslconfig")),
    )
)  # fmt: skip
REFUSED = 'time=2026-11-29T11:38:07.000Z level=WARN source=server.go:1033 msg="model request too large for system" requested="4.4 GiB" available="{free} MiB" total="1.0 GiB" free="921.6 MiB" swap="0 B"\n'


def test_it_is_saved_and_read_back() -> None:
    assert Evidence.from_json(json.loads(json.dumps(EVIDENCE.to_json()))) == EVIDENCE


def test_secrets_and_people_are_removed() -> None:
    text = json.dumps(redact(EVIDENCE).to_json())
    assert "hidden-5577" not in text
    assert "mariaperez" not in text


def on(guest: WslServer, *, version: str | None = None, log: str = "", memory: int = 16 * GIB) -> Evidence:
    """Return what was collected of a Windows host with `memory` and a server that `guest` describes."""
    return Evidence(
        platform="wsl", collected_at=1.0, ollama_version=version, serving=Serving(Manager.WSL, "Arch", wsl=True, guest=guest),
        system=SystemFacts("windows", "11", "pc-3", memory, memory // 2, 1.0, 0.0),
        pieces=(Piece("server_log", log, "server.log"),) if log else (),
    )  # fmt: skip


SERVICE = ServiceUnit("llm.service", state="inactive")
CUT = WslConfig("C:\\Users\\ana\\.wslconfig", cut_off="networkingMode=none")


@pytest.mark.parametrize(
    ("guest", "mechanism", "words"),
    [
        (WslServer(2, running=False), "wsl-distribution-stopped", "wsl -d Arch -u root -- systemctl start ollama"),
        (WslServer(2, running=True, unit=SERVICE), "wsl-unit-stopped", "wsl -d Arch -u root -- systemctl start llm"),
        (WslServer(2, running=True, pid=9, config=CUT), "wsl-not-forwarded", "Take the line networkingMode=none out of C:\\Users\\ana\\.wslconfig"),
    ],
)  # fmt: skip
def test_why_windows_does_not_reach_the_server(guest: WslServer, mechanism: str, words: str) -> None:
    first = diagnose(on(guest)).findings[0]
    assert (first.mechanism, first.by_hand) == (mechanism, True)
    assert words in first.cure
    assert diagnose(on(guest, version="0.13.5")).findings[0].mechanism != mechanism  # a server answers


def test_a_server_that_is_not_reached_for_another_reason_is_not_explained() -> None:
    open_ = replace(CUT, cut_off="")
    assert diagnose(on(WslServer(2, running=True, pid=9, config=open_))).findings[0].cause == "unknown"


@pytest.mark.parametrize(
    ("guest", "memory", "mechanism"),
    [
        (WslServer(2, running=True, unit=SERVICE, pid=9, memory=GIB), 16 * GIB, "wsl-memory-limit"),
        (WslServer(2, running=True, pid=9, memory=GIB), 16 * GIB, "wsl-memory-limit-by-hand"),
        (WslServer(2, running=True, unit=SERVICE, pid=9, memory=GIB), 2 * GIB, "host-ram-oom"),  # WSL's own half
        (WslServer(2, running=True, unit=SERVICE, pid=9), 16 * GIB, "host-ram-oom"),
    ],
)
def test_the_memory_of_wsl_is_blamed_only_below_half_of_the_hosts(guest: WslServer, memory: int, mechanism: str) -> None:
    found = diagnose(on(guest, version="0.13.5", log=REFUSED.format(free="921.6"), memory=memory)).findings[0]
    assert (found.cause, found.mechanism) == ("system_memory_limit", mechanism)
