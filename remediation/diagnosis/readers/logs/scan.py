"""Finding known messages in lines, cheaply enough for logs of 100 MB."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from remediation.diagnosis.catalogue import catalogue
from remediation.diagnosis.readers.logs.messages import MESSAGES
from remediation.model.finding import Quote

# one of these must be in a line before any sign is looked for; a test holds every sign to it
TRIGGERS = (
    "error", "fail", "unable", "not ", "no ", "unsupported", "missing", "too ", "insufficient", "kill", "out of memory",
    "corrupt", "mismatch", "invalid", "exceed", "disabl", "timed out", "skip", "drop", "lost", "unknown", "panic",
    "old ", "denied", "oom", "cannot", "evict", "existing", "xid", "unexpected", "blocked", "n't",
    "aborting", "already set", "physx", "restarting", "no-cgroups", "err:", "fallen", "unlicensed", "throttl",
    "unavailable", "137", "undefined", "requires more", "exit code", "dynamic llm", "compatib",
    "cpu backend", "runners/cpu", '="0 b"', "libraries: []", "communicate", "unsatisfied", "permission",
    "nvidia-container", "predict", "virus", "must be", "closed before", "segment", "busy", "out of range", "wsl/", "stopped", "docker engine", "wrong number",
    "rejected", "0xc0000", "0xe06d", "illegal", "slowdown", "overhead", "file exists", "avc:", "both as a flag", "hook directly", "msg=system", "loaded cpu", "loaded cuda", "cuda_init",
    "blas = 0", "noexec", "quarantin", "mmap", "default_num_ctx", "load_mode", "load progress", "flash", "prompt cache", "e3b0c44298fc", "fabric", "hmm", "legacy", "ldcache", "compiled without", "built without", "stat nvidia", "cuinit", "nouveau", "is_available", "did you", "non-nvml", "getdevicecount", "architectural", "bad cpu", "segfault", "gpu support", "architecture", "/stubs/", "disappear", "ignoring", "stalled", "inconsisten", "incomplete", "relative path", "wsl2", "integrated gpu", "hsa_override", "offline", "than one filter", "empty ggml", "model manifest", "gpu deps", "update your driver", "found 0", "this arch", "power cap", 'info="cpu', "cache state", "status 127", " elf ", "root:root", "root root", "owned by root", "belongs to root", "gateway", "misc_device_t", "preventing", "groups=", "groups:", "render", "nvidia.com/gpu", "newer version", "sigsegv", "entry point", "0x8037", "hcs_e_", "needs cleaning", "terminated",
    "requires reset", "recovery action", "cudasetdevice", "cudamemget", "cudeviceget", "cuda return", "cuda code", "cuda status", "minimum", "unresolvable", "hang", "starting engine", "starting the engine",
    "dockerdesktop", "exited", "exit status", "misc dxg", "runner director", "without", "lack", "absent", "empty", "wrong elf", "symbol", "time out", "times out", "refused", "unreachable", "no route", "resolution", "etimedout", "enotfound", "ehostunreach", "econnrefused", "bad", "truncated", "eof", "handshake", "connection re", "certificate",
    "crw-------", "gpl-", "access fault", "gsp", "-dkms", "ngpulayers", "protection_fault", "timeout", "unrecoverable", "is full", "unhealthy", "incompatibledriver", "llvmpipe",
    # of the catalogue
    "not_init", "misaligned", "exclusive-thread", "only 'all'", "buffer pool full", "only f16", "all_quants", "greater than", " fault", "expected", "in bytes >", "total number of elements", "only supports", "buffered io", "rootless",
    "with root", "user namespace", "recommended that", "faled to", "64-bit bar", "when a driver", "another driver", "conflict", "were initialized", "non-existent", "suspend interface", "nvreg_temporary", "crash", "from gsp",
    "initialize gsp", "slow rpc", "(ecc)", "gsp-rm", "user override", "out-of-memory", "unmarshal", "unhealthy", "payload", "one lora", "unassigned", "nan or inf", "hook ran past", "id-mapped", "mount target",
    "null byte", "mount api", "mount source", "malformed", "/proc/devices", "customised kernel", "duplicated", "-ngl ", "updated vram", "timer expired", "msg=reloading",
)  # fmt: skip

_DIGITS = str.maketrans("123456789", "0" * 9)
_WITH_DIGITS = tuple(one for one in TRIGGERS if any(map(str.isdigit, one)))
_WITHOUT_DIGITS = tuple(one for one in TRIGGERS if one not in _WITH_DIGITS)

SEEN = "seen."
"""What a message of the catalogue means has a key that begins so."""

_FIRST, _LATEST = 2, 2
"""Number of first and of last hits that are kept for each sign: the history and the present."""
_MOST_KNOWN = 20_000


@dataclass(frozen=True, slots=True)
class Sign:
    """A known message: its key, a needle in lower case, and the pattern (groups are kept)."""

    key: str
    needle: str
    pattern: re.Pattern[str]


@lru_cache(maxsize=1)
def signs() -> tuple[Sign, ...]:
    """Return the known messages as signs, each pattern compiled once."""
    return tuple(sign(*entry) for entry in MESSAGES)


def sign(key: str, needle: str, pattern: str | None = None) -> Sign:
    """Return a sign; without a pattern the needle itself is searched."""
    return Sign(key, needle, re.compile(pattern or re.escape(needle), re.IGNORECASE))


class LinePosition(NamedTuple):
    """Where a line stands in a log: server processes and loads so far, and whether the last load had ended."""

    server: int = 0
    load: int = 0
    after: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A known message found in a text: which one, where, and what it captured; ``server``, ``load`` and ``after`` as in `LinePosition`."""

    key: str
    at: Quote
    groups: tuple[str, ...] = ()
    line: int = 0
    server: int = 0
    load: int = 0
    after: bool = False


