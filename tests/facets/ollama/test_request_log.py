"""The requests that a native server wrote down: named by its log, read in few exchanges, and no word of a prompt."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Completed, Probe, ReadFile, Run
from remediation.diagnosis.advice.sender import find_senders
from remediation.diagnosis.collect import collect
from remediation.facets.host import HostReader
from remediation.facets.host_info import HostInfo
from remediation.facets.ollama import request_log
from remediation.facets.ollama.service_log import ServiceLog
from remediation.model.clock import SystemClock
from remediation.model.errors import CallFailed
from tests.facets.prepared_connection import Answering

MODEL = "mistral:7b-instruct-q4_K_M"
URL = "http://127.0.0.1:11434"
BODY = '{"model": "%s", "prompt": "a secret of the house", "options": {"num_gpu": %d}}'
# the shape of server/inference_request_log.go, written for this test
LOGGED = 'time=2026-05-02T10:00:0{0}.000+02:00 level=INFO source=inference_request_log.go:123 msg="logged to {1}, replay using curl with `sh {1}`"\n'
GIN = '[GIN] 2026/05/02 - 10:00:01 | 200 |  1.2s |  10.0.0.9 | POST     "/api/generate"\n'
LOCAL = "C:\\Users\\ana.lab\\AppData\\Local"
TEMPORARY = f"{LOCAL}\\Temp\\ollama-request-logs-77\\20260502T080001.000000000Z-000001_api_generate_body.json"


def body(number: int, folder: str = "/tmp/ollama-request-logs-4711") -> str:
    return f"{folder}/20260502T08000{number}.000000000Z-00000{number}_api_generate_body.json"


def place(*, windows: bool) -> HostInfo:
    return HostInfo("host", {}, windows=windows, local=False, clock=SystemClock(), environment={})


def test_the_log_names_the_bodies_the_latest_last() -> None:
    log = "".join(LOGGED.format(number, body(number)) for number in (1, 2)) + GIN
    assert request_log.named_bodies(log, windows=False) == (body(1), body(2))
    many = "".join(LOGGED.format(0, body(0, f"/tmp/ollama-request-logs-{number}")) for number in range(40))
    assert len(request_log.named_bodies(many, windows=False)) == request_log.MOST


def test_backslashes_that_go_doubles_in_quotes_are_single_again() -> None:
    log = LOGGED.format(1, TEMPORARY.replace("\\", "\\\\"))
    assert request_log.named_bodies(log, windows=True) == (TEMPORARY,)


@pytest.mark.parametrize(
    "line",
    [
        LOGGED.format(1, "/etc/shadow"),
        LOGGED.format(1, "relative/ollama-request-logs-1/a_body.json"),
        LOGGED.format(1, "/tmp/ollama-request-logs-1/../../etc/a b_body.json"),
        '[GIN] 2026/05/02 - 10:00:01 | 404 | 1s | 10.0.0.9 | GET "/logged to x"\n',
    ],
)
def test_what_is_no_body_of_the_server_is_no_file_to_read(line: str) -> None:
    assert request_log.named_bodies(line, windows=False) == ()


@pytest.mark.parametrize("private", ["", "systemd-private-1-ollama.service-x/tmp/"])
def test_find_and_grep_return_model_and_layers_and_no_word_of_the_prompt(tmp_path: Path, private: str) -> None:
    there = tmp_path / private / "ollama-request-logs-4711"
    there.mkdir(parents=True)
    named = tuple(body(number, str(tmp_path / "ollama-request-logs-4711")) for number in (1, 2))
    for number, path in enumerate(named, start=1):
        (there / Path(path).name).write_text(BODY % (MODEL, number), encoding="utf-8")
    (there / "20260502T080009.000000000Z-000009_api_generate_body.json").write_text(BODY % ("other", 9), encoding="utf-8")
    call = request_log.call(named, windows=False)
    assert isinstance(call, Run)
    assert not call.writes
    done = subprocess.run(call.argv, capture_output=True, text=True, check=True, timeout=20)
    found = request_log.parse_matches(done.stdout)
    assert [text for _, text in found] == [f'"model": "{MODEL}", "num_gpu": {number}' for number in (1, 2)]
    assert "secret" not in done.stdout


def test_a_login_that_may_not_read_them_learns_who_may() -> None:
    denied = Completed(1, b"", b"find: '/tmp/ollama-request-logs-4711': Permission denied\n")
    connection = Answering(runs=lambda argv: denied if argv[0] == "find" else None)
    with pytest.raises(CallFailed, match="may not read /tmp/ollama-request-logs-4711") as caught:
        request_log.read_requests(connection.look(), (body(1),))
    assert "root" in caught.value.next_step


def test_bodies_that_are_gone_are_as_if_there_were_none() -> None:
    gone = Completed(1, b"", b"find: '/tmp/systemd-private-1-other': Permission denied\n")
    connection = Answering(runs=lambda argv: gone if argv[0] == "find" else None)
    assert request_log.read_requests(connection.look(), (body(1),)) == ()
    assert request_log.read_requests(connection.look(), ()) == ()


def native(**probes: Any) -> Answering:
    log = LOGGED.format(1, TEMPORARY.replace("\\", "\\\\")) + GIN
    programs = [
        {"ProcessId": 7, "Name": "ollama.exe", "ExecutablePath": f"{LOCAL}\\Programs\\Ollama\\ollama.exe", "CreationDate": 1.0, "SessionId": 1}
    ]  # fmt: skip
    return Answering(
        platform="windows",
        http={f"{URL}/api/version": {"version": "0.24.0"}, f"{URL}/api/ps": {"models": []}, f"{URL}/api/tags": {"models": []}},
        files={f"{LOCAL}\\Ollama\\server.log": log.encode()},
        probes={"processes": programs, "session": {"User": "LAB\\ops", "DesktopUser": "LAB\\ana"}, **probes},
    )


def test_the_windows_log_is_in_the_folder_of_the_user_who_runs_the_program() -> None:
    connection = native()
    assert ServiceLog(connection.look()).read(tail=10).endswith(GIN)
    assert connection.asked[-1] == (ReadFile(f"{LOCAL}\\Ollama\\server.log", limit=2500, tail=True),)


def test_a_native_windows_server_is_read_in_three_exchanges_and_its_client_named() -> None:
    rows = [{"Path": TEMPORARY, "Text": f'"model": "{MODEL}", "num_gpu": 1'}]
    connection = native(requests={"Rows": rows, "Refused": []})
    evidence = collect(HostReader(place(windows=True), connection.look()))
    assert connection.round_trips <= 3
    assert [
        call.data["paths"] for calls in connection.asked for call in calls if isinstance(call, Probe) and call.name == "requests"
    ] == [[TEMPORARY]]
    (sender,) = [one for one in find_senders(evidence) if one.value is not None]
    assert (sender.who, sender.value, sender.place.where) == (f"a client's request for {MODEL} from 10.0.0.9", 1, TEMPORARY)


def test_a_refused_body_is_a_note_and_everything_else_is_read() -> None:
    evidence = collect(HostReader(place(windows=True), native(requests={"Rows": [], "Refused": [TEMPORARY]}).look()))
    assert any("this login may not read" in note for note in evidence.skipped)
    assert any(piece.kind == "server_log" for piece in evidence.pieces)


def test_a_native_linux_servers_requests_are_read_in_the_third_exchange_and_its_client_named() -> None:
    answers = {
        "journalctl": Completed(0, (LOGGED.format(1, body(1)) + GIN).encode(), b""),
        "find": Completed(0, f'{body(1)}:"model": "{MODEL}"\n{body(1)}:"num_gpu": 1\n'.encode(), b""),
    }
    connection = Answering(
        runs=lambda argv: answers.get(argv[0]),
        http={f"{URL}/api/version": {"version": "0.24.0"}, f"{URL}/api/ps": {"models": []}, f"{URL}/api/tags": {"models": []}},
    )
    evidence = collect(HostReader(place(windows=False), connection.look()))
    programs = [{call.argv[0] for call in calls if isinstance(call, Run)} for calls in connection.asked]
    assert ["find" in names for names in programs[:3]] == [False, False, True]
    (sender,) = [one for one in find_senders(evidence) if one.value is not None]
    assert (sender.who, sender.value, sender.place.where) == (f"a client's request for {MODEL} from 10.0.0.9", 1, body(1))


def test_where_nothing_was_written_no_file_is_looked_for() -> None:
    connection = Answering(runs=lambda argv: Completed(0, GIN.encode(), b"") if argv[0] == "journalctl" else None)
    HostReader(place(windows=False), connection.look()).callers.requests()
    assert [
        call.argv[0] for calls in connection.asked for call in calls if isinstance(call, Run) and call.argv[0] == "find"
    ] == []
