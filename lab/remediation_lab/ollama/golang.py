"""Go's way of writing values, as Ollama's answers and log lines show them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
FOREVER = 2**63 - 1
"""The longest Go duration, in ns: what a negative keep_alive means (it ends in the year 2319)."""

_UNITS = {"ns": NANOSECOND, "us": MICROSECOND, "µs": MICROSECOND, "ms": MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_KIB = 1024.0


def parse_duration(text: str) -> int:
    """Read `5m`, `1h30m`, `-1s` or `0` as nanoseconds; ValueError carries Go's own message."""
    body = text[1:] if text[:1] in {"-", "+"} else text
    if body == "0":
        return 0
    total, position = 0.0, 0
    for part in _PART.finditer(body):
        if part.start() != position:
            break
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if not body or position != len(body):
        raise ValueError(f'time: invalid duration "{text}"')
    return -int(total) if text.startswith("-") else int(total)


def duration(ns: int) -> str:
    """Write nanoseconds as Go's Duration.String does: `5m0s`, `480.777087ms`, `24.356µs`."""
    if ns == 0:
        return "0s"
    sign, rest = ("-", -ns) if ns < 0 else ("", ns)
    for unit, size in (("ns", MICROSECOND), ("µs", MILLISECOND), ("ms", SECOND)):
        if rest < size:
            return f"{sign}{_number(rest / _UNITS[unit])}{unit}"
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = f"{_number(rest / SECOND)}s"
    return sign + (f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds)


def _number(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def human_bytes(size: int) -> str:
    """Write bytes as HumanBytes2 does: one decimal, 1024-based, up to GiB (facts/ollama 2)."""
    if size >= _KIB**3:
        return f"{size / _KIB**3:.1f} GiB"
    if size >= _KIB**2:
        return f"{size / _KIB**2:.1f} MiB"
    if size >= _KIB:
        return f"{size / _KIB:.1f} KiB"
    return f"{size} B"


def mebibytes(size: float) -> str:
    """Write bytes the way llama.cpp does in its buffer lines: `4097.52 MiB` without the unit."""
    return f"{size / _KIB**2:.2f}"


_EXPONENT_FROM = 1e6


def value(of: object) -> str:
    """Write a JSON value as Go's %v does; numbers are float64 there, so a million prints as 1e+06."""
    if isinstance(of, bool):
        return "true" if of else "false"
    if isinstance(of, (int, float)):
        number = float(of)
        if abs(number) >= _EXPONENT_FROM:
            mantissa, _, exponent = f"{number:.15e}".partition("e")
            return f"{mantissa.rstrip('0').rstrip('.')}e{exponent[0]}{exponent[1:].zfill(2)}"
        return str(int(number)) if number.is_integer() else repr(number)
    return str(of)


def timestamp(seconds: float) -> str:
    """Write epoch seconds as RFC 3339 with nanoseconds in UTC."""
    whole, nanos = divmod(round(seconds * SECOND), SECOND)
    return f"{datetime.fromtimestamp(whole, timezone.utc):%Y-%m-%dT%H:%M:%S}.{nanos:09d}".rstrip("0").rstrip(".") + "Z"


def log_time(seconds: float) -> str:
    """Write epoch seconds as slog does: milliseconds, UTC."""
    whole, millis = divmod(round(seconds * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, timezone.utc):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def joined(folder: str, *names: str) -> str:
    """Join a path as `filepath.Join` does on the folder's system."""
    separator = "\\" if "\\" in folder else "/"
    return separator.join((folder, *names))


def quoted(text: str) -> str:
    """Quote a slog value where slog would: when it is empty or holds a space, a quote or `=`; a backslash alone is no reason."""
    if text and not re.search(r'[\s"=]', text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
