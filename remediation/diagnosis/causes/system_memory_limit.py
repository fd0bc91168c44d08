"""RAM is what is short: container or WSL limit, OOM killer (facts/ollama 2.4, 5.2; recordings, surprise 8)."""

from __future__ import annotations

from remediation.diagnosis.causes.base import FIGURES, HINT, LIKELY, Verdict, died_without_layers, found
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.runners import dead_runner, listed_at
from remediation.diagnosis.shortage import shortage
from remediation.diagnosis.texts.docker import DockerReading
from remediation.diagnosis.units import human
from remediation.diagnosis.versions import at_least
from remediation.model.finding import Cause, Finding

CURE = "raise the memory limit of the container or of WSL (.wslconfig), free RAM, or use a smaller model or context"


SEES_CGROUP_V2 = "0.13.0"
"""From this release on the server reads memory.max and memory.current (facts/ollama 4.7)."""

# tokens in the cache, all slots together, from which on it is the cache that asks for the memory
HUGE_CACHE = 32768


def _cache(reading: Reading) -> bool:
    """Whether the slots' cache, not the model, is what asks for the memory."""
    figures = shortage(reading)
    return (figures.context or 0) * figures.parallel >= HUGE_CACHE


def find(reading: Reading) -> Verdict:
    """Look for the server's refusal, the kernel's kill, and failed allocations in RAM."""
    limit = next((docker for docker in reading.docker if docker.memory_limit), None)
    at_limit = limit.limit_at if limit else None
    refused = reading.hit("ram_refused")
    if refused is not None:
        amounts = f" ({refused.groups[0]} of {refused.groups[1]})" if len(refused.groups) == 2 else ""
        return found(
            Cause.SYSTEM_MEMORY_LIMIT,
            0.97 if not _cache(reading) else LIKELY,
            f"the server refused the load: it needs more system memory than there is{amounts}",
            refused.at,
            at_limit,
            cure=CURE,
        )
    killed = reading.hit("killed")
    if killed is not None:
        text = "the process was killed, as the kernel does when memory runs out"
        if limit and limit.memory_limit:
            text += f"; the container may use {human(limit.memory_limit)}"
        return found(Cause.SYSTEM_MEMORY_LIMIT, 0.97, text, killed.at, at_limit, cure=CURE)
    ended = reading.hit("exit_137")
    if ended is not None:
        # docker kill gives 137 as well, then with OOMKilled false (recordings, Docker)
        sure = 0.5 if reading.hit("not_oom") is not None else 0.9 if limit else LIKELY
        return found(
            Cause.SYSTEM_MEMORY_LIMIT, sure, "the process ended with code 137: it was killed", ended.at, at_limit, cure=CURE
        )
    signalled = reading.hit("signalled")
    if signalled is not None and not reading.codes and reading.hit("segfault") is None:
        return found(
            Cause.SYSTEM_MEMORY_LIMIT,
            0.93,
            "a signal ended the runner while it loaded, as the kernel does when memory runs out",
            signalled.at,
            at_limit,
            cure=CURE,
        )
    failed = reading.hit("ram_allocation")
    if failed is not None:
        return found(Cause.SYSTEM_MEMORY_LIMIT, FIGURES, "an allocation in system memory failed", failed.at, at_limit, cure=CURE)
    return _died(reading, limit) or _in_words(reading, limit) or _unseen(reading)


def _in_words(reading: Reading, limit: DockerReading | None) -> Finding | None:
    """Look for a crash in a container with a limit, and for what people say of memory."""
    at_limit = limit.limit_at if limit else None
    prose = reading.prose
    if limit and limit.memory_limit and reading.hit("runner_terminated", "segfault"):
        return found(
            Cause.SYSTEM_MEMORY_LIMIT,
            LIKELY,
            f"the runner died in a container that may use {human(limit.memory_limit)}",
            at_limit,
            cure=CURE,
        )
    if "system memory" in prose and any(
        word in prose for word in ("lack", "require", "insufficient", "not enough", "fail", "available")
    ):
        return found(Cause.SYSTEM_MEMORY_LIMIT, LIKELY, "loading fails for want of system memory", at_limit, cure=CURE)
    if "page cache" in prose or ("buff/cache" in prose and "limit" in prose):
        return found(
            Cause.SYSTEM_MEMORY_LIMIT, 0.6, "the page cache is counted as used memory (facts/ollama 4.7)", at_limit, cure=CURE
        )
    return None


def _died(reading: Reading, limit: DockerReading | None) -> Finding | None:
    """Look for a runner that loaded and ended at a request: the kernel kills it when its container's memory is used up."""
    hit, dead = reading.hit("runner_died"), dead_runner(reading.evidence)
    if (hit is None and dead is None) or reading.codes or reading.hit("segfault", "gpu_oom", "truncated") is not None:
        return None
    at = hit.at if hit is not None else listed_at(dead) if dead is not None else None
    if limit is not None and limit.memory_limit:
        text = f"the runner died while it answered, in a container that may use {human(limit.memory_limit)}"
        return found(Cause.SYSTEM_MEMORY_LIMIT, 0.85, text, at, limit.limit_at, cure=CURE)
    return found(
        Cause.SYSTEM_MEMORY_LIMIT, HINT, "the runner died while it answered, as it does when memory runs out", at, cure=CURE
    )


def _unseen(reading: Reading) -> Verdict:
    """Look for a load that died with no layer on the card, under a release that cannot see what its container may use."""
    died = reading.hit("runner_terminated")
    if died is not None and died_without_layers(reading) and at_least(reading.version, SEES_CGROUP_V2) is False:
        text = f"the load failed with no layer on the card, and a release before v{SEES_CGROUP_V2} does not see a container's limit (cgroup v2)"
        return found(Cause.SYSTEM_MEMORY_LIMIT, HINT, text, died.at, cure=CURE)
    return None
