"""The owner of a world: all machines of one lab, on disk and behind a socket."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from remediation_lab.host.host import Host
from remediation_lab.scenarios import worlds
from remediation_lab.wire import Json, Refusal, Service, write_private
from remediation_lab.world.state import State

ADDRESS = "world.json"


class Session:
    """One client's connection; while it is attached to a machine, the machine's clock is fast."""

    def __init__(self) -> None:
        self.attached: list[Host] = []
        self.boots: dict[str, int] = {}
        """How often each machine had started when this client attached: a program does not outlive the machine it runs on."""


class Owner:
    """The machines of one lab in one process."""

    def __init__(self, folder: Path, names: Sequence[str], *, scale: float, world: str = "docker-desktop") -> None:
        self._folder = folder / "hosts"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._scale, self._world = scale, world
        self._names = tuple(names)
        self._making = {name: threading.Lock() for name in names}
        self._machines: dict[str, Host] = {}
        self._machine(self._names[0])  # a lab of one host is ready when it says so; of many, each is made at its first client
        self.service = Service(folder / ADDRESS, self.handle, Session, self.left)
        self.ended = threading.Event()
        self.last_call = time.monotonic()

    def handle(self, session: Session, request: dict[str, Json]) -> Json:
        """Carry out one request."""
        if request["op"] == "boots":  # the WinRM process sends it every second: no sign of a client
            return self._boots()
        self.last_call = time.monotonic()
        op, host = request.pop("op"), request.pop("host", None)
        if host is None:
            return self._own(op, request)
        if op == "fault":
            return self._break(host, **request)
        machine = self._machine(host)
        if op == "attach" and machine not in session.attached:
            session.attached.append(machine)
            machine.clock.hurry(1)
        answer = machine.call(op, **request)
        if op == "attach":
            session.boots[host] = machine.state.boots
        elif session.boots.get(host, machine.state.boots) != machine.state.boots:
            raise Refusal("rebooted", f"{host} has restarted since")
        return answer

    def left(self, session: Session) -> None:
        """Let the clocks that a client hurried go slowly again."""
        for machine in session.attached:
            machine.clock.hurry(-1)

    def close(self) -> None:
        """Save all machines and go."""
        for machine in list(self._machines.values()):
            machine.save()
        self.service.close()

    def _own(self, op: str, request: dict[str, Json]) -> Json:
        if op == "ping":
            return {"pid": os.getpid(), "hosts": list(self._names)}
        if op == "status":
            return {
                name: {"fault": each.state.fault, "now": each.clock.now(), "writes": dict(each.state.writes)}
                for name, each in ((name, self._machine(name)) for name in self._names)
            }
        if op == "reset":
            for name in request.get("hosts") or self._names:
                self._reset(name)
            return {}
        if op == "stop":
            self.ended.set()
            return {}
        raise Refusal("error", f"unknown operation {op!r}")

    def _boots(self) -> dict[str, list[float]]:
        """Return how often each machine has started, and in how many seconds of ours it will answer."""
        found = {}
        for name, each in list(self._machines.items()):
            each.processes.happen()
            found[name] = [each.state.boots, max(0.0, each.state.down_until - each.clock.now()) / self._scale]
        return found

    def _break(self, host: str, name: str) -> dict[str, Any]:
        known = worlds.WORLDS[self._world].faults
        if name not in known:
            alike = get_close_matches(name, known, n=1)
            hint = f"; did you mean {alike[0]!r}?" if alike else ""
            raise Refusal("not-found", f"no fault {name!r} in the world {self._world}{hint}")
        with self._turn(host):
            self._machines[host] = self._fresh(host, name)
        return {"fault": name}

    def _reset(self, host: str) -> None:
        with self._turn(host):
            if host in self._machines:
                self._machines[host] = self._fresh(host)
            else:
                (self._folder / f"{host}.json").unlink(missing_ok=True)

    def _machine(self, host: str) -> Host:
        known = self._machines.get(host)
        if known is not None:
            return known
        with self._turn(host):
            if host not in self._machines:
                self._machines[host] = self._restored(host) or self._fresh(host)
            return self._machines[host]

    def _turn(self, host: str) -> threading.Lock:
        lock = self._making.get(host)
        if lock is None:
            raise Refusal("not-found", f"this world has no machine {host!r}: {', '.join(self._names)}")
        return lock

    def _fresh(self, name: str, fault: str = "") -> Host:
        return worlds.machine(name, self._world, now=time.time(), scale=self._scale, saved=self._save, fault=fault)

    def _restored(self, name: str) -> Host | None:
        path = self._folder / f"{name}.json"
        if not path.exists():
            return None
        state = State.from_json(json.loads(path.read_text(encoding="utf-8")))
        # there was no look meanwhile, and the machine went on: its clock is not behind ours
        state.now = max(state.now, time.time())
        state.boots = 1  # counted from the start of this process on
        return Host(state, scale=self._scale, saved=self._save)

    def _save(self, state: State) -> None:
        write_private(self._folder / f"{state.name}.json", json.dumps(state.to_json()))
