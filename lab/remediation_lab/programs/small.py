"""Programs of one line."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from remediation_lab.programs import MISSING, Call, Done, failed, printed
from remediation_lab.wire import Refusal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine


def hostname(machine: Machine, _: Call) -> Done:
    """Print the machine's name."""
    return printed(f"{machine.state.name.upper()}\r\n")


def whoami(machine: Machine, _: Call) -> Done:
    """Print the login."""
    return printed(f"{machine.state.login.user.lower()}\r\n")


def lab_echo(machine: Machine, call: Call) -> Done:
    """Print its arguments and environment as JSON, or what an option names.

    ``--rc N`` ends with N, ``--stderr TEXT`` says that, ``--bytes N`` prints N bytes of all values, ``--sleep S`` waits S seconds of
    the machine's time, ``--cat`` prints stdin; otherwise all arguments are printed.
    """
    words = list(call.argv[1:])
    options = {"--rc": "0", "--stderr": "", "--bytes": "", "--sleep": "0"}
    while len(words) > 1 and words[0] in options:
        options[words[0]] = words[1]
        words = words[2:]
    seconds = float(options["--sleep"])
    if machine.clock.now() + seconds > call.deadline:
        machine.clock.sleep(call.deadline - machine.clock.now())
        raise Refusal("timeout", f"{call.argv[0]} did not end in time and was stopped")
    machine.clock.sleep(seconds)
    rc, stderr = int(options["--rc"], 0), options["--stderr"].encode()
    if words == ["--cat"]:
        return Done(rc, call.stdin, stderr)
    if options["--bytes"]:
        count = int(options["--bytes"])
        return Done(rc, (bytes(range(256)) * (count // 256 + 1))[:count], stderr)
    seen = {"argv": words, "cwd": call.cwd, "env": dict(call.env), "stdin": base64.b64encode(call.stdin).decode()}
    return Done(rc, json.dumps(seen).encode() + b"\r\n", stderr)


def certutil(machine: Machine, call: Call) -> Done:
    """Print the hash of a file (-hashfile PATH ALGORITHM)."""
    words = list(call.argv[1:])
    if words[:1] != ["-hashfile"] or len(words) < 2:
        return failed("the lab's certutil hashes files (-hashfile)")
    algorithm = words[2] if len(words) > 2 else "SHA1"
    content = machine.files.get(words[1])
    if content is None:
        said_of = "CertUtil: -hashfile command FAILED: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)"
        return failed("", rc=0x80070002, stdout=f"{said_of}\r\nCertUtil: The system cannot find the file specified.\r\n")
    machine.clock.sleep(len(content) / machine.state.disk)
    digest = hashlib.new(algorithm, content).hexdigest()
    return printed(f"{algorithm} hash of {words[1]}:\r\n{digest}\r\nCertUtil: -hashfile command completed successfully.\r\n")


def ollama(machine: Machine, call: Call) -> Done:
    """Print the version. Any other command starts the app in this session if no server answers (facts/native 1.6)."""
    mine = next(iter(machine.state.installations), None)
    if mine is None:
        raise Refusal("not-found", MISSING)
    if call.argv[1:] in (("--version",), ("-v",)):
        return printed(f"ollama version is {mine.version}\n")
    if not any(each.port for each in machine.state.installations):
        machine.state.wrote("ollama app in session 0")
        return failed("Error: timed out waiting for server to start")
    return failed("the lab's ollama tells its version; its server answers HTTP")
