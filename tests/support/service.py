"""A Linux host whose Ollama is a service and no container: an sshd into this machine, and programs that are found first there.

`systemctl` really stops and starts the stand-in, whose process is named ``ollama``; `journalctl` prints what it wrote, and
`nvidia-smi` shows the card that it plays on. Each call of `systemctl` is written down.
"""

from __future__ import annotations

import json
import os
import select
import shutil
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
from remediation_lab.ollama import snapshot
from tests.connections.sshd import Sshd, sshd
from tests.facets import smi
from tests.support.engine import DEVICE, TOTAL
from tests.support.image import LAB, REPOSITORY, SPEED
from tests.support.parts import missing, need_program
from tests.support.project import MODEL

NOT_FOUND = "Failed to restart ollama.service: Unit ollama.service not found."
REFUSED = (
    "Failed to restart ollama.service: Interactive authentication required.\n"
    "See system logs and 'systemctl status ollama.service' for details."
)
"""What systemd says to a login that polkit would have to ask for a password."""

_SYSTEMCTL = """#!{python} -I
import json, os, re, select, signal, subprocess, sys
from pathlib import Path

home, words = Path({home!r}), [word for word in sys.argv[1:] if word not in ("--no-pager", "--plain", "--no-legend", "--all")]
unit, loaded, pid = home / "systemd/ollama.service", home / "loaded.json", home / "pid"
with (home / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")


def texts():
    return {{str(path): path.read_text() for path in [unit, *sorted(home.glob("systemd/ollama.service.d/*.conf"))] if path.exists()}}


def environment(texts):
    given, unset, files = {{}}, set(), []
    for text in texts.values():
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key == "Environment":
                given.update(dict(word.split("=", 1) for word in re.findall(r'"([^"]*)"', value)))
            elif key == "UnsetEnvironment":
                unset.update(value.split())
            elif key == "EnvironmentFile":
                files.append(value)
    for path in files:
        given.update(dict(line.split("=", 1) for line in Path(path).read_text().splitlines() if "=" in line))
    return {{name: value.strip('"') for name, value in given.items() if name not in unset}}, files


def reload():
    loaded.write_text(json.dumps(texts()))


if words[0] in ("list-units", "list-unit-files"):
    print("ollama.service loaded active running Ollama Service")
    sys.exit(0)
if words[0] == "cat":
    for path, text in texts().items():
        print(f"# {{path}}\\n{{text}}")
    sys.exit(0)
if words[:2] == ["show", "ollama.service"]:
    files = environment(texts())[1]
    alive = Path(f"/proc/{{pid.read_text()}}").exists()
    state = ("active", pid.read_text()) if alive else ("inactive", "0")
    print("LoadState=loaded\\nActiveState=" + state[0], f"MainPID={{state[1]}}", f"FragmentPath={{unit}}", sep="\\n")
    print(*(f"EnvironmentFiles={{path}} (ignore_errors=no)" for path in files), sep="\\n")
    print("NeedDaemonReload=" + ("no" if json.loads(loaded.read_text()) == texts() else "yes"))
    sys.exit(0)
if words == ["daemon-reload"]:
    reload()
    sys.exit(0)
assert words in (["restart", "ollama"], ["start", "ollama"]), words
fault = (home / "fault").read_text() if (home / "fault").exists() else ""
if fault and not (fault == {refused!r} and "SUDO_UID" in os.environ):
    sys.exit(fault)
if pid.exists():
    running = os.pidfd_open(int(pid.read_text()))
    signal.pidfd_send_signal(running, signal.SIGTERM)
    signal.pidfd_send_signal(running, signal.SIGCONT)  # as systemd does (systemd.kill)
    select.select([running], [], [])
else:
    reload()
with (home / "journal").open("a") as journal:
    server = subprocess.Popen(
        [home / "bin/ollama", "serve"], cwd="/", stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, start_new_session=True,
        env={{"PATH": os.environ["PATH"], "HOME": str(home), **environment(json.loads(loaded.read_text()))[0]}},
    )
pid.write_text(str(server.pid))
"""
_OLLAMA = """#!{python}
import runpy, subprocess, sys
open("/proc/self/comm", "w").write("ollama")  # as ps and /proc tell the real program's name
# the real server's models live in separate runner processes, which end with it
runner = subprocess.Popen(["/usr/bin/ollama runner", "-c", "printf ollama > /proc/self/comm; read line"], executable="/bin/sh", stdin=subprocess.PIPE)
sys.path[:0] = {packages!r}
sys.argv[1:] = ["serve", "--memory", {card!r}, "--speed", "{speed}", *{models!r}]
runpy.run_module("remediation_lab.ollama", run_name="__main__")
"""
_JOURNALCTL = """#!/bin/sh
for tail; do :; done # the last word is the number of lines
exec tail -n "$tail" {home}/journal
"""
# secure_path is this machine's: behind the real sudo, what this host has in front of it comes first again
_SUDO = """#!{python} -I
import os, sys
cut = sys.argv.index("--") + 1
os.execv({sudo!r}, ["sudo", *sys.argv[1:cut], "env", "PATH=" + os.environ["PATH"], *sys.argv[cut:]])
"""


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
        """Stop the unit and let a user start the server in its place; return the file that its output goes to.

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

    port, programs, card = free_port(), home / "bin", home / "gpu.txt"
    programs.mkdir(parents=True)
    snapshot.write(card, snapshot.Snapshot(DEVICE, driver, TOTAL, {"Xorg": 400 * 1024**2, **(held or {})}))
    (home / "systemd").mkdir()
    given = {"OLLAMA_MODELS": f"{home}/models", "OLLAMA_HOST": f"127.0.0.1:{port}", **environment}
    lines = "".join(f'Environment="{name}={value}"\n' for name, value in given.items())
    (home / "systemd/ollama.service").write_text(f"[Service]\nExecStart=/usr/local/bin/ollama serve\n{lines}", "utf-8")
    smi.install(programs, card)
    for name, text in (
        ("systemctl", _SYSTEMCTL), ("ollama", _OLLAMA), ("journalctl", _JOURNALCTL), ("sudo", _SUDO),
    ):  # fmt: skip
        filled = text.format(
            python=sys.executable, home=str(home), port=port, packages=[str(REPOSITORY), str(LAB)],
            card=str(card if libraries else home / "no-libraries"), speed=SPEED, models=[word for name in models for word in ("--model", name)],
            refused=REFUSED, sudo=shutil.which("sudo") or "/usr/bin/sudo",
        )  # fmt: skip
        (programs / name).write_text(filled, "utf-8")
        (programs / name).chmod(0o755)
    need_program("tail", "coreutils")
    with (Path(tempfile.gettempdir()) / f"remediation-tests-service-{os.getuid()}").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        with sshd(home / "sshd", programs=programs) as server:
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
