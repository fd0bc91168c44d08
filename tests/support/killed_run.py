"""``remediate`` whose process kills itself at one event of its journal: ``python -m tests.support.killed_run EVENT before|after WORDS``.

EVENT is the number of the event, or the beginning of what `in_words` returns for it. ``before`` dies when the event is about to be
written, so a change that ended is not known to have; ``after`` once it is on disk.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Lock

from remediation.engine.journal.journal import Journal
from remediation.model.event import Event


def in_words(event: Event) -> str:
    """Return the kind of an event with its change, else with its task."""
    change = event.data.get("change")
    return f"{event.kind}: {change['summary'] if change else event.task}"


def dies(at: str, *, written: bool) -> None:
    """Let the process end, as ``kill -9`` ends it, at the event `at` of the first journal that it writes."""
    write, lock, count = Journal.write, Lock(), 0

    def counted(journal: Journal, event: Event) -> None:
        nonlocal count
        with lock:
            count += 1
            here = str(count) == at or in_words(event).startswith(at)
        if here and not written:
            os.kill(os.getpid(), signal.SIGKILL)
        write(journal, event)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.write = counted  # type: ignore[method-assign] - the very process that is to die


if __name__ == "__main__":
    from remediation.cli.main import main

    event, when, *words = sys.argv[1:]
    dies(event, written=when == "after")
    main(["remediate", *words])
