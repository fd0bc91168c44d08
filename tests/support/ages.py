"""How old a process is."""

from __future__ import annotations

import subprocess
import time


def wait_until_older(pid: int, seconds: int = 3) -> None:
    """Wait until a process has run for so long: the program knows its start to a second, and takes the latest one that is possible."""
    while (
        int(subprocess.run(["ps", "-o", "etimes=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout) < seconds
    ):
        time.sleep(0.2)
