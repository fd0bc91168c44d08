"""Runs ``remediate`` once for each line of stdin, in a fork of a process that has loaded it, and answers with what the run took.

A line is ``{"words": [...], "folder": ..., "environment": {...}}``; the answer has the exit code (negative: the signal), processor seconds,
the peak of resident memory in MiB, and the end of what was printed.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.preloaded_python import _load

PROCESSOR_SECONDS = 30
"""A run that takes longer is ended by the kernel."""
WALL_SECONDS = 90.0
ADDRESS_SPACE = 4 * 1024**3
"""So that a run that takes all memory does not take the machine's."""
PRINTED = 20_000


def trial(words: list[str], folder: str, environment: dict[str, str]) -> dict[str, Any]:
    """Run the program in a child process."""
    printed = Path(folder) / "printed"
    child = os.fork()
    if child == 0:
        _become(words, folder, environment, printed)
    deadline = time.monotonic() + WALL_SECONDS
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    text = printed.read_bytes().decode("utf-8", "replace")
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / 1024,
        "printed": text[-PRINTED:],
    }


def _become(words: list[str], folder: str, environment: dict[str, str], printed: Path) -> None:
    """Turn a fork into a run of the program; never returns."""
    from remediation.cli.main import main

    code = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        main(["remediate", *words])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _load()
    import remediation.cli.main  # noqa: F401 - each fork has it

    for line in sys.stdin:
        answer = trial(**json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
