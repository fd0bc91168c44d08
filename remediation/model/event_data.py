"""The fields of each kind of event: the contract between the engine, the journal and the reports (``docs/events.md``).

A field in a class with ``total=False`` may be absent. Values that come from hosts and playbooks are JSON of any form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class ChangeData(TypedDict):
    """A change in an event (`remediation.engine.journal.serialization.change_to_json`)."""

    summary: str
    subject: str
    before: Any
    after: Any
    risk: str | None
    needs: list[str] | None
    diff: str
    undo: dict[str, Any] | None
    asks: str
    measures: bool
    data: dict[str, Any]


class RunOrigin(TypedDict, total=False):
    """The run that an ``undo`` undoes."""

    undoes: str


class RunStartData(RunOrigin):
    """``run_start``: a process of a run begins."""

    run: str
    command: str
    check: bool
    max_risk: str
    playbook: str
    inventory: list[str]
    hosts: list[str]
    resumed: bool


class PlayStartData(TypedDict):
    """``play_start``: once per play."""

    hosts: list[str]


class HostFactsData(TypedDict):
    """``host_facts``: what was read of a host before its first task."""

    facts: dict[str, str]
    target: dict[str, Any]
    loaded: list[dict[str, Any]]
    round_trips: int
    seconds: float


class HostClockData(TypedDict):
    """``host_clock``: the start of the run by the host's clock."""

    run_started: float


class LoopItem(TypedDict, total=False):
    """The item of a looped task."""

    item: Any


class TaskStartData(LoopItem):
    """``task_start``: a task or an item begins."""

    path: str


class GoalData(TypedDict):
    """``goal``: the goal of a ladder was observed."""

    state: str
    text: str
    values: dict[str, Any]


class FindingsData(TypedDict):
    """``findings``: a diagnosis."""

    diagnosis: dict[str, Any]


class RungForesight(TypedDict, total=False):
    """The facts about a rung before it is tried."""

    risk: str
    predicted: Any
    stops: bool
    would: str
    path: str


class RungData(RungForesight):
    """``rung_start``, ``rung_skipped``: a rung is tried, or is not."""

    rung: str
    treats: list[str]
    reason: str


class Interruption(TypedDict, total=False):
    """Whether Ctrl-C ended the work early."""

    interrupted: bool


class RungEndData(Interruption):
    """``rung_end``: the tasks of a rung have ended."""

    rung: str
    path: str
    outcome: str
    reason: str


class PlannedData(TypedDict):
    """``change_planned``: check mode predicts a change."""

    index: int
    path: str
    step: str
    change: ChangeData


class ChangeRights(TypedDict, total=False):
    """The become settings with which a change is made."""

    rights: dict[str, Any]


class ChangeStartData(PlannedData, ChangeRights):
    """``change_start``: on disk before the change is sent."""

    deadline: float


class ProgressData(TypedDict):
    """``change_progress``: the progress of a pull."""

    index: int
    path: str
    step: str
    status: str
    completed: int | None
    total: int | None


class ChangeEndData(PlannedData):
    """``change_end``: the result of a change; ``applied`` is None if it is unknown."""

    applied: bool | None
    error: str
    effect: str
    seconds: float


class NoteData(TypedDict):
    """``note``: a sentence for the user."""

    text: str
    level: str


class MeasurementData(TypedDict):
    """``measurement``: figures before or after a repair."""

    label: str
    figures: dict[str, Any]


class TaskOrigin(LoopItem, Interruption, total=False):
    """The action of a task that counts. Items have none."""

    action: str


class TaskResultData(TaskOrigin):
    """``task_result``: a task, or an item of its loop, has ended."""

    path: str
    outcome: str
    ignored: bool
    msg: Any
    reason: str
    next_step: str
    result: dict[str, Any]
    changes: list[ChangeData]


class HostRivalry(TypedDict, total=False):
    """Whether the host ended blocked because another run held its lease."""

    busy: bool


class HostEndData(HostRivalry):
    """``host_end``: a host has no task left in this run."""

    outcome: str
    reason: str


class RunEndData(TypedDict):
    """``run_end``: the run, or this process of it, has ended."""

    run: str
    hosts: dict[str, dict[str, int]]
    exit_code: int
    seconds: float


EVENT_DATA: Mapping[str, type] = {
    "run_start": RunStartData,
    "play_start": PlayStartData,
    "host_facts": HostFactsData,
    "host_clock": HostClockData,
    "task_start": TaskStartData,
    "goal": GoalData,
    "findings": FindingsData,
    "rung_start": RungData,
    "rung_skipped": RungData,
    "rung_end": RungEndData,
    "change_planned": PlannedData,
    "change_start": ChangeStartData,
    "change_progress": ProgressData,
    "change_end": ChangeEndData,
    "note": NoteData,
    "measurement": MeasurementData,
    "task_result": TaskResultData,
    "host_end": HostEndData,
    "run_end": RunEndData,
}
"""The type of the fields of each kind."""
