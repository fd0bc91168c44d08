"""A line of the terminal: a lead, text that wraps below itself, and a style that never carries the meaning alone."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediation.model.text.visible import visible, visible_line
from remediation.model.translation import gettext

WIDTH = 100
NARROWEST = 24
"""Minimum columns for the text next to its lead; with fewer, the text starts on the next row."""
LEAD = 12
INDENT = 2

CLOCK = re.compile(r"\btime=\S{1,64} level=\S{1,16} source=\S{1,100} ")
"""The beginning of every structured line of Ollama's log."""


def printed_width() -> int:
    """Return the columns of the terminal that stdout writes to, `WIDTH` at most; `WIDTH` if it is no terminal."""
    if not sys.stdout.isatty():
        return WIDTH
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line: ``lead`` precedes the first row, ``text`` wraps behind it; ``style`` is one of ``STYLES``.

    ``most`` limits the rows: longer text ends with an ellipsis. ``verbatim`` text keeps its rows and is cut at the width,
    unless ``narrow`` holds a version that can wrap, or ``whole`` is set because it is to be copied.
    """

    text: str
    lead: str = ""
    style: str = ""
    most: int = 0
    verbatim: bool = False
    narrow: str = ""
    whole: bool = False

    def rows(self, width: int = 0) -> list[str]:
        """Return the rows, none wider than `width` (by default the terminal's) and none with a control character."""
        width = width or printed_width()
        text, lead = visible(self.text), visible_line(self.lead)
        if self.verbatim:
            verbatim = [f"{lead}{row}".rstrip() for row in text.split("\n")]
            if self.narrow and any(len(row) > width for row in verbatim):
                return [row for part in self.narrow.split("\n") for row in Line(part, lead=self.lead).rows(width)]
            return verbatim if self.whole else [_cut(row, width) for row in verbatim]
        above: list[str] = []
        if len(lead) > width - NARROWEST and len(lead) > LEAD:
            above = textwrap.wrap(lead, width, subsequent_indent=" " * INDENT, break_on_hyphens=False)
            lead = " " * min(LEAD, width // 4)
        hanging = " " * len(lead)
        rows = textwrap.wrap(
            " ".join(text.split()), width, initial_indent=lead, subsequent_indent=hanging, break_on_hyphens=False
        ) or ([] if above else [lead.rstrip()])
        if self.most and len(rows) > self.most:
            rows = [*rows[: self.most - 1], f"{rows[self.most - 1][: width - 2]} …"]
        return above + rows


STYLES = {"": "", "head": "bold", "good": "green", "bad": "bold red", "warn": "yellow", "dim": "dim"}


def labelled_line(label: str, text: str, *, style: str = "", most: int = 0) -> Line:
    """Return a line ``  label     text``."""
    return Line(text, lead=f"{'':{INDENT}}{label:{LEAD - INDENT}}", style=style, most=most)


def below(text: str, *, style: str = "", most: int = 0, more: int = 0) -> Line:
    """Return a line that continues below the text of a labelled one, indented by `more` columns."""
    return Line(text, lead=" " * (LEAD + more), style=style, most=most)


_WORD = 12
"""Letters of a word that is left out as a whole rather than divided."""


def shorten(text: str, most: int) -> str:
    """Return `text` in at most `most` characters, without a log line's clock and source, and shortened in the middle."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    text = CLOCK.sub("", text)
    if len(text) <= most:
        return text
    tail = most * 2 // 5  # Ollama's log lines have relevant parts at both ends
    first, last = text[: most - tail - 3], text[-tail:]
    return f"{_whole_words(first + text[len(first)])} … {_whole_words((text[-tail - 1] + last)[::-1])[::-1]}"


def _whole_words(text: str) -> str:
    """Return `text` without its last character and without the short word that this divides; parts of a log's values stay."""
    kept, _, part = text.rpartition(" ")
    return (kept if part.isalpha() and len(part) <= _WORD else text[:-1]).rstrip()


def columns(rows: Iterable[Sequence[str]], *, gap: int = 2) -> list[str]:
    """Return `rows` as aligned columns; the last one is not padded."""
    listed = [[str(cell) for cell in row] for row in rows]
    if not listed:
        return []
    widths = [max(len(row[index]) for row in listed if index < len(row)) for index in range(max(map(len, listed)))]
    return ["".join(f"{cell:{widths[index] + gap}}" for index, cell in enumerate(row)).rstrip() for row in listed]


def _cut(row: str, width: int) -> str:
    return row if len(row) <= width else f"{row[: width - 1]}…"


def diff_lines(change: Mapping[str, Any]) -> list[Line]:
    """Return a change's diff row by row, or its values before and after."""
    if change.get("diff"):
        rows = [row for row in str(change["diff"]).split("\n") if row]
        return [Line(row, lead=" " * 7, verbatim=True, style={"+": "good", "-": "warn"}.get(row[:1], "dim")) for row in rows]
    if change.get("before") is None and change.get("after") is None:
        return []
    subject = f"{change['subject']}: " if change.get("subject") else ""
    before = "" if change.get("before") is None else f"{_shown_value(change['before'])} → "
    return [Line(f"{subject}{before}{_shown_value(change.get('after'))}", lead=" " * 7, most=3)]


def _shown_value(value: Any) -> str:
    """Return a value before or after a change as people write it; None is what is gone."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown_value(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown_value, value))
    return gettext("none") if value is None else str(value)
