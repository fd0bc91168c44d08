"""A fleet's hosts grouped by cause and result (``by cause  31 vram_occupied → cured by vram.free``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from remediation.model.translation import gettext, translated
from remediation.report.host_view import BAD, HostView
from remediation.report.text import Line, shorten

_LEAD = 10
"""Columns of the label."""
_NAMED = 3
"""How many hosts of a group are named if they need attention."""
_REASON = 60
_FOLLOWS = {"model.loaded", "model.reloaded", "stack.up"}
"""Steps that bring another step's change into effect; next to that step they do not count as a cure."""


def by_cause(pages: Iterable[HostView]) -> list[Line]:
    """Return one line per group, largest first; nothing if no host was diagnosed and none failed."""
    groups: dict[str, list[HostView]] = defaultdict(list)
    for page in pages:
        what = _cause_and_result(page)
        if what:
            groups[what].append(page)
    most = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [
        Line(f"{len(members)} {what}{_attention(members)}", lead=" " * _LEAD if index else f"{gettext('by cause'):{_LEAD}}")
        for index, (what, members) in enumerate(most)
    ]


def to_do(pages: Iterable[HostView]) -> list[Line]:
    """Return the next steps of failed hosts: each step once and in full, with its hosts."""
    lines = []
    for step, members in by_next_step(pages).items():
        first, *rest = translated(step).split("\n")
        lines.append(Line(f"{_host_names(members)}: {first}", lead=f"{gettext('next'):{_LEAD}}"))
        lines += [Line(row, lead=" " * _LEAD, verbatim=True, whole=True) for row in rest]
    return lines


def by_next_step(pages: Iterable[HostView]) -> dict[str, list[HostView]]:
    """Return the failed hosts by what a person must do next."""
    groups: dict[str, list[HostView]] = defaultdict(list)
    for page in pages:
        if page.outcome in BAD and page.next_step:
            groups[page.next_step].append(page)
    return dict(groups)


def _cause_and_result(page: HostView) -> str:
    cause = page.causes[0][0] if page.causes else ""
    if page.outcome in BAD:
        word = gettext(page.outcome)
        return f"{cause} → {word}" if cause else word
    if not cause:
        return ""
    if not page.changes:
        return "" if cause in {"healthy", "unknown"} else f"{cause} → {gettext('unchanged')}"
    if page.check:
        return f"{cause} → {gettext('would be repaired')}"
    steps = [step for step in page.steps if step not in _FOLLOWS] or list(page.steps)
    named = ", ".join(steps)
    done = gettext("cured by {steps}", steps=named) if page.goal == "met" else gettext("changed by {steps}", steps=named)
    return f"{cause} → {done}"


def _attention(members: list[HostView]) -> str:
    """Return the names of hosts that need attention, with the reason if there is only one."""
    if members[0].outcome not in BAD:
        return ""
    if len(members) == 1:
        (page,) = members
        return f" ({page.host}: {shorten(page.reason_to_show, _REASON)})" if page.reason else f" ({page.host})"
    return f" ({_host_names(members)})"


def _host_names(members: list[HostView]) -> str:
    names = ", ".join(page.host for page in members[:_NAMED])
    return f"{names}, ..." if len(members) > _NAMED else names
