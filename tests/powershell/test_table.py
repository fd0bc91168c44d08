"""Each probe under a real PowerShell while each of its calls is in turn refused, null, empty, one, many, slow and vanishing.

Each test prints its counts (``-s``). The normal tests disturb each call in two ways, the marker ``every`` in all.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Probe
from remediation.facets.facts.windows import facts_from_probe
from remediation.facets.gpu.devices import USE_PROBE, WindowsGpu
from remediation.facets.machine import readiness
from remediation.facets.machine.docker_desktop import read_desktop
from remediation.facets.machine.files import HostFilesWriter
from remediation.facets.machine.processes import WindowsProcesses, WindowsProcessWriter
from remediation.facets.machine.session import WindowsDesktop, WindowsDesktopWriter
from remediation.facets.machine.system import WindowsSystem
from remediation.facets.ollama import request_log
from remediation.facets.ollama.generate import ProbeAsker
from remediation.facets.scripts import source
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed
from tests.engine.fakes.world import FakeClock
from tests.facets.powershell import NAMES
from tests.powershell.sqlite import TABLE, with_sqlite
from tests.powershell.table import Rules, Scene, table
from tests.powershell.windows import SERVICES, STARTED, Windows, process, refused

LINES = b'{"response": "a", "done": false}\n{"response": "", "done": true, "eval_count": 1, "eval_duration": 1, "total_duration": 2}\n'


class _Model(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.wait.wait(0.4)  # type: ignore[attr-defined]  # set where the server is made
        self.send_response(200)
        self.send_header("Content-Length", str(len(LINES)))
        self.end_headers()
        self.wfile.write(LINES)


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    server.wait = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/generate"
    server.shutdown()
    server.server_close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Windows]:
    with with_sqlite(tmp_path) as windows:
        yield windows


def _no_engine() -> Any:
    raise CallFailed("the engine does not answer", host="here")


def _engine() -> Any:
    return None


def _world(**changes: Any) -> Any:
    def prepare(host: Windows) -> None:
        host.world.update(changes)

    return prepare


def _whole(host: Windows) -> None:
    """Files as Docker Desktop, WSL and Ollama leave them."""
    host.world.update(host._world())
    for path, content in {
        host.programs / "Docker" / "Docker" / "Docker Desktop.exe": "",
        host.programs / "Docker" / "Docker" / "resources" / "bin" / "docker.exe": "",
        host.programs / "WSL" / "wsl.exe": "",
        host.profile / "AppData" / "Roaming" / "Docker" / "settings-store.json": '{"a": 1}',
        host.data / "DockerDesktop" / "admin-settings.json": '{"b": {"locked": true}}',
        host.profile / ".wslconfig": "[wsl2]\nmemory=8GB\n",
        host.profile / "folder" / "one.json": '{"model": "m", "num_gpu": 1}',
        host.profile / "folder" / "two.json": '{"model": "n"}',
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        os.utime(path, (STARTED, STARTED))


def _but(**changes: Any) -> Any:
    def prepare(host: Windows) -> None:
        _whole(host)
        host.world.update(changes)

    return prepare


def _no_screen(host: Windows) -> None:
    _whole(host)
    host.world["processes"] = [each for each in host.world["processes"] if each["Name"] != "explorer.exe"]


def _stubborn(host: Windows) -> None:
    _whole(host)
    host.world["processes"] = [{**each, "closes": False} for each in host.world["processes"]]


def _own_session(host: Windows) -> None:
    _whole(host)
    session = _sid()
    host.world["processes"] = [
        {**each, "SessionId": session} if each["ProcessId"] == 5000 else each for each in host.world["processes"]
    ]


def _sid() -> int:
    # PowerShell's child has its own session where the product starts it in one; the table finds it by asking
    return 0


def _folder(host: Windows) -> str:
    return str(host.profile / "folder")


@pytest.fixture
def scenes(host: Windows, model: str) -> dict[str, list[Scene]]:
    folder = _folder(host)
    clock = FakeClock()

    def desktop(look: Snapshot) -> WindowsDesktopWriter:
        return WindowsDesktopWriter(look, _engine, FakeClock(), remote=True)

    def close(**more: Any) -> Any:
        return lambda look: WindowsProcessWriter(look).close(5000, STARTED + 5000, **{"grace": 3.0, **more})

    return {
        "close": [Scene("polite", close(), _whole), Scene("force", close(force=True), _stubborn), Scene("no-screen", close(), _no_screen)],
        "desktop": [Scene("read", lambda look: read_desktop(look, _no_engine), _whole), Scene("no screen", lambda look: read_desktop(look, _no_engine), _no_screen)],
        "docker-desktop": [
            Scene("start", lambda look: WindowsDesktopWriter(look, _engine, clock, remote=True).start_docker(timeout=60.0), _whole),
            Scene("stop", lambda look: look.probe(_act("stop"), "x"), _whole),
            Scene("kill", lambda look: look.probe(_act("kill"), "x"), _whole),
            Scene("no docker.exe", lambda look: look.probe(_act("stop"), "x"), _no_docker),
            Scene("kill refused", lambda look: look.probe(_act("kill"), "x"), _whole, also=[refused("Stop-Process")]),
            Scene("no screen", lambda look: look.probe(_act("stop"), "x"), _no_screen),
        ],
        "file": [
            Scene("rename", lambda look: HostFilesWriter(look).rename(f"{folder}/one.json", f"{folder}/three.json"), _moved),
            Scene("make", lambda look: HostFilesWriter(look).create_folder(f"{folder}/new"), _whole),
            Scene("remove", lambda look: HostFilesWriter(look).remove(f"{folder}/one.json"), _whole),
            Scene("tree", lambda look: HostFilesWriter(look).remove_folder(folder), _whole),
            Scene("touch", lambda look: look.probe(Probe("file", {"action": "touch", "path": f"{folder}/one.json"}, writes=True), "x"), _whole),
        ],
        "folder": [
            Scene("list", lambda look: HostFilesWriter(look).list(folder), _whole),
            Scene("space", lambda look: HostFilesWriter(look).space(folder), _whole),
            Scene("no folder", lambda look: HostFilesWriter(look).list(f"{folder}/none"), _whole),
        ],
        "generate": [
            Scene("sample", lambda look: ProbeAsker(look).ask(model, {"model": "m"}, timeout=10.0, sample=True), _whole),
            Scene("no driver", lambda look: ProbeAsker(look).ask(model, {"model": "m"}, timeout=10.0, sample=True), _no_driver),
        ],
        "gpu": [Scene("use", lambda look: WindowsGpu(look).use(), _whole), Scene("no driver", lambda look: look.probe(USE_PROBE, "x"), _no_driver)],
        "http": [Scene("get", lambda look: look.probe(_http(model), "asking"), _whole)],
        "lease": [
            Scene("make", lambda look: look.probe(_lease(folder, make=7), "x"), _no_leases),
            Scene("taken", lambda look: look.probe(_lease(folder, make=1), "x"), _leases),
            Scene("remove", lambda look: look.probe(_lease(folder, remove=[1, 2], list=True), "x"), _leases),
            Scene("list", lambda look: look.probe(_lease(folder, list=True), "x"), _leases),
        ],
        "facts": [Scene("all", lambda look: facts_from_probe(look.probe(Probe("facts"), "facts")), _whole)],
        "notify": [Scene("shown", lambda look: desktop(look).notify("hello", seconds=3), _whole), Scene("no screen", lambda look: desktop(look).notify("x", seconds=3), _no_screen)],
        "processes": [
            Scene("elevated", lambda look: WindowsProcesses(look).list(), _whole),
            Scene("not elevated", lambda look: WindowsProcesses(look).list(), _but(elevated=False)),
        ],
        "readiness": [Scene("all", lambda look: readiness.windows_readiness(look, {}), _whole), Scene("no WSL", lambda look: readiness.windows_readiness(look, {}), _no_wsl)],
        "requests": [Scene("all", lambda look: request_log.read_requests(look, [f"{folder}/one.json", f"{folder}/two.json"]), _whole)],
        "sample": [Scene("three", lambda look: WindowsGpu(look).sample(seconds=2.0), _whole), Scene("no driver", lambda look: WindowsGpu(look).sample(seconds=0.0), _no_driver)],
        "server": [
            Scene("app", lambda look: look.probe(Probe("server", {"service": "OllamaNssm", "sqlite": source("sqlite")}, timeout=60.0), "x"), _with_database),
            Scene("no screen", lambda look: look.probe(Probe("server", {"service": None, "sqlite": source("sqlite")}, timeout=60.0), "x"), _no_screen),
            Scene("relative log", lambda look: look.probe(Probe("server", {"service": "OllamaNssm"}, timeout=60.0), "x"), _relative_log),
            Scene("WinSW", lambda look: look.probe(Probe("server", {"service": "OllamaWinSW"}, timeout=60.0), "x"), _with_winsw),
            Scene("shell", lambda look: look.probe(Probe("server", {"service": None, "process": 8001}, timeout=60.0), "x"), _in_shell),
        ],
        "session": [Scene("here", lambda look: WindowsDesktop(look, _engine, remote=True).session(), _whole), Scene("no screen", lambda look: WindowsDesktop(look, _engine, remote=True).session(), _no_screen)],
        "status": [
            Scene("file", lambda look: HostFilesWriter(look).status(f"{folder}/one.json", algorithm="sha1"), _whole),
            Scene("folder", lambda look: HostFilesWriter(look).status(folder), _whole),
            Scene("link", lambda look: HostFilesWriter(look).status(f"{folder}/link.json", follow=True), _linked),
        ],
        "system": [Scene("facts", lambda look: WindowsSystem(look, _engine).facts(), _whole)],
    }  # fmt: skip


def _relative_log(host: Windows) -> None:
    _whole(host)
    host.world["registry"][f"{SERVICES}\\OllamaNssm\\Parameters"] |= {"AppStderr": "err.log", "AppDirectory": "C:\\ollama"}


def _with_winsw(host: Windows) -> None:
    _whole(host)
    (host.programs / "winsw.xml").write_text("<service><logpath>%BASE%</logpath></service>", "utf-8")
    host.world["registry"][f"{SERVICES}\\OllamaWinSW"] = {"ImagePath": f'"{host.programs / "winsw.exe"}"'}


def _in_shell(host: Windows) -> None:
    _whole(host)
    shell = process(8000, "cmd.exe", CommandLine="cmd /c ollama serve > C:\\o.log 2>&1")
    host.world["processes"] = [
        *host.world["processes"],
        shell,
        process(8001, "ollama.exe", parent=8000, CommandLine="ollama serve"),
    ]


def _with_database(host: Windows) -> None:
    _whole(host)
    path = host.profile / "AppData" / "Local" / "Ollama" / "db.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as made:
        made.executescript(TABLE)


def _linked(host: Windows) -> None:
    _whole(host)
    Path(_folder(host), "link.json").unlink(missing_ok=True)
    Path(_folder(host), "link.json").symlink_to(Path(_folder(host), "one.json"))


def _act(action: str) -> Probe:
    return Probe("docker-desktop", {"action": action, "seconds": 5}, timeout=45.0)


def _lease(folder: str, **data: Any) -> Probe:
    return Probe("lease", {"folder": f"{folder}/lease", **data}, timeout=15.0, writes=True)


def _no_leases(host: Windows) -> None:
    _whole(host)
    shutil.rmtree(host.profile / "folder" / "lease", ignore_errors=True)


def _leases(host: Windows) -> None:
    _no_leases(host)
    for number in (1, 2, 3):
        (host.profile / "folder" / "lease" / str(number) / "inside").mkdir(parents=True)


def _http(url: str) -> Probe:
    data = {"method": "POST", "url": url, "body": "{}", "timeout": 10.0, "stream": False, "silence": None, "tell": False}
    return Probe("http", data, timeout=15.0)


def _no_docker(host: Windows) -> None:
    _whole(host)
    (host.programs / "Docker" / "Docker" / "resources" / "bin" / "docker.exe").unlink()


def _no_wsl(host: Windows) -> None:
    _whole(host)
    host.world["wsl"] = []
    (host.programs / "WSL" / "wsl.exe").unlink()


def _moved(host: Windows) -> None:
    _whole(host)
    (host.profile / "folder" / "three.json").unlink(missing_ok=True)


def _no_driver(host: Windows) -> None:
    _whole(host)
    (host.system / "System32" / "nvidia-smi.exe").unlink(missing_ok=True)


_TIMES = frozenset({"elapsed", "first_byte", "last_byte", "gpu", "cpu"})
_ACTION = frozenset({"task", "task_code", "task_result", "problem", "Problem"})
RULES = {
    "close": Rules(reasons=_ACTION, action=True),
    "desktop": Rules(varies=frozenset({"Now"}), covers={"Version": "Installed"}),
    "docker-desktop": Rules(reasons=_ACTION, action=True),
    "file": Rules(reasons=_ACTION, action=True),
    "folder": Rules(varies=frozenset({"Free"})),
    "generate": Rules(varies=_TIMES, instead="error"),
    "gpu": Rules(reasons=frozenset({"counters_error"}), covers={"stdout": "rc", "stderr": "rc", "fields": "rc"}),
    "http": Rules(varies=_TIMES, instead="error"),
    "lease": Rules(covers={"Made": "Names", "Names": "Kept"}),
    "notify": Rules(reasons=_ACTION, action=True, alone={"shown": False}),
    "processes": Rules(
        covers={"Processes": ("Owner", "Service", "CreationDate")}, elsewhere={"Get-Process": "each process names its owner"}
    ),
    "readiness": Rules(
        reasons=frozenset({"QuotasProblem", "GpuClassesProblem"}),
        covers={
            "Quotas": "QuotasProblem",
            "ByPolicy": "QuotasProblem",
            "GpuClasses": "GpuClassesProblem",
            "WslState": "WslService",
        },
    ),
    "facts": Rules(
        varies=frozenset({"Now", "Environment", "Addresses"}),
        covers={
            **dict.fromkeys(
                ("Caption", "ProductType", "FreePhysicalMemory", "TotalVisibleMemorySize", "LastBootUpTime"),
                "Win32_OperatingSystem",
            ),
            **dict.fromkeys(("Domain", "Manufacturer", "Model", "Sockets", "LogicalProcessors"), "Win32_ComputerSystem"),
        },
        elsewhere={"Version": "the environment", "Architecture": "the environment"},
    ),
    "requests": Rules(reasons=frozenset({"Refused"}), covers={"Rows": "Refused"}),
    "sample": Rules(varies=frozenset({"rows"}), covers={"rows": "rc", "stderr": "rc"}),
    "server": Rules(covers={"User": "Sid", "Service": ("Service", "Machine")}),
    "session": Rules(),
    "status": Rules(
        varies=frozenset({"Accessed", "Written"}),
        covers=dict.fromkeys(
            "Path Name Extension Folder Link Junction Target Length Attributes Hidden Archive ReadOnly Created Accessed Written Owner Sum".split(),
            "Exists",
        ),
    ),
    "system": Rules(varies=frozenset({"Now"}), elsewhere={"Hostname": "the environment", "Version": "the environment"}),
}


APART = {"powershell", "server-change", "service"}
"""Probes that do what a user asks of them, and report the failure of that; test_modules.py and test_server.py have their tests."""


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.every)], ids=["sample", "every"])
@pytest.mark.parametrize("name", sorted(set(NAMES) - APART))
def test_whatever_goes_wrong_the_rest_arrives(name: str, host: Windows, scenes: dict[str, list[Scene]], *, every: bool) -> None:
    counts = table(host, name, scenes[name], RULES[name], every=every)
    print(f"\n{name}: {counts}")
    if counts.faults:
        pytest.fail("\n".join((str(counts), *counts.faults)), pytrace=False)
