"""Reads ladders: a goal of steps, and rungs with the causes that their tasks treat together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.model.errors import Place
from remediation.model.finding import Cause
from remediation.playbook import keywords
from remediation.playbook.keywords import as_switch
from remediation.playbook.loading import Loading, key_place, shown, texts_of, value_place
from remediation.playbook.model import Call, Ladder, Rung, Task, tasks_of
from remediation.playbook.problems import where
from remediation.playbook.tasks import TaskReader

CAUSES = [str(cause) for cause in Cause]
UNFIT = frozenset({"meta"})
"""Actions that steer the run itself; the ladder decides how far its rungs go."""


def read_ladder(raw: Any, reader: TaskReader, loading: Loading, task: Task, place: Place | None) -> Ladder | None:  # noqa: ANN401
    """Return the ladder of a task; None, and a problem, where it is none."""
    if not isinstance(raw, Mapping):
        loading.problems.add(f"ladder: a mapping of goal and rungs is wanted, not {shown(raw)}", place)
        return None
    loading.expect(raw, keywords.LADDER, "a ladder")
    for name in keywords.LADDER:
        if not raw.get(name):
            loading.problems.add(f"a ladder needs {name}", where(raw, place))
    goal = raw.get("goal") if isinstance(raw.get("goal"), list) else []
    rungs = raw.get("rungs") if isinstance(raw.get("rungs"), list) else []
    calls = [_call(item, reader, loading, value_place(raw, "goal")) for item in goal or ()]
    found = [_rung(item, reader, loading, task, number) for number, item in enumerate(rungs or ())]
    _named_once(found, loading)
    return Ladder(tuple(call for call in calls if call), tuple(rung for rung in found if rung))


def _call(raw: Any, reader: TaskReader, loading: Loading, place: Place | None) -> Call | None:  # noqa: ANN401
    if not isinstance(raw, Mapping) or len(raw) != 1:
        loading.problems.add(f"a goal is a step with its parameters, not {shown(raw)}", where(raw, place))
        return None
    ((name, parameters),) = raw.items()
    steps = loading.steps()
    if name not in steps:
        loading.problems.unknown("the step", name, steps, key_place(raw, name))
        return None
    return Call(str(name), reader.parameters(name, parameters, value_place(raw, name)), key_place(raw, name))


def _rung(raw: Any, reader: TaskReader, loading: Loading, task: Task, number: int) -> Rung | None:  # noqa: ANN401
    if not isinstance(raw, Mapping):
        loading.problems.add(f"a rung is a mapping of name, treats and tasks, not {shown(raw)}", where(raw, task.place))
        return None
    place = where(raw, task.place)
    loading.expect(raw, keywords.RUNG, "a rung")
    if not raw.get("tasks"):
        loading.problems.add("a rung needs tasks", place)
    treats: list[str] = []
    for name in texts_of(raw.get("treats")):
        known = name in CAUSES or name in _mechanisms()
        if known:
            treats.append(Cause(name) if name in CAUSES else name)
        else:
            loading.problems.unknown("the cause", name, [*CAUSES, *_mechanisms()], value_place(raw, "treats"))
    nodes = reader.nodes(raw.get("tasks"), task.settings, f"{task.path}/{number}.", place)
    for inner in tasks_of(nodes):
        if inner.action in UNFIT or inner.settings.run_once:
            what = inner.action if inner.action in UNFIT else "run_once"
            loading.problems.add(f"{what} has no meaning inside a rung: each host climbs by itself", inner.place)
    return Rung(
        str(raw.get("name") or f"rung {number + 1}"),
        nodes,
        tuple(treats),
        last_resort=as_switch(raw.get("last_resort") or False),
        place=place,
    )


def _mechanisms() -> list[str]:
    """Return the names of all mechanisms; they are read where something else than a cause is named."""
    from remediation.diagnosis.knowledge import knowledge  # noqa: PLC0415 - read only where a rung names a mechanism

    return list(knowledge().mechanisms)


def _named_once(rungs: list[Rung | None], loading: Loading) -> None:
    seen: set[str] = set()
    for rung in rungs:
        if rung and rung.name in seen:
            loading.problems.add(f"two rungs of this ladder are named {rung.name!r}", rung.place)
        seen.update([rung.name] if rung else [])
