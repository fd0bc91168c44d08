"""Whether a model is loaded, and waiting until a server answers."""

from __future__ import annotations

from typing import Any

from remediation.model.clock import SystemClock
from remediation.model.errors import CallFailed


def loaded(host: Any, model: str) -> tuple[int, int]:
    runner = next(each for each in host.reader.ollama.running() if each.model == model)
    return runner.size_vram, runner.size


def answers(host: Any) -> None:
    """Wait until the server listens again."""
    clock = SystemClock()
    until = clock.monotonic() + 30
    while True:
        try:
            host.reader.ollama.version()
        except CallFailed:
            assert clock.monotonic() < until
            clock.sleep(0.1)
        else:
            return
