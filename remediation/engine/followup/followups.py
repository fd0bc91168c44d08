"""Resume an interrupted run, undo a run, or apply a saved plan."""

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
from remediation.engine.play.context.run_request import InventoryView, OpenHost, RunRequest, RunSummary
from remediation.engine.play.runner import chosen_hosts, run_playbook
from remediation.engine.play.waves.executor import Executor
from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.files import read_bytes
from remediation.model.secrets.masking import MASK, Masker
from remediation.model.text.shape import intact
from remediation.templating.yaml.masked_source import masked_source


def resume_run(
    record: RunRecord, request: RunRequest, ports: Ports, open_host: OpenHost, executor: Executor | None = None, *,
    mask: Masker | None = None,
) -> RunSummary:  # fmt: skip
    """Resume a run that was interrupted or lost hosts, in its own journal; finished tasks are not repeated.

    `request` is the run's own, rebuilt from its header. Raises `UsageError` if nothing is left to do or if the run's files
    have changed since it began.
    """
    end = record.end
    if end is not None and end.data.get("exit_code") in {int(Exit.OK), int(Exit.PENDING)}:
        raise UsageError(f"run {record.run} is complete", next_step="run its playbook again")
    if record.header.get("check"):
        raise UsageError(f"run {record.run} was a dry run and changed nothing", next_step="run its playbook")
    edited = changed_files(record, request.playbook.files, mask or Masker())
    if edited:
        raise UsageError(
            f"{', '.join(edited)} changed since run {record.run} began, so its tasks are no longer the same",
            next_step="restore the file, or run the playbook again: finished tasks change nothing",
        )
    policy = dataclasses.replace(request.policy, run_started=record.started)
    with intact(f"run {record.run}", "run its playbook again: finished tasks change nothing"):
        known = progress_of(record.events)
    cut_off = record.events[-1].time if end is None and record.events else 0.0
    mine = dataclasses.replace(request, run=record.run, policy=policy, progress=known, cut_off=cut_off)
    return run_playbook(mine, ports, open_host, executor)


def changed_files(record: RunRecord, files: Iterable[Path], mask: Masker) -> list[str]:
    """Return which of `files` differ from the copies in the run's folder. Files that share a name are not compared."""
    paths = list(files)
    names = [path.name for path in paths]
    edited = []
    for path in paths:
        kept = record.file(path.name)
        if kept is None or names.count(path.name) > 1:
            continue
        try:
            now = read_bytes(path).decode("utf-8", errors="replace")
        except OSError:
            edited.append(str(path))
            continue
        if masked_source(now, mask) != kept:
            edited.append(str(path))
    return edited


def undo_run(record: RunRecord, request: RunRequest, ports: Ports, open_host: OpenHost, *, task: str = "") -> RunSummary:
    """Undo the changes of a run, last first, on the hosts of ``request.limit``, and of one `task` if given.

    Undoing is a run with its own journal. Changes that cannot be undone are listed first. Raises `UsageError` if the run
    changed nothing.
    """
    with intact(f"run {record.run}", f"see remediate show {record.run}, and restore manually what it changed"):
        request = dataclasses.replace(request, inventory=with_added_hosts(request.inventory, record.events))
        selected = set(request.inventory.select("all", request.limit))
        plan = undo_plan(record.events, wanted=selected.__contains__, task=task)
    if not plan.steps and not plan.lasting:
        of = f" in the task {task!r}" if task else ""
        raise UsageError(f"run {record.run} changed nothing{of} on these hosts", next_step=f"see remediate show {record.run}")
    return Undoer(record.run, plan, request, ports, open_host).run()


def with_added_hosts(inventory: InventoryView, events: Iterable[Event]) -> InventoryView:
    """Return the inventory with the hosts that a run added to it, without variables that the journal masks."""
    for event in events:
        added = event.data.get("result", {}).get("add_host") if event.data.get("action") == "add_host" else None
        if not isinstance(added, Mapping) or str(added["host_name"]) in inventory.select("all"):
            continue
        values = {name: value for name, value in added["host_vars"].items() if MASK not in str(value)}
        inventory = inventory.with_host(str(added["host_name"]), [str(name) for name in added["groups"]], values)
    return inventory


def apply_plan(
    plan: Plan, request: RunRequest, ports: Ports, open_host: OpenHost, executor: Executor | None = None, *,
    only: tuple[str, ...] = (),
) -> RunSummary:  # fmt: skip
    """Apply a saved plan, or only its changes named by `only`. Raises `StalePlan` if a fresh observation differs.

    `request` is the plan's own, rebuilt from its header; its limits (``--max-risk``) are today's.
    """
    selection = plan.select(only, ports.mask)
    verify_hosts(plan, chosen_hosts(request))
    verify_plan(plan, fresh_plan(request, ports, open_host, plan.header, executor))
    policy = dataclasses.replace(request.policy, check=False)
    chosen = dataclasses.replace(ports, select=selection)
    return run_playbook(dataclasses.replace(request, policy=policy), chosen, open_host, executor)


def fresh_plan(
    request: RunRequest, ports: Ports, open_host: OpenHost, header: Mapping[str, Any], executor: Executor | None = None
) -> Plan:  # fmt: skip
    """Return what the same run would change now, without emitting events or changing anything."""
    events: list[Event] = []
    policy = dataclasses.replace(request.policy, check=True, interactive=False)
    silent = dataclasses.replace(ports, emit=Emitter([events.append], ports.mask), prompt=NoPrompt())
    run_playbook(dataclasses.replace(request, policy=policy), silent, open_host, executor)
    return plan_of(events, header)
