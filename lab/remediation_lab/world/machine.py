"""One simulated machine: its parts, and what starts with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from remediation_lab.world import booting
from remediation_lab.world.clock import MachineClock
from remediation_lab.world.desktop import Desktop
from remediation_lab.world.engine import Engine
from remediation_lab.world.files import Files
from remediation_lab.world.gpu import VideoMemory
from remediation_lab.world.guests import Guests
from remediation_lab.world.native.servers import SERVE, NativeServers
from remediation_lab.world.network import Network
from remediation_lab.world.processes import ProcessTable
from remediation_lab.world.serving import Serving
from remediation_lab.world.state import Program, State


class Machine:
    """A machine that is on; `saved` is called after everything that may have changed it."""

    state: State
    clock: MachineClock
    memory: VideoMemory
    processes: ProcessTable
    engine: Engine
    native: NativeServers
    guests: Guests
    serving: Serving
    files: Files
    network: Network
    desktop: Desktop

    def __init__(self, state: State, *, scale: float, saved: Callable[[State], None] = lambda _: None) -> None:
        self.state = state
        self.clock = MachineClock(state.now, scale)
        self.lock = threading.RLock()
        self.memory = VideoMemory(state, self.lock)
        self.processes = ProcessTable(state, self.clock, self.lock)
        self.engine = Engine(state, self.clock, self.memory, self.lock)
        self.files = Files(state, self.lock, self.clock.now)
        self.native = NativeServers(state, self.clock, self.memory, self.files, self.lock)
        self.guests = Guests(state, self.clock, self.memory, self.files, self.lock)
        self.serving = Serving(self.engine, self.native, self.guests)
        self.network = Network(self.serving, self.clock)
        self.desktop = Desktop(state, self.clock, self.engine, self.native, self.guests, self.files, self.lock)
        self.processes.on_due = {
            "engine": self.desktop.ready,
            "logon": self.desktop.log_on,
            "reboot": self.desktop.restart_machine,
            "docker start": self.desktop.start,
            "docker stop": self.desktop.stop,
            SERVE: self.native.serve,
        }
        self.processes.on_end = self._ended
        self._saved = saved
        self._saving = threading.Lock()

    def boot(self) -> None:
        """Start everything on a machine that has just been made: Windows, the desktop, Docker Desktop."""
        booting.windows(self.state)
        booting.logon(self.state, self.state.booted + 5)
        if self.state.engine.desktop is not None:
            self.desktop.start()
            self.state.due.clear()
            self.desktop.ready()
        self.native.boot()
        self.native.logon()

    def _ended(self, program: Program) -> None:
        if program.name == booting.BACKEND:
            self.desktop.lost()
        self.native.ended(program)

    def close(self) -> None:
        """Do nothing: a machine in this process needs no hanging up."""

    def save(self) -> None:
        """Put the machine's present state where it survives this process."""
        with self._saving, self.lock:
            self.serving.keep()
            self.state.now = self.clock.now()
            self._saved(self.state)
