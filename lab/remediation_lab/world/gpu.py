"""The card's memory under WDDM: who holds what, and the three views on it that disagree (facts/windows 4)."""

from __future__ import annotations

import threading
from typing import Any

from remediation_lab.ports import Device
from remediation_lab.world.state import MIB, Program, State

VM = "vmmemWSL"
_COMMITTED = 1.18
"""A program's committed (Dedicated) size lies above what is resident (Local)."""
_DWM_LEAK = 310 * MIB
"""dwm's DedicatedUsage never comes back after sleep (facts/windows 4.3)."""


class VideoMemory:
    """What the machine's programs and the containers' CUDA processes hold of the card."""

    def __init__(self, state: State, lock: threading.RLock) -> None:
        self._state = state
        self._lock = lock

    @property
    def device(self) -> Device:
        """The card as CUDA names it."""
        card = self._state.card
        return Device(card.name, card.uuid, card.compute, card.cuda)

    def total(self) -> int:
        """Return the size of the card's memory in bytes."""
        return self._state.card.total

    def used(self) -> int:
        """Return what nvidia-smi calls used; the driver's reserve apart."""
        with self._lock:
            return sum(each.local for each in self._state.programs) + sum(self._state.held.values())

    def free(self) -> int:
        """Return the bytes that the driver reports as free."""
        return max(0, self._state.card.total - self._state.card.reserve - self.used())

    def hold(self, owner: str, size: int) -> None:
        """Let `owner` hold `size` bytes; what does not fit goes to shared memory without a request for it (facts/windows 3.3)."""
        with self._lock:
            self._state.held.pop(owner, None)
            if size:
                self._state.held[owner] = min(size, self.free())

    def release_all(self, prefix: str) -> None:
        """Release the memory of all owners whose name starts so."""
        with self._lock:
            for owner in [each for each in self._state.held if each.startswith(prefix)]:
                del self._state.held[owner]

    def process_rows(self) -> list[dict[str, Any]]:
        """Return the rows of GPUProcessMemory: one per program and adapter."""
        card = self._state.card
        with self._lock:
            rows = []
            held = dict(self._state.held)
            own = {program.pid: held.pop(program.holds, 0) for program in self._state.programs if program.holds}
            for program in self._state.programs:
                local = program.local + own.get(program.pid, 0) + (sum(held.values()) if program.name == VM else 0)
                if program.counted and (local or program.nonlocal_):
                    rows.append(_row(f"pid_{program.pid}_luid_{card.luid}_phys_0", local, program.nonlocal_, _leak(program)))
                if program.name in {"dwm.exe", "explorer.exe"}:
                    # the other adapter draws the built-in screen; its rows have no use
                    rows.append(_row(f"pid_{program.pid}_luid_{card.other_luid}_phys_0", 41 * MIB, 90 * MIB, 0))
            return rows

    def adapter_rows(self) -> list[dict[str, Any]]:
        """Return the rows of GPUAdapterMemory."""
        card = self._state.card
        with self._lock:
            shared = sum(each.nonlocal_ for each in self._state.programs)
            return [
                {"Name": f"luid_{card.luid}_phys_0", "DedicatedUsage": self.used(), "SharedUsage": shared},
                {"Name": f"luid_{card.other_luid}_phys_0", "DedicatedUsage": 82 * MIB, "SharedUsage": 180 * MIB},
            ]


def _leak(program: Program) -> int:
    return _DWM_LEAK if program.name == "dwm.exe" else 0


def _row(name: str, local: int, far: int, leak: int) -> dict[str, Any]:
    return {
        "Name": name,
        "LocalUsage": local,
        "NonLocalUsage": far,
        "DedicatedUsage": int(local * _COMMITTED) + leak,
        "SharedUsage": far,
    }
