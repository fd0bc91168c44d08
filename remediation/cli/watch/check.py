"""Checks one host for ``watch``: is the goal met, and if not, why. Reads only."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.diagnosis.collect import collect
from remediation.diagnosis.diagnose import diagnose
from remediation.engine.card_memory import card_memory
from remediation.model.errors import HostError, NoTarget, RemediationError, Unreachable
from remediation.model.finding import Cause
from remediation.steps.registry import registry

if TYPE_CHECKING:
    from remediation.cli.context import Session
    from remediation.facets.access import HostAccess
    from remediation.facets.protocols import Reader

GOAL = "model.offloaded"


@dataclass(frozen=True, slots=True)
class HostCheck:
    """The result of one check; ``met`` is None if the goal is not known, ``problem`` why the host could not be read. Sizes in bytes."""

    host: str
    met: bool | None
    text: str
    cause: str = ""
    because: str = ""
    reached: bool = True
    problem: str = ""
    layers: tuple[int, int] | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    seconds: float = 0.0


class HostChecks:
    """Checks hosts over connections that stay open; a connection that failed is opened again at the next check.

    With ``memory``, the GPUs' memory is read too.
    """

    def __init__(self, hosts: Session, *, memory: bool = False) -> None:
        self._hosts = hosts
        self._memory = memory
        self._open: dict[str, tuple[AbstractContextManager[HostAccess], HostAccess]] = {}
        self._lock = threading.Lock()

    def check(self, name: str) -> HostCheck:
        """Check one host. Errors of the host are part of the result."""
        begun = time.monotonic()
        try:
            return self._check(name, self._access(name), begun)
        except HostError as error:
            self.close(name)
            return failed_check(name, error)

    def _access(self, name: str) -> HostAccess:
        with self._lock:
            known = self._open.get(name)
        if known is None:
            opening = self._hosts.open_for_reading(name)
            known = (opening, opening.__enter__())
            with self._lock:
                self._open[name] = known
        return known[1]

    def close(self, name: str) -> None:
        """Close a host's connection."""
        with self._lock:
            known = self._open.pop(name, None)
        if known is not None:
            known[0].__exit__(None, None, None)

    def _check(self, name: str, access: HostAccess, begun: float) -> HostCheck:
        goal = registry()[GOAL]()
        reader = access.reader_for("watch")
        try:
            seen = goal.observe(reader)
        except (Unreachable, NoTarget):
            raise
        except HostError as error:  # a server that does not answer is a fault too
            return _diagnose_unobservable(name, access, error)
        met = goal.is_met(seen)
        pair = goal.values(seen).get("layers")
        memory = (card_memory(reader) if self._memory else None) or {}
        cause, because = _cause(reader) if met is False else ("", "")
        return HostCheck(
            name, met, goal.describe(seen), cause, because,
            layers=(int(pair[0]), int(pair[1])) if isinstance(pair, (list, tuple)) and len(pair) == 2 else None,
            memory_used=memory.get("used"), memory_total=memory.get("total"), seconds=time.monotonic() - begun,
        )  # fmt: skip


def _cause(reader: Reader) -> tuple[str, str]:
    found = diagnose(collect(reader)).findings
    return (str(found[0].cause), found[0].because) if found else (str(Cause.UNKNOWN), "")


def _diagnose_unobservable(name: str, access: HostAccess, error: HostError) -> HostCheck:
    """Return the result for a host whose goal cannot be observed: unmet if a cause explains it."""
    cause, because = _cause(access.reader)
    if not Cause(cause).explains:
        return failed_check(name, error)
    return HostCheck(name, met=False, text=error.message, cause=cause, because=because)


def failed_check(name: str, error: RemediationError) -> HostCheck:
    """Return the result for a host that could not be checked."""
    return HostCheck(name, None, error.message, problem=error.message, reached=not isinstance(error, Unreachable))
