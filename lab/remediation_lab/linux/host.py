"""One Linux host of the lab: its folder, its unit, its card, and the server that its systemctl starts and stops."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remediation.model.errors import CallFailed, UsageError
from remediation_lab.linux import programs
from remediation_lab.ollama import snapshot
from remediation_lab.ports import Device

MODEL = "mistral:7b-instruct-q4_K_M"
DEVICE = Device("NVIDIA GeForce RTX 3060 Laptop GPU", "GPU-5f0d3f6c-8f5e-4a53-9f0b-2d6a3a6a9c11", "8.6", "12.5")
TOTAL = 6144 * 1024**2
SPEED = 100
"""How many times faster than a laptop's disk, GPU and CPU the server is."""
_ELSEWHERE = "a Linux host of the lab is this machine, and this machine runs no Linux"
_READY_SECONDS = 20.0
_PAUSE = 0.02


@dataclass(slots=True)
class LinuxHost:
    """A host below `home`, which is this machine with other programs: its processes are this machine's, too."""

    home: Path
    port: int
    """Where the server listens."""
    version: str = "0.13.5"
    others: list[subprocess.Popen[Any]] = field(default_factory=list)
    """Programs that were started besides the unit."""

    @property
    def card(self) -> Path:
        """The file of the card."""
        return self.home / "gpu.txt"

    @property
    def unit(self) -> Path:
        """The file of the unit."""
        return self.home / "systemd/ollama.service"

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that systemctl started last."""
        return int((self.home / "pid").read_text(encoding="utf-8"))

    @property
    def journal(self) -> str:
        """What the unit has written."""
        path = self.home / "journal"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls of systemctl that did more than read."""
        path = self.home / "calls"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return tuple(each for each in lines if each.split()[0] not in {"show", "cat", "list-units", "list-unit-files"})

    def make(
        self, *, models: tuple[str, ...] = (MODEL,), environment: Mapping[str, str] | None = None, lines: str = "", libraries: bool = True,
        driver: str = "555.42.06", held: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        """Write everything; `lines` are more lines of the unit. Nothing runs yet."""
        (self.home / "systemd/ollama.service.d").mkdir(parents=True, exist_ok=True)
        snapshot.write(self.card, snapshot.Snapshot(DEVICE, driver, TOTAL, {"Xorg": 400 * 1024**2, **(held or {})}))
        programs.install(self.home, card=self.card, speed=SPEED, models=models, version=self.version, libraries=libraries)
        given = {"OLLAMA_MODELS": f"{self.home}/models", "OLLAMA_HOST": f"127.0.0.1:{self.port}", **(environment or {})}
        text = "".join(f'Environment="{name}={value}"\n' for name, value in given.items())
        self.unit.write_text(f"[Service]\nExecStart=/usr/local/bin/ollama serve\n{text}{lines}", encoding="utf-8")

    def drop_in(self, name: str, text: str) -> None:
        """Write a drop-in of the unit."""
        (self.home / "systemd/ollama.service.d" / name).write_text(f"[Service]\n{text}", encoding="utf-8")

    def start(self) -> None:
        """Start the unit and wait until its server answers; raises CallFailed."""
        subprocess.run([self.home / "bin/systemctl", "start", "ollama"], check=True, timeout=30)
        self.wait(lambda: f"Listening on 127.0.0.1:{self.port}" in self.journal, self.pid)

    def wait(self, ready: Callable[[], bool], pid: int) -> None:
        """Wait until something is so while a process runs; raises CallFailed."""
        until = time.monotonic() + _READY_SECONDS
        while not ready():
            if time.monotonic() > until or not Path(f"/proc/{pid}").exists():
                raise CallFailed(f"the stand-in did not start: {self.journal[-500:]}")
            time.sleep(_PAUSE)

    def stop(self) -> None:
        """End what runs on the host, and remove it from this machine."""
        for each in self.others:
            each.kill()
            each.wait()
        self.others.clear()
        with suppress(FileNotFoundError, ProcessLookupError):
            end(self.pid)

    def remove(self) -> None:
        """Remove the host's files but those of its sshd, which runs on."""
        for each in self.home.iterdir() if self.home.exists() else ():
            if each.name != "sshd":
                shutil.rmtree(each) if each.is_dir() else each.unlink()

    def ask(self, path: str, body: object = None, *, method: str | None = None) -> Any:
        """Send the server a request as a client of this machine; return the JSON of the answer, None for an empty one. Raises CallFailed."""
        server = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            server.request(method or ("GET" if body is None else "POST"), path, None if body is None else json.dumps(body))
            answer = server.getresponse()
            text = answer.read()
        finally:
            server.close()
        if answer.status != http.client.OK:
            raise CallFailed(f"{path}: HTTP {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    def load(self, model: str = MODEL, **options: object) -> None:
        """Load a model for good, as an application does."""
        self.ask("/api/generate", {"model": model, "stream": False, "keep_alive": -1, "options": options})

    def hold(self, name: str, size: int) -> None:
        """Let a program of this machine hold video memory until it is ended."""
        process = subprocess.Popen([self.home / "bin/holder", name, str(size)], stdout=subprocess.PIPE)
        self.others.append(process)
        with process.stdout or nullcontext() as output:
            if output is None or not output.readline():
                raise CallFailed(f"the program {name} did not start")

    @property
    def layers(self) -> str:
        """The layers of the last load, by the log."""
        found = re.findall(r"offloaded (\d+/\d+) layers", self.journal)
        return found[-1] if found else ""


def end(pid: int) -> None:
    """End a process that this one did not start, and wait until it is gone."""
    if sys.platform == "win32":
        raise UsageError(_ELSEWHERE)
    running = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(running, signal.SIGKILL)
        select.select([running], [], [], 5.0)
    finally:
        os.close(running)


def freeze(pid: int) -> None:
    """Let a process go on to exist and do nothing."""
    if sys.platform == "win32":
        raise UsageError(_ELSEWHERE)
    os.kill(pid, signal.SIGSTOP)
