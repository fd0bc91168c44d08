"""Playbooks run in this process on real connections (this machine, a closed port), with no facets: flow actions need none.

``python -m tests.playbook.play_runner PLAYBOOK --inventory INV [-e ..] [--limit ..] [--tags ..] [--skip-tags ..] [--check] --json``
takes the arguments that the parity cases are run with.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remediation.cli.extra_vars import extra_variables
from remediation.connections.calls import Connection
from remediation.connections.factory import open_connection
from remediation.connections.settings import from_variables
from remediation.engine.context import Policy, Ports
from remediation.engine.events import Emitter
from remediation.engine.play.context.run_request import OpenHost, RunRequest, RunSummary
from remediation.engine.play.runner import run_playbook
from remediation.facets.protocols import NO_CONTEXT, LookContext, Reader, Writer
from remediation.inventory.load import load_inventory
from remediation.model.clock import Clock, SystemClock
from remediation.model.errors import RemediationError
from remediation.model.event import Event
from remediation.playbook.load import load_playbook
from remediation.report.json_lines import JsonLines
from remediation.templating.yaml.located import mark_trusted


def _no_script(name: str) -> str:
    raise LookupError(name)


class BareHost:
    """A host that has a connection and nothing else."""

    notes: Sequence[str] = ()

    def __init__(self, name: str, variables: Mapping[str, Any], *, check: bool) -> None:
        self.clock: Clock = SystemClock()
        self.connection: Connection = open_connection(from_variables(name, variables), scripts=_no_script, check=check)
        self.closed = False

    @property
    def round_trips(self) -> int:
        return self.connection.round_trips

    @property
    def reader(self) -> Reader:
        raise NotImplementedError

    def reader_for(self, purpose: str, *, snapshot: Reader | None = None, context: LookContext = NO_CONTEXT) -> Reader:
        raise NotImplementedError

    def writer(self, on_progress: object = None) -> Writer:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True
        self.connection.close()


@dataclass
class Ran:
    """The events of a run. ``task_results(host)`` returns a host's results as (task, outcome, msg)."""

    summary: RunSummary
    events: list[Event] = field(default_factory=list)

    def task_results(self, host: str, *, items: bool = False) -> list[tuple[str, str, Any]]:
        return [
            (event.task, event.data["outcome"], event.data["msg"])
            for event in self.events
            if event.kind == "task_result" and event.host == host and (items or "item" not in event.data)
        ]

    def results(self, task: str, host: str = "alpha") -> Mapping[str, Any]:
        found = [event.data for event in self.events if event.kind == "task_result" and event.task == task and event.host == host]
        return found[-1]


def run(
    playbook: Path,
    inventory: Sequence[Path | str],
    *,
    extra: Sequence[str] = (),
    sinks: Sequence[Callable[[Event], None]] = (),
    check: bool = False,
    open_with: OpenHost = BareHost,
    **request: Any,
) -> Ran:
    """Run a playbook as the command line does; raises what is wrong with its input."""
    known = mark_trusted(extra_variables(extra))
    ran: list[Event] = []
    summary = run_playbook(
        RunRequest(
            command="play",
            playbook=load_playbook(playbook, extra=known),
            inventory=load_inventory(inventory, playbook_dir=playbook.parent),
            run="7f3a",
            extra=known,
            sources=tuple(map(str, inventory)),
            policy=Policy(check=check, run_started=time.time()),
            **request,
        ),
        Ports(emit=Emitter([ran.append, *sinks])),
        open_with,
    )
    return Ran(summary, ran)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("playbook", type=Path)
    parser.add_argument("--inventory", type=Path)
    parser.add_argument("-e", dest="extra", action="append", default=[])
    parser.add_argument("--limit")
    parser.add_argument("--tags", action="append", default=[])
    parser.add_argument("--skip-tags", action="append", default=[])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        ran = run(
            asked.playbook,
            [asked.inventory],
            extra=asked.extra,
            sinks=[JsonLines(sys.stdout)],
            check=asked.check,
            limit=asked.limit,
            tags=tuple(asked.tags),
            skip_tags=tuple(asked.skip_tags),
        )
    except RemediationError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stderr.write(ran.summary.error)
    return ran.summary.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
