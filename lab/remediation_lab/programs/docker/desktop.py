"""`docker desktop`: the plugin that talks to Docker Desktop, and hangs without a desktop (facts/windows 2 and 2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remediation_lab.programs import Call, Done, failed, printed
from remediation_lab.programs.docker.arguments import parse
from remediation_lab.programs.docker.formats import compact
from remediation_lab.wire import Refusal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine


def desktop(machine: Machine, call: Call, words: list[str]) -> Done:
    """Run one of the plugin's commands; from a remote session start, stop and restart never return."""
    name, *rest = words or [""]
    if machine.state.engine.desktop is None:
        return failed("docker: unknown command: docker desktop\n\nRun 'docker --help' for more information")
    given = parse(rest, values="timeout format", switches="detach d force", rc=1)
    if name == "status":
        return _status(machine, given.one("format"))
    if name == "version":
        return printed(f"{machine.state.engine.desktop}\n")
    if name not in {"start", "stop", "restart"}:
        return failed(f"unknown docker command: desktop {name}")
    if call.session == 0:
        machine.clock.sleep(call.deadline - machine.clock.now())
        raise Refusal("timeout", f"docker desktop {name} did not end in time and was stopped")
    machine.state.wrote(f"docker desktop {name}")
    if name in {"stop", "restart"}:
        machine.desktop.stop()
    if name in {"start", "restart"}:
        machine.desktop.start()
        if not given.has("detach", "d"):
            machine.desktop.wait(until=call.deadline)
    return printed("")


def _status(machine: Machine, style: str) -> Done:
    state = machine.desktop.state()
    if style == "json":
        return printed(compact({"Status": state, "SessionID": "5e6c2a31-4bb0-4c39-9a2f-6f0e8f3b9d10"}) + "\n")
    return printed(f"Name                Value\nStatus              {state}\n")
