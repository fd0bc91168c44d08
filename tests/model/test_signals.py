"""Signals that end a program, within each other."""

from __future__ import annotations

import signal
import sys

import pytest

from remediation.model.signals import raise_on_signals


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_a_second_signal_does_not_end_what_the_first_one_has_ended() -> None:
    with raise_on_signals():
        with pytest.raises(KeyboardInterrupt), raise_on_signals():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
