"""State changes of Docker Desktop and the machine: engine start and stop, logon, restart (facts/windows 2 and 3.1)."""

from __future__ import annotations

import json
import threading

from remediation_lab.wire import Refusal
from remediation_lab.world import booting
from remediation_lab.world.clock import MachineClock
from remediation_lab.world.engine import Engine
from remediation_lab.world.files import Files
from remediation_lab.world.guests import Guests
from remediation_lab.world.native.servers import NativeServers
from remediation_lab.world.state import Due, State

_POLICIES = {"always", "unless-stopped"}
_BOOT_SECONDS = 35.0


class Desktop:
    """The desktop of one machine, with Docker Desktop on it."""

    def __init__(
        self,
        state: State,
        clock: MachineClock,
        engine: Engine,
        native: NativeServers,
        guests: Guests,
        files: Files,
        lock: threading.RLock,
    ) -> None:
        self._state, self._clock, self._engine, self._native, self._files, self._lock = state, clock, engine, native, files, lock
        self._guests = guests

    @property
    def settings_path(self) -> str:
        """Where the desktop user's settings lie."""
        user = (self._state.login.desktop_user or "LAB\\maria").rpartition("\\")[2]
        return f"C:\\Users\\{user}\\AppData\\Roaming\\Docker\\settings-store.json"

    @property
    def running(self) -> bool:
        """Whether its backend runs; the window alone is not it."""
        return any(each.name == booting.BACKEND for each in self._state.programs)

    def state(self) -> str:
        """Return what `docker desktop status` says."""
        if not self.running:
            return "stopped"
        return "running" if self._state.engine.up else "starting"

    def start(self) -> bool:
        """Start it in the desktop's session; False when its backend still lives, for then its window does not come (facts/windows 0)."""
        with self._lock:
            if self.running:
                return False
            engine = self._state.engine
            engine.settings = self._read()
            now = self._clock.now()
            booting.docker_desktop(self._state, now, dashboard=not engine.settings.get("OpenUIOnStartupDisabled"))
            if not engine.hangs:
                self._state.due.append(Due(now + engine.starts_in, "engine"))
            return True

    def ready(self) -> None:
        """Let the engine answer, and containers with a restart policy come back."""
        if not self.running:
            return
        self._state.engine.up = True
        booting.vm(self._state, self._clock.now())
        for container in self._state.containers:
            if container.wanted and container.definition.get("restart") in _POLICIES:
                container.restarts = 0
                self._engine.start(container)
            container.wanted = False

    def wait(self, *, until: float) -> None:
        """Wait until the engine answers; raises Refusal when that takes too long."""
        while not self._state.engine.up:
            due = [each.at for each in self._state.due if each.what == "engine"]
            now = self._clock.now()
            if now >= until:
                raise Refusal("timeout", "docker desktop did not end in time and was stopped")
            self._clock.sleep(min(max(0.05, (due[0] if due else until) - now), until - now))
            if due and due[0] <= self._clock.now():
                self._state.due = [each for each in self._state.due if each.what != "engine"]
                self.ready()

    def stop(self, *, forced: bool = False) -> None:
        """Stop engine and programs; Desktop kills what still runs, and writes its settings over the file."""
        self.lost(code=137)
        with self._lock:
            was = self.running
            self._state.programs = [
                each for each in self._state.programs if each.name != booting.VM and not booting.of_docker_desktop(each.name)
            ]
        if was and not forced:
            self._write()

    def lost(self, *, code: int = 137) -> None:
        """Let the engine be gone: its containers end with it."""
        self._state.due = [each for each in self._state.due if each.what != "engine"]
        if not self._state.engine.up:
            return
        for container in self._state.containers:
            container.wanted = container.running
            self._engine.stop(container, code=code)
        self._state.engine.up = False
        self._state.programs = [each for each in self._state.programs if each.name != booting.VM]

    def restart_machine(self, *, seconds: float = _BOOT_SECONDS) -> None:
        """Restart the machine: all programs end, and those that start at a logon do not come back without one."""
        state = self._state
        self.lost()
        self._native.lost()
        self._guests.shut_down()
        with self._lock:
            state.programs.clear()
            state.due.clear()
            state.held.clear()
            state.boots += 1
            state.card.fallen = state.card.reset = False
            if state.login.autologon is None:
                state.login.desktop_user = None
            now = self._clock.now()
            state.down_until = state.booted = now + seconds
            self._clock.hurry_until(state.down_until)
            booting.windows(state)
            self._native.boot()
            if state.login.autologon is None:
                booting.logon(state, state.booted)
            else:
                state.due.append(Due(state.booted + state.login.autologon, "logon"))

    def log_on(self) -> None:
        """Log a user on at the desktop; Docker Desktop starts with it unless its settings say otherwise."""
        booting.logon(self._state, self._clock.now())
        self._native.logon()
        installed = self._state.engine.desktop is not None
        if installed and self._state.login.desktop_user is not None and self._read().get("AutoStart", True):
            self.start()

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads((self._files.get(self.settings_path) or b"{}").decode("utf-8"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self) -> None:
        self._files.put(self.settings_path, json.dumps(self._state.engine.settings, indent=2).encode())
