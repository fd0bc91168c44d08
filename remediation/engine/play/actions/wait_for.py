"""``wait_for``: waits for a port, a file, or a text in a file, as seen from the host."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

from remediation.connections.calls import Failed, FileContent, Http, ReadFile
from remediation.engine.play.context.open_hosts import OpenedHost
from remediation.engine.play.context.results import refused_result
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.step.attempts import outcome_of
from remediation.model.errors import HostError, ParameterError, UsageError
from remediation.model.outcome import Outcome
from remediation.modules.paths import exists
from remediation.modules.result import ActionResult
from remediation.templating.templar import Scope

if TYPE_CHECKING:
    from remediation.playbook.flow_actions.waiting import WaitFor

_AT_LEAST = 0.1
"""Seconds for a connection to a port of this machine if `connect_timeout` is 0."""
_MOST = 1024**2
"""Bytes from a port in which `search_regex` is looked for."""
_NO_PORT = "Task failed: Module failed: int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"
"""Ansible's message for ``state: drained`` without ``port``."""
GONE = frozenset({"stopped", "absent", "drained"})


def wait_for(given: WaitFor, site: TaskContext, scope: Scope) -> ActionResult:
    """Check repeatedly until the state is reached or the timeout expires; check mode does not wait."""
    if site.check():
        return ActionResult(
            Outcome.SKIPPED, {"msg": "check mode: no waiting"}, "check mode: no waiting for changes that were not made"
        )
    try:
        return _wait(given, site)
    except HostError as error:
        return refused_result(error, outcome_of(error))


def _wait(given: WaitFor, site: TaskContext) -> ActionResult:
    if given.state == "drained" and given.port is None and given.path is None:
        raise ParameterError("wait_for: state drained requires a port", _NO_PORT, next_step="add port", place=site.place)
    opened = site.open()
    clock, ports = opened.access.clock, site.play.stage.ports
    pattern = _pattern(given, site)
    begun = clock.monotonic()
    own = site.timeout()
    until = begun + min(given.timeout, own if own is not None else given.timeout)
    clock.sleep(given.delay, ports.wait)
    if given.port is None and given.path is None:  # the delay comes in addition, as in Ansible
        until += given.delay
    while True:
        if (given.port is not None or given.path is not None) and _condition_holds(given, pattern, opened) is (
            given.state not in GONE
        ):
            return ActionResult(values={**_values(given, int(clock.monotonic() - begun)), **_found(given, pattern, opened)})
        left = until - clock.monotonic()
        if left <= 0 or ports.cancelled():
            break
        clock.sleep(min(given.sleep, left), ports.wait)
    elapsed = int(clock.monotonic() - begun)
    if ports.cancelled():
        reason = f"interrupted after {elapsed} s of {given.timeout:g} s"
        return ActionResult(Outcome.FAILED, {"msg": reason, "elapsed": elapsed}, reason)
    if given.port is None and given.path is None:
        return ActionResult(values=_values(given, elapsed))
    what = given.path or f"{given.host}:{given.port}"
    reason = given.msg or f"{what} was not {given.state} within {given.timeout:g} s"
    return ActionResult(Outcome.FAILED, {"msg": given.msg or _timeout_message(given), "elapsed": elapsed}, reason)


def _timeout_message(given: WaitFor) -> str:
    """Return Ansible's message of a wait that was too long."""
    what = given.path or f"{given.host}:{given.port}"
    if given.state in GONE:
        end = "to be absent" if given.path is not None else "to stop" if given.state != "drained" else "to drain"
        return f"Timeout when waiting for {what} {end}."
    if given.search_regex is not None:
        return f"Timeout when waiting for search string {given.search_regex} in {what}"
    return f"Timeout when waiting for {'file ' if given.path is not None else ''}{what}"


def _found(given: WaitFor, pattern: re.Pattern[str] | None, opened: OpenedHost) -> dict[str, Any]:
    """Return what the result says of the port or path: the path's kind, and the groups of the expression that matched."""
    if given.path is None or given.state in GONE:
        return {"state": "absent"} if given.path is not None else {}
    reply = opened.access.connection.exchange([ReadFile(given.path, limit=4_000_000 if pattern else 1, tail=True)])[0]
    text = reply.content.decode("utf-8", errors="replace") if isinstance(reply, FileContent) else ""
    match = pattern.search(text) if pattern else None
    groups = {"match_groups": list(match.groups()), "match_groupdict": match.groupdict()} if match else {}
    if opened.access.connection.platform == "windows":
        return {**groups, "state": "file" if isinstance(reply, FileContent) else "directory"}
    from remediation.steps.host.file_managed import (
        status_values,  # loads the facets, which a task that waits for nothing needs not
    )

    return {**groups, **status_values(opened.access.reader_for("wait_for").files.status(given.path, follow=True))}


def _values(given: WaitFor, elapsed: int) -> dict[str, Any]:
    known = {"state": given.state, "port": given.port, "path": given.path, "search_regex": given.search_regex}
    return {**known, "elapsed": elapsed, "match_groups": [], "match_groupdict": {}}


def _pattern(given: WaitFor, site: TaskContext) -> re.Pattern[str] | None:
    if given.search_regex is None:
        return None
    try:
        return re.compile(given.search_regex, re.MULTILINE)
    except re.error as error:
        raise UsageError(f"wait_for: search_regex: {error}", place=site.place) from None


def _answers(given: WaitFor, pattern: re.Pattern[str] | None) -> bool:
    """Return whether the port is open, and sends what `pattern` matches."""
    received = b""
    try:
        with socket.create_connection((given.host, int(given.port or 0)), timeout=given.connect_timeout or _AT_LEAST) as peer:
            while pattern is not None and pattern.search(received.decode("utf-8", "replace")) is None:
                part = peer.recv(65536)
                if not part or len(received) > _MOST:
                    return False
                received += part
            return True
    except (OSError, UnicodeError):  # UnicodeError: no encoding of a host name for DNS
        return False


def _condition_holds(given: WaitFor, pattern: re.Pattern[str] | None, opened: OpenedHost) -> bool:
    if given.path is not None:
        reply = opened.access.connection.exchange([ReadFile(given.path, limit=4_000_000 if pattern else 1, tail=True)])[0]
        if pattern is None or not isinstance(reply, FileContent):
            return exists(reply) and pattern is None
        return not reply.missing and pattern.search(reply.content.decode("utf-8", errors="replace")) is not None
    if opened.machine == "local":
        return _answers(given, pattern)
    if pattern is not None:
        raise UsageError(
            "wait_for: search_regex of a port is read only from this machine", next_step="add delegate_to: localhost to the task"
        )
    # any answer, even an invalid one, means that the port is open
    url = f"http://{given.host}:{given.port}/"
    reply = opened.access.connection.exchange([Http("GET", url, timeout=given.connect_timeout)])[0]
    return not (isinstance(reply, Failed) and reply.kind in {"refused", "timeout", "not-found"})
