"""How fast a server answered: the durations of ``/api/generate`` and of ``ollama run --verbose`` (facts/ollama 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from remediation.model.finding import Quote

_VALUE = re.compile(
    r"(?P<name>total|load|prompt[ _]eval|eval)[ _](?P<what>duration|count|rate)[\"']?\s{0,100}[:=]?\s{0,100}(?P<number>\d{1,20}(?:\.\d{1,20})?)(?P<rest>[^\n,}]*)",
    re.IGNORECASE,
)
_GO_TIME = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(ns|µs|us|ms|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_NANOSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Speed:
    """One answer's times in seconds; ``rate`` in tokens per second. What is not said is None."""

    at: Quote
    total: float | None = None
    load: float | None = None
    prompt_eval: float | None = None
    eval: float | None = None
    rate: float | None = None


def read_speed(text: str, label: str) -> Speed | None:
    """Return the figures of the slowest answer that a text shows, None when it shows none."""
    found: dict[str, float] = {}
    first: Quote | None = None
    for match in _VALUE.finditer(text):
        name = re.sub(r"[ _]+", "_", match["name"].lower())
        key = f"{name}_{match['what'].lower()}"
        value = float(match["number"])
        if match["what"].lower() == "duration":
            value = _seconds(match["number"] + match["rest"], value)
        found[key] = max(value, found.get(key, 0.0))
        first = first or Quote(f"{label}:{text.count(chr(10), 0, match.start()) + 1}", match[0].strip()[:160])
    if first is None or not {"total_duration", "eval_duration", "eval_rate"} & found.keys():
        return None
    rate = found.get("eval_rate")
    if rate is None and found.get("eval_duration") and found.get("eval_count"):
        rate = found["eval_count"] / found["eval_duration"]
    return Speed(
        first, found.get("total_duration"), found.get("load_duration"), found.get("prompt_eval_duration"), found.get("eval_duration"), rate
    )  # fmt: skip


def _seconds(text: str, bare: float) -> float:
    """Return a Go duration (``1m2.5s``) in seconds; a bare number is nanoseconds."""
    parts = _GO_TIME.findall(text.strip().replace(" ", "")) if re.match(r"[\d.]+\s*[a-zµ]", text.strip()) else []
    if parts:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return bare / 1e9 if bare >= _NANOSECONDS else bare
