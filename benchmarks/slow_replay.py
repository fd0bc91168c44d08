"""Loaded by each worker (``dask worker --preload``): a replayed host answers after ``REPLAY_WAIT`` seconds, as over a network."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from remediation.connections.calls import Call, Reply
from remediation.connections.recorder.replay import ReplayConnection

WAIT = float(os.environ.get("REPLAY_WAIT") or 0.0)


def _delayed(self: ReplayConnection, calls: Sequence[Call]) -> list[Reply]:
    time.sleep(WAIT)
    return _EXCHANGE(self, calls)


_EXCHANGE = getattr(ReplayConnection, "undelayed", ReplayConnection.exchange)  # Dask loads a preload twice
ReplayConnection.undelayed = _EXCHANGE  # type: ignore[attr-defined]
ReplayConnection.exchange = _delayed  # type: ignore[method-assign]  # this worker alone
