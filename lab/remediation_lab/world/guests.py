"""The machine of WSL with its distributions, and the Ollama servers in them (facts/native 4)."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import replace

from remediation_lab.ollama.loader import Pace
from remediation_lab.ollama.models import ModelStore
from remediation_lab.ollama.releases.base import Memory
from remediation_lab.ollama.server import OllamaServer
from remediation_lab.world import booting
from remediation_lab.world.clock import MachineClock
from remediation_lab.world.engine import able
from remediation_lab.world.files import Files
from remediation_lab.world.gpu import VideoMemory
from remediation_lab.world.setup import Distribution
from remediation_lab.world.state import State

_START_SECONDS = 2.0
_MOST = 4000
"""Lines that the journal keeps."""
_UNITS = {"": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


class Guests:
    """The distributions of the desktop's user."""

    def __init__(self, state: State, clock: MachineClock, memory: VideoMemory, files: Files, lock: threading.RLock) -> None:
        self._state, self._clock, self._memory, self._files, self._lock = state, clock, memory, files, lock
        self._servers: dict[str, OllamaServer] = {}
        for each in state.guests:
            if each.pid and each.ollama is not None:
                server = self._build(each)
                server.restore(each.ollama)
                self._servers[each.name] = server

    def servers(self) -> list[OllamaServer]:
        """Return every running server."""
        return list(self._servers.values())

    def of(self, guest: Distribution) -> OllamaServer | None:
        """Return the running server of a distribution."""
        return self._servers.get(guest.name)

    def named(self, name: str) -> Distribution | None:
        """Return a distribution."""
        return next((each for each in self._state.guests if each.name == name), None)

    def listening(self, port: int) -> OllamaServer | None:
        """Return the server that Windows reaches at a port."""
        found = next((each for each in self._state.guests if each.port == port and self.reached(each)), None)
        return None if found is None else self.of(found)

    def reached(self, guest: Distribution) -> bool:
        """Return whether Windows passes connections to its own loopback on to a distribution."""
        return bool(guest.port) and self.setting("localhostforwarding").lower() != "false"

    def keep(self) -> None:
        """Note in the state what lives in the servers."""
        for each in self._state.guests:
            server = self.of(each)
            each.ollama = None if server is None else server.state()
            if server is not None:
                each.models = server.models.state()

    def start(self, guest: Distribution) -> None:
        """Start a distribution, with the machine of WSL if it does not run, and the unit of its server."""
        if guest.started:
            return
        self._clock.sleep(_START_SECONDS)
        with self._lock:
            now = self._clock.now()
            if not self._state.guest_memory:
                self._state.guest_memory, self._state.guest_booted = self._limit(), now
            booting.vm(self._state, now)
            guest.started = now
            if guest.systemd:
                self.serve(guest)

    def stop(self, guest: Distribution) -> None:
        """End a distribution with all that runs in it."""
        self.unserve(guest)
        guest.started = 0.0

    def shut_down(self) -> None:
        """End all distributions and their machine."""
        for each in self._state.guests:
            self.stop(each)
        with self._lock:
            self._state.guest_memory = 0
            if self._state.guests:
                gone = {booting.VM, booting.RELAY}
                self._state.programs = [each for each in self._state.programs if each.name not in gone]

    def serve(self, guest: Distribution) -> None:
        """Start the server of a running distribution."""
        if guest.pid:
            return
        server = self._build(guest)
        self._state.serial += 1
        guest.pid, guest.port = 200 + self._state.serial, server.settings.address[1]
        self._servers[guest.name] = server
        booting.relay(self._state, self._clock.now())
        server.start()

    def unserve(self, guest: Distribution) -> None:
        """End the server of a distribution."""
        self.keep()
        server = self._servers.pop(guest.name, None)
        if server is not None:
            server.stop()
        self._memory.release_all(f"{guest.name} ")
        guest.pid = guest.port = 0
        guest.ollama = None

    def setting(self, name: str) -> str:
        """Return a value of the section ``[wsl2]`` in the desktop user's ``.wslconfig``."""
        user = (self._state.login.desktop_user or "LAB\\maria").rpartition("\\")[2]
        text = (self._files.get(f"C:\\Users\\{user}\\.wslconfig") or b"").decode("utf-8", errors="replace")
        section = ""
        for line in text.splitlines():
            match = re.fullmatch(r"\s*\[(\w+)\]\s*", line)
            section = match[1].lower() if match else section
            key, equals, value = line.partition("=")
            if section == "wsl2" and equals and key.strip().lower() == name:
                return value.strip()
        return ""

    def _limit(self) -> int:
        """Return the memory of a machine that starts now: half of the host's unless ``.wslconfig`` has another."""
        match = re.fullmatch(r"(\d+)\s*([KMG]B)?", self.setting("memory").upper())
        most = self._state.memory_total
        return most // 2 if match is None else min(most, int(match[1]) * _UNITS[match[2] or ""])

    def _build(self, guest: Distribution) -> OllamaServer:
        state, store = self._state, ModelStore()
        store.restore(guest.models)
        there = guest.version > 1 and not guest.driver and able(state.card)
        total = state.guest_memory if guest.version > 1 else state.memory_total

        def log(_: str, text: str) -> None:
            guest.journal.append(text)
            del guest.journal[: max(0, len(guest.journal) - _MOST)]

        return OllamaServer(
            version=guest.release, environment=self._environment(guest), device=self._memory.device if there else None,
            memory=_Share(self._memory, guest.name), clock=self._clock, models=store, log=log,
            ram=replace(Memory(), total=total, free=int(total * 0.9)), pace=replace(Pace(), disk=state.disk),
        )  # fmt: skip

    @staticmethod
    def _environment(guest: Distribution) -> Mapping[str, str]:
        return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", **guest.environment}


class _Share:
    """One distribution's use of the card: its runners' names are its own."""

    def __init__(self, memory: VideoMemory, guest: str) -> None:
        self._memory, self._guest = memory, guest

    def total(self) -> int:
        return self._memory.total()

    def free(self) -> int:
        return self._memory.free()

    def hold(self, owner: str, size: int) -> None:
        self._memory.hold(f"{self._guest} {owner}", size)
