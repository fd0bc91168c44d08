"""The lab's processes: started detached, queried, and stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from remediation import model
from remediation.model.errors import CallFailed
from remediation_lab.wire import Client, Json, Refusal

SERVICES = {"world": "world.json", "winrm": "winrm.json", "linux": "linux.json"}
LINUX = "linux"
_MODULES = {"world": "owner"}
"""The packages of services whose name is another."""
_STOP_SECONDS = 10.0


def call(place: Path, service: str, op: str, **fields: Json) -> Json:
    """Ask a service once; raises Refusal."""
    client = Client(place / SERVICES[service])
    try:
        return client.call(op, **fields)
    finally:
        client.close()


def needed(world: str) -> tuple[str, ...]:
    """Return the services that a world needs."""
    return ("linux",) if world == LINUX else ("world", "winrm")


def ping(place: Path, service: str) -> Mapping[str, Any] | None:
    """Return what a service says of itself, None when it does not run."""
    try:
        answer: Mapping[str, Any] = call(place, service, "ping")
    except Refusal:
        return None
    return answer


def launch(place: Path, known: Mapping[str, Any], services: list[str]) -> None:
    """Start services and wait until each is ready; raises CallFailed with its last words."""
    commands = {
        "world": [
            str(place),
            "--scale",
            str(known["scale"]),
            "--world",
            str(known.get("world", "docker-desktop")),
            *(word for host in known["hosts"] for word in ("--host", host["name"])),
        ],
        "winrm": [str(place)],
        "linux": [str(place), "--host", known["hosts"][0]["name"], "--port", str(known["hosts"][0]["port"])],
    }
    running: list[tuple[str, subprocess.Popen[bytes]]] = []
    try:
        running.extend((name, _detached(place, name, commands[name])) for name in services)
        for name, process in running:
            _until_ready(place, name, process)
    except KeyboardInterrupt:  # they would become ready later, and meanwhile occupy the ports of the next start
        for _, process in running:
            process.terminate()
        for _, process in running:
            process.wait()
        raise
    finally:
        for _, process in running:
            process.returncode = 0  # it goes on without us: this process will not wait for it


def _until_ready(place: Path, name: str, process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    if line.strip() == b"ready":
        return
    process.wait()
    text = (place / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip()
    last = text.splitlines()[-1] if text else f"exit code {process.returncode}"
    raise CallFailed(
        f"the lab's {name} process did not start: {last}",
        next_step=f"see {place / f'{name}.log'}; remediate lab.stop ends the rest",
    )


def _detached(place: Path, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    packages = dict.fromkeys([str(Path(__file__).resolve().parents[1]), str(Path(model.__file__).resolve().parents[2])])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*packages, *filter(None, [os.environ.get("PYTHONPATH")])])}
    flags: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    with (place / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"remediation_lab.{_MODULES.get(name, name)}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=place, env=environment, **flags,
        )  # fmt: skip


def stop(place: Path) -> bool:
    """Let all services end; tells whether one ran."""
    running = [(name, pid["pid"]) for name in SERVICES if (pid := ping(place, name)) is not None]
    for name, _ in running:
        with suppress(Refusal):  # it has ended meanwhile
            call(place, name, "stop")
    deadline = time.monotonic() + _STOP_SECONDS
    for name, pid in running:
        while (place / SERVICES[name]).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if (place / SERVICES[name]).exists():
            raise CallFailed(f"the lab's {name} process (PID {pid}) does not end", next_step="end that process by hand")
    return bool(running)
