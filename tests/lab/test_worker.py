"""The PowerShell stand-in: the worker protocol line by line, each probe's keys, and refusals."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys

import pytest

from remediation_lab.host.host import Host
from remediation_lab.powershell import start
from remediation_lab.powershell.worker import SLICE, Worker, _ChunkSender
from remediation_lab.wire import Refusal
from tests.lab import protocol_client
from tests.lab.conftest import made
from tests.lab.protocol_client import probe, replies, run

FIELDS = ["index", "uuid", "name", "driver_version", "memory.total", "memory.used", "memory.free", "compute_cap"]
ROWS = {"Name", "LocalUsage", "NonLocalUsage", "DedicatedUsage", "SharedUsage"}
PS = {"method": "GET", "url": "http://127.0.0.1:11434/api/ps", "body": None, "timeout": 600, "stream": False}


def value(machine: Host, name: str, **data: object) -> object:
    return replies(machine, probe(name, data))[0]["value"]


def test_the_greeting_says_what_shell_this_is(machine: Host) -> None:
    (greeting,) = protocol_client.converse(machine)
    assert greeting.keys() == {"hello", "ps_version", "language_mode", "pid"}
    assert (greeting["hello"], greeting["language_mode"]) == (1, "FullLanguage")
    assert greeting["ps_version"].startswith("5.1")


@pytest.mark.parametrize(
    "opening", [b"not base64!\n", protocol_client.line(b"worker") + protocol_client.line({"nonce": "", "protocol": 1})]
)
def test_a_wrong_opening_ends_the_shell(machine: Host, opening: bytes) -> None:
    with pytest.raises(Refusal):
        Worker(machine, io.BytesIO(opening), io.BytesIO()).run()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("session", {"User", "Elevated", "DesktopUser", "LanguageMode", "PSVersion", "Problems"}),
        (
            "system",
            {
                "Caption",
                "Version",
                "Hostname",
                "TotalVisibleMemorySize",
                "FreePhysicalMemory",
                "Now",
                "LastBootUpTime",
                "Problems",
            },
        ),
    ],
)
def test_the_keys_of_plain_probes(machine: Host, name: str, keys: set[str]) -> None:
    found = value(machine, name)
    assert isinstance(found, dict)
    assert found.keys() == keys


def test_the_keys_of_the_gpu_probe_and_what_wddm_hides(machine: Host) -> None:
    found = replies(machine, probe("gpu", {"fields": FIELDS, "fallback": FIELDS[:3]}))[0]["value"]
    assert found.keys() == {"rc", "stdout", "stderr", "fields", "process_memory", "adapter_memory", "counters_error", "Problems"}
    assert len(found["stdout"].strip().split(", ")) == len(found["fields"]) == len(FIELDS)
    assert all(row.keys() == ROWS for row in found["process_memory"])
    assert all(row.keys() == {"Name", "DedicatedUsage", "SharedUsage"} for row in found["adapter_memory"])
    # committed sizes are larger than what is resident (facts/windows 4.3), and the adapters are two
    assert sum(row["DedicatedUsage"] for row in found["process_memory"]) > sum(
        row["LocalUsage"] for row in found["process_memory"]
    )
    assert len({row["Name"].split("_luid_")[1] for row in found["process_memory"]}) == 2


@pytest.mark.parametrize("path", ["api/ps", "none"])
def test_a_streamed_answer_is_whole_with_its_rest(machine: Host, path: str) -> None:
    asked = {**PS, "url": f"http://127.0.0.1:11434/{path}"}
    plain = replies(machine, probe("http", asked))[0]["value"]
    frames = protocol_client.converse(
        machine, protocol_client.request({"op": "nothing"}, probe("http", {**asked, "tell": True}), number=7)
    )
    pieces = [base64.b64decode(frame["data"]) for frame in frames[1:-1]]
    assert [(frame["id"], frame["call"], frame["stream"]) for frame in frames[1:-1]] == [(7, 1, "chunk")] * len(pieces)
    assert pieces
    left = frames[-1]["replies"][1]["value"]
    assert left["status"] == plain["status"]
    assert b"".join(pieces) + base64.b64decode(left["body"]) == base64.b64decode(plain["body"])


def test_waiting_chunks_leave_when_a_frame_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediation_lab.powershell.worker._EVERY", 1e9)
    said: list[bytes] = []
    frames = _ChunkSender(said.append)
    for size in (3, SLICE // 4, SLICE // 4, SLICE // 4, 5):
        frames(base64.b64encode(b"x" * size).decode())
    assert [len(each) for each in said] == [3, 3 * (SLICE // 4)]
    assert frames.size == 3 + 3 * (SLICE // 4)


def test_an_unknown_field_fails_the_query_and_the_fallback_is_used(machine: Host) -> None:
    found = replies(machine, probe("gpu", {"fields": ["name", "no.such"], "fallback": ["name"]}))[0]["value"]
    assert (found["rc"], found["fields"]) == (0, ["name"])
    assert replies(machine, probe("gpu", {"fields": ["no.such"], "fallback": []}))[0]["value"]["rc"] == 2


def test_the_keys_of_processes(machine: Host) -> None:
    found = replies(machine, probe("processes"))[0]["value"]["Processes"]
    keys = {"ProcessId", "ParentProcessId", "Name", "ExecutablePath", "SessionId", "CreationDate", "Owner", "Service", "Runner"}
    assert all(row.keys() == keys for row in found)
    assert {0, 1} == {row["SessionId"] for row in found}


def test_http_answers_and_refuses(machine: Host) -> None:
    found = replies(machine, probe("http", PS))[0]["value"]
    assert found.keys() == {"status", "body", "elapsed", "first_byte"}
    assert json.loads(base64.b64decode(found["body"]))["models"][0]["name"].startswith("mistral")
    refused = replies(machine, probe("http", {**PS, "url": "http://127.0.0.1:1/"}))[0]["value"]
    assert refused["error"]["kind"] == "refused"


def test_a_request_that_takes_too_long_is_a_timeout(machine: Host) -> None:
    body = json.dumps({"model": "mistral:7b-instruct-q4_K_M", "prompt": "x"})
    found = replies(
        machine, probe("http", {**PS, "url": "http://127.0.0.1:11434/api/generate", "method": "POST", "body": body, "timeout": 1})
    )
    assert found[0]["value"]["error"]["kind"] == "timeout"


def test_generate_samples_both_processors(machine: Host) -> None:
    body = json.dumps({"model": "mistral:7b-instruct-q4_K_M", "prompt": "x", "options": {"num_predict": 8}})
    data = {"url": "http://127.0.0.1:11434/api/generate", "body": body, "timeout": 60, "sample": True}
    found = replies(machine, probe("generate", data))[0]["value"]
    assert found.keys() == {"status", "body", "elapsed", "first_byte", "last_byte", "cut", "gpu", "cpu", "Problems"}
    assert len(found["gpu"]) == len(found["cpu"]) > 0
    assert max(found["gpu"]) < 10  # 1/33: the CPU does the work
    assert max(found["cpu"]) > 80
    assert 0 < found["first_byte"] < found["elapsed"]


def test_a_script_is_sent_once_and_requested_if_it_is_missing(machine: Host) -> None:
    asked, sent, known = replies(machine, probe("session", script=None), probe("session"), probe("session", script=None))
    assert asked["error"]["kind"] == "need-script"
    assert sent == known
    wrong = {**probe("session"), "script": base64.b64encode(b"another").decode()}
    assert replies(machine, wrong)[0]["error"]["kind"] == "error"


def test_what_is_unknown_is_said_and_the_others_go_on(machine: Host) -> None:
    found = replies(machine, run("nosuch.exe"), probe("nosuch"), {"op": "nosuch"}, {"op": "run"}, run("hostname"))
    assert [reply.get("error", {}).get("kind") for reply in found] == ["not-found", "error", "error", "error", None]
    assert protocol_client.text(found[-1]) == "LAPTOP-07\r\n"


def test_arguments_stdin_and_codes_pass_unharmed(machine: Host) -> None:
    words = ["two words", "", 'quote"d', "%PATH%", "a&b|c", "back\\", "grün \U0001f600", "\u2018\u2019"]
    frames = json.loads(
        protocol_client.text(replies(machine, run("lab-echo", *words, stdin=bytes(range(256)), cwd="C:\\dev"))[0])
    )
    assert (frames["argv"], frames["cwd"]) == (words, "C:\\dev")
    assert base64.b64decode(frames["stdin"]) == bytes(range(256))
    failed = replies(machine, run("lab-echo", "--rc", "0xE0434352", "--stderr", "bad"))[0]
    assert (failed["rc"], protocol_client.text(failed, "stderr")) == (3762504530, "bad")


def test_a_program_that_does_not_end_is_a_timeout(machine: Host) -> None:
    assert replies(machine, run("lab-echo", "--sleep", "600", timeout=5))[0]["error"]["kind"] == "timeout"


def test_big_output_leaves_in_frames_before_the_reply(machine: Host) -> None:
    size = 2 * SLICE + 17
    _, *frames, reply = protocol_client.converse(
        machine, protocol_client.request(run("hostname"), run("lab-echo", "--bytes", str(size)), number=9)
    )
    assert [(frame["id"], frame["call"], frame["stream"]) for frame in frames] == [(9, 1, "stdout")] * 2
    whole = b"".join(base64.b64decode(frame["data"]) for frame in frames) + base64.b64decode(reply["replies"][1]["stdout"])
    assert whole == (bytes(range(256)) * (size // 256 + 1))[:size]


def test_jobs_run_on_and_are_polled(machine: Host) -> None:
    begin = {**run("lab-echo", "--sleep", "2000", "--rc", "7", "x", timeout=90000), "op": "start", "wait": 0}
    started = replies(machine, begin)[0]
    job = started["job"]
    assert started == {"job": job, "done": False, "rc": None, "stdout": "", "stderr": ""}
    poll = {"op": "poll", "job": job, "wait": 60000}
    ended, after, stopped = replies(machine, poll, poll, {"op": "stop", "job": job})
    assert (ended["done"], ended["rc"], json.loads(protocol_client.text(ended))["argv"]) == (True, 7, ["x"])
    assert (after["error"]["kind"], stopped["error"]["kind"]) == ("not-found", "not-found")


def test_a_short_program_ends_with_its_start_and_a_last_poll_ends_a_job(machine: Host) -> None:
    short = replies(machine, {**run("hostname"), "op": "start", "wait": 5})[0]
    assert (short["done"], short["rc"], protocol_client.text(short)) == (True, 0, "LAPTOP-07\r\n")
    begin = {**run("lab-echo", "--sleep", "900000", timeout=990000), "op": "start", "wait": 0}
    job = replies(machine, begin)[0]["job"]
    last = {"op": "poll", "job": job, "wait": 0, "last": True}
    ended, after = replies(machine, last, last)
    assert (ended["done"], after["error"]["kind"]) == (False, "not-found")


def test_stdin_comes_in_slices(machine: Host) -> None:
    begin = {**run("lab-echo", "--cat", stdin=b"one "), "op": "start", "wait": 0, "more": True}
    job = replies(machine, begin)[0]["job"]
    feed = {"op": "poll", "job": job, "wait": 60, "stdin": base64.b64encode(b"two ").decode(), "more": True}
    first, second = replies(machine, feed, {**feed, "more": False})
    assert (first["fed"], first["done"], second["done"], protocol_client.text(second)) == (True, False, True, "one two two ")


def test_a_request_that_cannot_be_read_is_answered_and_the_next_one_too(machine: Host) -> None:
    lines = (protocol_client.line(b'{"id": 7, "calls": ['), b"no base64!\n", protocol_client.request(run("hostname"), number=8))
    _, broken, nothing, fine = protocol_client.converse(machine, *lines)
    assert (broken["id"], broken["error"]["kind"], nothing["id"], fine["id"]) == (7, "error", None, 8)


def test_a_server_that_hangs_is_waited_for_once_in_a_request(machine: Host) -> None:
    body = json.dumps({"model": "mistral:7b-instruct-q4_K_M", "prompt": "x"})
    slow = {**PS, "url": "http://127.0.0.1:11434/api/generate", "method": "POST", "body": body, "timeout": 1}
    hung = {**probe("http", slow), "server": "127.0.0.1:11434"}
    there = {**probe("http", PS), "server": "127.0.0.1:11434"}
    first, second, free = replies(machine, hung, there, probe("http", PS))
    assert first == second
    assert (first["value"]["error"]["kind"], free["value"]["status"]) == ("timeout", 200)
    assert replies(machine, there)[0]["value"]["status"] == 200  # the next request asks the server again


def test_an_engine_that_hangs_is_waited_for_once_in_a_request(machine: Host) -> None:
    hung = {**run("lab-echo", "--sleep", "600", timeout=1), "server": "the Docker engine"}
    there = {**run("lab-echo"), "server": "the Docker engine"}
    first, second, free = replies(machine, hung, there, run("lab-echo"))
    assert first == second
    assert (first["error"]["kind"], free["rc"]) == ("timeout", 0)
    assert replies(machine, there)[0]["rc"] == 0


def test_files_are_read_and_written_in_slices(machine: Host) -> None:
    path, content = "C:\\dev\\activia1\\.env", b"first\nsecond\n"
    before = replies(machine, {"op": "read", "path": "c:/DEV/activia1/.env", "offset": 0, "limit": 10, "tail": False})[0]
    assert (len(base64.b64decode(before["content"])), before["offset"]) == (10, 0)
    whole = hashlib.sha256(content).hexdigest()

    def part(start: int, piece: bytes, *, last: bool, sha256: str = whole) -> dict[str, object]:
        encoded = base64.b64encode(piece).decode()
        return {
            "op": "write",
            "path": path,
            "offset": start,
            "content": encoded,
            "last": last,
            "sha256": sha256,
            "backup": f"{path}.bak",
        }

    read = {"op": "read", "path": path, "offset": 0, "limit": 100, "tail": True}
    found = replies(
        machine, part(0, content[:6], last=False), read, part(6, content[6:], last=True), read, {**read, "path": f"{path}.bak"}
    )
    assert base64.b64decode(found[1]["content"]) != content  # not in place before the last slice
    assert (found[0], found[2]) == ({"size": 6}, {"size": 13})
    assert base64.b64decode(found[3]["content"]) == content
    assert base64.b64decode(found[4]["content"]).startswith(b"# which model")
    wrong = replies(machine, part(0, b"x", last=True, sha256="0" * 64), read, {**read, "path": "C:\\no\\file"})
    assert wrong[0]["error"]["kind"] == "error"
    assert base64.b64decode(wrong[1]["content"]) == content
    lost = replies(machine, part(6, content[6:], last=True), part(0, content, last=True) | {"backup": "C:\\none\\.env.bak"}, read)
    assert [reply["error"]["kind"] for reply in lost[:2]] == ["no-part", "not-found"]
    assert base64.b64decode(lost[2]["content"]) == content
    assert not [name for name in machine.files.names("C:\\dev\\activia1") if name.startswith(".rp")]
    assert wrong[2] == {"missing": True}
    assert machine.state.writes == {"file .env": 1}


def test_the_program_itself_without_a_lab_plays_a_default_machine() -> None:
    command = [sys.executable, "-m", "remediation_lab.powershell", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass"]
    encoded = base64.b64encode("a bootstrap".encode("utf-16-le")).decode()
    talk = protocol_client.opening() + protocol_client.request(probe("session"))
    done = subprocess.run([*command, "-EncodedCommand", encoded], input=talk, capture_output=True, check=True, timeout=60)
    assert protocol_client.frames(done.stdout)[1]["replies"][0]["value"]["User"] == "LAB\\ops"
    script = subprocess.run([*command, "scripts/system.ps1"], input=b"{}", capture_output=True, check=True, timeout=60)
    assert json.loads(script.stdout)["Caption"] == "Microsoft Windows 11 Pro"
    assert subprocess.run([*command, "-EncodedCommand", "%%%"], capture_output=True, check=False, timeout=60).returncode == 1
    assert b"no other text" in subprocess.run([*command, "-Command", "1+1"], capture_output=True, check=False, timeout=60).stderr


def test_a_shell_in_a_lab_starts_without_the_machine_model() -> None:
    code = "import sys, remediation_lab.powershell.__main__; print([name for name in sys.modules if name.startswith(('remediation_lab.world', 'remediation_lab.host')) or name in ('yaml', 'spnego')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60, text=True)
    assert done.stdout.strip() == "[]"


def test_a_shell_whose_lab_is_gone_says_so(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(start.WORLD, f"{tmp_path}/world.json")
    monkeypatch.setenv(start.HOST, "laptop-07")
    with pytest.raises(Refusal, match="no lab process answers"):
        Worker(start.world(), io.BytesIO(protocol_client.opening()), io.BytesIO()).run()


def test_a_login_that_is_not_elevated_sees_fewer_owners() -> None:
    found = replies(made("not-elevated"), probe("session"), probe("processes"))
    assert found[0]["value"]["Elevated"] is False
    assert {row["Owner"] for row in found[1]["value"]["Processes"]} == {None}  # owners in session 0 take elevation
