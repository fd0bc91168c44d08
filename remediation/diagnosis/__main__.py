"""``python -m remediation.diagnosis --json --evidence FILE …``: a diagnosis without hosts or playbooks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from remediation.diagnosis.diagnose import diagnose, to_json
from remediation.diagnosis.load import load_evidence, refusing
from remediation.diagnosis.verdict import verdict
from remediation.model.errors import RemediationError
from remediation.model.text.visible import visible
from remediation.model.text.visible import visible_json as as_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the diagnosis of each ``--evidence`` and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m remediation.diagnosis", description=__doc__)
    parser.add_argument(
        "--evidence", action="append", required=True, metavar="FILE", help="incident, record, log, folder, a.log,b.txt or -"
    )
    parser.add_argument("--json", action="store_true", help="one JSON list, one object per --evidence")
    options = parser.parse_args(arguments)
    try:
        found = []
        for argument in options.evidence:
            evidence = load_evidence(argument)
            with refusing(argument):
                found.append(diagnose(evidence))
    except RemediationError as error:
        sys.stderr.write(visible(f"{error}\n"))
        return error.exit_code
    if options.json:
        sys.stdout.write(as_json([to_json(one) for one in found]) + "\n")
    else:
        sys.stdout.write(visible("\n\n".join(verdict(one) for one in found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
