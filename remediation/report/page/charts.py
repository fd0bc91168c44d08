"""Charts as inline SVG: stacked bars, single bars, a timeline and time series.

Coordinates are percentages, so that a chart takes the width of its place without scaling its text. Colours are classes of the
style sheet; each chart has a label with all its figures, for people and for programs that read aloud.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from remediation.model.text.visible import visible_line

ROOMY = 0.025
"""Share of a bar that each character of a figure needs, on a page of 400 pixels."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a stacked bar: its name, its amount, the amount as text, and its colour class."""

    name: str
    amount: float
    text: str
    tone: str
    short: str = ""


def stacked_bar(parts: Sequence[Part], whole: float, title: str) -> Markup:
    """Return a bar of `parts` out of `whole`; parts that exceed it shrink the scale."""
    whole = max(whole, sum(part.amount for part in parts)) or 1.0
    label = f"{title}: {', '.join(f'{part.name} {part.text}' for part in parts)}"
    drawn, left = [], 0.0
    for part in parts:
        share = part.amount / whole
        drawn.append(_rect(left, share, part.tone, f"{part.name}: {part.text}"))
        if part.short and share >= ROOMY * len(part.short):
            drawn.append(f'<text class="on-{part.tone}" x="{_percent(left + share / 2)}" y="62%">{_text(part.short)}</text>')
        left += share
    return _svg("stack", drawn, label)


def bar(share: float, tone: str) -> Markup:
    """Return a bar that repeats the figure next to it, hidden from programs that read aloud."""
    share = min(1.0, max(0.0, share))
    return Markup(f'<svg class="bar" aria-hidden="true"><rect class="{tone}" width="{_percent(share)}" height="100%"/></svg>')  # noqa: S704 - numbers and class names of our own


@dataclass(frozen=True, slots=True)
class Span:
    """A time span in seconds from the start of the chart."""

    start: float
    end: float
    name: str
    tone: str


def timeline(spans: Iterable[Span], seconds: float, title: str) -> Markup:
    """Return the spans on one lane."""
    seconds = seconds or 1.0
    drawn = [_rect(span.start / seconds, (span.end - span.start) / seconds, span.tone, span.name) for span in spans]
    return _svg("lane", drawn, title)


@dataclass(frozen=True, slots=True)
class Series:
    """A time series: pairs of a time and a value, None where there is no value."""

    name: str
    points: Sequence[tuple[float, float | None]]
    tone: str


def lines(series: Sequence[Series], span: tuple[float, float], most: float, title: str) -> Markup:
    """Return the series as lines in a field from 0 to `most`; a missing value interrupts its line."""
    start, width, most = span[0], (span[1] - span[0]) or 1.0, most or 1.0
    drawn = [f'<line class="grid" x1="0" x2="1000" y1="{100 * quarter}" y2="{100 * quarter}"/>' for quarter in (0, 0.5, 1)]
    for each in series:
        for run in _runs(each.points):
            points = [(1000 * (at - start) / width, 100 - 100 * min(value, most) / most) for at, value in run]
            if len(points) == 1:
                points = [(points[0][0] - 4, points[0][1]), (points[0][0] + 4, points[0][1])]
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            drawn.append(f'<polyline class="{each.tone}" points="{text}"><title>{_text(each.name)}</title></polyline>')
    return _svg("lines", drawn, title, ' viewBox="0 0 1000 100" preserveAspectRatio="none"')


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Return the stretches of points that have values."""
    found: list[list[tuple[float, float]]] = []
    open_run = False
    for at, value in points:
        if value is None:
            open_run = False
        elif open_run:
            found[-1].append((at, value))
        else:
            found.append([(at, value)])
            open_run = True
    return found


def _rect(left: float, share: float, tone: str, name: str) -> str:
    return (
        f'<rect class="{tone}" x="{_percent(left)}" width="{_percent(share)}" height="100%"><title>{_text(name)}</title></rect>'
    )


def _svg(kind: str, drawn: Iterable[str], label: str, more: str = "") -> Markup:
    return Markup(f'<svg class="{kind}" role="img" aria-label="{_text(label)}"{more}>{"".join(drawn)}</svg>')  # noqa: S704 - texts are escaped by `_text`, the rest are numbers


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _text(text: str) -> str:
    return str(escape(visible_line(text)))
