"""Runs a playbook: its plays and waves in order, each host at its own pace. Results are emitted as events."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from remediation.engine.context import Ports
from remediation.engine.internal_errors import contain_errors
from remediation.engine.journal.journal import JournalError
from remediation.engine.lease.lock import TTL, claim
from remediation.engine.play.context.host_state import HostState, TaskResult
from remediation.engine.play.context.open_hosts import OpenHosts
from remediation.engine.play.context.run_request import InventoryView, OpenHost, RunRequest, RunSummary
from remediation.engine.play.context.run_state import PlayState, RunState, title_of
from remediation.engine.play.context.task_events import failed_task
from remediation.engine.play.context.variables import render_all
from remediation.engine.play.control_flow import HostFinished, HostLost, Interrupted, TaskFailed, UnknownHandler
from remediation.engine.play.host_runner import HostRunner
from remediation.engine.play.prompts import with_answers
from remediation.engine.play.selection import TaskSelection, selection
from remediation.engine.play.waves.executor import Executor, LocalExecutor, Wave
from remediation.engine.play.waves.serial import fatal_share, waves
from remediation.engine.play.waves.together import Together
from remediation.model.errors import RemediationError, UsageError
from remediation.model.event_data import NoteData, PlayStartData
from remediation.playbook.model import Play
from remediation.templating.templar import Scope


def run_playbook(request: RunRequest, ports: Ports, open_host: OpenHost, executor: Executor | None = None) -> RunSummary:
    """Run the playbook and return its summary. Raises `UsageError` if it cannot start.

    Hosts run in threads of this process unless an `executor` runs them elsewhere. An error on a host becomes the host's outcome.
    `RunSummary.error` is what ended the run as a whole (an unknown handler).
    """
    return PlaybookRunner(request, ports, open_host, executor).run()


def hosts_of(play: Play, request: RunRequest, inventory: InventoryView | None = None) -> tuple[str, ...]:
    """Return the hosts of a play; its pattern may use extra variables and the play's vars. Raises `RemediationError`.

    `inventory` is the one that tasks have changed, if any did.
    """
    return tuple((inventory or request.inventory).select(_pattern(play, request), request.limit))


def _pattern(play: Play, request: RunRequest) -> str | list[str]:
    value = Scope((request.extra, play.vars)).render(play.hosts)
    return [str(part) for part in value] if isinstance(value, list) else str(value)


def order_hosts(hosts: tuple[str, ...], play: Play, request: RunRequest) -> tuple[str, ...]:
    """Return the hosts in the play's ``order``."""
    order = "" if play.order is None else str(Scope((request.extra, play.vars)).render(play.order))
    if order not in ORDERS:
        raise UsageError(f"order: expected one of {', '.join(filter(None, ORDERS))}, got {order!r}", place=play.place)
    if order == "shuffle":
        return tuple(random.SystemRandom().sample(hosts, len(hosts)))
    found = sorted(hosts) if order.endswith("sorted") else list(hosts)
    return tuple(reversed(found)) if order.startswith("reverse") else tuple(found)


ORDERS = ("", "inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle")


def chosen_hosts(request: RunRequest) -> list[str]:
    """Return all hosts of a run, in the order in which its plays name them."""
    return list(dict.fromkeys(name for play in request.playbook.plays for name in hosts_of(play, request)))


