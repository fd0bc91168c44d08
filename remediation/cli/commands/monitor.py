"""``monitor``: watches the GPUs of one or many hosts, like the guide's ``while ($true) { nvidia-smi }``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from remediation.cli.options import Monitor
from remediation.cli.stdio import current_masker
from remediation.cli.task import command_task
from remediation.model.errors import HostError, RemediationError
from remediation.model.signals import Terminated
from remediation.model.text.visible import visible_json

if TYPE_CHECKING:
    from remediation.cli.context import Session
    from remediation.facets.access import HostAccess
    from remediation.report.gpus import Sample

EVERY = 2.0
"""Seconds between two samples, as in the guide."""


@command_task(
    Monitor,
    examples=(
        "remediate monitor                                   # this machine, until Ctrl-C",
        "remediate monitor --inventory fleet.yml --every 5s --for 10m",
    ),
)
def monitor(options: Monitor) -> int:
    """Watch the GPUs and the models on them, until Ctrl-C or for --for. Changes nothing."""
    from remediation.cli.context import open_session
    from remediation.cli.options import seconds

    every = max(0.1, seconds("--every", options.every, EVERY))
    until = time.monotonic() + seconds("--for", options.for_, float("inf"))
    with open_session(options) as hosts, ExitStack() as stack:
        show = _shower(options, stack)
        try:
            for samples in _rounds(hosts, every, until):
                show(samples)
        except Terminated:
            raise
        except KeyboardInterrupt:
            return 0  # Ctrl-C is the normal way to stop
    return 0


def _rounds(hosts: Session, every: float, until: float) -> Iterator[list[Sample]]:
    names = hosts.selected()
    with hosts.kept_open() as access:
        while True:
            begun = time.monotonic()
            yield list(hosts.each(lambda name: sample(name, access(name)), failed_sample, names))
            left = begun + every - time.monotonic()
            if time.monotonic() + max(0.0, left) >= until:
                return
            time.sleep(max(0.0, left))


def _shower(options: Monitor, stack: ExitStack) -> Callable[[Sequence[Sample]], None]:
    if options.json:

        def as_json(samples: Sequence[Sample]) -> None:
            sys.stdout.writelines(f"{visible_json(current_masker()(sample.to_json()))}\n" for sample in samples)
            sys.stdout.flush()

        return as_json
    from remediation.report.gpus import sample_lines

    if not sys.stdout.isatty():

        def plain(samples: Sequence[Sample]) -> None:
            stamp = time.strftime("%H:%M:%S")
            sys.stdout.write(f"{stamp}\n")
            sys.stdout.writelines(f"{row}\n" for sample in samples for line in sample_lines(sample) for row in line.rows())
            sys.stdout.flush()

        return plain
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from remediation.cli.stdio import unwrapped
    from remediation.report.text import STYLES

    console = Console(file=unwrapped(sys.stdout), highlight=False)
    live = stack.enter_context(Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False))
    mask = current_masker()

    def on_terminal(samples: Sequence[Sample]) -> None:
        rows = [
            Text(mask.text(row), style=STYLES.get(line.style, ""))
            for sample in samples
            for line in sample_lines(sample)
            for row in line.rows()
        ]
        live.update(Group(*rows, Text(f"{time.strftime('%H:%M:%S')} · Ctrl-C ends", style="dim")), refresh=True)

    return on_terminal


def sample(name: str, access: HostAccess) -> Sample:
    """Take one sample; readings that fail are reported in the sample, never raised."""
    from remediation.report.gpus import Sample

    now = time.time()
    try:
        reader = access.reader
        use = reader.gpu.use()
    except HostError as error:
        return Sample(name, now, error=error.message)
    try:
        return Sample(name, now, use, tuple(reader.ollama.running()))
    except HostError as silent:  # a host without Ollama still has GPUs
        return Sample(name, now, use, silent=silent.message)


def failed_sample(name: str, error: RemediationError) -> Sample:
    """Return the sample of a host that could not be read."""
    from remediation.report.gpus import Sample

    return Sample(name, time.time(), error=error.message)
