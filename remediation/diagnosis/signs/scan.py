"""Finding signs in lines, cheaply enough for logs of 100 MB."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from remediation.model.finding import Quote

# one of these must be in a line before any sign is looked for; a test holds every sign to it
TRIGGERS = (
    "error", "fail", "unable", "not ", "no ", "unsupported", "missing", "too ", "insufficient", "kill", "out of memory",
    "corrupt", "mismatch", "invalid", "exceed", "disabl", "timed out", "skip", "drop", "lost", "unknown", "panic",
    "old ", "denied", "oom", "cannot", "couldn't", "evict", "existing", "xid", "unexpected", "blocked", "n't",
    "aborting", "already set", "bad_alloc", "physx", "oomkilled", "restarting", "no-cgroups", "err:", "fallen", "unlicensed", "throttl",
    "unavailable", "137", "undefined", "requires more", "exit code", "cuda_error", "dynamic llm", "compatib",
    "cpu backend", "runners/cpu", '="0 b"', "libraries: []", "communicate", "cuinit", "unsatisfied", "permission",
    "nvidia-container", "virus", "must be", "closed before", "segment", "busy", "out of range", "wsl/", "stopped", "docker engine", "wrong number",
)  # fmt: skip

_MOST_HITS = 4
_MOST_QUIET = 20_000


@dataclass(frozen=True, slots=True)
class Sign:
    """A known message: its key, a needle in lower case, and the pattern (groups are kept)."""

    key: str
    needle: str
    pattern: re.Pattern[str]


def sign(key: str, needle: str, pattern: str | None = None) -> Sign:
    """Return a sign; without a pattern the needle itself is searched."""
    return Sign(key, needle, re.compile(pattern or re.escape(needle), re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class Hit:
    """A known message found in a text: which one, where, and what it captured."""

    key: str
    at: Quote
    groups: tuple[str, ...] = ()


@lru_cache(maxsize=8192)
def _may_hold(said: str) -> bool:
    """Return whether a line, but for its time, can hold any sign: the same ones come in every log, of every host and at every look."""
    low = said.lower()
    return any(trigger in low for trigger in TRIGGERS)


@dataclass(slots=True)
class Scanner:
    """Looks for signs line by line; of each sign the first few hits are kept, so a repeated message costs nothing.

    What was looked at without a hit is remembered, up to a bound: most lines come again at every load, but for their time.
    """

    signs: tuple[Sign, ...]
    hits: list[Hit] = field(default_factory=list)
    _left: dict[str, int] = field(default_factory=dict)
    _quiet: set[str] = field(default_factory=set)

    def scan(self, name: str, number: int, line: str) -> bool:
        """Look at one line and return whether it holds a message that is known."""
        said = line.partition(" ")[2] if line.startswith("time=") else line
        if said in self._quiet:
            return False
        hit = _may_hold(said) and self._look(name, number, line)
        if not hit and len(self._quiet) < _MOST_QUIET:
            self._quiet.add(said)
        return hit

    def _look(self, name: str, number: int, line: str) -> bool:
        hits = len(self.hits)
        low = line.lower()
        for one in self.signs:
            if one.needle not in low or self._left.get(one.key, _MOST_HITS) == 0:
                continue
            match = one.pattern.search(line)
            if match is not None:
                self._left[one.key] = self._left.get(one.key, _MOST_HITS) - 1
                quote = Quote(f"{name}:{number}", line.strip()[:400])
                self.hits.append(Hit(one.key, quote, tuple(group or "" for group in match.groups())))
        return len(self.hits) > hits
