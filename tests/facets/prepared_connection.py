"""A connection in memory with prepared answers; everything else fails as on a host that has nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remediation.connections.calls import (
    Call,
    Completed,
    Failed,
    FileContent,
    Http,
    HttpReply,
    Probe,
    ProbeReply,
    ReadFile,
    Reply,
    Run,
)
from remediation.facets.snapshot import Snapshot


class Answering:
    """Answers by program and arguments, URL (a function gets the body), path, or name of the probe; `asked` keeps every exchange."""

    def __init__(
        self, *, platform: str = "posix", runs: Callable[[tuple[str, ...]], Completed | None] = lambda _: None,
        http: Mapping[str, Any] | None = None, files: Mapping[str, bytes] | None = None, probes: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.host, self.platform, self.round_trips = "host", platform, 0
        self._runs, self._http, self._files, self._probes = runs, http or {}, files or {}, probes or {}
        self.asked: list[tuple[Call, ...]] = []

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        self.round_trips += 1
        self.asked.append(tuple(calls))
        return [self._one(call) for call in calls]

    def close(self) -> None:
        """Nothing is open."""

    def look(self, **more: Any) -> Snapshot:
        return Snapshot(lambda: self, **more)

    def _one(self, call: Call) -> Reply:
        if isinstance(call, Run):
            return self._runs(call.argv) or Failed("not-found", f"there is no {call.argv[0]}")
        if isinstance(call, Http):
            if call.url not in self._http:
                return Failed("refused", f"nothing listens at {call.url}")
            found = self._http[call.url]
            return HttpReply(200, json.dumps(found(call.body) if callable(found) else found).encode())
        if isinstance(call, ReadFile):
            return FileContent(self._files.get(call.path, b""), missing=call.path not in self._files)
        if isinstance(call, Probe) and call.name in self._probes:
            return ProbeReply(self._probes[call.name])
        return Failed("error", f"{call} is not answered here")


def docker(records: Sequence[Mapping[str, Any]]) -> Callable[[tuple[str, ...]], Completed | None]:
    """Return the answers of a docker CLI whose engine has these containers."""

    def run(argv: tuple[str, ...]) -> Completed | None:
        if argv[:2] == ("docker", "ps"):
            return Completed(0, "".join(f"{each['Id']}\n" for each in records).encode(), b"")
        if argv[:2] == ("docker", "inspect"):
            return Completed(0, json.dumps([each for each in records if each["Id"] in argv]).encode(), b"")
        return None

    return run