class PlaybookRunner:
    """One run: its plays in order. ``stage`` holds the state that hosts share."""

    def __init__(self, request: RunRequest, ports: Ports, open_host: OpenHost, executor: Executor | None = None) -> None:
        request = replace(request, playbook=with_answers(request.playbook, request.extra))
        self.request = request
        self.ports = ports
        self.executor = executor or LocalExecutor()
        opened = OpenHosts(open_host, claim(request.run, request.command, token=request.token), ports, request.wait)
        self.stage = RunState(request, ports, opened)
        self.selection: TaskSelection = selection(request.tags, request.skip_tags, request.start_at, request.playbook)
        self.fatal = False

    def run(self) -> RunSummary:
        """Run all plays; in every case, leases are returned and hosts are closed."""
        begun = self.ports.clock.now()
        chosen = {play.index: hosts_of(play, self.request) for play in self.request.playbook.plays}
        self.stage.emit_start(self.request.command, list(dict.fromkeys(name for hosts in chosen.values() for name in hosts)))
        try:
            for play in self.request.playbook.plays:
                if self.fatal or self.ports.cancelled():
                    break
                self._play(play, chosen)
            if self.ports.clock.now() - self.request.cut_off < 2 * TTL:
                self.executor.release_stale_leases(self.stage, self.host_variables)
        except RemediationError as error:
            self.stage.broken = str(error)
        except KeyboardInterrupt:
            self._close(hasty=True)
            raise
        finally:
            self._close()
        return self.stage.end(begun, fatal=self.fatal)

    def _close(self, *, hasty: bool = False) -> None:
        self.executor.close(hasty=hasty)
        self.stage.opened.close(hasty=hasty)

    def _play(self, play: Play, chosen: dict[int, tuple[str, ...]]) -> None:
        inventory = self.stage.inventory
        if inventory is not self.request.inventory:  # tasks added hosts or groups
            hosts = chosen[play.index] = hosts_of(play, self.request, inventory)
            for name in hosts:
                self.stage.host(name).ended &= not self.stage.host(name).alive
        hosts = chosen[play.index]
        title = title_of(play, self.request.extra)
        if not hosts:
            pattern = _pattern(play, self.request)
            wanted = (
                f"{pattern if isinstance(pattern, str) else ','.join(pattern)!r}{' and --limit' if self.request.limit else ''}"
            )
            text = f"play {title!r}: no host of {', '.join(self.request.sources)} matches {wanted}"
            self.stage.emit("note", play=title, **NoteData(text=text, level="info"))
            return
        later = {name for index, names in chosen.items() if index > play.index for name in names}
        if not any(self.stage.host(name).alive for name in hosts):
            return  # all of them failed earlier
        self.stage.emit("play_start", play=title, **PlayStartData(hosts=list(hosts)))
        scope = Scope((self.request.extra, play.vars))
        for batch in waves(play, order_hosts(hosts, play, self.request), scope):
            stage = PlayState(self.stage, play, hosts, batch, title)
            self._wave(stage, later)
            if self.fatal or stage.over or self.ports.cancelled():
                break

    def _wave(self, stage: PlayState, later: set[str]) -> None:
        states = [self.stage.host(name) for name in stage.batch if self.stage.host(name).alive]
        if not states:
            return
        together = Together(stage)
        self.executor.run(
            Wave(stage, states, later, lambda state: self.walk_guarded(stage, state, later, together), self.stage.emit_host_end)
        )
        lost = [state for state in states if not state.alive]
        if fatal_share(stage, lost, Scope((self.request.extra, stage.play.vars))):
            self.fatal = True

    def walk_guarded(
        self, stage: PlayState, state: HostState, later: AbstractSet[str], together: Together
    ) -> Generator[Any, Any, None]:  # fmt: skip
        """Walk one host through the play, and turn early exits into the host's outcome."""
        try:
            with contain_errors(state.name, self.ports.crashed):
                yield from HostRunner(stage, state, self.selection, together).walk()
        except HostFinished:
            pass
        except Interrupted:
            state.interrupted, state.reason = True, state.reason or "interrupted"
        except HostLost as lost:
            _mark_lost(state, lost.task_result)
        except TaskFailed as failure:
            _mark_lost(state, failure.task_result)
            stage.fatal = stage.fatal or _fatal(stage, state, failure)
        except (UnknownHandler, JournalError):
            raise  # these end the whole run
        except RemediationError as error:
            state.recap.failed += 1
            _mark_lost(state, failed_task(error))
        if not state.alive or state.name not in later:
            self.stage.emit_host_end(state)

    def host_variables(self, name: str) -> Mapping[str, Any]:
        """Return a host's variables without those of any play."""
        return render_all(Scope(self.stage.host_layers(name)))


def _mark_lost(state: HostState, task_result: TaskResult) -> None:
    state.lost = task_result.outcome
    state.reason = task_result.reason or str(task_result.result.get("msg") or "")


def _fatal(stage: PlayState, state: HostState, failure: TaskFailed) -> bool:
    wanted = failure.task.settings.any_errors_fatal
    if wanted is None or isinstance(wanted, bool):
        return bool(wanted)
    try:
        scope = Scope((stage.stage.request.extra, stage.play.vars, *stage.stage.host_layers(state.name)))
        return bool(scope.render(wanted))
    except RemediationError:
        return True  # an invalid value counts as true: the run stops
