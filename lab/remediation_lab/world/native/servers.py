"""The native Ollama servers of a machine: their processes, their environment, their log, and who starts them again (facts/native 1)."""

from __future__ import annotations

import ntpath
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from remediation_lab.ollama.children import RunnerProcesses
from remediation_lab.ollama.disk import DiskStore
from remediation_lab.ollama.loader import Pace
from remediation_lab.ollama.releases.base import Memory
from remediation_lab.ollama.server import OllamaServer
from remediation_lab.world.clock import MachineClock
from remediation_lab.world.engine import able
from remediation_lab.world.files import Files
from remediation_lab.world.gpu import VideoMemory
from remediation_lab.world.native import database
from remediation_lab.world.native.folder import LabPath
from remediation_lab.world.setup import Installation
from remediation_lab.world.state import Due, Program, State

APP = "ollama app.exe"
SERVER = "ollama.exe"
NSSM = "C:\\Program Files\\nssm\\win64\\nssm.exe"
SYSTEM = "NT AUTHORITY\\SYSTEM"
SERVE = "serve"
"""The event after which each starter sees to its server."""
_SYSTEM_PROFILE = "C:\\Windows\\System32\\config\\systemprofile"
_AGAIN_SECONDS = 1.0
_BIND = "Error: listen tcp {}: bind: Only one usage of each socket address (protocol/network address/port) is normally permitted."
_MOST = 400_000
"""Bytes that are kept of a log."""
_LLAMA_SERVER = (0, 30)


def profile(account: str) -> str:
    """Return the home folder of an account."""
    return _SYSTEM_PROFILE if account == SYSTEM else f"C:\\Users\\{account.rpartition(chr(92))[2]}"


