"""``diagnose``: finds causes in evidence that somebody sent, or on hosts; looks and changes nothing."""

from __future__ import annotations

import sys
from typing import Any

from remediation.cli.command import command
from remediation.cli.options import Diagnose


@command(Diagnose)
def diagnose(options: Diagnose) -> int:
    """Find out why the model is not on the GPU, from hosts or from --evidence. Changes nothing."""
    incidents = _from_evidence(options)
    _print(incidents, options)
    return 0


def _from_evidence(options: Diagnose) -> list[tuple[str, dict[str, Any]]]:
    from remediation.diagnosis.diagnose import diagnose as find_causes  # noqa: PLC0415 - loaded when asked for
    from remediation.diagnosis.diagnose import to_json  # noqa: PLC0415 - loaded when asked for
    from remediation.diagnosis.load import load_evidence  # noqa: PLC0415 - loaded when asked for
    from remediation.model.errors import UsageError  # noqa: PLC0415 - loaded when asked for

    if options.inventory or options.limit:
        given = "--inventory" if options.inventory else "--limit"
        raise UsageError(
            f"--evidence is diagnosed without hosts, so {given} has no meaning beside it", next_step="give one of them"
        )
    return [(name, to_json(find_causes(load_evidence(name)))) for name in options.evidence]


def _print(incidents: list[tuple[str, dict[str, Any]]], options: Diagnose) -> None:
    from remediation.report.diagnosis import diagnosis_lines  # noqa: PLC0415 - loaded when asked for
    from remediation.report.json_lines import document  # noqa: PLC0415 - loaded when asked for

    if options.json:
        sys.stdout.write(document([found for _, found in incidents]))
        return
    for number, (name, found) in enumerate(incidents):
        if number:
            sys.stdout.write("\n")
        for line in diagnosis_lines(name, found, verbose=options.verbose):
            sys.stdout.writelines(f"{row}\n" for row in line.rows())
