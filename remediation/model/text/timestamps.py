"""Timestamps in the format of Docker, Ollama and their logs (RFC 3339)."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_FRACTION = re.compile(r"\.(\d+)")


def parse_timestamp(text: str) -> float | None:
    """Return an RFC 3339 time as seconds since the epoch; None for anything else, and for Go's year 1."""
    if not text or text.startswith("0001-"):
        return None
    # nanoseconds have more digits than Python 3.10 accepts
    short = _FRACTION.sub(lambda match: f".{match[1][:6]:0<6}", text.replace("Z", "+00:00"))
    try:
        found = datetime.fromisoformat(short)
        return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None
