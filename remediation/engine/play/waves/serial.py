"""``serial``: the waves of a play, and when their failures end the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from remediation.engine.play.context.host_state import HostState
from remediation.engine.play.context.run_state import PlayState
from remediation.model.errors import UsageError
from remediation.model.outcome import Outcome
from remediation.playbook.errors import where
from remediation.playbook.model import Play
from remediation.templating.lazy import OMIT
from remediation.templating.templar import Scope


def waves(play: Play, hosts: Sequence[str], scope: Scope) -> Iterator[tuple[str, ...]]:
    """Yield the waves of a play; the last size repeats until no host is left. Hosts that failed earlier count as well."""
    wanted = [_size(item, len(hosts), play, scope) for item in play.serial] or [len(hosts)]
    rest = tuple(hosts)
    for number in range(len(hosts)):
        if not rest:
            return
        size = wanted[min(number, len(wanted) - 1)]
        size = size if size > 0 else len(rest)
        yield rest[:size]
        rest = rest[size:]


def _size(item: Any, hosts: int, play: Play, scope: Scope) -> int:
    value = scope.render(item)
    if value is OMIT:
        return hosts
    text = str(value).strip()
    try:
        if text.endswith("%"):
            return int(hosts * float(text[:-1]) / 100) or 1
        return int(text)
    except ValueError:
        raise UsageError(f"serial: expected a number or a percentage, got {text!r}", place=where(item, play.place)) from None


def fatal_share(stage: PlayState, lost: Sequence[HostState], scope: Scope) -> bool:
    """Return whether the hosts lost in a wave end the run: all of them, more than allowed, or any if that is fatal."""
    if stage.fatal or (lost and len(lost) == len(stage.batch)):
        return True
    most = stage.play.max_fail_percentage
    if most is None:
        return False
    failed = [state for state in lost if state.lost is not Outcome.UNREACHABLE]
    return len(failed) * 100 > float(str(scope.render(most))) * len(stage.batch)
