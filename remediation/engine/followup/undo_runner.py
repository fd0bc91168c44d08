"""Runs an undo on all hosts in parallel; on each host, the last change first."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from remediation.engine.context import Ports
from remediation.engine.followup.undo import ChangeToUndo, UndoPlan, undo_calls
from remediation.engine.internal_errors import contain_errors
from remediation.engine.journal.journal import JournalError
from remediation.engine.journal.serialization import result_to_json
from remediation.engine.lease.lock import claim
from remediation.engine.play.context.host_facts import look_once
from remediation.engine.play.context.host_state import HostState
from remediation.engine.play.context.open_hosts import OpenHosts
from remediation.engine.play.context.run_request import OpenHost, RunRequest, RunSummary
from remediation.engine.play.context.run_state import PlayState, RunState
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.context.variables import TaskVariables
from remediation.engine.play.waves.scheduler import run_walks
from remediation.engine.step.attempts import outcome_of
from remediation.model.errors import HostError, RemediationError
from remediation.model.event_data import NoteData, PlayStartData, TaskStartData
from remediation.model.outcome import Outcome, Result
from remediation.playbook.model import Play, Task, TaskSettings


class Undoer:
    """One undo of one run."""

    def __init__(self, undone: str, plan: UndoPlan, request: RunRequest, ports: Ports, open_host: OpenHost) -> None:
        self.undone = undone
        self.plan = plan
        self.request = request
        self.ports = ports
        claimed = claim(request.run, f"undo {undone}", undoes=undone, token=request.token)
        self.stage = RunState(request, ports, OpenHosts(open_host, claimed, ports, request.wait))
        self.title = f"Undo {undone}"
        play = Play(self.title, 0, "all", request.playbook.path)
        hosts = tuple(dict.fromkeys((*plan.hosts, *(item.host for item in plan.lasting))))
        self.play = PlayState(self.stage, play, hosts, hosts, self.title)

    def run(self) -> RunSummary:
        """Undo every change that has an undo, and return the summary."""
        begun = self.ports.clock.now()
        self.stage.emit_start("undo", self.play.hosts, undoes=self.undone)
        self.stage.emit("play_start", play=self.title, **PlayStartData(hosts=list(self.play.hosts)))
        for item in self.plan.lasting:
            text = f"cannot be undone: {item.change.summary}"
            self.stage.emit("note", host=item.host, play=self.title, task=item.task, **NoteData(text=text, level="warning"))
        try:
            if self.plan.hosts:
                run_walks({name: self._undo_host(self.stage.host(name)) for name in self.plan.hosts}, self.request.forks)
        except KeyboardInterrupt:
            self.stage.opened.close(hasty=True)
            raise
        finally:
            self.stage.opened.close()
        for name in self.play.hosts:
            self.stage.host(name)
        return self.stage.end(begun)

    def _undo_host(self, state: HostState) -> Generator[Any, Any, None]:
        """Undo one host's changes; an internal error ends the host."""
        try:
            with contain_errors(state.name, self.ports.crashed):
                yield from self._walk(state)
        except JournalError:
            raise
        except RemediationError as error:
            state.lost, state.reason = Outcome.FAILED, error.message
            state.recap.failed += 1

    def _walk(self, state: HostState) -> Generator[Any, Any, None]:
        variables = TaskVariables(self.play, state)
        for item in self.plan.of(state.name).steps:
            if self.ports.cancelled():
                return
            rights = TaskSettings(become=item.rights.get("ansible_become"), become_user=item.rights.get("ansible_become_user"))
            task = Task(item.task, "undo", {}, f"undo/{item.index}", settings=rights)
            context = TaskContext(self.play, state, variables, task, path=task.path)
            context.emit("task_start", **TaskStartData(path=context.path))
            result = self._undo(item, context)
            context.emit("task_result", path=context.path, ignored=False, msg=result.reason, **result_to_json(result))
            self._count(state, result)
            if result.outcome.bad:
                state.lost, state.reason = result.outcome, result.reason
                return
        yield from ()

    def _undo(self, item: ChangeToUndo, context: TaskContext) -> Result:
        try:
            with context.contain_errors():
                opened = context.open()
                hold = context.hold(opened)
                look_once(context, opened)
                results = undo_calls(UndoPlan((item,), ()), context.context(opened, hold))
        except HostError as error:
            return Result(outcome_of(error), error.message, next_step=error.next_step)
        except RemediationError as error:
            return Result(Outcome.FAILED, error.message, next_step=error.next_step)
        return results[0][1] if results else Result(Outcome.SKIPPED, f"interrupted before undoing: {item.change.summary}")

    def _count(self, state: HostState, result: Result) -> None:
        recap = state.recap
        if result.outcome is Outcome.UNREACHABLE:
            recap.unreachable += 1
        elif result.outcome is Outcome.BLOCKED:
            recap.blocked += 1
        elif result.outcome.bad:
            recap.failed += 1
        else:
            recap.ok += 1
            recap.changed += bool(result.changes)
            state.pending = state.pending or result.outcome is Outcome.WOULD_CHANGE
