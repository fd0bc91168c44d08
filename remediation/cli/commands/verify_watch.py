"""``verify --after``: keeps watching the goal, and reports a regression with its cause."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from remediation.cli.context import Session
from remediation.diagnosis.collect import collect
from remediation.diagnosis.diagnose import diagnose
from remediation.facets.access import HostAccess
from remediation.facets.protocols import Reader
from remediation.model.errors import HostError, RemediationError
from remediation.model.finding import Cause
from remediation.model.text.visible import visible_json
from remediation.model.translation import gettext, translated
from remediation.report.formatting import duration
from remediation.steps.registry import registry

EVERY = 5.0
"""Seconds between two observations: short enough to see a request that reloads the runner."""

FAILED = 2
GOAL = "model.offloaded"


def watch_goal(hosts: Session, seconds: float, *, as_json: bool) -> int:
    """Watch for `seconds`; return 0 if the goal held on every host, otherwise 2."""
    names = hosts.selected()
    until = time.monotonic() + seconds
    if not as_json:
        sys.stdout.write(f"{gettext('watching for {time}', time=duration(seconds))}\n")
        sys.stdout.flush()
    with hosts.open_on_use() as access:
        watched = hosts.each(lambda name: list(_watch_host(name, access(name), until)), _failure_lines, names)
    fallen = [text for texts in watched for text in texts]
    for text in fallen:
        line = visible_json({"event": "regressed", "text": text}) if as_json else f"✗ {translated(text)}"
        sys.stdout.write(f"{line}\n")
    if not fallen and not as_json:
        sys.stdout.write(f"{gettext('the goal held for {time}', time=duration(seconds))}\n")
    return FAILED if fallen else 0


def _failure_lines(name: str, error: RemediationError) -> list[str]:
    return [f"{name}: {error.message}"]


def _watch_host(name: str, access: HostAccess, until: float) -> Iterator[str]:
    goal = registry()[GOAL]()
    while True:
        try:
            reader = access.reader
            seen = goal.observe(reader)
            if goal.is_met(seen) is False:
                yield f"{name}: regressed: {_why(reader)} ({goal.describe(seen)})"
                return
        except HostError as error:
            yield f"{name}: {error.message}"
            return
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(EVERY, left))


def _why(reader: Reader) -> str:
    findings = diagnose(collect(reader)).findings
    if not findings:
        return "cause unknown"
    first = findings[0]
    if first.cause is Cause.EXPLICIT_NUM_GPU:
        request = next((quote.text for quote in first.quotes if "requested" in quote.text), "")
        number = request.rpartition("requested=")[2].split(" ", 1)[0].strip()
        sender = f"; {first.cure}" if first.cure else ""
        return f"a client requested num_gpu={number or '?'} again{sender}"
    return f"{first.cause}: {first.because}"
