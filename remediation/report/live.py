"""The live part of the terminal: one line per working host with its activity, elapsed time and time limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from remediation.model.text.visible import visible_line
from remediation.model.translation import gettext, ngettext
from remediation.report.formatting import duration
from remediation.report.host_view import HostView
from remediation.report.terminal import Terminal
from remediation.report.text import STYLES, WIDTH, Line

MOST = 8
"""Working hosts shown at once; the others are counted."""

BAR = 24


class LiveScreen:
    """Writes permanent lines above a live region that does not scroll."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=False)
        self._width = min(self._console.width, WIDTH)
        self._terminal: Terminal | None = None
        self._live = Live(
            console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True,
            redirect_stdout=False, redirect_stderr=False,  # rich would interpret escapes in other output
        )  # fmt: skip

    def follow(self, terminal: Terminal) -> None:
        """Show the activity of the hosts of `terminal` until `close`."""
        self._terminal = terminal
        self._live.start()

    def write(self, lines: Iterable[Line]) -> None:
        """Write permanent lines above the live ones."""
        for line in lines:
            for row in line.rows(self._width):
                self._console.print(Text(row, style=STYLES.get(line.style, "")))

    def close(self) -> None:
        """Remove the live lines."""
        self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the live lines during a question."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def _render(self) -> Group:
        if self._terminal is None:
            return Group()
        return Group(*(Text(row, style="dim") for row in status_line(self._terminal, self._width)))


def status_line(terminal: Terminal, width: int = WIDTH) -> list[str]:
    """Return the live lines: a bar for a fleet, then the working hosts."""
    pages = list(terminal.pages.values())
    working = [page for page in pages if not page.done and page.since]
    rows = []
    if terminal.fleet:
        done = sum(page.done for page in pages)
        filled = "█" * (BAR * done // len(pages))
        waiting = len(pages) - done - len(working)
        elapsed = duration(max(0.0, terminal.now() - terminal.started))
        counts = gettext("{done} done · {working} working · {waiting} waiting", done=done, working=len(working), waiting=waiting)
        hosts = ngettext("{count} host", "{count} hosts", len(pages))
        rows.append(f"{hosts}  ▕{filled:{BAR}}▏ {counts}   {elapsed}")
    rows += [_working_line(page, terminal.now()) for page in working[:MOST]]
    if len(working) > MOST:
        rows.append(gettext("… and {number} more", number=len(working) - MOST))
    return [row if len(row) <= width else f"{row[: width - 1]}…" for row in map(visible_line, rows)]


def _working_line(page: HostView, now: float) -> str:
    spent = duration(max(0.0, now - page.since))
    most = f" {gettext('of at most {time}', time=duration(page.until))}" if page.until else ""
    progress = f"{page.progress} · " if page.progress else ""
    return f"→ {page.host}  {progress}{page.doing or gettext('waiting')}  {spent}{most}"