@lru_cache(maxsize=8192)
def _may_hold(text: str) -> bool:
    """Return whether a line, but for its time, can hold any sign: the same ones come in every log, of every host and at every look."""
    low = text.lower()
    return _shape_may_hold(low.translate(_DIGITS)) or any(trigger in low for trigger in _WITH_DIGITS)


@lru_cache(maxsize=8192)
def _shape_may_hold(shape: str) -> bool:
    """Return whether a line, but for its numbers, can hold any sign: lines that differ in their numbers alone are looked at once."""
    return any(trigger in shape for trigger in _WITHOUT_DIGITS)


@lru_cache(maxsize=8192)
def _signs_in_line(line: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the signs in a line, each with what it captured. Cached for the same reason; the time is left out of `line`."""
    low, found = line.lower(), []
    for one in signs():
        match = one.pattern.search(line) if one.needle in low else None
        if match is not None:
            found.append((one.key, tuple(group or "" for group in match.groups())))
    meanings = dict.fromkeys(message.means for message in catalogue().find(line) if message.means is not None)
    return (*found, *((f"{SEEN}{means}", ()) for means in meanings))


@dataclass(slots=True)
class Scanner:
    """Looks for signs line by line; of each sign the first and the latest hits are kept, so a repeated message costs nothing.

    What a text held is remembered, up to a bound: most lines come again at every load, but for their time.
    """

    _first: dict[str, list[Hit]] = field(default_factory=dict)
    _latest: dict[str, deque[Hit]] = field(default_factory=dict)
    _known: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = field(default_factory=dict)

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The hits that were kept, in the order of their lines."""
        kept = [hit for hits in (*self._first.values(), *self._latest.values()) for hit in hits]
        return tuple(sorted(kept, key=lambda hit: hit.line))

    def scan(self, name: str, number: int, line: str, when: LinePosition = LinePosition()) -> bool:  # noqa: B008 - immutable
        """Look at one line and return whether it holds a known message."""
        text = line.partition(" ")[2] if line.startswith("time=") else line
        found = self._known.get(text)
        if found is None:
            found = _signs_in_line(text if text is line else f"time= {text}") if _may_hold(text) else ()
            if len(self._known) < _MOST_KNOWN:
                self._known[text] = found
        for key, groups in found:
            self._keep(Hit(key, Quote(f"{name}:{number}", line.strip()[:400]), groups, number, *when))
        return bool(found)

    def _keep(self, hit: Hit) -> None:
        first = self._first.setdefault(hit.key, [])
        if len(first) < _FIRST:
            first.append(hit)
        else:
            self._latest.setdefault(hit.key, deque(maxlen=_LATEST)).append(hit)
