"""``uri`` and ``get_url`` against a server on this machine, ``ping`` and ``pause``."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.modules.local import run_tasks

SUM = "694b27f021c4861b3373cd5ddbc42695c056d0a4297d2d85e2dae040a84e61df"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        answer = {
            "method": self.command,
            "body": self.rfile.read(size).decode(),
            "login": self.headers.get("Authorization"),
            "x": self.headers.get("X-Y"),
        }
        status, kind, body = 200, "application/json", json.dumps(answer).encode()
        if self.path == "/file":
            kind, body = "text/plain", b"file content\n"
        if self.path == "/none":
            status, body = 404, b"no"
        if self.path == "/login" and answer["login"] is None:
            status = 401
        self.send_response(302 if self.path == "/moved" else status)
        if self.path == "/moved":
            self.send_header("Location", "/file")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def test_an_answer_is_returned_with_its_headers_and_json(tmp_path: Path, server: str) -> None:
    post = {
        "url": server,
        "method": "POST",
        "body": {"a": 'x\ty "q"'},
        "body_format": "json",
        "headers": {"X-Y": "z"},
        "user": "me",
        "password": "p",
        "force_basic_auth": True,
    }
    ran = run_tasks(tmp_path, [{"uri": post}, {"name": "moved", "uri": {"url": f"{server}/moved", "return_content": True}}])
    result = ran.result("uri")
    assert (result["status"], result["json"]["method"], json.loads(result["json"]["body"])) == (200, "POST", {"a": 'x\ty "q"'})
    assert (result["json"]["x"], result["json"]["login"]) == ("z", "Basic bWU6cA==")
    assert (result["content_type"], result["redirected"], result["changed"]) == ("application/json", False, False)
    assert (ran.result("moved")["redirected"], ran.result("moved")["content"]) == (True, "file content\n")


def test_a_request_for_the_password_is_no_redirect(tmp_path: Path, server: str) -> None:
    ran = run_tasks(tmp_path, [{"uri": {"url": f"{server}/login", "user": "me", "password": "p"}}])
    assert (ran.result("uri")["json"]["login"], ran.result("uri")["redirected"]) == ("Basic bWU6cA==", False)


def test_another_status_fails_and_a_refused_connection_is_minus_one(tmp_path: Path, server: str) -> None:
    tasks = [
        {"uri": {"url": f"{server}/none"}, "ignore_errors": True},
        {"name": "dead", "uri": {"url": "http://127.0.0.1:1"}, "ignore_errors": True},
    ]
    ran = run_tasks(tmp_path, tasks)
    assert ran.result("uri")["msg"] == "Status code was 404 and not [200]: HTTP Error 404: Not Found"
    assert ran.result("dead")["status"] == -1


def test_a_download_is_checked_and_not_repeated(tmp_path: Path, server: str) -> None:
    wanted = {"url": f"{server}/file", "dest": str(tmp_path / "f"), "checksum": f"sha256:{SUM}", "mode": "0640"}
    first, second = (run_tasks(tmp_path, [{"get_url": wanted}]) for _ in range(2))
    assert (first.outcomes()["get_url"], second.outcomes()["get_url"]) == ("changed", "ok")
    assert ((tmp_path / "f").read_text(), (tmp_path / "f").stat().st_mode & 0o777) == ("file content\n", 0o640)
    wrong = run_tasks(
        tmp_path, [{"get_url": {**wanted, "dest": str(tmp_path / "g"), "checksum": "sha256:00"}, "ignore_errors": True}]
    )
    assert "did not match" in wrong.result("get_url")["msg"]
    assert not (tmp_path / "g").exists()


def test_ping_and_pause(tmp_path: Path) -> None:
    ran = run_tasks(
        tmp_path,
        [
            {"ping": {}},
            {"pause": {"seconds": 1.9}},
            {"wait_for_connection": {"timeout": 5}},
            {"reboot": {}, "ignore_errors": True},
        ],
    )
    assert ran.result("ping")["ping"] == "pong"
    assert ran.result("pause")["stdout"].startswith("Paused for 1.")
    assert ran.result("wait_for_connection")["elapsed"] == 0
    assert "would reboot the control node" in ran.result("reboot")["msg"]


def test_a_form_with_a_file_is_sent_and_a_body_that_begins_with_an_at_sign_is_no_file(tmp_path: Path, server: str) -> None:
    (tmp_path / "up.bin").write_bytes(b"\0\xff")
    form = {"text": "v\n1", "up": {"filename": "up.bin"}, "own": {"content": "c", "filename": "n.txt", "mime_type": "text/plain"}}
    base = {"url": server, "method": "POST"}
    tasks = [
        {"name": "form", "uri": {**base, "body": form, "body_format": "form-multipart"}},
        {"name": "raw", "uri": {**base, "body": f"@{tmp_path}/up.bin"}},
        {"name": "list", "uri": {**base, "body": ["x"], "body_format": "form-multipart"}, "ignore_errors": True},
        {"name": "gone", "uri": {**base, "body": {"f": {"filename": "gone"}}, "body_format": "form-multipart"}, "ignore_errors": True},
        {
            "name": "binary",
            "uri": {**base, "body": {"f": {"filename": "up.bin", "multipart_encoding": "7or8bit"}}, "body_format": "form-multipart"},
            "ignore_errors": True,
        },
    ]  # fmt: skip
    ran = run_tasks(tmp_path, tasks)
    body = ran.result("form")["json"]["body"]
    assert 'name="own"; filename="n.txt"\r\n\r\nc\r\n' in body
    assert 'Content-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name="up"; filename="up.bin"\r\n\r\nAP8=' in body
    assert ran.result("raw")["json"]["body"] == f"@{tmp_path}/up.bin"
    assert ran.result("list")["msg"] == "failed to parse body as form-multipart: Mapping is required, cannot be type list"
    assert "Could not find or access 'gone'" in ran.result("gone")["msg"]
    assert "NUL" in ran.result("binary")["msg"]


def test_parameters_of_a_request(tmp_path: Path, server: str) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "body").write_text("from a file")
    (tmp_path / "there").write_text("on the host")
    out, there = str(tmp_path / "out"), str(tmp_path / "there")
    post = {"url": server, "method": "POST"}
    tasks = {
        "form": {**post, "body": {"a": 1, "b": ["x", "y z"]}, "body_format": "form-urlencoded"},
        "file": {**post, "src": "body"},
        "host's file": {**post, "src": there, "remote_src": True},
        "no file": {**post, "src": "none"},
        "both": {**post, "src": "body", "body": "x"},
        "saved": {"url": f"{server}/file", "dest": out},
        "saved again": {"url": f"{server}/file", "dest": out},
        "into a folder": {"url": f"{server}/file", "dest": str(tmp_path)},
        "created": {"url": f"{server}/file", "creates": out},
        "removed": {"url": f"{server}/file", "removes": str(tmp_path / "gone")},
        "not followed": {"url": f"{server}/moved", "follow_redirects": "none", "status_code": 302},
        "no scheme": {"url": "localhost"},
        "head": {"url": f"{server}/file", "method": "HEAD", "status_code": [501]},
    }
    ran = run_tasks(tmp_path, [{"name": name, "uri": given, "ignore_errors": True} for name, given in tasks.items()])
    bodies = {name: ran.result(name)["json"]["body"] for name in ("form", "file", "host's file")}
    assert bodies == {"form": "a=1&b=x&b=y+z", "file": "from a file", "host's file": "on the host"}
    assert {name for name, outcome in ran.outcomes().items() if outcome == "failed"} == {"no file", "both", "no scheme"}
    assert [ran.outcomes()[name] for name in ("saved", "saved again", "into a folder")] == ["changed", "ok", "changed"]
    assert (tmp_path / "file").read_text() == (tmp_path / "out").read_text() == "file content\n"
    assert [ran.result(name)["stdout"] for name in ("created", "removed")] == [
        f"skipped, since '{out}' exists",
        f"skipped, since '{tmp_path}/gone' does not exist",
    ]
    assert ran.result("not followed")["location"] == f"{server}/file"
    assert ran.result("no scheme")["msg"] == "unknown url type: localhost"
