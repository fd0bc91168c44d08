"""``report`` and ``bundle``: write the page of a run or of samples, and one zip about a run for an issue report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediation.cli.options import BundleOptions, ReportSource
from remediation.cli.task import command_task
from remediation.model.errors import UsageError
from remediation.model.text.words import plural
from remediation.model.translation import gettext

if TYPE_CHECKING:
    from remediation.model.event import Event
    from remediation.report.gpus import Sample


PAGE = ".html"
MOST_LINE = 64_000_000
"""Bytes of a line: a file without line ends must not fill the memory."""


@command_task(
    ReportSource,
    examples=(
        "remediate report 7f3a --out run.html                # a run, by the beginning of its id",
        "remediate report samples.jsonl                      # of monitor --record; writes samples.html",
    ),
)
def report(options: ReportSource) -> int:
    """Write the page of a run, or of samples that monitor --record kept. A run is also written as .json or .xml (JUnit)."""
    from remediation.cli.outputs import writable
    from remediation.cli.stdio import current_masker
    from remediation.model.private_file import write_atomically
    from remediation.model.text.shape import intact
    from remediation.report.formats import report_format, suffixes

    source = Path(options.source)
    if not source.is_file() and source.name != options.source:
        raise UsageError(f"{source} is not a file", next_step="give a file of JSON Lines, or a run's id")
    target = writable(
        "--out", options.out or (f"{source.with_suffix(PAGE)}" if source.is_file() else f"run-{options.source}{PAGE}")
    )
    if source.is_file() and target.exists() and target.samefile(source):
        raise UsageError(f"--out {target} is the file to be read", next_step="give --out another name")
    render = report_format(target.suffix)
    if render is None:
        raise UsageError(f"--out {target}: unknown suffix", next_step=f"use one of {', '.join(suffixes())}")
    read = _LinesFile(source) if source.is_file() else None
    samples, events = read.parts() if read else ([], _of_run(options.source))
    with intact(str(source) if read else f"run {options.source}", "see docs/events.md for what each line must have"):
        if samples:
            if target.suffix != PAGE:
                raise UsageError(
                    f"samples are written as a page, not as {target.suffix}", next_step=f"give --out a name with {PAGE}"
                )
            from remediation.report.samples.page import samples_page

            text = samples_page(samples)
        else:
            text = render(events)
    write_atomically(target, current_masker().text(text))
    sys.stdout.write(f"{gettext('wrote {file}', file=target)}\n")
    if read and read.skipped:
        sys.stderr.write(
            f"{plural(read.skipped, 'line')} of {source} could not be read and {'was' if read.skipped == 1 else 'were'} skipped\n"
        )
    return 0


def _of_run(name: str) -> list[Event]:
    from remediation.engine.journal.history import find_run

    try:
        return list(find_run(name).events)
    except UsageError:
        if Path(name).is_dir():
            raise UsageError(f"{name} is a folder", next_step="give a file of JSON Lines, or a run's id") from None
        raise


class _LinesFile:
    """A file of JSON Lines: samples, or the events of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = 0

    def parts(self) -> tuple[list[Sample], list[Event]]:
        """Return the samples and the events. Raises `UsageError` if there are neither, or both."""
        from remediation.engine.journal.journal import event_from_json
        from remediation.report.samples.read import sample_from_json

        samples: list[Sample] = []
        events: list[Event] = []
        for value in self._values():
            try:
                if value.get("event") == "sample":
                    samples.append(sample_from_json(value))
                else:
                    events.append(event_from_json(value))
            except (ValueError, KeyError, TypeError):
                self.skipped += 1
        if bool(samples) == bool(events):
            what = "samples and events of a run" if samples else "neither samples nor events of a run"
            raise UsageError(
                f"{self.path} has {what}", next_step="give a file of monitor --record, of --report FILE.json, or a run's id"
            )
        return samples, events

    def _values(self) -> Iterator[dict[str, Any]]:
        from remediation.model.text.json_text import load_json

        with self.path.open("rb") as file:
            while line := file.readline(MOST_LINE + 1):
                if len(line) > MOST_LINE:
                    raise UsageError(
                        f"{self.path} has a line of more than {MOST_LINE // 1_000_000} MB",
                        next_step="give a file of monitor --record, of --report FILE.json, or a run's id",
                    )
                if not line.strip():
                    continue
                try:
                    value = load_json(line)
                except ValueError:
                    self.skipped += 1
                    continue
                if isinstance(value, dict):
                    yield value
                else:
                    self.skipped += 1


@command_task(
    BundleOptions,
    examples=(
        "remediate bundle 7f3a                               # writes remediation-7f3a.zip",
        "remediate bundle 7f3a --out issue-12.zip",
    ),
)
def bundle(options: BundleOptions) -> int:
    """Pack a run for an issue report: report, journal, evidence, versions and recorded I/O, without names and secrets."""
    from remediation.cli.bundle.write import bundle_of
    from remediation.cli.outputs import writable
    from remediation.engine.journal.history import find_run
    from remediation.model.private_file import write_atomically
    from remediation.model.text.shape import intact

    record = find_run(options.run)
    target = writable("--out", options.out or f"remediation-{record.run}.zip")
    with intact(f"run {record.run}", "see remediate history for other runs"):
        packed = bundle_of(record)
    write_atomically(target, packed)
    sys.stdout.write(f"wrote {target} without names and secrets; look into it before you send it\n")
    return 0
