"""Times on the command line: ``90``, ``90s``, ``10m``, ``2h``."""

from __future__ import annotations

import re

from remediation.model.errors import UsageError

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(option: str, text: str | None, default: float = 0.0) -> float:
    """Return the seconds that `text` means, `default` for None; raises `UsageError` naming `option`."""
    if text is None:
        return default
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if found is None:
        raise UsageError(f"{option}: a time such as 90, 90s, 10m or 2h is wanted, not {text!r}")
    return float(found[1]) * UNITS[found[2]]
