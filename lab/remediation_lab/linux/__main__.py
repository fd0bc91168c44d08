"""Own the Linux host of a lab: ``python -m remediation_lab.linux STATE_FOLDER --host NAME``; prints ``ready`` when clients may come."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from remediation_lab.free_ports import free_port
from remediation_lab.linux import faults, sshd
from remediation_lab.linux.host import LinuxHost
from remediation_lab.wire import Json, Refusal, Service

ADDRESS = "linux.json"


class Owner:
    """The hosts of one lab in one process."""

    def __init__(self, folder: Path, name: str, *, port: int) -> None:
        self._name, self._home = name, folder / "hosts" / name
        self._lock = threading.Lock()
        self.ended = threading.Event()
        self.host = LinuxHost(self._home, free_port())
        sshd.configure(self._home / "sshd", port, programs=self._home / "bin")
        self._fresh(faults.DEFAULT)
        self._sshd = sshd.launch(self._home / "sshd")
        self.service = Service(folder / ADDRESS, self.handle)

    def handle(self, _: object, request: dict[str, Json]) -> Json:
        """Carry out one request."""
        op = request.pop("op")
        request.pop("host", None)
        handler = getattr(self, f"op_{op}", None)
        if handler is None:
            raise Refusal("error", f"unknown operation {op!r}")
        with self._lock:
            return handler(**request)

    def op_ping(self) -> dict[str, Any]:
        """Return who answers."""
        return {"pid": os.getpid(), "hosts": [self._name], "endpoint": self.host.endpoint}

    def op_status(self) -> dict[str, Any]:
        """Return the host's fault, and the calls of systemctl since it was made."""
        counted = {each: self.host.calls.count(each) for each in self.host.calls}
        return {
            self._name: {
                "fault": (self._home / "fault-name").read_text("utf-8"),
                "writes": {f"systemctl {k}": n for k, n in counted.items()},
            }
        }

    def op_fault(self, name: str) -> dict[str, str]:
        """Make the host new with a fault."""
        if name not in faults.FAULTS:
            raise Refusal("not-found", f"no fault {name!r} in the world linux")
        self._fresh(name)
        return {"fault": name}

    def op_reset(self, hosts: Sequence[str] = ()) -> dict[str, str]:
        """Make the host new with the fault that it had at first."""
        self._fresh(faults.DEFAULT)
        return {}

    def op_stop(self) -> dict[str, str]:
        """End this process."""
        self.ended.set()
        return {}

    def close(self) -> None:
        """End all that runs on the host."""
        self.service.close()
        self.host.stop()
        self._sshd.terminate()
        self._sshd.wait()

    def _fresh(self, fault: str) -> None:
        self.host.stop()
        self.host.remove()
        faults.make(self.host, fault)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m remediation_lab.linux", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True, help="where sshd listens")
    options = parser.parse_args(arguments)
    owner = Owner(options.folder, options.host, port=options.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: owner.ended.set())
    threading.Thread(target=owner.service.serve, daemon=True).start()
    owner.service.publish()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    owner.ended.wait()
    owner.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
