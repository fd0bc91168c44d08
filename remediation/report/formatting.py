"""Formats numbers with their units, and the before/after table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediation.model.translation import gettext, translated

KIB, MIB, GIB = 1024, 1024**2, 1024**3
MINUTE, HOUR = 60, 3600
UNKNOWN = "not measured"
"""Of a figure that is missing; `shown` translates it."""


def format_size(count: float | None) -> str:
    """Return bytes as ``5.4 GiB``, ``457 MiB`` below a tenth of a GiB, ``unknown`` for None."""
    if count is None:
        return gettext("unknown")
    if abs(count) >= GIB / 10:
        return f"{count / GIB:.1f} GiB"
    if abs(count) >= MIB:
        return f"{count / MIB:.0f} MiB"
    return f"{count / KIB:.0f} KiB" if abs(count) >= KIB else f"{count:.0f} B"


def duration(seconds: float | None) -> str:
    """Return seconds as ``0.2 s``, ``38 s``, ``2 min 13 s`` or ``1 h 5 min``."""
    if seconds is None:
        return gettext("unknown")
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min {seconds % MINUTE} s"
    return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"


def percent(value: float | None) -> str:
    """Return a percentage (0 to 100) as ``92 %``, a question mark for None."""
    return "?" if value is None else f"{value:.0f} %"


def format_progress(progress: Mapping[str, Any]) -> str:
    """Return the progress of a pull as ``41 % of 2.2 GiB``, or the server's status text without figures."""
    completed, total = progress.get("completed"), progress.get("total")
    return (
        gettext("{share} of {whole}", share=percent(100 * completed / total), whole=format_size(total))
        if total and completed is not None
        else translated(str(progress.get("status", "")))
    )


def layers(pair: Sequence[int] | None) -> str:
    """Return (layers on the GPU, layers of the model) as ``1/33``."""
    return gettext("unknown") if not pair else f"{pair[0]}/{pair[1]}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the before/after table."""

    label: str
    before: str
    after: str


def before_after(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Row]:
    """Return the guide's table from the figures of two ``measurement`` events (``docs/events.md``); either may be None."""
    columns = (before or {}, after or {})

    def row(label: str, cell: Any) -> Row:
        return Row(label, *(cell(figures) for figures in columns))

    return [
        row("layers on the GPU", lambda it: layers(it["layers"]) if it.get("layers") else UNKNOWN),
        row("first token, warm", lambda it: _time(it, "first_token_s")),
        row("50 tokens, warm", _fifty_tokens),
        row("VRAM used by the model", lambda it: format_size(it["vram_bytes"]) if it.get("vram_bytes") is not None else UNKNOWN),
        row("GPU / CPU during the request", _load),
    ]


def _time(figures: Mapping[str, Any], name: str) -> str:
    value = figures.get(name)
    return UNKNOWN if value is None else duration(value)


def _fifty_tokens(figures: Mapping[str, Any]) -> str:
    value = figures.get("total_50_tokens_s")
    if value is None:
        return UNKNOWN
    if figures.get("extrapolated"):
        return gettext("≈ {time} ({tokens} seen)", time=duration(value), tokens=figures.get("tokens_seen", 0))
    return duration(value)


def _load(figures: Mapping[str, Any]) -> str:
    gpu, cpu = figures.get("gpu_percent"), figures.get("cpu_percent")
    return UNKNOWN if gpu is None and cpu is None else f"{percent(gpu)} / {percent(cpu)}"


def sentences(rows: Sequence[Row], *, simulated: bool, single: str = "") -> list[str]:
    """Return the table as lines that can wrap, for a terminal that is too narrow for it."""
    rows = [_translate_row(row) for row in rows]
    mark = f" ({gettext('simulated')})" if simulated else ""
    head = f"{gettext(single) if single else gettext('before → after')}{mark}:"
    return [head, *(f"{row.label}: " + (row.after if single else f"{row.before} → {row.after}") for row in rows)]


def _translate_row(row: Row) -> Row:
    """Return a row in the language of the report."""
    return Row(gettext(row.label), *(gettext(cell) if cell == UNKNOWN else cell for cell in (row.before, row.after)))


def table(rows: Sequence[Row], *, simulated: bool, single: str = "") -> list[str]:
    """Return the table as plain lines; simulated figures are marked. ``single`` is the heading of a table with one column."""
    rows = [_translate_row(row) for row in rows]
    mark = f"   ({gettext('simulated')})" if simulated else ""
    first = max(len(row.label) for row in rows) + 2
    if single:
        head = f"{'':{first}}{gettext(single)}{mark}"
        return [head, *(f"{row.label:{first}}{row.after}" for row in rows)]
    before, after = gettext("before"), gettext("after")
    second = max(len(before), *(len(row.before) for row in rows)) + 3
    lines = [f"{'':{first}}{before:{second}}{after}{mark}"]
    lines += [f"{row.label:{first}}{row.before:{second}}{row.after}" for row in rows]
    return lines
