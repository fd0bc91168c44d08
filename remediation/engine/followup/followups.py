"""What may follow a run: to go on after it was cut off, to take it back, to apply what its check mode planned."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from remediation.engine.context import NoPrompt, Ports
from remediation.engine.events import Emitter
from remediation.engine.exit_codes import Exit
from remediation.engine.followup.plan import Plan, plan_of, verify_hosts, verify_plan
from remediation.engine.followup.undo import undo_plan
from remediation.engine.followup.undo_runner import Undoer
from remediation.engine.journal.history import RunRecord
from remediation.engine.journal.progress import progress_of
from remediation.engine.play.context.run_request import OpenHost, RunRequest, RunSummary
from remediation.engine.play.runner import chosen_hosts, run_playbook
from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.secrets.masking import Masker
from remediation.model.text.shape import intact
from remediation.templating.yaml.masked_source import masked_source


def resume_run(
    record: RunRecord, request: RunRequest, ports: Ports, open_host: OpenHost, *, mask: Masker | None = None
) -> RunSummary:
    """Go on with a run that was cut off or lost hosts, in its own journal; what is done is not repeated.

    `request` is the run's own, made again from its header. Raises `UsageError` where there is nothing left to do, and where
    its files are no longer those that it began with.
    """
    end = record.end
    if end is not None and end.data.get("exit_code") in {int(Exit.OK), int(Exit.PENDING)}:
        raise UsageError(f"run {record.run} has come to its end", next_step="run its playbook again")
    if record.header.get("check"):
        raise UsageError(f"run {record.run} was a rehearsal and changed nothing", next_step="run its playbook")
    edited = changed_files(record, request.playbook.files, mask or Masker())
    if edited:
        raise UsageError(
            f"{', '.join(edited)} changed since run {record.run} began, so its tasks are no longer the same",
            next_step="put the file back, or run the playbook anew: what is done already changes nothing",
        )
    policy = dataclasses.replace(request.policy, run_started=record.started)
    with intact(f"run {record.run}", "run its playbook again: what is done already changes nothing"):
        known = progress_of(record.events)
    cut_off = record.events[-1].time if end is None and record.events else 0.0
    mine = dataclasses.replace(request, run=record.run, policy=policy, progress=known, cut_off=cut_off)
    return run_playbook(mine, ports, open_host)


def changed_files(record: RunRecord, files: Iterable[Path], mask: Masker) -> list[str]:
    """Return which of `files` differ from the texts that the run kept of them; of a name that several have, none is compared."""
    paths = list(files)
    names = [path.name for path in paths]
    edited = []
    for path in paths:
        kept = record.file(path.name)
        if kept is None or names.count(path.name) > 1:
            continue
        try:
            now = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            edited.append(str(path))
            continue
        if masked_source(now, mask) != kept:
            edited.append(str(path))
    return edited


def undo_run(record: RunRecord, request: RunRequest, ports: Ports, open_host: OpenHost, *, task: str = "") -> RunSummary:
    """Take back what a run changed, the last change first, on the hosts of ``request.limit`` and of one `task` where given.

    It is a run of its own, with its own journal. What cannot be taken back is said first. Raises `UsageError` where the run
    changed nothing that could be.
    """
    selected = set(request.inventory.select("all", request.limit))
    with intact(f"run {record.run}", f"see remediate show {record.run}, and put back by hand what it changed"):
        plan = undo_plan(record.events, wanted=selected.__contains__, task=task)
    if not plan.steps and not plan.lasting:
        of = f" in the task {task!r}" if task else ""
        raise UsageError(f"run {record.run} changed nothing{of} on these hosts", next_step=f"see remediate show {record.run}")
    return Undoer(record.run, plan, request, ports, open_host).run()


def apply_plan(plan: Plan, request: RunRequest, ports: Ports, open_host: OpenHost, *, only: tuple[str, ...] = ()) -> RunSummary:
    """Apply a saved plan or the changes of it that `only` names; raises `StalePlan` where a fresh look differs.

    `request` is the plan's own, made again from its header; its limits (``--max-risk``) are those of today.
    """
    selection = plan.select(only, ports.mask)
    verify_hosts(plan, chosen_hosts(request))
    verify_plan(plan, fresh_plan(request, ports, open_host, plan.header))
    policy = dataclasses.replace(request.policy, check=False)
    return run_playbook(dataclasses.replace(request, policy=policy), dataclasses.replace(ports, select=selection), open_host)


def fresh_plan(request: RunRequest, ports: Ports, open_host: OpenHost, header: Mapping[str, Any]) -> Plan:
    """Return what the same run would change now; told to nobody, nothing changed."""
    heard: list[Event] = []
    policy = dataclasses.replace(request.policy, check=True, interactive=False)
    silent = dataclasses.replace(ports, emit=Emitter([heard.append], ports.mask), prompt=NoPrompt())
    run_playbook(dataclasses.replace(request, policy=policy), silent, open_host)
    return plan_of(heard, header)
