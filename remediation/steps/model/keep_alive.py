"""How long a model stays loaded: the ``keep_alive`` that a repair must send to preserve it (Ollama FAQ: keep_alive)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil, inf

from remediation.facets.protocols import Reader
from remediation.model.facts import Runner
from remediation.model.text.digits import is_whole
from remediation.model.text.timestamps import parse_timestamp

FOREVER = "-1"
BRIEFLY = "2m"
"""Used if the server unloads models at once: long enough to inspect and measure the load."""
_BRIEFLY = 120.0
_DEFAULT = 300.0
_CENTURIES_AWAY = 2200
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|\u00b5s|ns)")


def for_good(runner: Runner) -> bool:
    """Whether a runner never expires. The server reports ``keep_alive: -1`` as a date centuries away."""
    year = runner.expires_at[:4]
    return is_whole(year) and int(year) >= _CENTURIES_AWAY


def server_keeps(environment: Mapping[str, str]) -> float:
    """Return the server's default keep_alive in seconds: infinity for "forever", five minutes if unset."""
    seconds = _seconds(environment.get("OLLAMA_KEEP_ALIVE", ""))
    return _DEFAULT if seconds is None else inf if seconds < 0 else seconds


def keep_alive_for(host: Reader, model: str, environment: Mapping[str, str]) -> str | None:
    """Return the ``keep_alive`` that preserves the model's remaining time. None if the server's default is enough."""
    runner = host.ollama.last_runner(model)
    by_itself = server_keeps(environment)
    if runner is not None and for_good(runner):
        return FOREVER
    least = by_itself or _BRIEFLY
    until = parse_timestamp(runner.expires_at) if runner is not None else None
    left = until - host.system.facts().now if until is not None else 0.0
    if left > least:
        return f"{ceil(left)}s"
    return None if by_itself else BRIEFLY


def _seconds(text: str) -> float | None:
    """Parse a Go duration or a number of seconds. Returns None for anything else."""
    words = text.strip().strip("\"'")
    negative = words.startswith("-")
    bare = words.lstrip("+-")
    if re.fullmatch(r"\d+(\.\d+)?", bare):
        seconds = float(bare)
    elif bare and _PART.sub("", bare) == "":
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(bare))
    else:
        return None
    if seconds > 1e9:
        return -1.0
    return -seconds if negative else seconds
