"""Own the machines of a lab: ``python -m remediation_lab.owner STATE_FOLDER --host NAME ...``; prints ``ready`` when clients may come."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from remediation_lab.owner.owner import Owner

_TICK = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped, or until no client has connected for a while."""
    parser = argparse.ArgumentParser(prog="python -m remediation_lab.owner", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", action="append", required=True)
    parser.add_argument(
        "--scale", type=float, default=10.0, help="seconds of the lab in one of ours while a client works on a host"
    )
    parser.add_argument("--world", default="docker-desktop", help="the kind of its hosts")
    parser.add_argument("--idle", type=float, default=3600.0, help="seconds without a client after which the process ends")
    options = parser.parse_args(arguments)
    owner = Owner(options.folder, options.host, scale=options.scale, world=options.world)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: owner.ended.set())
    threading.Thread(target=owner.service.serve, daemon=True).start()
    owner.service.publish()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not owner.ended.wait(_TICK):
        if not owner.service.clients and time.monotonic() - owner.last_call > options.idle:
            break
    owner.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
