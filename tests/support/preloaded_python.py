"""A Python that has loaded the project already: ``[*python(environment), "-m", MODULE, ...]`` starts a module as ``python -m`` would.

Most of what a short run of ``remediate`` costs is loading it. Here one process loads everything once, and each start is a fork of it
with the streams, the folder and the environment of its caller; it ends as a separate process, by code or by signal.
Whether the program loads without that, and how little, is for tests that start it for real (tests/cli).
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import remediation

ROOT = Path(__file__).resolve().parents[2]
_CLIENT = Path(__file__).with_name("preloaded_client.py")
_AT_START = "LD_LIBRARY_PATH"
"""Variables that the loader reads when a process starts: a fork has them from its parent, so each value gets another parent."""
_OF_PYTHON = ("PYTHON", "LANG", "LC_")
"""What Python itself reads when it starts: who sets it differently gets a Python of their own."""
_LIBRARIES = ("docker", "fabric", "pynvml", "requests", "rich.live", "rich.table", "ruamel.yaml", "winrm")
_LEFT_OUT = ("remediation.cli.main",)


def python(environment: Mapping[str, str]) -> list[str]:
    """Return the command to use as ``python`` in this environment."""
    forks = hasattr(os, "fork") and hasattr(socket, "send_fds")
    if not forks or _of_python(environment) != _of_python(os.environ):
        return [sys.executable]
    return [sys.executable, "-IS", str(_CLIENT), _server(environment.get(_AT_START, ""))]


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key.startswith(_OF_PYTHON) and key != "PYTHONPATH"}


@cache
def _server(libraries: str) -> str:
    """Start a process that loads everything; it ends when the pipe to its stdin is closed, so with this process at the latest."""
    address = Path(tempfile.mkdtemp(prefix="py-")) / "socket"
    kept = {key: value for key, value in os.environ.items() if key != _AT_START}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.preloaded_python", str(address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        env=kept | {"PYTHONPATH": str(ROOT)} | ({_AT_START: libraries} if libraries else {}),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"loaded"
    _RUNNING.append(process)
    return str(address)


_RUNNING: list[subprocess.Popen[bytes]] = []
"""Kept, so that their pipes stay open."""


def _load() -> None:
    from remediation.cli.plugins import plugins
    from remediation.steps.registry import registry

    for each in pkgutil.walk_packages(remediation.__path__, "remediation."):
        if not each.name.startswith(_LEFT_OUT) and not each.name.endswith("__main__"):
            importlib.import_module(each.name)
    for name in _LIBRARIES:
        importlib.import_module(name)
    registry()
    plugins()
    gc.freeze()


def _serve(address: Path) -> list[str]:
    """Return in each fork, with the words of its start; the process itself never returns."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen()
    sys.stdout.write("loaded\n")
    sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            shutil.rmtree(address.parent, ignore_errors=True)
            os._exit(0)
        caller, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return _attend(caller)
        caller.close()


def _attend(caller: socket.socket) -> list[str]:
    """Fork once more for the start itself, and tell the caller how it ended."""
    head, streams, _, _ = socket.recv_fds(caller, 4, 3)
    with caller.makefile("rb") as rest:
        wanted: dict[str, Any] = json.loads(rest.read(int.from_bytes(head, "big")))
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        caller.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
        os._exit(0)
    caller.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.path[0] = wanted["folder"]
    return list(wanted["words"])


def _end(code: object) -> NoReturn:
    """End as Python does, but leave the loaded modules as they are: to take them apart would cost three times what a short run does.

    What Python itself would print about is left to it: a code that is no number, or a stream that cannot be written.
    """
    if isinstance(code, int):
        threading._shutdown()  # type: ignore[attr-defined]  # what Python calls first
        atexit._run_exitfuncs()
        with suppress(AttributeError, OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code & 0xFF)
    sys.exit(code)  # type: ignore[arg-type]  # a text is printed


if __name__ == "__main__":
    _load()
    _, module, *words = _serve(Path(sys.argv[1]))
    sys.argv = [module, *words]
    sys.modules.pop(module, None)
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = 0 if ended.code is None else ended.code
    _end(code)
