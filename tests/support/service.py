"""A Linux host whose Ollama is a service and no container: an sshd into this machine, and programs that are found first there.

`systemctl` really stops and starts the stand-in, whose process is named ``ollama``; `journalctl` prints what it wrote, and
`nvidia-smi` shows the card that it plays on. Each call of `systemctl` is written down.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from remediation_lab.free_ports import free_port
from remediation_lab.linux.programs import install
from remediation_lab.ollama import snapshot
from tests.connections.sshd import Sshd, sshd
from tests.support.engine import DEVICE, TOTAL
from tests.support.image import SPEED
from tests.support.project import MODEL
from tests.support.requirements import missing, need_program


@dataclass(frozen=True, slots=True)
class Service:
    """The host: its folder, its login, and the server's port."""

    home: Path
    server: Sshd
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def inventory(self, folder: Path, **more: object) -> str:
        """Write an inventory of this host alone into `folder`."""
        where = {"endpoint": self.endpoint, "docker_host": f"unix://{self.home}/no-docker.sock"}
        path = folder / "hosts.json"
        known = {name: value for name, value in {**where, **more}.items() if value is not None}
        path.write_text(json.dumps({"all": {"hosts": {"gpu-01": self.server.variables(**known)}}}), "utf-8")
        return str(path)

    def occupy(self, size: int = 0) -> None:
        """Let another program hold this much of the card."""
        snapshot.SnapshotMemory(self.home / "gpu.txt").hold("trainer", size)  # the server writes this file as well

    def empty(self) -> None:
        """Unload every model, and wait until the runners have left the card."""
        for model in self.loaded:
            self.ask("/api/generate", {"model": model, "keep_alive": 0, "stream": False})
        until = time.monotonic() + 30.0
        while any(name.startswith("ollama runner") for name in snapshot.read(self.home / "gpu.txt").held):
            assert time.monotonic() < until, "a runner stays on the card"
            time.sleep(0.02)

    def fails(self, words: str) -> None:
        """Let systemctl print this and end with 1; `REFUSED` applies only to callers without sudo."""
        (self.home / "fault").write_text(words, "utf-8")

    def hides_its_journal(self) -> None:
        """Let journalctl print nothing, as for a login that may not read it and a server that systemd did not start."""
        (self.home / "bin/journalctl").write_text("#!/bin/sh\n", "utf-8")

    def restart(self) -> None:
        """Restart the unit, and wait until its server answers."""
        subprocess.run([self.home / "bin/systemctl", "restart", "ollama"], check=True, timeout=30)
        until = time.monotonic() + 60.0
        while True:
            with suppress(OSError):
                self.ask("/api/version")
                return
            assert time.monotonic() < until, self.journal
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """The server's process, by what systemctl started last."""
        return int((self.home / "pid").read_text("utf-8"))

    @property
    def restarts(self) -> int:
        """The number of requested restarts."""
        return (self.home / "calls").read_text("utf-8").splitlines().count("restart ollama")

    @contextmanager
    def started_by_hand(self, *, logged: bool = True, **environment: str) -> Iterator[Path]:
        """Stop the unit, start the server as a user would, and return the file with its output.

        Without `logged` the output goes through a pipe into that file, which nothing finds from the server's process.
        """
        os.kill(self.pid, signal.SIGKILL)
        log = self.home / "nohup.out"
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "OLLAMA_MODELS": f"{self.home}/models",
            "OLLAMA_HOST": f"127.0.0.1:{self.port}",
        }
        serve = [str(self.home / "bin/ollama"), "serve"]
        with ExitStack() as kept:
            out: IO[Any] = kept.enter_context(log.open("w"))
            if not logged:
                out = _pipe_into(out, kept)
            server = kept.enter_context(
                subprocess.Popen(serve, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**given, **environment})
            )
            try:
                following = ["tail", "--follow", "--lines", "+1", "--pid", str(server.pid), str(log)]
                with subprocess.Popen(following, stdout=subprocess.PIPE, text=True, encoding="utf-8") as tail:
                    assert tail.stdout is not None
                    assert any("Listening on" in line for line in tail.stdout)
                    tail.kill()
                yield log
            finally:
                server.kill()

    @property
    def unit_files(self) -> dict[str, str]:
        """The texts of the unit and its drop-ins by path; kept copies are left out."""
        found = sorted((self.home / "systemd").rglob("*"))
        return {str(path): path.read_text("utf-8") for path in found if path.suffix in {".service", ".conf"}}

    @property
    def environment(self) -> list[str]:
        """The environment of the running server."""
        return Path(f"/proc/{self.pid}/environ").read_text("utf-8").split("\0")

    @property
    def journal(self) -> str:
        return (self.home / "journal").read_text("utf-8")

    def ask(self, path: str, body: object = None) -> Any:
        """Ask the server as a client of this machine."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}{path}", data=data)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def load(self, model: str = MODEL, **options: object) -> None:
        """Load a model for good, as an application does."""
        self.ask("/api/generate", {"model": model, "stream": False, "keep_alive": -1, "options": options})

    @property
    def loaded(self) -> dict[str, tuple[bool, str]]:
        """The loaded models: whether each lies on the GPU as a whole, and the year until which it stays."""
        return {
            each["name"]: (each["size"] == each["size_vram"], each["expires_at"][:4]) for each in self.ask("/api/ps")["models"]
        }


@contextmanager
def service(
    home: Path, *, models: tuple[str, ...] = (MODEL,), driver: str = "555.42.06", held: Mapping[str, int] | None = None,
    libraries: bool = True, **environment: str,
) -> Iterator[Service]:  # fmt: skip
    """Start the host's sshd and its server with these models and more `environment`, and stop both.

    `held` says what others hold of the card; without `libraries` the server's folder of GPU libraries is missing. One such host at a time, since a host's processes are this machine's.
    """
    if sys.platform != "linux":
        missing("a service of systemd's kind needs Linux")
    import fcntl

    port, card = free_port(), home / "gpu.txt"
    home.mkdir(parents=True, exist_ok=True)
    snapshot.write(card, snapshot.Snapshot(DEVICE, driver, TOTAL, {"Xorg": 400 * 1024**2, **(held or {})}))
    (home / "systemd").mkdir()
    given = {"OLLAMA_MODELS": f"{home}/models", "OLLAMA_HOST": f"127.0.0.1:{port}", **environment}
    lines = "".join(f'Environment="{name}={value}"\n' for name, value in given.items())
    (home / "systemd/ollama.service").write_text(f"[Service]\nExecStart=/usr/local/bin/ollama serve\n{lines}", "utf-8")
    install(home, card=card, speed=SPEED, models=models, libraries=libraries)
    need_program("tail", "coreutils")
    with (Path(tempfile.gettempdir()) / f"remediation-tests-service-{os.getuid()}").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        with sshd(home / "sshd", programs=home / "bin") as server:
            made = Service(home, server, port)
            try:
                _start(made)
                yield made
            finally:
                with suppress(FileNotFoundError, ProcessLookupError):
                    os.kill(made.pid, signal.SIGKILL)


def _pipe_into(out: IO[Any], kept: ExitStack) -> IO[bytes]:
    """Return a pipe whose content another process copies into `out`."""
    cat = kept.enter_context(subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out))
    assert cat.stdin is not None
    return cat.stdin


def _start(made: Service) -> None:
    subprocess.run([made.home / "bin/systemctl", "start", "ollama"], check=True, timeout=30)
    command = ["tail", "--follow", "--lines", "+1", "--pid", str(made.pid), made.home / "journal"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as following:
        assert following.stdout is not None
        heard = any("Listening on" in line for line in following.stdout)
        following.kill()
    assert heard, f"the stand-in did not start: {made.journal}"
    # Linux tells starts in whole seconds: a server as young as that would count as restarted by a run that begins now
    pidfd = os.pidfd_open(made.pid)
    try:
        ended, _, _ = select.select([pidfd], [], [], 1.2)
    finally:
        os.close(pidfd)
    assert not ended, f"the stand-in ended: {made.journal}"
