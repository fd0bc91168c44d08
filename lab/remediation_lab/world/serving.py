"""What serves models on a machine: the servers in its containers, those that run natively, and those in distributions of WSL."""

from __future__ import annotations

from remediation_lab.ollama.server import OllamaServer
from remediation_lab.world.engine import Engine
from remediation_lab.world.guests import Guests
from remediation_lab.world.native.servers import NativeServers
from remediation_lab.world.state import State


class Serving:
    """The Ollama servers of one machine."""

    def __init__(self, engine: Engine, native: NativeServers, guests: Guests) -> None:
        self._engine, self._native, self._guests = engine, native, guests

    @property
    def state(self) -> State:
        """The machine's state."""
        return self._engine.state

    def servers(self) -> list[OllamaServer]:
        """Return every running server."""
        return [*self._native.servers(), *self._engine.servers(), *self._guests.servers()]

    def listening(self, port: int) -> OllamaServer | None:
        """Return the server that the host reaches at a port."""
        return self._native.listening(port) or self._engine.listening(port) or self._guests.listening(port)

    def hangs(self, port: int) -> bool:
        """Return whether the server at a port accepts connections and answers none."""
        return self._native.hangs(port)

    def keep(self) -> None:
        """Note in the state what lives in the servers."""
        self._engine.keep()
        self._native.keep()
        self._guests.keep()
