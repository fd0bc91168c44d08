"""``monitor``: watches the GPUs of one or many hosts, like the guide's ``while ($true) { nvidia-smi }``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from remediation.cli.options import Monitor
from remediation.cli.stdio import current_masker
from remediation.cli.task import command_task
from remediation.model.signals import Terminated
from remediation.model.text.visible import visible_json
from remediation.model.translation import gettext, ngettext

if TYPE_CHECKING:
    from rich.live import Live

    from remediation.report.gpus import Sample

EVERY = 2.0
"""Seconds between two samples, as in the guide."""
PER_HOST = 0.2
"""Seconds that each host adds to the interval of a fleet."""

Show = Callable[[Sequence["Sample"]], None]


@command_task(
    Monitor,
    examples=(
        "remediate monitor                                   # this machine, until Ctrl-C",
        "remediate monitor --inventory fleet.yml --every 5s --for 10m --record samples.jsonl",
    ),
)
def monitor(options: Monitor) -> int:
    """Watch the GPUs and the models on them, until Ctrl-C or for --for. Changes nothing."""
    from remediation.cli.commands.watching.sampling import TokenRates, sample_rounds
    from remediation.cli.context import open_session
    from remediation.cli.options import seconds

    until = time.monotonic() + seconds("--for", options.for_, float("inf"))
    with ExitStack() as stack:
        kept = stack.enter_context(_open_record(options.record)) if options.record else None
        hosts = stack.enter_context(open_session(replace(options, record=None)))
        names = hosts.selected()
        every = max(0.1, seconds("--every", options.every, interval(len(names))))
        show = _shower(options, names, every, stack)
        rate = TokenRates(hosts, seconds("--tokens", options.tokens)) if options.tokens else None
        try:
            for samples in sample_rounds(hosts, names, every, until, rate):
                if kept is not None:
                    _write(samples, kept)
                show(samples)
        except Terminated:
            raise
        except KeyboardInterrupt:
            return 0  # Ctrl-C is the normal way to stop
    return 0


def interval(count: int) -> float:
    """Return the default seconds between two samples: as in the guide for a few hosts, and longer for many.

    A sample over WinRM takes 15 ms of this machine's processor time; so a fleet of any size takes a tenth of a core at most.
    """
    return max(EVERY, count * PER_HOST)


def _open_record(name: str) -> TextIO:
    """Open the file of ``--record``. Raises `UsageError` before any host is contacted."""
    from remediation.cli.outputs import writable

    return writable("--record", name).open("w", encoding="utf-8", newline="\n")


def _write(samples: Iterable[Sample], stream: TextIO) -> None:
    stream.writelines(f"{visible_json(current_masker()(sample.to_json()))}\n" for sample in samples)
    stream.flush()


def _shower(options: Monitor, names: Sequence[str], every: float, stack: ExitStack) -> Show:
    if options.json:
        return lambda samples: _write(samples, sys.stdout)
    from remediation.report.gpus import sample_lines

    if not sys.stdout.isatty():

        def plain(samples: Sequence[Sample]) -> None:
            if not samples:
                return
            sys.stdout.write(f"{time.strftime('%H:%M:%S')}\n")
            sys.stdout.writelines(f"{row}\n" for sample in samples for line in sample_lines(sample) for row in line.rows())
            sys.stdout.flush()

        return plain
    return _live(names, every, stack)


@contextmanager
def _until_closed(live: Live) -> Iterator[Live]:
    """Start a live display, and end it; a closed terminal does not hide the signal that it sent."""
    live.start()
    try:
        yield live
    finally:
        with suppress(OSError):
            live.stop()


def _live(names: Sequence[str], every: float, stack: ExitStack) -> Show:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from remediation.cli.stdio import unwrap_stream
    from remediation.report.samples.history import SampleHistory
    from remediation.report.text import STYLES

    console = Console(file=unwrap_stream(sys.stdout), highlight=False)
    live = stack.enter_context(
        _until_closed(Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False))
    )
    mask = current_masker()
    history = SampleHistory(names, every)

    def on_terminal(samples: Sequence[Sample]) -> None:
        history.add(samples)
        rows = [
            Text(mask.text(row), style=STYLES.get(line.style, "")) for line in history.lines() for row in line.rows(console.width)
        ]
        shown = rows[: max(1, console.height - 2)]
        hidden = len(rows) - len(shown)
        more = f" · {ngettext('{count} more row', '{count} more rows', hidden)}" if hidden else ""
        live.update(
            Group(*shown, Text(f"{time.strftime('%H:%M:%S')} · {gettext('Ctrl-C ends')}{more}", style="dim")), refresh=True
        )

    return on_terminal
