"""``doctor``: checks the controller itself, and whether it reaches the first host of the inventory. Reads only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from remediation.cli.options import Doctor
from remediation.cli.task import command_task
from remediation.model.errors import HostError, InputError, RemediationError
from remediation.model.text.words import plural

if TYPE_CHECKING:
    from remediation.cli.checks.check import Check
    from remediation.cli.context import Session

UNREACHABLE = 3
MISSING = 2


@command_task(
    Doctor,
    examples=(
        "remediate doctor                                    # before the first repair",
        "remediate doctor --inventory fleet.yml --limit windows",
    ),
)
def doctor(options: Doctor) -> int:
    """Check this machine: Python, extras, inventory, key files, and whether the first host can be reached. Changes nothing."""
    from remediation.report.json_lines import document

    found, reached = _checks(options)
    failed = [check for check in found if check.ok is False]
    code = UNREACHABLE if not reached else MISSING if failed else 0
    if options.json:
        sys.stdout.write(document({"exit_code": code, "checks": [check.to_json() for check in found]}))
    else:
        sys.stdout.writelines(f"{row}\n" for row in _rows(found))
    return code


def _checks(options: Doctor) -> tuple[list[Check], bool]:
    """Return the checks, and whether the first host was reached or there was none to reach."""
    from remediation.cli.checks import controller
    from remediation.cli.checks.check import missing_check
    from remediation.cli.context import open_session

    found = list(controller.installation())
    try:
        with open_session(options) as hosts:
            mask = hosts.masker.text
            found += [check.masked(mask) for check in controller.inventory(hosts)]
            first = first_host(hosts)
            return [*found, first.masked(mask)], first.ok is not False
    except InputError as error:
        cure = "mend these places; remediate hosts shows what the inventory defines"
        return [
            *found,
            *(missing_check("inventory", str(each).split("\n")[0], "every run", cure) for each in error.problems),
        ], True
    except RemediationError as error:
        return [*found, missing_check("inventory", error.message, "every run", error.next_step)], True


def first_host(hosts: Session) -> Check:
    """Log in on the first host of the session and report the result."""
    from remediation.cli.checks.check import good, missing_check

    name = hosts.selected()[0]
    try:
        with hosts.open_for_reading(name, note=lambda _: None) as access:
            user = access.reader.desktop.session().user
    except HostError as error:
        return missing_check(
            "first host", error.message, "everything on it", error.next_step or f"remediate check-host --limit {name} -v"
        )
    return good("first host", f"{name} answers as {user}")


def _rows(found: list[Check]) -> Iterator[str]:
    from remediation.report.text import Line

    width = max(len(check.name) for check in found) + 2
    for check in found:
        mark = {True: "✓", False: "✗", None: "·"}[check.ok]
        yield from Line(check.text, lead=f"{mark} {check.name:{width}}").rows()
        for label, text in (("blocks", check.blocks), ("next", check.cure)):
            if text and check.ok is not True:
                yield from Line(text, lead=f"  {'':{width}}{label}: ").rows()
    failed = sum(check.ok is False for check in found)
    ending = (
        f"failed: {failed} of {plural(len(found), 'check')}"
        if failed
        else "ready: remediate fix-offload --check shows what a repair would do"
    )
    yield from Line(ending).rows()