class NativeServers:
    """Ollama servers that no container holds."""

    def __init__(self, state: State, clock: MachineClock, memory: VideoMemory, files: Files, lock: threading.RLock) -> None:
        self._state, self._clock, self._memory, self._files, self._lock = state, clock, memory, files, lock
        self._servers: dict[str, OllamaServer] = {}
        self._logs: dict[str, list[str]] = {}
        for each in state.installations:
            if each.pid and each.port and each.ollama is not None:
                server = self._build(each, each.environment)
                server.restore(each.ollama)
                self._servers[_key(each)] = server

    def servers(self) -> list[OllamaServer]:
        """Return every running server."""
        return list(self._servers.values())

    def of(self, installation: Installation) -> OllamaServer | None:
        """Return the running server of an installation."""
        return self._servers.get(_key(installation))

    def listening(self, port: int) -> OllamaServer | None:
        """Return the server at a port."""
        at = self._at(port)
        return None if at is None else self.of(at)

    def hangs(self, port: int) -> bool:
        """Return whether the server at a port answers nothing."""
        at = self._at(port)
        return at is not None and at.hangs

    def _at(self, port: int) -> Installation | None:
        return next((each for each in self._state.installations if each.pid and each.port == port), None)

    def keep(self) -> None:
        """Note in the state what lives in the servers, and write their logs."""
        for each in self._state.installations:
            server = self.of(each)
            each.ollama = None if server is None else server.state()
            self._write_log(each)

    def _write_log(self, installation: Installation) -> None:
        lines = self._logs.pop(_key(installation), [])
        if lines and installation.log:
            old = self._files.get(installation.log) or b""
            self._files.put(installation.log, (old + "".join(f"{line}\n" for line in lines).encode())[-_MOST:])

    def boot(self) -> None:
        """Start what starts with the machine: services and tasks."""
        for each in self._state.installations:
            if each.kind in {"service", "task"} and not self._disabled(each):
                self.start(each)

    def logon(self) -> None:
        """Start the apps in the start folder of the user who logs on."""
        for each in self._state.installations:
            if each.kind == "app" and each.account == self._state.login.desktop_user:
                self.start(each)

    def lost(self) -> None:
        """Let all be gone, as when the machine restarts."""
        for server in self._servers.values():
            server.stop()
        self.keep()
        self._servers.clear()
        for each in self._state.installations:
            each.pid = each.starter = each.port = 0
            each.ollama, each.hangs = None, False

    def start(self, installation: Installation) -> None:
        """Start the starter, with the variables as they are in the registry now, and its server."""
        with self._lock:
            if not self._alive(installation.starter):
                installation.inherited = self._variables(installation)
                installation.starter = self._starter(installation)
                if installation.kind == "app":
                    self._rotate(installation)
            self._serve(installation)

    def stop(self, installation: Installation) -> None:
        """End the starter with its server and the runners."""
        with self._lock:
            numbers = {installation.starter, installation.pid} - {self._scheduler()}
            installation.starter = 0
            gone = [each for each in self._state.programs if each.pid in numbers]
            self._state.programs = [each for each in self._state.programs if each.pid not in numbers]
            self._down(installation)
            for each in gone:
                self.ended(each)

    def ended(self, program: Program) -> None:
        """Let a program have ended: a runner frees its memory, a server is started again by what started it."""
        with self._lock:
            if program.holds:
                self._memory.hold(program.holds, 0)
            for each in self._state.installations:
                if each.pid == program.pid and each.pid:
                    self._down(each, orphans=True)
                    if each.starter and each.kind in {"app", "service"}:
                        self._state.due.append(Due(self._clock.now() + _AGAIN_SECONDS, SERVE))
                elif each.starter == program.pid and each.kind != "task":
                    each.starter = 0

    def serve(self) -> None:
        """Start the servers whose starters run without them."""
        for each in self._state.installations:
            if each.starter and not each.pid and each.kind in {"app", "service"}:
                self._serve(each)

    def environment(self, installation: Installation) -> dict[str, str]:
        """Return the environment that a server of the installation gets now: the app's database wins over its variables."""
        given = {**installation.inherited, **installation.environment}
        if installation.kind == "app":
            row = database.settings(self._files.get(self.database(installation)) or database.new(installation.version))
            given |= database.environment(row)
        given.setdefault("OLLAMA_MODELS", f"{profile(installation.account)}\\.ollama\\models")
        return given

    @staticmethod
    def database(installation: Installation) -> str:
        """Return the path of the app's settings database."""
        return f"{profile(installation.account)}\\AppData\\Local\\Ollama\\db.sqlite"

    def _variables(self, installation: Installation) -> dict[str, str]:
        known = self._state.variables
        own = {} if installation.account == SYSTEM else known.get(installation.account, {})
        return {**known.get("machine", {}), **own}

    def _disabled(self, installation: Installation) -> bool:
        row = self._state.services.get(installation.name.lower(), {})
        return installation.kind == "service" and row.get("StartMode") == "Disabled"

    def _alive(self, pid: int) -> bool:
        return bool(pid) and any(each.pid == pid for each in self._state.programs)

    def _scheduler(self) -> int:
        return next((each.pid for each in self._state.programs if each.service == "Schedule"), 4)

    def _starter(self, installation: Installation) -> int:
        if installation.kind == "task":
            return self._scheduler()
        shell = next((each.pid for each in self._state.programs if each.name == "explorer.exe"), 4)
        services = next((each.pid for each in self._state.programs if each.name == "services.exe"), 4)
        path, parent, session, more = {
            "app": (f"{installation.folder}\\{APP}", shell, 1, f'"{installation.folder}\\{APP}" --hide'),
            "service": (NSSM, services, 0, f'"{NSSM}"'),
            "hand": ("C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe", shell, 1, ""),
        }[installation.kind]
        service = installation.name if installation.kind == "service" else None
        owner = SYSTEM if installation.kind == "service" else installation.account
        program = Program(
            self._state.pid(), parent, ntpath.basename(path), path, session, self._clock.now(), owner, service=service, command=more,
            windows=int(installation.kind == "hand"),
        )  # fmt: skip
        self._state.programs.append(program)
        return program.pid

    def _serve(self, installation: Installation) -> None:
        if self._alive(installation.pid):
            return
        environment = self.environment(installation)
        server = self._build(installation, environment)
        host, port = server.settings.address
        if self._at(port) is not None:
            self._log(installation, _BIND.format(f"{host}:{port}"))
            self._state.due.append(Due(self._clock.now() + 60 * _AGAIN_SECONDS, SERVE))
            return
        path = f"{installation.folder}\\{SERVER}"
        program = Program(
            self._state.pid(), installation.starter, SERVER, path, int(installation.kind in {"app", "hand"}), self._clock.now(),
            installation.account, command=f'"{path}" serve',
        )  # fmt: skip
        self._state.programs.append(program)
        installation.pid, installation.port, installation.hangs = program.pid, port, False
        self._servers[_key(installation)] = server
        server.start()

    def _down(self, installation: Installation, *, orphans: bool = False) -> None:
        """Let a server be gone. With `orphans` its runners live on and hold what they held."""
        server = self._servers.pop(_key(installation), None)
        if server is not None and not orphans:
            server.stop()
        for each in self._state.programs if orphans else ():
            if each.parent == installation.pid and each.holds:  # the next server has a runner of this name itself
                each.holds, before = f"orphan {each.pid}", each.holds
                self._state.held[each.holds] = self._state.held.pop(before, 0)
        installation.pid = installation.port = 0
        installation.ollama, installation.hangs = None, False

    def _rotate(self, installation: Installation) -> None:
        self._write_log(installation)
        old = self._files.get(installation.log)
        if old is not None:
            stem, ending = ntpath.splitext(installation.log)
            self._files.put(f"{stem}-1{ending}", old)
            self._files.remove(installation.log)

    def _log(self, installation: Installation, text: str) -> None:
        self._logs.setdefault(_key(installation), []).append(text)

    def _build(self, installation: Installation, environment: Mapping[str, str]) -> OllamaServer:
        state = self._state
        folder = environment.get("OLLAMA_MODELS") or f"{profile(installation.account)}\\.ollama\\models"
        device = self._memory.device if installation.libraries and able(state.card) else None
        return OllamaServer(
            version=installation.version, environment={**environment, "OLLAMA_MODELS": folder}, device=device,
            memory=_Share(self._memory, _key(installation)), clock=self._clock, models=DiskStore(self._folder(folder)),
            log=lambda _, text: self._log(installation, text), ram=replace(Memory(), total=state.memory_total, free=state.memory_free),
            pace=_pace(state), processes=_Runners(self, installation), program=f"{installation.folder}\\{SERVER}",
        )  # fmt: skip

    def _folder(self, path: str) -> Path:
        """Return a folder of the machine for a store, which uses of `pathlib.Path` what `LabPath` has."""
        return cast("Path", LabPath(path, self._files))

    def runner(self, installation: Installation, model: str) -> Program | None:
        """Return the process of a loaded model that the present server started."""
        key = _owner(_key(installation), model)
        programs = self._state.programs
        return next((each for each in programs if each.holds == key and each.parent == installation.pid), None)

    def run(self, installation: Installation, model: str) -> None:
        """Start the process of a model."""
        new = tuple(int(part) for part in installation.version.split(".")[:2]) >= _LLAMA_SERVER
        path = f"{installation.folder}\\lib\\ollama\\llama-server.exe" if new else f"{installation.folder}\\{SERVER}"
        self._state.programs.append(
            Program(
                self._state.pid(), installation.pid, ntpath.basename(path), path, int(installation.kind in {"app", "hand"}),
                self._clock.now(), installation.account, command=f'"{path}"{"" if new else " runner"} --model {model}',
                holds=_owner(_key(installation), model),
            )
        )  # fmt: skip

    def drop(self, installation: Installation, model: str) -> None:
        """End the process of a model, if it has one."""
        found = self.runner(installation, model)
        if found is not None:
            self._state.programs = [each for each in self._state.programs if each is not found]


def _pace(state: State) -> Pace:
    pace = Pace()
    return replace(pace, disk=state.disk, gpu=pace.gpu / state.slowness, cpu=pace.cpu / state.slowness)


def _key(installation: Installation) -> str:
    return f"{installation.kind} {installation.name or installation.account}"


def _owner(key: str, model: str) -> str:
    return f"{key} ollama runner {model}"


class _Runners(RunnerProcesses):
    """The processes of one server's models."""

    def __init__(self, native: NativeServers, installation: Installation) -> None:
        self._native, self._installation = native, installation

    def start(self, model: str) -> None:
        self._native.drop(self._installation, model)
        self._native.run(self._installation, model)

    def end(self, model: str) -> None:
        self._native.drop(self._installation, model)

    def killed(self, model: str) -> bool:
        return self._native.runner(self._installation, model) is None


class _Share:
    """One server's use of the card: its runners' names are its own."""

    def __init__(self, memory: VideoMemory, key: str) -> None:
        self._memory, self._key = memory, key

    def total(self) -> int:
        return self._memory.total()

    def free(self) -> int:
        return self._memory.free()

    def hold(self, owner: str, size: int) -> None:
        self._memory.hold(f"{self._key} {owner}", size)
