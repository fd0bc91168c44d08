"""N WinRM hosts in a separate process: ``python -m benchmarks.winrm_hosts N SECONDS [TRIP]`` prints their ports, then counts on request.

The server is that of the tests, independent of `remediation`. Its ``powershell.exe`` takes SECONDS to start, then runs the worker
protocol for a client that sends a worker, and prints the host's name for a separate command. Each message is answered TRIP seconds
later, as over a network.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.connections.peer.winrm_server import WinRmPeer

PASSWORD = "Pa55-word"
_PLAYER = Path(__file__).with_name("powershell_player.py")


class Distant(WinRmPeer):
    """A host behind a network: every message takes `trip` seconds more."""

    trip = 0.0

    def planned(self, action: str) -> str:
        """Wait, then answer as the nearer one does."""
        time.sleep(self.trip)
        return super().planned(action)


def main() -> None:
    """Serve until stdin ends; each line on stdin is answered with what was counted since the last one."""
    number, seconds = int(sys.argv[1]), sys.argv[2]
    Distant.trip = float(sys.argv[3]) if sys.argv[3:] else 0.0
    with tempfile.TemporaryDirectory() as folder:
        users = Path(folder) / "users"
        users.write_text(f":ops:{PASSWORD}\n", encoding="utf-8")
        os.environ["NTLM_USER_FILE"] = str(users)
        programs = {
            "powershell": (sys.executable, "-I", "-S", str(_PLAYER), seconds),
            "sink": (sys.executable, "-I", "-S", str(_PLAYER.with_name("sink_player.py"))),
        }
        servers = [Distant(programs, {"ops": PASSWORD}) for _ in range(number)]
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        print(json.dumps([server.port for server in servers]), flush=True)
        for _ in sys.stdin:
            counted: Counter[str] = Counter()
            for server in servers:
                counted += server.counts
                counted["shells_left"] += len(server.shells)
                server.counts.clear()
            print(json.dumps(counted), flush=True)
        for server in servers:
            server.close()


if __name__ == "__main__":
    main()
