"""Reads the ladder of a task: its goal, and its rungs with the causes that they treat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.model.errors import Place
from remediation.playbook import keywords
from remediation.playbook.errors import where
from remediation.playbook.keywords import as_switch
from remediation.playbook.load_context import LoadContext, key_place, quote_value, texts_of, value_place
from remediation.playbook.model import Call, LadderNode, RungNode, Task, tasks_of
from remediation.playbook.roles import FolderReader

UNFIT = frozenset({"add_host", "group_by", "meta"})
"""Actions that control the run itself. Inside rungs, the ladder does that."""


def read_ladder(raw: Any, reader: FolderReader, loading: LoadContext, task: Task, place: Place | None) -> LadderNode | None:
    """Return the ladder of a task. If it is invalid, adds a problem and returns None."""
    if not isinstance(raw, Mapping):
        loading.problems.add(f"ladder: expected a mapping of goal and rungs, got {quote_value(raw)}", place)
        return None
    loading.expect(raw, keywords.LADDER, "a ladder")
    for name in keywords.LADDER:
        if not raw.get(name):
            loading.problems.add(f"a ladder needs {name}", where(raw, place))
    goal = raw.get("goal") if isinstance(raw.get("goal"), list) else []
    rungs = raw.get("rungs") if isinstance(raw.get("rungs"), list) else []
    calls = [_call(item, reader, loading, value_place(raw, "goal")) for item in goal or ()]
    found = [_rung(item, reader, loading, task, number) for number, item in enumerate(rungs or ())]
    _refuse_repeated_names(found, loading)
    return LadderNode(tuple(call for call in calls if call), tuple(rung for rung in found if rung))


def _call(raw: Any, reader: FolderReader, loading: LoadContext, place: Place | None) -> Call | None:
    if not isinstance(raw, Mapping) or len(raw) != 1:
        loading.problems.add(f"expected a goal (a step with its parameters), got {quote_value(raw)}", where(raw, place))
        return None
    ((name, parameters),) = raw.items()
    steps = loading.steps()
    if name not in steps:
        loading.problems.unknown("the step", name, steps, key_place(raw, name))
        return None
    return Call(str(name), reader.parameters(name, parameters, value_place(raw, name)), key_place(raw, name))


def _rung(raw: Any, reader: FolderReader, loading: LoadContext, task: Task, number: int) -> RungNode | None:
    if not isinstance(raw, Mapping):
        loading.problems.add(
            f"expected a rung (a mapping of name, treats and tasks), got {quote_value(raw)}", where(raw, task.place)
        )
        return None
    from remediation.model.finding import Cause

    place = where(raw, task.place)
    causes = [str(cause) for cause in Cause]
    loading.expect(raw, keywords.RUNG, "a rung")
    if not raw.get("tasks"):
        loading.problems.add("a rung needs tasks", place)
    treats: list[str] = []
    for name in texts_of(raw.get("treats")):
        if name in causes:
            treats.append(Cause(name))
        elif name in _mechanisms():
            treats.append(name)
        else:
            loading.problems.unknown("the cause", name, [*causes, *_mechanisms()], value_place(raw, "treats"))
    nodes = reader.nodes(raw.get("tasks"), task.settings, f"{task.path}/{number}.", place)
    for inner in tasks_of(nodes):
        if inner.action in UNFIT or inner.settings.run_once:
            what = inner.action if inner.action in UNFIT else "run_once"
            loading.problems.add(f"{what} is not allowed inside a rung: hosts climb a ladder independently", inner.place)
    return RungNode(
        str(raw.get("name") or f"rung {number + 1}"),
        nodes,
        tuple(treats),
        last_resort=as_switch(raw.get("last_resort") or False),
        place=place,
    )


def _mechanisms() -> list[str]:
    """Return the ids of all mechanisms. The knowledge is read only if a rung names something other than a cause."""
    from remediation.diagnosis.knowledge import knowledge

    return list(knowledge().mechanisms)


def _refuse_repeated_names(rungs: list[RungNode | None], loading: LoadContext) -> None:
    seen: set[str] = set()
    for rung in rungs:
        if rung and rung.name in seen:
            loading.problems.add(f"two rungs of this ladder are named {rung.name!r}", rung.place)
        seen.update([rung.name] if rung else [])
