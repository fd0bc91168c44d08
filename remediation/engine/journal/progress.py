"""The progress of an interrupted run, per host, computed from its journal.

Every task with a ``task_result`` is finished. Of the unfinished task, the completed changes are counted; a change that was
sent without a recorded end is passed to the executor, which checks it first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation.engine.context import HostMemory, under
from remediation.engine.journal.serialization import change_from_json
from remediation.model.change import Change
from remediation.model.event import Event
from remediation.model.outcome import Outcome

COMMAND = "command"
"""The step name in ``change_start`` for a program, and the action of its task.

Other steps check their state before they send a change again.
"""


@dataclass(slots=True)
class Progress:
    """One host of an interrupted run.

    - ``finished``: the ``task_result`` of every finished task, by `task_key`.
    - ``under_way``: the paths of tasks that started but did not end, outermost first.
    - ``undecided``: commands whose effect is unknown.
    - ``outcome``: the host's outcome if it had ended.
    - ``interrupted``: whether Ctrl-C stopped the last task.
    - ``memory``: what the engine continues with.
    """

    memory: HostMemory = field(default_factory=HostMemory)
    finished: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    under_way: list[str] = field(default_factory=list)
    outcome: str = ""
    interrupted: bool = False
    undecided: dict[str, tuple[Change, ...]] = field(default_factory=dict)


def task_key(path: str, item: object = None) -> str:
    """Return the key of one task result: the task's path, and the loop item if any."""
    return path if item is None else f"{path}#{json.dumps(item, sort_keys=True, default=str)}"


def progress_of(events: Iterable[Event], earlier: Mapping[str, Progress] | None = None) -> dict[str, Progress]:
    """Return the progress of each host, continuing from `earlier`, which it changes.

    Raises one of `remediation.model.text.shape.ODD` for damaged events.
    """
    hosts: dict[str, Progress] = dict(earlier or {})
    for event in events:
        fold = _FOLDS.get(event.kind)
        if event.host and fold is not None:
            fold(hosts.setdefault(event.host, Progress()), event.data)
    for host in hosts.values():
        host.memory.in_flight.update(host.undecided)
    return hosts


def _task_start(host: Progress, data: Mapping[str, Any]) -> None:
    path = str(data.get("path", ""))
    host.outcome = ""  # a later process resumed the host
    if path not in host.under_way:
        host.under_way.append(path)


def _task_result(host: Progress, data: Mapping[str, Any]) -> None:
    Outcome(str(data["outcome"]))
    if not isinstance(data.get("result") or {}, Mapping):
        raise TypeError("the result of a task is not a mapping")
    path = str(data["path"]) if "path" in data else (host.under_way[-1] if host.under_way else "")
    host.interrupted = bool(data.get("interrupted"))
    if host.interrupted:
        return  # not ended: it runs again, with its completed changes known
    host.finished[task_key(path, data.get("item"))] = data
    if path in host.under_way:
        del host.under_way[host.under_way.index(path) :]
    if str(data["outcome"]) != Outcome.UNVERIFIED:
        host.undecided.pop(path, None)
    elif data.get("action") == COMMAND and path in host.memory.in_flight:
        host.undecided[path] = host.memory.in_flight[path]  # a retry must not send it again
    inner = any(under(path, outer) for outer in host.under_way)
    for changes in (host.memory.done, host.memory.in_flight):
        for other in [known for known in changes if under(known, path) or (known == path and not inner)]:
            del changes[other]  # tasks inside a ladder are kept until the ladder ends: their changes belong to it
    host.memory.climbed.pop(path, None)
    host.memory.climbing.pop(path, None)


def _change_start(host: Progress, data: Mapping[str, Any]) -> None:
    memory, path = host.memory, str(data.get("path", ""))
    memory.changes = max(memory.changes, int(data.get("index", -1)) + 1)
    memory.in_flight[path] = (*memory.in_flight.get(path, ()), change_from_json(data["change"]))


def _change_end(host: Progress, data: Mapping[str, Any]) -> None:
    memory, path = host.memory, str(data.get("path", ""))
    change = change_from_json(data["change"])
    rest = _without(memory.in_flight.pop(path, ()), change)
    if data.get("applied", False) is None and data.get("step") == COMMAND:
        host.undecided[path] = (change,)
    if rest:
        memory.in_flight[path] = rest
    if data.get("applied"):
        memory.done[path] = (*memory.done.get(path, ()), change)


def _without(changes: tuple[Change, ...], undone: Change) -> tuple[Change, ...]:
    return tuple(change for change in changes if change.key != undone.key)


def _rung_start(host: Progress, data: Mapping[str, Any]) -> None:
    host.memory.climbing[str(data.get("path", ""))] = str(data["rung"])


def _rung_end(host: Progress, data: Mapping[str, Any]) -> None:
    path = str(data.get("path", ""))
    if data.get("interrupted"):
        return  # the resumed run finishes this rung first
    host.memory.climbing.pop(path, None)
    host.memory.climbed[path] = (*host.memory.climbed.get(path, ()), str(data["rung"]))


def _host_facts(host: Progress, data: Mapping[str, Any]) -> None:
    found = data.get("target")
    if isinstance(found, Mapping) and "model" in found:
        host.memory.target = found
    host.memory.loaded.update({str(each["model"]): each for each in data.get("loaded") or ()})


def _host_clock(host: Progress, data: Mapping[str, Any]) -> None:
    host.memory.started = float(data["run_started"])


def _host_end(host: Progress, data: Mapping[str, Any]) -> None:
    outcome = str(Outcome(str(data["outcome"])))
    host.outcome = "" if host.interrupted else outcome


_FOLDS: Mapping[str, Callable[[Progress, Mapping[str, Any]], None]] = {
    "task_start": _task_start,
    "task_result": _task_result,
    "change_start": _change_start,
    "change_end": _change_end,
    "rung_start": _rung_start,
    "rung_end": _rung_end,
    "host_facts": _host_facts,
    "host_clock": _host_clock,
    "host_end": _host_end,
}
