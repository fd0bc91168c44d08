"""``history``, ``show``, ``resume``, ``undo``, ``apply``: earlier runs and the commands that follow them."""

from __future__ import annotations

import sys
from datetime import datetime

from remediation.cli.options import Apply, OneRun, Output, Resume, Undo
from remediation.cli.task import command_task
from remediation.model.errors import UsageError
from remediation.model.text.shape import intact
from remediation.model.text.words import plural
from remediation.model.translation import translated


@command_task(
    Output,
    examples=(
        "remediate history",
        "remediate history --json",
    ),
)
def history(options: Output) -> int:
    """List the runs, newest first."""
    from remediation.engine.journal.history import runs_and_errors
    from remediation.report.formatting import duration
    from remediation.report.json_lines import document
    from remediation.report.text import columns

    records, errors = runs_and_errors()
    sys.stderr.writelines(f"skipped: {translated(error.message)}\n" for error in errors)
    summaries = [record.summary() for record in records]
    if options.json:
        sys.stdout.write(document(summaries))
        return 0
    if not summaries:
        sys.stdout.write("no runs yet\n")
        return 0
    rows = [
        [
            item["run"],
            datetime.fromtimestamp(item["started"]).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            item["command"] + (" --check" if item["check"] else ""),
            plural(len(item["hosts"]), "host"),
            plural(item["changes"], "change"),
            f"exit {item['exit_code']}" if item["exit_code"] is not None else item["state"],
            duration(item["seconds"]) if item["seconds"] is not None else "",
        ]
        for item in summaries
    ]
    sys.stdout.writelines(f"{row}\n" for row in columns(rows))
    return 0


_STATES = {
    "running": "the run is still running\n",
    "cut off": "the run was interrupted: remediate resume {run}\n",
    "running or cut off": "the run is still running, or was interrupted: remediate resume {run}\n",
}


@command_task(
    OneRun,
    examples=(
        "remediate show 7f3a                                 # the beginning of the id is enough",
        "remediate show 7f3a --diff --verbose",
    ),
)
def show(options: OneRun) -> int:
    """Show what a run found and did, by its id or the beginning of it; also while it is running."""
    from remediation.cli.report_factory import Style, reporting
    from remediation.engine.journal.history import find_run

    record = find_run(options.run)
    style = Style(json=options.json, diff=options.diff, verbose=options.verbose, tasks=frozenset({"undo"}))
    with reporting(sys.stdout, style, {"TERM": "dumb"}) as report:
        for event in record.events:
            try:
                with intact(f"run {record.run}", ""):
                    report(event)
            except UsageError as error:
                sys.stderr.write(f"skipped an event of kind {event.kind}: {error.message}\n")
        if record.state == "cut off":
            report.cut_off()
    if not options.json:
        sys.stdout.write(_STATES.get(record.state, "").format(run=record.run))
        if record.broken:
            sys.stdout.write(
                f"{plural(record.broken, 'line')} of its journal cannot be read and {'is' if record.broken == 1 else 'are'} skipped\n"
            )
    return 0


@command_task(
    Resume,
    examples=(
        "remediate resume 7f3a",
        "remediate resume 7f3a --limit dev-13 --max-risk disruptive",
    ),
)
def resume(options: Resume) -> int:
    """Resume a run that was interrupted or lost hosts; finished tasks are not repeated."""
    from remediation.cli.commands import followup

    return followup.resume_from_journal(options, sys.stdout)


@command_task(
    Undo,
    examples=(
        "remediate undo 7f3a --check                         # what would be undone",
        "remediate undo 7f3a --limit dev-13",
    ),
)
def undo(options: Undo) -> int:
    """Undo the changes of a run, last change first; list the changes that cannot be undone."""
    from remediation.cli.commands import followup

    return followup.undo_from_journal(options, sys.stdout)


@command_task(
    Apply,
    examples=(
        "remediate apply plan.json                           # saved by --check --out plan.json",
        "remediate apply plan.json --only 1 --only 3",
    ),
)
def apply(options: Apply) -> int:
    """Apply a plan saved by --check --out, or some of its changes; refuse it if a host has changed since."""
    from remediation.cli.commands import followup

    return followup.apply_saved_plan(options, sys.stdout)
