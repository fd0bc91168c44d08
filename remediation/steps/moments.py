"""Moments as Docker writes them, and the start of the run by the host's clock."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from remediation.facets.protocols import Reader

_FRACTION = re.compile(r"\.(\d+)")


def moment(text: str) -> float | None:
    """Return an RFC 3339 time as seconds since the epoch; None for nothing and for Docker's year 1."""
    if not text or text.startswith("0001-"):
        return None
    # nanoseconds: more digits than Python 3.10 reads
    short = _FRACTION.sub(lambda match: f".{match[1][:6]:0<6}", text.replace("Z", "+00:00"))
    try:
        found = datetime.fromisoformat(short)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def run_started(host: Reader) -> float:
    """Return when the run began, by the host's own clock: the engine tells it to steps that are ``once_per_run``."""
    return float(host.variables["run_started"])
