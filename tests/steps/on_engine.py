"""Run runbooks on a real Docker engine, and read its state independently of them."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.preloaded_python import python
from tests.support.project import CONTAINER, Project

ROOT = Path(__file__).parents[2]

LOCAL = "tuned"


def play(
    environment: Mapping[str, str], folder: Path, book: str, *words: str, variables: Mapping[str, Any] | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """Play a runbook on this machine, and return its exit code and its events."""
    given = ["-e", json.dumps(dict(variables))] if variables else []
    done = subprocess.run(
        [*python(environment), "-m", "remediation.cli.main", "play", str(ROOT / "playbooks" / book), "--inventory",
         str(ROOT / "inventory/local.yml"), "--json", "--max-risk", "disruptive", *given, *words],
        cwd=folder, env={**environment, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, encoding="utf-8", check=False, timeout=110,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def changes(events: list[dict[str, Any]]) -> list[str]:
    return [event["change"]["summary"] for event in events if event["event"] == "change_end" and event["applied"]]


def excerpt(events: list[dict[str, Any]]) -> str:
    return json.dumps([event for event in events if event["event"] in {"task_result", "note", "change_end"}], indent=1)


def digests(project: Project) -> dict[str, str]:
    return {each["name"]: each["digest"] for each in project.get("/api/tags")["models"]}


def container_id(project: Project) -> str:
    return project.engine.docker("inspect", "--format", "{{.Id}}", CONTAINER).stdout.strip()


def volume(project: Project) -> dict[str, Any]:
    name = next(
        mount["Name"]
        for mount in json.loads(project.engine.docker("inspect", CONTAINER).stdout)[0]["Mounts"]
        if mount["Type"] == "volume"
    )
    found: dict[str, Any] = json.loads(project.engine.docker("volume", "inspect", name).stdout)[0]
    return found


@contextmanager
def registry(project: Project, *models: str) -> Iterator[str]:
    """Serve the manifests of stored models as a registry does, and nothing else."""
    served: dict[str, bytes] = {}
    for model in models:
        name, _, tag = model.partition(":")
        path = f"library/{name}/{tag or 'latest'}"
        where = f"/root/.ollama/models/manifests/registry.ollama.ai/{path}"
        served[f"/v2/library/{name}/manifests/{tag or 'latest'}"] = project.engine.docker(
            "exec", CONTAINER, "cat", where
        ).stdout.encode()

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.get(self.path)
            self.send_response(200 if body is not None else 404)
            answer = body if body is not None else b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
