"""Commands that follow a run: resume it, undo it, or apply a saved plan."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TextIO

from remediation.cli.context import Session, open_session
from remediation.cli.options import Apply, Resume, Undo
from remediation.cli.resources import PLAYBOOKS, find_resource
from remediation.cli.runner import RunOptions, execute_run, report_listeners, request_of
from remediation.cli.spread.executor import LOCAL
from remediation.engine.followup.followups import apply_plan, resume_run, undo_run
from remediation.engine.followup.plan import load_plan
from remediation.engine.journal.history import RunRecord, find_run
from remediation.engine.journal.journal import Journal, JournalError
from remediation.engine.journal.run_lock import RunLock
from remediation.model.errors import UsageError
from remediation.model.text.shape import mismatch


@contextmanager
def locked_run(run: str) -> Iterator[tuple[RunRecord, RunLock]]:
    """Lock a run and read it, before it is resumed or undone. Raises `UsageError`, and `RunAlive` while it is running."""
    folder = find_run(run).folder
    try:
        lock = RunLock(folder)
    except OSError as error:
        sentence = f"run {folder.name} cannot be locked: {error.strerror or error}"
        raise JournalError(sentence, next_step=f"check the permissions of {folder}") from None
    try:
        yield find_run(folder.name), lock
    finally:
        lock.release()


def resume_from_journal(options: Resume, stream: TextIO) -> int:
    """Resume a run in its own journal."""
    with locked_run(options.run) as (record, lock):
        report, tape = here(options.report), here(options.record)
        saved = load_saved_options(record.header, record.run, limit=options.limit, extra_vars=options.extra_vars)
        saved = replace(
            saved, json=options.json, verbose=options.verbose, diff=options.diff or saved.diff, report=report, out=None, record=tape,
            wait=options.wait or saved.wait, executor=options.executor or saved.executor,
            executor_plaintext=options.executor_plaintext or saved.executor_plaintext, max_risk=options.max_risk or saved.max_risk,
            yes_destroy=(*saved.yes_destroy, *options.yes_destroy),
        )  # fmt: skip
        path, files = find_resource(PLAYBOOKS, saved.playbook), report_listeners(saved)
        for event in record.events:
            for each in files if event.kind != "run_end" else ():
                each(event)  # the report covers the whole run, not only its last part
        with open_session(saved, playbook=path) as hosts:
            require_secrets(record.header, f"run {record.run}", hosts)
            request = replace(request_of(str(record.header.get("command", "play")), saved, hosts, path), repeat=options.repeat)
            if options.check:
                raise UsageError(f"--check cannot resume run {record.run}", next_step="run its playbook with --check instead")
            return execute_run(
                request, hosts, saved, stream, listening=files, journal=Journal(record.folder, lock), earlier=record.events,
                go=lambda *rest: resume_run(record, *rest, mask=hosts.masker),
            )  # fmt: skip


def undo_from_journal(options: Undo, stream: TextIO) -> int:
    """Undo a run; the undo is a separate run with its own journal."""
    if options.executor not in {None, LOCAL}:
        raise UsageError(
            f"--executor {options.executor} cannot undo a run", next_step="leave it out: this machine undoes the changes"
        )
    with locked_run(options.run) as (record, _):
        report, tape = here(options.report), here(options.record)
        before = load_saved_options(record.header, record.run, limit=options.limit, extra_vars=options.extra_vars)
        run_options = replace(
            before, check=options.check, diff=options.diff, json=options.json, verbose=options.verbose, max_risk=options.max_risk,
            yes_destroy=options.yes_destroy, report=report, wait=options.wait, out=None, record=tape, executor=None,
        )  # fmt: skip
        path = find_resource(PLAYBOOKS, run_options.playbook)
        with open_session(run_options, playbook=path) as hosts:
            require_secrets(record.header, f"run {record.run}", hosts)
            return execute_run(
                request_of("undo", run_options, hosts, path), hosts, run_options, stream, listening=report_listeners(run_options),
                go=lambda request, ports, opener, _: undo_run(record, request, ports, opener, task=options.task or ""),
            )  # fmt: skip


def apply_saved_plan(options: Apply, stream: TextIO) -> int:
    """Apply a saved plan, or some of its changes."""
    plan, report, tape = load_plan(Path(options.plan)), here(options.report), here(options.record)
    before = load_saved_options(plan.header, options.plan, limit=None, extra_vars=options.extra_vars)
    run_options = replace(
        before, check=False, out=None, diff=options.diff, json=options.json, verbose=options.verbose,
        max_risk=options.max_risk or before.max_risk, yes_destroy=options.yes_destroy, report=report, wait=options.wait,
        last_resort=before.last_resort, record=tape, executor=options.executor or before.executor,
        executor_plaintext=options.executor_plaintext or before.executor_plaintext,
    )  # fmt: skip
    plan.select(options.only)
    path = find_resource(PLAYBOOKS, run_options.playbook)
    with open_session(run_options, playbook=path) as hosts:
        require_secrets(plan.header, f"the plan {options.plan}", hosts)
        return execute_run(
            request_of("apply", run_options, hosts, path), hosts, run_options, stream, listening=report_listeners(run_options),
            go=lambda *rest: apply_plan(plan, *rest, only=options.only),
        )  # fmt: skip


def here(name: str | None) -> str | None:
    """Return the absolute path of a file named in the current folder, before changing to the earlier run's folder."""
    return str(Path(name).absolute()) if name is not None else None


def load_saved_options(header: Mapping[str, Any], what: str, *, limit: str | None, extra_vars: tuple[str, ...]) -> RunOptions:
    """Return the options of an earlier run and change to its working folder. Raises `UsageError` if they cannot be restored."""
    kept = header.get("asked")
    folder = Path(str(header.get("folder") or "."))
    if not isinstance(kept, Mapping):
        raise UsageError(f"{what} does not record its options; it was made by another version", next_step="run the command again")
    if not folder.is_dir():
        raise UsageError(f"{what} was started in {folder}, which no longer exists", next_step="restore the folder")
    given = tuple(f"@{Path(text[1:]).expanduser().absolute()}" if text.startswith("@") else text for text in extra_vars)
    os.chdir(folder)  # its relative paths start there
    known = {item.name: item for item in fields(RunOptions)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in kept.items() if name in known
    }
    saved = RunOptions(**values)
    odd = mismatch(saved, RunOptions)
    if odd is not None:
        raise UsageError(f"{what} is damaged: {odd}", next_step="run its playbook again")
    return replace(saved, limit=limit or saved.limit, extra_vars=(*saved.extra_vars, *given))


def require_secrets(header: Mapping[str, Any], what: str, hosts: Session) -> None:
    """Raise `UsageError` if a secret given to the earlier run by ``-e`` is neither given again nor in the inventory."""
    kept = header.get("secret_vars")
    names = [str(name) for name in kept] if isinstance(kept, list) else []
    there = {name for host in hosts.inventory.hosts for layer in hosts.inventory.layers(host) for name in layer}
    missing = [name for name in names if name not in hosts.extra and name not in there]
    if missing:
        again = " ".join(f"-e {name}=VALUE" for name in missing)
        raise UsageError(
            f"{what} was made with -e {', '.join(missing)}, and secrets are not stored", next_step=f"give it again: {again}"
        )
