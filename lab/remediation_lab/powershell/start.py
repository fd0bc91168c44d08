"""The ways to start the stand-in, and where its machine comes from."""

from __future__ import annotations

import base64
import binascii
import json
import os
import sys
from pathlib import Path, PureWindowsPath

from remediation_lab.powershell.worker import Worker
from remediation_lab.wire import Client, Refusal, World

WORLD = "REMEDIATION_LAB_WORLD"
HOST = "REMEDIATION_LAB_HOST"
DELAY = "REMEDIATION_LAB_POWERSHELL_START"
"""Seconds that starting PowerShell is to take, for benchmarks: ours starts faster than the real one."""

_REFUSED = "the lab's PowerShell runs the worker and the probe scripts, no other text\r\n"


def world() -> World:
    """Return the machine this shell runs on: the lab's, or a default one."""
    address, host = os.environ.get(WORLD), os.environ.get(HOST)
    if address and host:
        return Client(Path(address), host=host)
    import time  # a shell in a lab must start fast and needs none of this

    from remediation_lab.scenarios import docker_desktop  # see above

    return docker_desktop.machine("default", now=time.time(), scale=10.0, saved=lambda _: None)


def encoded(command: str) -> int:
    """Run the worker, as the bootstrap command would."""
    try:
        base64.b64decode(command, validate=True).decode("utf-16-le")
    except (binascii.Error, ValueError):
        sys.stderr.write(
            "Cannot process the command because the value specified with -EncodedCommand is not properly encoded.\r\n"
        )
        return 1
    _delay()
    machine = world()
    try:
        return Worker(machine, sys.stdin.buffer, sys.stdout.buffer).run()
    except Refusal as refusal:
        sys.stderr.write(f"{refusal.message}\r\n")
        return 1
    finally:
        machine.close()


def script(path: str) -> int:
    """Run one probe script: data on stdin, value on stdout."""
    _delay()
    machine = world()
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig").strip()
        data = json.loads(text) if text else {}
        value = machine.call("probe", name=PureWindowsPath(path).stem.lower(), data=data)
    except (Refusal, ValueError) as error:
        sys.stderr.write(f"{error}\r\n")
        return 1
    finally:
        machine.close()
    sys.stdout.write(json.dumps(value) + "\r\n")
    return 0


def refused() -> int:
    """Say what the stand-in runs."""
    sys.stderr.write(_REFUSED)
    return 1


def _delay() -> None:
    seconds = float(os.environ.get(DELAY) or 0)
    if seconds > 0:
        import time  # rarely needed, and starting fast matters

        time.sleep(seconds)
