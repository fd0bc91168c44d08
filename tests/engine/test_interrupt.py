"""Ctrl-C on a real process: the first finishes what is in flight, the second ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import os, sys
from remediation.engine.interrupt import Cancellation
cancelled = Cancellation()
with cancelled.on_interrupt(lambda: os.write(1, b"stopping\\n")):  # print may not be entered twice
    print("ready", flush=True)
    for line in sys.stdin:
        print(f"{line.strip()} cancelled={cancelled()}", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_the_first_interrupt_sets_the_flag_and_the_second_ends_the_program() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "stopping\n"
        program.stdin.write("change done\n")
        program.stdin.flush()
        assert program.stdout.readline() == "change done cancelled=True\n"
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert program.returncode not in {0, None}


ENDING = """
import os, signal, sys
from remediation.engine.interrupt import Cancellation
cancelled = Cancellation(grace=0.05)
with cancelled.on_interrupt(lambda: None):
    try:
        print("ready", flush=True)
        while True:
            signal.pause()
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        print("closed", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize(
    "numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT, signal.SIGHUP)]
)
def test_what_closes_the_hosts_at_the_end_is_not_interrupted_again(numbers: tuple[signal.Signals, ...]) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        for number in numbers:
            program.send_signal(number)
            time.sleep(0.2)  # two pending signals of one kind are one
        said, errors = program.communicate(timeout=30)
    assert (program.returncode, said) == (0, "closed\n"), errors
