"""A Dask cluster on loopback: a scheduler and worker processes, with TLS files made for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tests.connections.certificates import made

if TYPE_CHECKING:
    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 60.0


def tls_settings(folder: Path) -> dict[str, str]:
    """Return Dask's settings with certificates made in `folder`, as environment variables."""
    made(folder, "127.0.0.1")
    chain = str(folder / "host.pem")
    head = "DASK_DISTRIBUTED__COMM__TLS__"
    sides = {f"{head}{side}__{part}": chain for side in ("CLIENT", "SCHEDULER", "WORKER") for part in ("CERT", "KEY")}
    return {f"{head}CA_FILE": str(folder / "authority.pem"), **sides}


@dataclass
class LoopbackCluster:
    """A scheduler and its workers, each a process."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / "scheduler.json"
        protocol = "tls" if self.settings else "tcp"
        self.scheduler = self._started(
            "scheduler", "distributed.cli.dask_scheduler", "--protocol", protocol, "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(place),
        )  # fmt: skip
        until = time.monotonic() + _PATIENCE
        while not self.address and time.monotonic() < until:
            time.sleep(0.05)
            if place.exists() and (text := place.read_text()).endswith("}"):
                self.address = json.loads(text)["address"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in (*self.workers.values(), *filter(None, [self.scheduler])):
            process.kill()
            process.wait()

    def start(self, *names: str, words: Sequence[str] = (), preload: Sequence[str] = (), **environment: str) -> None:
        """Start workers, and wait until the scheduler knows them."""
        for name in names:
            self.workers[name] = self._started(
                name, "distributed.cli.dask_worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard",
                "--host", "127.0.0.1", "--name", name, "--local-directory", str(self.folder / "local"), "--memory-limit", "0",
                *(word for module in preload for word in ("--preload", module)), python=words, environment=environment,
            )  # fmt: skip
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and not all("Registered to" in self.log(name) for name in names):
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """End a worker as a power cut would."""
        process = self.workers.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> str:
        """Return what a process wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _started(
        self, name: str, module: str, *words: str, python: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DASK_")}
        own = {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **self.settings, **(environment or {})}
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *python, "-m", module, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=own
            )


@contextmanager
def dask_settings(settings: Mapping[str, str]) -> Iterator[None]:
    """Use Dask settings of environment variables in this process."""
    import dask.config
    import distributed  # noqa: F401 - it adds its defaults to the configuration, once

    names = {key: key.removeprefix("DASK_").lower().replace("__", ".").replace("_", "-") for key in settings}
    with dask.config.set({names[key]: value for key, value in settings.items()}):
        yield
