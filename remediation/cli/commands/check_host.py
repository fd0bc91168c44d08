"""``check-host``: what a host offers and lacks, before anything is repaired. Reads only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from remediation.cli.options import CheckHost
from remediation.cli.task import command_task

if TYPE_CHECKING:
    from remediation.cli.checks.preflight import Preflight
    from remediation.report.text import Line

PRECEDENCE = (1, 3, 2, 5)


@command_task(
    CheckHost,
    name="check-host",
    examples=(
        "remediate check-host                                # this machine",
        "remediate check-host --inventory fleet.yml --limit dev-13 --verbose",
    ),
)
def check_host(options: CheckHost) -> int:
    """Check whether hosts can be reached and repaired: one line each, all checks with -v. Changes nothing."""
    from remediation.cli.context import open_session
    from remediation.report.json_lines import document

    if options.self_test is not None:
        return _self_test(options, options.self_test)
    with open_session(options) as hosts:
        from remediation.cli.checks.preflight import failed_host, preflight
        from remediation.connections.settings import from_variables

        def one(name: str) -> Preflight:
            with hosts.open_for_reading(name, note=_ignore) as access:
                found = preflight(name, access, from_variables(name, hosts.variables(name)))
            return replace(found, checks=tuple(check.masked(hosts.masker.text) for check in found.checks))

        found = hosts.each(one, failed_host, hosts.selected())
    if options.json:
        sys.stdout.write(document([each.to_json() for each in found]))
    else:
        rows = [row for each in found for line in _lines(each, verbose=options.verbose or len(found) == 1) for row in line.rows()]
        sys.stdout.writelines(f"{row}\n" for row in rows)
    codes = {each.exit_code for each in found}
    return next((code for code in PRECEDENCE if code in codes), 0)


def _self_test(options: CheckHost, name: str) -> int:
    """Print the self-test of one Windows host: 0 if nothing differs from what is expected, else 2."""
    from remediation import __version__
    from remediation.cli.context import open_session
    from remediation.connections.settings import from_variables
    from remediation.model.errors import UsageError
    from remediation.report.json_lines import document

    with open_session(options) as hosts:
        from remediation.cli.checks.self_test import run_trials

        (host,) = hosts.inventory.select(name) or (None,)
        if host is None:
            raise UsageError(f"the inventory has no host {name}", next_step="remediate hosts lists them")
        settings = from_variables(host, hosts.variables(host))
        if settings.platform != "windows":
            raise UsageError(
                f"{host} is not a Windows host", next_step="name one that is reached over WinRM, or has a Windows shell"
            )
        with hosts.open_for_reading(host, note=_ignore) as access:
            session, system = access.reader.desktop.session(), access.reader.system.facts()
            done = run_trials(access.connection, access.clock)
    about = {
        "remediation": __version__, "connection": settings.kind, "powershell": session.shell_version, "windows": system.version,
        "rights": bool(session.elevated),
    }  # fmt: skip
    codes = [right for trial, right, _ in done if trial.judge is not None]
    if options.json:
        rows = [
            {"name": trial.name, "tells": trial.tells, "ok": right, "text": text, "command": trial.command}
            for trial, right, text in done
        ]
        sys.stdout.write(document([{**about, "trials": rows}]))
    else:
        sys.stdout.write(", ".join(f"{key} {value}" for key, value in about.items()) + "\n")
        for trial, right, text in done:
            mark = "?" if trial.judge is None else {True: "✓", False: "✗", None: "·"}[right]
            sys.stdout.write(f"{mark} {trial.name:22} {trial.tells}{f' ({text})' if text else ''}\n")
            if right is not True:
                sys.stdout.write(f"  {'':22} to find out: {trial.command}\n")
        expected, unknown = codes.count(True), codes.count(None)
        rest = f"{codes.count(False)} differ, {unknown} unknown, {len(done) - len(codes)} by hand"
        sys.stdout.write(f"{expected} as expected, {rest}. The report names no user, host or path: send it with an issue.\n")
    return 2 if False in codes else 0


def _ignore(note: str) -> None:
    """Ignore a note: the checks include all of them."""


def _lines(found: Preflight, *, verbose: bool) -> Iterator[Line]:
    from remediation.cli.checks.preflight import NOTE
    from remediation.report.text import Line

    failed = found.failed
    mark = "✗" if failed else "✓"
    head = "; ".join(f"{check.name}: {check.text}" for check in failed) or "can be reached and repaired"
    yield Line(head, lead=f"{mark} {found.host}  ")
    shown = found.checks if verbose else [check for check in found.checks if check.ok is False or check.name == NOTE]
    for check in shown:
        word = {True: "✓", False: "✗", None: "·"}[check.ok]
        if verbose or check.name == NOTE:
            yield Line(check.text, lead=f"    {word} {check.name:22}")
        if check.ok is not True and check.blocks:
            yield Line(check.blocks, lead=f"      {'':22}blocks: ")
        if check.ok is not True and check.cure:
            yield Line(check.cure, lead=f"      {'':22}next: ")
