"""``remediate`` whose process kills itself at one event of its journal: ``python -m tests.support.killed_run EVENT before|after WORDS``.

``before`` dies when the event is about to be written, so a change that ended is not known to have; ``after`` once it is on disk.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Lock

from remediation.cli.main import main
from remediation.engine.journal.journal import Journal
from remediation.model.event import Event


def dies(at: int, *, written: bool) -> None:
    """Let the process end, as ``kill -9`` ends it, at the event `at` of the first journal that it writes."""
    write, lock, count = Journal.write, Lock(), 0

    def counted(journal: Journal, event: Event) -> None:
        nonlocal count
        with lock:
            count += 1
            here = count == at
        if here and not written:
            os.kill(os.getpid(), signal.SIGKILL)
        write(journal, event)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.write = counted  # type: ignore[method-assign] - the very process that is to die


if __name__ == "__main__":
    event, when, *words = sys.argv[1:]
    dies(int(event), written=when == "after")
    main(["remediate", *words])
