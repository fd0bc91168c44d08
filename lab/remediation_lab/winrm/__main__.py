"""Serve WinRM for the hosts of a lab: ``python -m remediation_lab.winrm STATE_FOLDER``; prints ``ready`` when clients may come."""

from __future__ import annotations

import argparse
import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from remediation_lab.owner.owner import ADDRESS as WORLD_ADDRESS
from remediation_lab.powershell import interpreter
from remediation_lab.powershell.start import DELAY, HOST, WORLD
from remediation_lab.winrm.door import Door
from remediation_lab.winrm.faults import Fault
from remediation_lab.winrm.server import PROGRAMS, WinRmServer
from remediation_lab.wire import Client, Json, Refusal, Service

ADDRESS = "winrm.json"
_TICK = 1.0

_PATIENCE = 250
"""Looks of 20 ms in which the world, which starts at the same time, comes up."""


class Front:
    """The listeners of one lab and a socket to ask about them."""

    def __init__(self, folder: Path) -> None:
        lab = json.loads((folder / "lab.json").read_text(encoding="utf-8"))
        self.servers: dict[str, WinRmServer] = {}
        program = lab.get("powershell") or ""
        more = interpreter.environment(program) if program else {}
        programs = interpreter.programs(program) if program else PROGRAMS
        for host in lab["hosts"]:
            environment = {
                **more,
                WORLD: str(folder / WORLD_ADDRESS),
                HOST: host["name"],
                DELAY: str(lab.get("powershell_start", 0)),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            }
            self.servers[host["name"]] = WinRmServer(
                (host["address"], host["port"]),
                host["name"].upper(),
                environment=environment,
                programs=programs,
                tls=_tls(folder, host),
                booted=partial(self._booted, host["name"]),
            )
        self._world = Client(folder / WORLD_ADDRESS)
        self._boots: dict[str, float] = {}
        self._looked = False
        self._asking = threading.Lock()
        self._door = Door(self.servers.values())
        self.service = Service(folder / ADDRESS, self.handle)
        self.ended = threading.Event()
        self.last_call = time.monotonic()

    def handle(self, _: object, request: dict[str, Json]) -> Json:
        """Answer a question about the listeners."""
        self.last_call = time.monotonic()
        answer = getattr(self, f"op_{request['op']}", None)
        if answer is None:
            raise Refusal("error", f"unknown operation {request['op']!r}")
        return answer(request)

    def op_ping(self, _: dict[str, Json]) -> Json:
        """Tell that it runs."""
        return {"pid": os.getpid(), "hosts": list(self.servers)}

    def op_counters(self, _: dict[str, Json]) -> Json:
        """Return what each listener has counted."""
        return {name: server.counters() for name, server in self.servers.items()}

    def op_forget(self, _: dict[str, Json]) -> Json:
        """Set all counters to zero and take all faults out."""
        for server in self.servers.values():
            server.forget()
        return {}

    def op_wire(self, request: dict[str, Json]) -> Json:
        """Arm faults of the wire at one host or at every host."""
        faults = [Fault(**each) for each in request.get("faults") or ()]
        for server in self._chosen(request):
            for fault in faults:
                server.faults.put(fault)
        return {}

    def op_unwire(self, request: dict[str, Json]) -> Json:
        """Take all faults of the wire out of one host or of all."""
        for server in self._chosen(request):
            server.faults.clear()
        return {}

    def op_stop(self, _: dict[str, Json]) -> Json:
        """End soon."""
        self.ended.set()
        return {}

    def _chosen(self, request: dict[str, Json]) -> list[WinRmServer]:
        host = request.get("host")
        if host is None:
            return list(self.servers.values())
        if host not in self.servers:
            raise Refusal("not-found", f"this lab has no host {host!r}: {', '.join(self.servers)}")
        return [self.servers[host]]

    def serve(self) -> None:
        """Start all listeners; what restarts from now on is noticed, so the world's word is awaited first."""
        for _ in range(_PATIENCE):
            self.look()
            if self._looked:
                break
            time.sleep(0.02)
        self._door.open()
        threading.Thread(target=self.service.serve, daemon=True).start()
        self.service.publish()

    def look(self) -> None:
        """Ask the world which machines have restarted by themselves; their listeners go with them."""
        with self._asking:
            try:
                boots: dict[str, list[float]] = self._world.call("boots")
            except Refusal:
                return  # the world is not there yet, or no more
            for host, (count, seconds) in boots.items():
                known = self._boots.get(host, 1) if self._looked else count
                self._boots[host] = count
                if count > known:
                    self.servers[host].reboot(seconds, tell=False)
            self._looked = True

    def _booted(self, host: str) -> None:
        with self._asking:
            self._boots[host] = self._world.call("reboot", host=host)["boots"]

    def quiet(self, seconds: float) -> bool:
        """Return whether there was no request and no open shell for so long; expires idle shells."""
        for server in self.servers.values():
            server.shells.expire()
        requests = sum(server.counters().get("requests", 0) for server in self.servers.values())
        if requests != self._seen or any(server.shells.counts()["shells_open"] for server in self.servers.values()):
            self._seen, self.last_call = requests, time.monotonic()
        return time.monotonic() - self.last_call > seconds

    _seen = 0

    def close(self) -> None:
        """End all listeners."""
        self._door.close()
        for server in self.servers.values():
            server.end()
        self.service.close()  # last: a client that waits for the end sees the ports free


def _tls(folder: Path, host: dict[str, Json]) -> ssl.SSLContext | None:
    if not host.get("tls"):
        return None
    from remediation_lab.winrm import certificates  # loads cryptography; only for a lab that speaks HTTPS

    return certificates.context(folder / f"{host['name']}.pem", folder / "ca.pem")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped, or until no client has connected for a while."""
    parser = argparse.ArgumentParser(prog="python -m remediation_lab.winrm", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--idle", type=float, default=3600.0, help="seconds without a client after which the process ends")
    options = parser.parse_args(arguments)
    os.environ["NTLM_USER_FILE"] = str(options.folder / "users")
    front = Front(options.folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: front.ended.set())
    front.serve()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not front.ended.wait(_TICK):
        front.look()
        if front.quiet(options.idle):
            break
    front.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
