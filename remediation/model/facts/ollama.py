"""The state of an Ollama server and its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Runner:
    """One loaded model as listed by ``/api/ps``; ``expires_at`` as sent (RFC 3339)."""

    model: str
    size: int
    size_vram: int
    context_length: int | None = None
    digest: str = ""
    expires_at: str = ""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One stored model as listed by ``/api/tags``; ``size`` on disk."""

    name: str
    size: int
    digest: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelShow:
    """The result of ``/api/show``: ``parameters`` parsed to name -> text, ``info`` the GGUF metadata."""

    model: str
    parameters: Mapping[str, str]
    info: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)
    modelfile: str = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """One layer of a stored model: ``size`` from its manifest, ``present`` bytes on disk, None if it is missing.

    ``actual`` is the digest of the file on disk, None if it was not hashed. Digests have the form ``sha256:<64 hex>``.
    """

    digest: str
    size: int
    media_type: str = ""
    present: int | None = None
    actual: str | None = None

    @property
    def sound(self) -> bool | None:
        """Whether the file on disk matches the manifest; None if only its hash could show it."""
        if self.present is None or self.present != self.size:
            return False
        return None if self.actual is None else self.actual == self.digest


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model in a registry: the digest of its manifest (as shown by ``/api/tags``) and its layers."""

    model: str
    digest: str
    layers: tuple[Blob, ...] = ()

    @property
    def size(self) -> int:
        """Maximum bytes to download."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One line of a pull: ``completed`` and ``total`` in bytes of the layer ``digest``, None if the line has none."""

    status: str
    digest: str = ""
    completed: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class GenerationFigures:
    """The figures of one request, from Ollama's own durations in seconds; None if unknown.

    ``first_token`` is measured at the first streamed chunk, on the machine that ran the request.
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
