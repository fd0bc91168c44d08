"""The processes of loaded runners: the real server starts one for each, and tools that list processes look for them."""

from __future__ import annotations

import os
import subprocess
import sys

_IDLE = 'import sys; open("/proc/self/comm", "w").write("ollama"); print(flush=True); sys.stdin.read()'
"""Is called as the real one and waits; it ends with the server, so that a killed one leaves nothing behind."""


class RunnerProcesses:
    """No processes, for a server that is played within another program."""

    def start(self, model: str) -> None:
        """Start the process of a model, instead of one that it had."""

    def end(self, model: str) -> None:
        """End the process of a model, if it has one."""

    def killed(self, model: str) -> bool:
        """Return whether the process of a loaded model was killed."""
        return False


NO_PROCESSES = RunnerProcesses()


class LinuxProcesses(RunnerProcesses):
    """One idle process per loaded model, named as the real server names it up to v0.29."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, model: str) -> None:
        """Start the process of a model, instead of one that it had."""
        self.end(model)
        process = subprocess.Popen(
            ["ollama runner", "-I", "-S", "-c", _IDLE, "--model", model], executable=sys.executable,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            # called by another name, Python does not find its library where it was not built to lie there
            env={**os.environ, "PYTHONHOME": sys.base_prefix},
        )  # fmt: skip
        if process.stdout is not None and process.stdout.readline():  # from here on it has its name
            self._running[model] = process
        else:  # it never ran, so it was not killed
            process.kill()
            process.communicate()

    def end(self, model: str) -> None:
        """End the process of a model, if it has one."""
        process = self._running.pop(model, None)
        if process is not None:
            process.kill()
            process.communicate()

    def killed(self, model: str) -> bool:
        """Return whether the process of a loaded model was killed."""
        process = self._running.get(model)
        return process is not None and process.poll() is not None
