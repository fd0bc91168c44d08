"""The rounds of ``watch``: check all hosts, decide, repair, report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

from remediation.cli.context import Session
from remediation.cli.resources import PLAYBOOKS, find_resource
from remediation.cli.runner import RunOptions, execute_run, request_of
from remediation.cli.watch.check import HostCheck, HostChecks, failed_check
from remediation.cli.watch.memory import RepairAttempt, WatchMemory
from remediation.cli.watch.rules import RepairRules
from remediation.engine.exit_codes import Exit
from remediation.model.change import can_be_undone
from remediation.model.errors import RemediationError
from remediation.model.event import Event
from remediation.report.host_view import BAD

if TYPE_CHECKING:
    from remediation.cli.watch.metrics import WatchMetrics

_log = logging.getLogger(__name__)

PLAYBOOK = "fix-offload"
COMMAND = "watch"

BUSY = "busy"
"""What is remembered as reported of a host on which another run works."""

Report = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class RepairResults:
    """A listener that collects the result of each host of a run."""

    run: str = ""
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    next_steps: dict[str, str] = field(default_factory=dict)
    first_token: dict[str, dict[str, float]] = field(default_factory=dict)
    met: dict[str, bool] = field(default_factory=dict)
    undoable: set[str] = field(default_factory=set)

    def __call__(self, event: Event) -> None:
        """Receive one event."""
        data = event.data
        if event.kind == "run_start":
            self.run = str(data.get("run") or "")
        elif event.kind == "host_end":
            self.outcomes[event.host] = (str(data.get("outcome") or ""), str(data.get("reason") or ""))
            if data.get("busy"):
                self.busy.add(event.host)
        elif event.kind == "change_end":
            if data.get("applied") is not False and can_be_undone((data.get("change") or {}).get("undo")):
                self.undoable.add(event.host)
        elif event.kind == "goal":
            self.met[event.host] = data.get("state") == "met"
        elif event.kind == "task_result" and data.get("next_step"):
            self.next_steps[event.host] = str(data["next_step"])
        elif event.kind == "measurement":
            seconds = (data.get("figures") or {}).get("first_token_s")
            if seconds is not None:
                self.first_token.setdefault(event.host, {})[str(data.get("label"))] = float(seconds)

    def write(self, header: Mapping[str, Any]) -> None:
        """Write nothing: the results are read from this object."""


@dataclass(slots=True)
class Watch:
    """Hosts that are watched, with the decisions and reports so far."""

    hosts: Session
    options: RunOptions
    rules: RepairRules
    memory: WatchMemory
    report: Report
    metrics: WatchMetrics | None = None
    now: Callable[[], float] = time.time
    interrupted: bool = False
    """A signal ended a repair; the run's own handler has taken it, so that no exception says so."""

    def round(self, checks: HostChecks) -> int:
        """Check all hosts once and repair what the rules permit; return the exit code of the round."""
        found = list(self.hosts.each(checks.check, failed_check, self.hosts.selected()))
        due: dict[str, HostCheck] = {}
        left = False
        for check in found:
            if self.metrics is not None:
                self.metrics.on_check(check)
            if check.met is False:
                if self._is_due(check, len(due)):
                    due[check.host] = check
                else:
                    left = True
            else:
                left |= check.met is None
                self._report_state(check)
        failed = self._repair(due, checks) if due else False
        if self.interrupted:
            return Exit.INTERRUPTED
        if any(not check.reached for check in found):
            return 3
        return 2 if left or failed else 0

    def _report_state(self, check: HostCheck) -> None:
        """Report a host that is well again, or that cannot be read; each once."""
        if check.problem:
            kind = "unknown" if check.reached else "unreachable"
            if self.memory.is_news(check.host, kind):
                self._event(kind, check.host, check.problem)
        elif check.met and self.memory.reported.get(check.host):
            self.memory.is_news(check.host, "")
            self._event("recovered", check.host, check.text)

    def _is_due(self, check: HostCheck, planned: int) -> bool:
        """Return whether to repair the host now; a reason against it is reported once."""
        now = self.now()
        decision = self.rules.decide(check.host, check.cause, now, self.memory)
        if decision.repair and planned + len(self.memory.since(now - 3600.0)) >= self.rules.per_hour:
            self._news("waiting", check, f"{self.rules.per_hour} repairs within the last hour, the limit")
            return False
        if not decision.repair:
            self._news("flapping" if decision.flapping else "waiting", check, decision.why)
        return decision.repair

    def _news(self, kind: str, check: HostCheck, why: str) -> None:
        if self.memory.is_news(check.host, f"{kind} {check.cause}"):
            what = why if why.startswith(check.cause) else f"{check.cause}: {why}"
            self._event(kind, check.host, f"{what} ({check.text})", cause=check.cause)

    def _repair(self, due: Mapping[str, HostCheck], checks: HostChecks) -> bool:
        """Repair the hosts in one run; return whether one of them was not repaired."""
        for check in due.values():
            if self.memory.reported.get(check.host) != f"{BUSY} {check.cause}":
                self._event("repairing", check.host, f"{check.cause}: {check.text}", cause=check.cause)
            checks.close(check.host)
        results = RepairResults()
        error = self._run(list(due), results)
        failed = False
        for host, check in due.items():
            outcome, reason = results.outcomes.get(host, ("failed", error or "the run ended before this host"))
            if host in results.busy:  # nothing was tried, so no cool-down begins
                failed = True
                if self.memory.is_news(host, f"{BUSY} {check.cause}"):
                    self._event("waiting", host, f"{check.cause}: {reason.removeprefix(f'{host}: ')}", cause=check.cause)
                continue
            well = outcome not in BAD and results.met.get(host, False)
            failed |= not well
            self.memory.attempts.append(RepairAttempt(host, check.cause, self.now(), results.run, well))
            after = f"; next: {results.next_steps[host]}" if host in results.next_steps and not well else ""
            undo = f"; undo: remediate undo {results.run}" if host in results.undoable else ""
            text = f"{check.cause}: {'repaired' if well else f'{outcome}, {reason}' if reason else outcome}{after}{undo}"
            kind = "repaired" if well else "failed"
            self.memory.is_news(host, "" if well else f"failed {check.cause}")
            self._event(kind, host, text, cause=check.cause, run=results.run)
            if self.metrics is not None:
                self.metrics.on_repair(host, check.cause, kind, results.first_token.get(host, {}))
        return failed

    def _run(self, names: Sequence[str], results: RepairResults) -> str:
        """Run the repair; return the error that ended it as a whole, an empty text if none did."""
        path = find_resource(PLAYBOOKS, PLAYBOOK)
        run_options = RunOptions.of(self.options, playbook=PLAYBOOK, json=True, limit=",".join(names))
        try:
            code = execute_run(
                request_of(COMMAND, run_options, self.hosts, path), self.hosts, run_options, StringIO(), listening=[results]
            )
            self.interrupted = code == Exit.INTERRUPTED
        except RemediationError as error:
            _log.warning("the repair ended: %s", error.message)
            return error.message
        return ""

    def _event(self, kind: str, host: str, text: str, **more: str) -> None:
        self.report(self.hosts.masker({"event": kind, "time": self.now(), "host": host, "text": f"{host}: {text}", **more}))
