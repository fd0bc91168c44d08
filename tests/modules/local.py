"""Playbooks run in this process on this machine, with its real files, programs and services."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from remediation.engine.context import Policy, Ports
from remediation.engine.events import Emitter
from remediation.engine.play.context.run_request import RunRequest
from remediation.engine.play.runner import run_playbook
from remediation.facets.host_factory import open_host
from remediation.inventory.load import load_inventory
from remediation.model.change import Risk
from remediation.model.event import Event
from remediation.playbook.load import load_playbook

INVENTORY = "all: {hosts: {alpha: {ansible_connection: local}}}\n"


class Run:
    """The results of a run by task, its changes, and its exit code."""

    def __init__(self, events: Sequence[Event], code: int) -> None:
        self.events, self.code = events, code
        self.results: Mapping[str, Mapping[str, Any]] = {
            event.task: event.data for event in events if event.kind == "task_result" and "item" not in event.data
        }
        self.changes = [event.data for event in events if event.kind in {"change_end", "change_planned"}]

    def outcomes(self) -> dict[str, str]:
        return {task: data["outcome"] for task, data in self.results.items()}

    def result(self, task: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.results[task]["result"]
        return found


def run_tasks(folder: Path, tasks: Sequence[Mapping[str, Any]], *, check: bool = False, diff: bool = False, **play: Any) -> Run:
    """Run the tasks of a play in `folder`; a task without a name is called after its module."""
    named = [
        {"name": str(next(key for key in task if key not in {"name", "register", "when", "args", "vars"})), **task}
        for task in tasks
    ]
    path = folder / "site.yml"
    path.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, **play, "tasks": named}], sort_keys=False), "utf-8")
    return run_file(path, folder, check=check, diff=diff)


def run_file(path: Path, folder: Path, *, check: bool = False, diff: bool = False, extra: Mapping[str, Any] | None = None) -> Run:
    """Run a playbook on this machine."""
    (folder / "inv.yml").write_text(INVENTORY, "utf-8")
    events: list[Event] = []
    summary = run_playbook(
        RunRequest(
            command="play",
            playbook=load_playbook(path, extra=extra or {}),
            inventory=load_inventory([folder / "inv.yml"], playbook_dir=path.parent),
            run="7f3a",
            extra=extra or {},
            policy=Policy(check=check, diff=diff, max_risk=Risk.SAFE, run_started=time.time()),
        ),
        Ports(emit=Emitter([events.append])),
        open_host,
    )
    return Run(events, summary.exit_code)
