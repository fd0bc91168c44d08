"""A run as one self-contained HTML page: findings with their proof, changes, and the figures before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from remediation.model.event import Event
from remediation.report.formatting import duration
from remediation.report.host_view import undo_part
from remediation.report.page.fleet import fleet_context
from remediation.report.page.host import HostPart
from remediation.report.page.render import render


def html(events: Iterable[Event]) -> str:
    """Return the page of a run; an unfinished run is marked."""
    run = _HtmlRun()
    for event in events:
        run.see(event)
    return render("run.html.j2", run.context())


class _HtmlRun:
    def __init__(self) -> None:
        self.start: Mapping[str, Any] = {}
        self.end: Mapping[str, Any] = {}
        self.began = 0.0
        self.last = 0.0
        self.hosts: dict[str, HostPart] = {}

    def see(self, event: Event) -> None:
        self.began = self.began or event.time
        self.last = event.time
        if event.kind == "run_start":
            self.start = self.start or event.data
            for host in event.data.get("hosts") or ():
                self._host(str(host))
        elif event.kind == "run_end":
            self.end = event.data
        elif event.host:
            self._host(event.host).see(event)

    def _host(self, name: str) -> HostPart:
        if name not in self.hosts:
            self.hosts[name] = HostPart(name, check=bool(self.start.get("check")), began=self.began)
        return self.hosts[name]

    def context(self) -> dict[str, Any]:
        seconds = self.end.get("seconds")
        when = datetime.fromtimestamp(self.began, tz=timezone.utc)
        parts = list(self.hosts.values())
        return {
            "command": str(self.start.get("command") or "run"),
            "run": str(self.start.get("run") or ""),
            "check": bool(self.start.get("check")),
            "playbook": str(self.start.get("playbook") or ""),
            "started": when.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "took": duration(seconds) if seconds is not None else "",
            "exit_code": self.end.get("exit_code"),
            "hosts": [part.context() for part in parts],
            "ids": {part.view.host: f"host-{number}" for number, part in enumerate(parts, 1)},
            "fleet": fleet_context(parts, self.last - self.began) if len(parts) > 1 else None,
            "undo": any(part.view.undoable for part in parts) and not self.start.get("check"),
            "undo_part": undo_part(sum(part.view.undoable for part in parts), sum(part.view.changes for part in parts)),
        }
