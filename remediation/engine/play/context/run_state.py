"""State shared by all hosts of a run, and by all hosts of a play."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from remediation.engine.context import Ports
from remediation.engine.exit_codes import OF_OUTCOME, Exit, worst
from remediation.engine.play.context.gathered import FactVariables
from remediation.engine.play.context.host_state import HostState, restored_state
from remediation.engine.play.context.open_hosts import OpenHosts
from remediation.engine.play.context.run_request import InventoryView, RunRequest, RunSummary
from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.event_data import HostEndData, RunEndData, RunStartData
from remediation.model.outcome import Outcome
from remediation.playbook.load import load_tasks
from remediation.playbook.model import LoadedTasks, Play, Task, TaskSettings
from remediation.playbook.roles import RoleUse
from remediation.templating.templar import Scope

Counted = threading.Semaphore


@dataclass
class RunState:
    """One run: its request, ports, hosts and their connections. ``broken`` is the reason why the whole run ends."""

    request: RunRequest
    ports: Ports
    opened: OpenHosts
    hosts: dict[str, HostState] = field(default_factory=dict)
    broken: str = ""
    _throttles: dict[tuple[str, int], Counted] = field(default_factory=dict)
    _files: dict[tuple[object, str], tuple[TaskSettings, LoadedTasks]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _steps: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inventory: InventoryView = self.request.inventory
        """The inventory with the hosts and groups that tasks added."""

    def grow(self, change: Callable[[InventoryView], InventoryView]) -> bool:
        """Change the inventory for the rest of the run. Returns whether it is another one. Raises `UsageError`."""
        with self._lock:
            before = self.inventory
            self.inventory = change(before)
            self.__dict__.pop("names", None)
            return self.inventory is not before

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All hosts of the inventory, regardless of the limit."""
        return tuple(self.inventory.select("all"))

    def host(self, name: str) -> HostState:
        """Return a host's state; it is created on first use."""
        if name not in self.hosts:
            self.hosts[name] = restored_state(name, self.request.progress.get(name))
        return self.hosts[name]

    def host_layers(self, name: str) -> list[Mapping[str, Any]]:
        """Return a host's variables without those of any play, highest precedence first."""
        inventory = self.inventory
        state = self.hosts.get(name)
        own = [state.facts, state.included, FactVariables(state, own=False)] if state else []
        return [self.request.extra, *own, *inventory.layers(name), inventory.magic(name)]

    def emit(self, kind: str, *, host: str = "", play: str = "", task: str = "", **data: Any) -> None:
        """Emit one event."""
        self.ports.emit(Event(kind, self.ports.clock.now(), host=host, play=play, task=task, data=data))

    def emit_start(self, command: str, hosts: Sequence[str], undoes: str = "") -> None:
        """Emit the start of the run."""
        request = self.request
        data = RunStartData(
            run=request.run,
            command=command,
            check=request.policy.check,
            max_risk=str(request.policy.max_risk),
            playbook=str(request.playbook.path),
            inventory=list(request.sources),
            hosts=list(hosts),
            resumed=bool(request.progress),
        )
        if undoes:
            data["undoes"] = undoes
        self.emit("run_start", **data)

    def emit_host_end(self, state: HostState) -> None:
        """Emit the end of a host, once."""
        if not state.ended:
            state.ended = True
            ended = HostEndData(outcome=str(state.outcome), reason=state.reason)
            if state.busy and state.outcome is Outcome.BLOCKED:
                ended["busy"] = True
            self.emit("host_end", host=state.name, **ended)

    def end(self, begun: float, *, fatal: bool = False) -> RunSummary:
        """Emit the end of each host and of the run, which began at `begun`, and return its summary."""
        for state in self.hosts.values():
            self.emit_host_end(state)
        seconds = self.ports.clock.now() - begun
        hosts = {name: state.recap.to_json() for name, state in self.hosts.items()}
        outcomes = {name: state.outcome for name, state in self.hosts.items()}
        codes: list[int] = [OF_OUTCOME[outcome] for outcome in outcomes.values()]
        codes += [Exit.INTERRUPTED] if self.ports.cancelled() else []
        codes += [Exit.USAGE] if self.broken else []
        codes += [Exit.FAILED] if fatal and not any(codes) else []
        code = int(worst(codes))
        self.emit("run_end", **RunEndData(run=self.request.run, hosts=hosts, exit_code=code, seconds=seconds))
        return RunSummary(code, hosts, outcomes, seconds, self.broken)

    def throttle(self, path: str, most: int) -> Counted:
        """Return a semaphore that admits at most `most` hosts to a task at a time."""
        with self._lock:
            return self._throttles.setdefault((path, most), threading.Semaphore(most))

    def confirm_task(self, task: Task) -> bool:
        """Return whether the user wants to run a task (``--step``); asked once for all hosts. Raises `UsageError` without a terminal."""
        prompt = self.ports.prompt
        if not prompt.available:
            raise UsageError("--step needs a terminal to ask at", next_step="leave it out")
        with self._asking:
            if task.path not in self._steps:
                self._steps[task.path] = prompt.confirm(f"Run the task {task.title!r}?")
            return self._steps[task.path]

    def tasks_of(self, path: Path, outer: TaskSettings, prefix: str, near: Path, use: RoleUse | None = None) -> LoadedTasks:
        """Return the tasks of an included file or role, read once for all hosts. `near` is the play's folder. Raises `InputError`.

        `outer` is part of the tasks. The cache keeps it and compares its identity, so that other settings never match.
        """
        request = self.request
        with self._lock:
            key = (path if use is None else (path, use.name, repr(use.files), use.validate), prefix)
            kept = self._files.get(key)
            if kept is not None and kept[0] is outer:
                return kept[1]
            loaded = load_tasks(
                path,
                root=request.playbook.path.parent,
                outer=outer,
                prefix=prefix,
                steps=self.ports.steps,
                extra=request.extra,
                decrypt=request.playbook.decrypt,
                roles_path=request.playbook.roles_path,
                use=use,
                near=near,
            )
            self._files[key] = (outer, loaded)
            return loaded


@dataclass
class PlayState:
    """One wave of one play.

    ``excluded`` are the hosts that left it; ``over`` ends the play for later waves; ``fatal`` ends the run after this wave.
    """

    stage: RunState
    play: Play
    hosts: Sequence[str]
    batch: Sequence[str]
    title: str = ""
    excluded: set[str] = field(default_factory=set)
    over: bool = False
    fatal: bool = False

    def remaining_hosts(self) -> list[str]:
        """Return the play's hosts that have neither failed nor left by ``meta: end_host``."""
        return self._participating_hosts(self.hosts)

    def still_in_batch(self) -> list[str]:
        """Return the wave's hosts that have neither failed nor left by ``meta: end_host``."""
        return self._participating_hosts(self.batch)

    def _participating_hosts(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self.excluded and self.stage.host(name).alive]


def title_of(play: Play, extra: Mapping[str, Any]) -> str:
    """Return a play's name, rendered with the variables known before any host."""
    scope = Scope((extra, play.vars))
    return str(scope.render(play.title)) if "{" in play.title else play.title
