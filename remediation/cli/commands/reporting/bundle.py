"""``bundle``: one zip about a run, for an issue report."""

from __future__ import annotations

import sys

from remediation.cli.options import BundleOptions
from remediation.cli.task import command_task


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
    from remediation.model.text.shape import intact

    record = find_run(options.run)
    target = writable("--out", options.out or f"remediation-{record.run}.zip")
    with intact(f"run {record.run}", "see remediate history for other runs"):
        packed = bundle_of(record)
    target.write_bytes(packed)
    sys.stdout.write(f"wrote {target} without names and secrets; look into it before you send it\n")
    return 0
