"""``meta``: actions that control the run."""

from __future__ import annotations

from collections.abc import Callable

from remediation.engine.play.context.host_state import HostState
from remediation.engine.play.context.run_state import PlayState
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.control_flow import Barrier, HostFinished, LeaderResult, LeaderTurn, RoleEnded, Walk
from remediation.engine.play.task_runner import false_condition

TOGETHER = frozenset({"clear_facts", "clear_host_errors", "end_batch", "end_play"})
"""Actions that concern all hosts of the batch: the hosts meet, and the condition is evaluated only for the first one."""


class MetaActions:
    """Runs ``meta`` actions on one host."""

    def __init__(self, play: PlayState, host: HostState, flush: Callable[[], Walk]) -> None:
        self._play, self._host, self._flush = play, host, flush

    def run(self, site: TaskContext) -> Walk:
        """Run the action. Raises `HostFinished` if it ends the host's walk, `RemediationError` on an invalid condition."""
        word = str(site.scope().render(site.task.arguments.get("free_form", "noop")))
        if word in TOGETHER:
            answer = yield Barrier(site.path)
            if isinstance(answer, LeaderTurn):
                holds = self._holds(site)
                yield LeaderResult(holds)
            else:
                holds = bool(answer)
        else:
            holds = self._holds(site)
        if not holds:
            return
        if word == "flush_handlers":
            yield from self._flush()
        self._carry_out(word)

    def _holds(self, site: TaskContext) -> bool:
        return false_condition(site, site.scope()) is None

    def _carry_out(self, word: str) -> None:
        play = self._play
        if word == "end_host":
            play.gone.add(self._host.name)
            raise HostFinished
        if word == "end_role":
            raise RoleEnded
        if word in {"end_play", "end_batch"}:
            play.over = play.over or word == "end_play"
            raise HostFinished
        if word == "clear_facts":
            self._host.gathered.clear()
        if word == "clear_host_errors":
            for name in play.hosts:
                play.stage.host(name).clear()
