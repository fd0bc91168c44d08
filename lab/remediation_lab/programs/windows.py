"""Windows' own programs: shutdown, taskkill, tasklist, netstat. Texts are English here; codes are what may be relied on."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from remediation_lab.programs import Call, Done, failed, printed
from remediation_lab.wire import Refusal
from remediation_lab.world import booting
from remediation_lab.world.engine import OLLAMA_PORT
from remediation_lab.world.state import Due, Program

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_NOT_FOUND = 128
_DENIED = 5
_IN_PROGRESS = 1190
_NONE_IN_PROGRESS = 1116


def shutdown(machine: Machine, call: Call) -> Done:
    """Restart the machine after a while (/r /t SECONDS), or take that back (/a)."""
    words = [word.lower() for word in call.argv[1:]]
    waiting = [each for each in machine.state.due if each.what == "reboot"]
    if not machine.state.login.elevated:
        return failed("Access is denied.(5)", rc=_DENIED)
    if "/a" in words:
        machine.state.due = [each for each in machine.state.due if each.what != "reboot"]
        return (
            printed("")
            if waiting
            else failed("Unable to abort the system shutdown because no shutdown was in progress.(1116)", rc=_NONE_IN_PROGRESS)
        )
    if "/r" not in words:
        return failed("the lab's shutdown restarts (/r) or takes that back (/a)")
    if waiting:
        return failed("A system shutdown has already been scheduled.(1190)", rc=_IN_PROGRESS)
    delay = float(words[words.index("/t") + 1]) if "/t" in words else 30.0
    machine.state.wrote("reboot")
    machine.state.due.append(Due(machine.clock.now() + delay, "reboot"))
    return printed("")


def taskkill(machine: Machine, call: Call) -> Done:
    """End programs by number or name; without /F nothing in another session is reached (facts/windows 5)."""
    words = list(call.argv[1:])
    flags = {word.upper() for word in words}
    found: list[Program] = []
    for flag, wanted in itertools.pairwise(words):
        if flag.upper() == "/PID":
            found += [each for each in machine.state.programs if str(each.pid) == wanted]
        elif flag.upper() == "/IM":
            found += [each for each in machine.state.programs if each.name.lower() == wanted.lower()]
    if not found:
        return failed("ERROR: The process was not found.", rc=_NOT_FOUND)
    out = ""
    for each in found:
        if "/F" not in flags:
            return failed(
                f"ERROR: The process with PID {each.pid} could not be terminated.\r\nReason: This process can only be terminated forcefully (with /F option)."
            )
        try:
            machine.processes.kill(each)
        except Refusal as refusal:
            return Done(1, out.encode(), f"ERROR: {refusal.message}\r\n".encode())
        out += f"SUCCESS: The process with PID {each.pid} has been terminated.\r\n"
    return printed(out)


def tasklist(machine: Machine, _: Call) -> Done:
    """List programs as CSV, as with /FO CSV /NH."""
    rows = (
        f'"{each.name}","{each.pid}","{"Console" if each.session else "Services"}","{each.session}","N/A"\r\n'
        for each in machine.state.programs
    )
    return printed("".join(rows))


def netstat(machine: Machine, _: Call) -> Done:
    """List TCP connections with their programs (-ano -p TCP): who listens, and the application's own connection."""
    backend = next((each.pid for each in machine.state.programs if each.name == booting.BACKEND), None)
    lines = ["", "Active Connections", "", "  Proto  Local Address          Foreign Address        State           PID"]
    if backend is not None and machine.engine.listening(OLLAMA_PORT) is not None:
        lines.append(f"  TCP    0.0.0.0:{OLLAMA_PORT}          0.0.0.0:0              LISTENING       {backend}")
    native = (each for each in machine.state.installations if each.port)
    lines += [f"  TCP    127.0.0.1:{each.port}        0.0.0.0:0              LISTENING       {each.pid}" for each in native]
    relay = next((each.pid for each in machine.state.programs if each.name == booting.RELAY), 0)
    guests = (each for each in machine.state.guests if machine.guests.reached(each))
    lines += [f"  TCP    127.0.0.1:{each.port}        0.0.0.0:0              LISTENING       {relay}" for each in guests]
    return printed("\r\n".join(lines) + "\r\n")
