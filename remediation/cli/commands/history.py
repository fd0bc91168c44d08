"""``history``, ``show``, ``resume``, ``undo``, ``apply``: earlier runs, read from their journals, and what may follow them."""

from __future__ import annotations

import sys
from datetime import datetime

from remediation.cli.options import Apply, OneRun, Output, Resume, Undo
from remediation.cli.task import command_task
from remediation.model.errors import UsageError
from remediation.model.text.shape import intact
from remediation.model.text.words import plural


@command_task(Output)
def history(options: Output) -> int:
    """List the runs, the newest first."""
    from remediation.engine.journal.history import runs
    from remediation.report.formatting import duration
    from remediation.report.json_lines import document
    from remediation.report.text import columns

    summaries = [record.summary() for record in runs()]
    if options.json:
        sys.stdout.write(document(summaries))
        return 0
    if not summaries:
        sys.stdout.write("there were no runs yet\n")
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
    "cut off": "the run was cut off: remediate resume {run}\n",
    "running or cut off": "the run is still running, or was cut off: remediate resume {run}\n",
}


@command_task(OneRun)
def show(options: OneRun) -> int:
    """Show what a run found and did, by its id or the beginning of it; also while it goes on."""
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
                sys.stderr.write(f"an event of kind {event.kind} is left out: {error.message}\n")
        if record.state == "cut off":
            report.cut_off()
    if not options.json:
        sys.stdout.write(_STATES.get(record.state, "").format(run=record.run))
        if record.broken:
            sys.stdout.write(
                f"{plural(record.broken, 'line')} of its journal cannot be read, and {'is' if record.broken == 1 else 'are'} left out\n"
            )
    return 0


@command_task(Resume)
def resume(options: Resume) -> int:
    """Go on with a run that was cut off or lost hosts; what is done is not repeated."""
    from remediation.cli.commands import followup

    return followup.resume_from_journal(options, sys.stdout)


@command_task(Undo)
def undo(options: Undo) -> int:
    """Take back what a run changed, the last change first; what cannot be taken back is said."""
    from remediation.cli.commands import followup

    return followup.undo_from_journal(options, sys.stdout)


@command_task(Apply)
def apply(options: Apply) -> int:
    """Apply a plan that --check --out saved, or some of its changes; a host that differs by now is refused."""
    from remediation.cli.commands import followup

    return followup.apply_saved_plan(options, sys.stdout)
