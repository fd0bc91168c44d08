"""What wsl.exe prints, in UTF-16 and UTF-8, in any language."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from remediation.connections.calls import Call, Completed, Failed, Reply, Run
from remediation.facets.machine.wsl import PROGRAM, config_from, read_distributions, shut_down, with_start
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed
from remediation.model.facts import WslDistribution

ENGLISH = "  NAME              STATE           VERSION\r\n* Ubuntu-22.04      Running         2\r\n  Debian            Stopped         1\r\n"
SPANISH = "  NOMBRE            ESTADO           VERSIÓN\r\n* Ubuntu-22.04      En ejecución     2\r\n  Debian            Detenido         1\r\n"
FOUND = (WslDistribution("Ubuntu-22.04", 2, running=True), WslDistribution("Debian", 1, running=False))
OLD = "wsl.exe"


class Host:
    """Answers calls of wsl.exe by their words."""

    host, platform = "laptop-07", "windows"

    def __init__(self, answers: dict[str, Reply], *, store: bool = True) -> None:
        self.answers, self.store, self.calls = answers, store, list[Run]()

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return [self.reply(each) for each in calls]

    def reply(self, call: Call) -> Reply:
        assert isinstance(call, Run)
        self.calls.append(call)
        if call.argv[0] == PROGRAM and not self.store:
            return Failed("not-found", "The system cannot find the file specified")
        return self.answers.get(" ".join(call.argv[1:]), Completed(1, b"", b""))


def look(host: Host) -> Snapshot:
    return Snapshot(lambda: host)  # type: ignore[arg-type,return-value]  # only what a snapshot uses


def listing(text: str, encoding: str) -> dict[str, Reply]:
    return {
        "--list --verbose": Completed(0, text.encode(encoding), b""),
        "--list --running --quiet": Completed(0, "Ubuntu-22.04\r\n".encode(encoding), b""),
    }


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16", "utf-8"])
@pytest.mark.parametrize("text", [ENGLISH, SPANISH])
def test_distributions_are_read_in_any_encoding_and_language(
    text: str, encoding: str, store: bool
) -> None:  # a parameter of the test
    assert read_distributions(look(Host(listing(text, encoding), store=store))) == FOUND


def test_a_host_without_wsl_has_none() -> None:
    assert read_distributions(look(Host({}))) == ()


@pytest.mark.parametrize(
    ("printed", "started"), [(b"500.25 900.0\n1 (my init) S 0 1 1 0 -1 4 1 1 1 1 1 1 1 1 20 0 1 0 40025 1\n", 900.0), (b"", None)]
)
def test_the_start_is_the_uptime_less_the_age_of_the_first_process(printed: bytes, started: float | None) -> None:
    words = "--distribution Ubuntu-22.04 --user root --exec cat /proc/uptime /proc/1/stat"
    host = Host({words: Completed(0, printed, b"")})
    assert [each.started for each in with_start(look(host), FOUND, 1000.0)] == [started, None]
    assert len(host.calls) == 1  # a stopped distribution is not started to read it


def test_a_refused_shutdown_is_reported_in_windows_words() -> None:
    host = Host({"--shutdown": Completed(0xFFFFFFFF, "Acceso denegado.\r\n".encode("utf-16-le"), b"")}, store=False)
    with pytest.raises(CallFailed, match="wsl --shutdown failed: Acceso denegado"):
        shut_down(look(host))
    assert [(each.argv[0], each.writes) for each in host.calls] == [(PROGRAM, True), (OLD, True)]


@pytest.mark.parametrize(
    ("text", "cut_off"),
    [
        ("[wsl2]\nlocalhostForwarding=false\n", "localhostForwarding=false"),
        ("[wsl2]\r\nLocalhostForwarding = False # closed\r\n", "LocalhostForwarding = False"),
        ("[wsl2]\nlocalhostForwarding=true\n", ""),
        ("[wsl2]\nnetworkingMode=mirrored\nlocalhostForwarding=false\n", ""),
        ("[wsl2]\nnetworkingMode=none\n", "networkingMode=none"),
        ("[experimental]\nlocalhostForwarding=false\n", ""),
        (None, ""),
    ],
)
def test_a_setting_that_keeps_windows_out_is_found(text: str | None, cut_off: str) -> None:
    assert config_from("", text).cut_off == cut_off
