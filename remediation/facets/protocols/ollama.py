"""Protocols of the Ollama server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from remediation.model.facts import (
        Blob,
        GenerationFigures,
        Manifest,
        ModelEntry,
        ModelShow,
        PullProgress,
        Runner,
    )


class OllamaReader(Protocol):
    """The target's Ollama server, queried through HTTP from the host itself."""

    def version(self) -> str:
        """Return the server's version. Raises `CallFailed` if it does not answer."""

    def running(self) -> Sequence[Runner]:
        """Return the loaded models (``/api/ps``)."""

    def last_runner(self, model: str) -> Runner | None:
        """Return a model's runner as last seen in this run, even if it is unloaded now. None if it was never seen."""

    def models(self) -> Sequence[ModelEntry]:
        """Return the stored models (``/api/tags``)."""

    def show(self, model: str) -> ModelShow | None:
        """Return a model's metadata (``/api/show``), or None if the server does not have it."""

    def log(self, *, tail: int = 4000) -> str:
        """Return the end of the server's log, from its container or service."""

    def blobs(self, model: str, *, verify: bool = False, timeout: float = 900.0) -> Sequence[Blob] | None:
        """Return the layers in a stored model's manifest, or None if it has no manifest.

        With `verify`, each layer is hashed in place (inside the container or on the host), which takes time and which a pull never
        does. Raises `CallFailed` for a damaged manifest.
        """

    def quarantined_blobs(self) -> Sequence[str]:
        """Return the digests of the blobs that `OllamaWriter.quarantine` moved aside."""

    def registry(self, model: str) -> Manifest | None:
        """Return a model's manifest in its registry, or None if the registry does not have it. Downloads only the manifest.

        Raises `CallFailed` if the registry cannot be reached.
        """


class OllamaWriter(OllamaReader, Protocol):
    """The Ollama server, with methods that load, query, pull, create and delete models."""

    def load(self, model: str, *, options: Mapping[str, Any], keep_alive: str | None = None, timeout: float = 330.0) -> None:
        """Load a model with these options and wait until it is loaded.

        Without `keep_alive`, the server's default applies.
        """

    def unload(self, model: str, *, timeout: float = 60.0) -> None:
        """Unload a model and wait until ``/api/ps`` no longer lists it."""

    def generate(
        self, model: str, prompt: str, *, options: Mapping[str, Any], timeout: float, sample: bool = True
    ) -> GenerationFigures:
        """Generate tokens and return the figures. With `sample`, GPU and CPU load are sampled during the request."""

    def embed(self, model: str, text: str, *, options: Mapping[str, Any], timeout: float) -> None:
        """Request the embedding of a text. Raises `CallFailed` if the server refuses."""

    def pull(self, model: str, *, progress: Callable[[PullProgress], None] | None = None, timeout: float = 7200.0) -> None:
        """Pull a model through the server and wait until it is stored. Continues an interrupted pull.

        Without `progress`, the callback given to `HostAccess.writer` receives the progress. An error inside the stream (usually with
        HTTP 200) raises `CallFailed` with its message: disk full, no such tag.
        """

    def delete(self, model: str) -> None:
        """Delete a model, if the server has it. Layers used by other models are kept."""

    def create(self, model: str, *, source: str, parameters: Mapping[str, Any], timeout: float = 300.0) -> None:
        """Create `model` from `source` with additional parameters (``/api/create``, in the format of the release)."""

    def quarantine(self, digest: str) -> None:
        """Move a blob from ``blobs`` to ``set-aside`` next to it, unless it was moved before, so that a pull downloads it again.

        It cannot stay inside ``blobs``, where the server deletes files without a valid name.
        """

    def restore(self, digest: str) -> None:
        """Move a blob back, replacing the current one."""

    def discard(self, digest: str) -> None:
        """Delete a blob that was moved aside."""

    def restart(self, *, timeout: float = 60.0) -> None:
        """Restart the container or service, and wait until the server answers."""

    def wait(self, *, timeout: float = 60.0) -> None:
        """Wait until the server answers."""
