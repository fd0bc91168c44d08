"""What the tests of a machine ask of it."""

from __future__ import annotations

import base64
import json
from typing import Any

from remediation_lab.host.host import Host
from remediation_lab.scenarios import docker_desktop as scenario
from remediation_lab.wire import Json
from remediation_lab.world.state import Program

MODEL = scenario.MODEL
VERSION = {"method": "GET", "url": "http://127.0.0.1:11434/api/version", "timeout": 5}


def program(machine: Host, name: str) -> Program:
    return next(each for each in machine.state.programs if each.name == name)


def close(machine: Host, name: str, *, grace: float = 10, force: bool = False) -> dict[str, Any]:
    found = program(machine, name)
    data = {"pid": found.pid, "started": found.started, "grace": grace, "force": force}
    value: dict[str, Any] = machine.call("probe", name="close", data=data)
    return value


def running(machine: Host, name: str) -> bool:
    return any(each.name == name for each in machine.state.programs)


def ask(machine: Host, path: str = "/api/generate", **body: Json) -> dict[str, Any]:
    value = machine.network.request(
        method="POST",
        url=f"http://localhost:11434{path}",
        body=json.dumps({"model": MODEL, "stream": False, **body}),
        timeout=600,
    )
    answer: dict[str, Any] = json.loads(base64.b64decode(value["body"]))
    return answer


def offloaded(machine: Host) -> str:
    lines = [line for _, _, line in machine.engine.find("ai-native-ollama").log if "offloaded" in line]
    return lines[-1].split("offloaded ")[1].split()[0] if lines else "no line"


def reload(machine: Host, **options: Json) -> str:
    ask(machine, keep_alive=0)
    while machine.engine.servers()[0].runners:
        machine.clock.sleep(0.1)
    ask(machine, keep_alive="10m", options=options)
    return offloaded(machine)


def probe(machine: Host, name: str, **data: Json) -> Any:  # any JSON
    return machine.call("probe", name=name, data=data)


def run(machine: Host, *argv: str, cwd: str | None = None, timeout: float = 60) -> tuple[int, str, str]:
    done = machine.call("run", argv=list(argv), cwd=cwd, timeout=timeout)
    return done["rc"], base64.b64decode(done["stdout"]).decode(), base64.b64decode(done["stderr"]).decode()


def rows(machine: Host) -> list[dict[str, Any]]:
    """Return the rows of the probe ``processes``."""
    found: list[dict[str, Any]] = probe(machine, "processes")["Processes"]
    return found


def names(machine: Host) -> set[str]:
    return {each["Name"] for each in probe(machine, "desktop")["Processes"]}


def pass_by(machine: Host, seconds: float) -> None:
    with machine.clock.jumping():
        machine.clock.sleep(seconds)
    machine.call("clock")
