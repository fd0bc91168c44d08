"""What an Ollama server says of itself and its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Runner:
    """One loaded model as ``/api/ps`` lists it (facts/ollama 3); ``expires_at`` as sent (RFC 3339)."""

    model: str
    size: int
    size_vram: int
    context_length: int | None = None
    digest: str = ""
    expires_at: str = ""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One stored model as ``/api/tags`` lists it; ``size`` on disk."""

    name: str
    size: int
    digest: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelShow:
    """What ``/api/show`` says: ``parameters`` parsed to name -> text, ``info`` the GGUF metadata."""

    model: str
    parameters: Mapping[str, str]
    info: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)
    modelfile: str = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """One layer of a stored model: ``size`` as its manifest says, ``present`` bytes on disk, None where it is missing.

    ``actual`` is the digest of what lies on disk, None where it was not hashed. Digests read ``sha256:<64 hex>``.
    """

    digest: str
    size: int
    media_type: str = ""
    present: int | None = None
    actual: str | None = None

    @property
    def sound(self) -> bool | None:
        """Whether what lies on disk is what the manifest names; None where only its hash could tell."""
        if self.present is None or self.present != self.size:
            return False
        return None if self.actual is None else self.actual == self.digest


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model as a registry holds it: the digest of its manifest (as ``/api/tags`` shows it) and its layers."""

    model: str
    digest: str
    layers: tuple[Blob, ...] = ()

    @property
    def size(self) -> int:
        """Bytes to download at most."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One line of a pull: ``completed`` and ``total`` in bytes of the layer ``digest``, None where the line names none."""

    status: str
    digest: str = ""
    completed: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class GenerationFigures:
    """The figures of one request, from Ollama's own durations (seconds); None where not known.

    ``first_token`` is stamped at the first streamed chunk by whoever ran the request on the host.
    """

    tokens: int
    total: float
    load: float
    prompt_eval: float
    eval: float
    first_token: float | None = None
    done_reason: str = ""
    gpu_percent: float | None = None
    cpu_percent: float | None = None
