"""Causes, findings and diagnoses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Cause(str, Enum):
    """The fixed list of causes; ``UNKNOWN`` if nothing is proven."""

    EXPLICIT_NUM_GPU = "explicit_num_gpu"
    VRAM_OCCUPIED = "vram_occupied"
    OTHER_MODEL_LOADED = "other_model_loaded"
    MODEL_TOO_LARGE = "model_too_large"
    CONTEXT_TOO_LARGE = "context_too_large"
    NUM_PARALLEL_TOO_HIGH = "num_parallel_too_high"
    ESTIMATE_TOO_CONSERVATIVE = "estimate_too_conservative"
    GPU_OVERHEAD_RESERVED = "gpu_overhead_reserved"
    SYSTEM_MEMORY_LIMIT = "system_memory_limit"
    GPU_NOT_VISIBLE_TO_CONTAINER = "gpu_not_visible_to_container"
    DRIVER_TOO_OLD = "driver_too_old"
    DRIVER_LOST = "driver_lost"
    WRONG_LIBRARY_OR_MISSING_RUNNER = "wrong_library_or_missing_runner"
    UNSUPPORTED_GPU = "unsupported_gpu"
    CUDA_VISIBLE_DEVICES_WRONG = "cuda_visible_devices_wrong"
    MODEL_CORRUPT = "model_corrupt"
    DOCKER_DESKTOP_STATE = "docker_desktop_state"
    LOAD_LATENCY = "load_latency"
    NOT_GPU_MODEL_RUNS_ON_CPU_BY_DESIGN = "not_gpu_model_runs_on_cpu_by_design"
    HEALTHY = "healthy"
    OTHER = "other"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value

    @property
    def is_health(self) -> bool:
        """Whether nothing is wrong."""
        return self is Cause.HEALTHY

    @property
    def explains(self) -> bool:
        """Whether the cause explains why layers of the model are not on the GPU."""
        return self not in {Cause.HEALTHY, Cause.LOAD_LATENCY, Cause.UNKNOWN}

    @property
    def excluded_for_good(self) -> bool:
        """Whether a cause ruled out by a step stays ruled out for the run: a file with a correct hash stays correct."""
        return self in {Cause.MODEL_CORRUPT, Cause.DRIVER_TOO_OLD}


@dataclass(frozen=True, slots=True)
class Quote:
    """A literal quote that proves something: ``where`` is a file:line, a field or a command, ``text`` its content."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause with the evidence that proves it; ``confidence`` is between 0 and 1.

    ``mechanism`` names what is wrong in concrete terms (`remediation.diagnosis.knowledge`), ``confirm`` how to
    check that the cure helped. ``by_hand`` means that only a person can fix this form of the cause, even if rungs treat other forms.
    ``weighed`` are other mechanisms of the cause that some evidence supports.
    """

    cause: Cause
    confidence: float
    because: str
    quotes: tuple[Quote, ...] = ()
    cure: str = ""
    by_hand: bool = False
    mechanism: str = ""
    confirm: str = ""
    weighed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuledOut:
    """A cause that the evidence rules out, and why."""

    cause: Cause
    because: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that conflicts with what the server reads: dead (read by no release) or harmful."""

    name: str
    value: str
    verdict: str
    because: str


@dataclass(frozen=True, slots=True)
class Sender:
    """A client that requests a number of layers; ``place`` is the file and line, or the field, to change."""

    who: str
    value: int | None
    place: Quote
    cure: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The diagnosis of one incident; findings are ordered, best first.

    - ``offloaded``: (layers on the GPU, layers of the model) as last reported by the server.
    - ``predicted``: the layers that would fit according to the memory model; ``need`` explains it in one sentence.
    - ``collect``: what to collect next.
    - ``senders``: the clients that request few layers, if that is the finding.
    """

    findings: tuple[Finding, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    settings: tuple[Setting, ...] = ()
    offloaded: tuple[int, int] | None = None
    predicted: tuple[int, int] | None = None
    need: str = ""
    collect: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    senders: tuple[Sender, ...] = ()

    def confidence(self, what: str) -> float:
        """Return the confidence of a cause or mechanism, 0 if it is not among the findings."""
        return max((one.confidence for one in self.findings if what in (one.cause, one.mechanism)), default=0.0)

    def rules_out(self, what: str) -> bool:
        """Return whether the evidence rules out a cause. Mechanisms alone are never ruled out."""
        return any(item.cause == what for item in self.ruled_out)
