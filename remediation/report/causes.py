"""A fleet's hosts by what was wrong with them and what became of it, in one line (as ``by cause  31 vram_occupied → cured: ...``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from remediation.report.lines import Line, shortened
from remediation.report.page import BAD, HostPage

_NAMED = 3
"""So many hosts of a group are named where a person has to go on with them."""
_REASON = 60


def by_cause(pages: Iterable[HostPage]) -> list[Line]:
    """Return the line; nothing where no host was diagnosed and none ended badly."""
    groups: dict[str, list[HostPage]] = defaultdict(list)
    for page in pages:
        what = _came_to(page)
        if what:
            groups[what].append(page)
    most = sorted(groups.items(), key=lambda group: -len(group[1]))
    text = " · ".join(f"{len(members)} {what}{_who(members)}" for what, members in most)
    return [Line(text, lead="by cause  ")] if text else []


def _came_to(page: HostPage) -> str:
    cause = page.causes[0][0] if page.causes else ""
    if page.outcome in BAD:
        return f"{cause} → {page.outcome}" if cause else page.outcome
    if not cause:
        return ""
    if not page.changes:
        return "" if cause in {"healthy", "unknown"} else f"{cause} → left as it is"
    if page.check:
        return f"{cause} → would be treated"
    how = f": {page.rung}" if page.rung else ""
    return f"{cause} → cured{how}" if page.goal == "met" else f"{cause} → changed{how}"


def _who(members: list[HostPage]) -> str:
    """Return the names of hosts that somebody has to look after, with the reason where there is one of them."""
    if members[0].outcome not in BAD:
        return ""
    if len(members) == 1:
        (page,) = members
        return f" ({page.host}: {shortened(page.reason, _REASON)})" if page.reason else f" ({page.host})"
    names = ", ".join(page.host for page in members[:_NAMED])
    return f" ({names}, ...)" if len(members) > _NAMED else f" ({names})"
