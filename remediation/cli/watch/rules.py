"""When ``watch`` may repair a host: cool-down per host and cause, a limit per hour, quiet hours, and an end to flapping."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from remediation.cli.watch.memory import RepairAttempt, WatchMemory
from remediation.model.errors import UsageError
from remediation.model.text.words import plural
from remediation.report.formatting import duration

HOUR, DAY = 3600.0, 86400.0
FLAPS = 3
"""Repairs of one cause on one host within a day after which the host is no longer repaired."""

_QUIET = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A time of day without repairs, in minutes after midnight of the controller's clock; it may pass midnight."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """Return the hours of ``22:00-06:30``. Raises `UsageError`."""
        found = _QUIET.fullmatch(text.strip())
        if found is not None:
            hours = [int(found[1]), int(found[3])]
            minutes = [int(found[2]), int(found[4])]
            if all(hour < 24 for hour in hours) and all(minute < 60 for minute in minutes):
                start, end = (hour * 60 + minute for hour, minute in zip(hours, minutes, strict=True))
                if start == end:
                    raise UsageError(
                        f"--quiet: {text} starts when it ends",
                        next_step="give an end that differs, or two times such as 00:00-12:00 and 12:00-00:00",
                    )
                return cls(start, end)
        raise UsageError(f"--quiet: expected hours such as 22:00-06:00, got {text!r}", next_step="write them as HH:MM-HH:MM")

    def holds(self, now: float) -> bool:
        """Return whether `now` is within the hours."""
        local = datetime.fromtimestamp(now).astimezone()
        minute = local.hour * 60 + local.minute
        if self.start <= self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def __str__(self) -> str:
        return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (self.start, self.end))


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to repair; ``why`` says why not. ``flapping`` is a cause that came back after repairs."""

    repair: bool
    why: str = ""
    flapping: bool = False


@dataclass(frozen=True, slots=True)
class RepairRules:
    """The limits of repairs."""

    cool_down: float = HOUR
    per_hour: int = 10
    quiet: Sequence[QuietHours] = ()

    def decide(self, host: str, cause: str, now: float, memory: WatchMemory) -> Decision:
        """Decide about one host with one cause."""
        earlier = memory.of(host, cause, since=now - DAY)
        repaired = [one for one in earlier if one.repaired]
        if len(repaired) >= FLAPS:
            why = f"{cause} came back after {plural(len(repaired), 'repair')} within a day; find out what brings it back"
            return Decision(repair=False, why=why, flapping=True)
        last = max(earlier, key=lambda one: one.time, default=None)
        if last is not None and now - last.time < self.cool_down:
            return self._decide_cool_down(cause, last, now)
        hours = next((each for each in self.quiet if each.holds(now)), None)
        if hours is not None:
            return Decision(repair=False, why=f"quiet hours {hours}")
        if len(memory.since(now - HOUR)) >= self.per_hour:
            return Decision(repair=False, why=f"{plural(self.per_hour, 'repair')} within the last hour, the limit")
        return Decision(repair=True)

    def _decide_cool_down(self, cause: str, last: RepairAttempt, now: float) -> Decision:
        left = duration(self.cool_down - (now - last.time))
        ago = duration(now - last.time)
        if last.repaired:
            why = f"{cause} came back {ago} after a repair (run {last.run}); not repaired again for {left}"
            return Decision(repair=False, why=why, flapping=True)
        return Decision(repair=False, why=f"the repair {ago} ago did not succeed (run {last.run}); not tried again for {left}")
