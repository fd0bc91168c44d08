"""The Ollama server. A reader has no method that changes anything."""

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
    """The Ollama server of the target, by HTTP from the host itself."""

    def version(self) -> str:
        """Return its version; raises `CallFailed` when it does not answer."""

    def running(self) -> Sequence[Runner]:
        """Return what ``/api/ps`` lists."""

    def last_runner(self, model: str) -> Runner | None:
        """Return a model's runner as it was last seen in this run, though it may be unloaded by now; None where it never was."""

    def models(self) -> Sequence[ModelEntry]:
        """Return what ``/api/tags`` lists."""

    def show(self, model: str) -> ModelShow | None:
        """Return what ``/api/show`` says of a model, None when the server does not know it."""

    def log(self, *, tail: int = 4000) -> str:
        """Return the end of the server's log, from the container or the service."""

    def blobs(self, model: str, *, verify: bool = False, timeout: float = 900.0) -> Sequence[Blob] | None:
        """Return the layers of a stored model by its manifest on disk, None when there is no manifest.

        With `verify` each is hashed where it lies (inside the container, on the host), which takes a while: a pull never
        does (facts/ollama 3). A manifest that is damaged raises `CallFailed`.
        """

    def aside(self) -> Sequence[str]:
        """Return the digests of blobs that `OllamaWriter.set_aside` moved away."""

    def registry(self, model: str) -> Manifest | None:
        """Return a model as its registry holds it, None when no registry does; nothing is downloaded but the manifest.

        Raises `CallFailed` when the registry cannot be reached: that is not the same as None.
        """


class OllamaWriter(OllamaReader, Protocol):
    """The Ollama server: loading and asking models, fetching, making and deleting them."""

    def load(self, model: str, *, options: Mapping[str, Any], keep_alive: str | None = None, timeout: float = 330.0) -> None:
        """Preload a model with these options; returns when it is loaded (facts/ollama 3).

        Without `keep_alive` the model stays as long as the server keeps any.
        """

    def unload(self, model: str, *, timeout: float = 60.0) -> None:
        """Unload a model and wait until ``/api/ps`` no longer lists it."""

    def generate(
        self, model: str, prompt: str, *, options: Mapping[str, Any], timeout: float, sample: bool = True
    ) -> GenerationFigures:
        """Ask for tokens and return the figures; GPU and CPU are sampled meanwhile when `sample`."""

    def pull(self, model: str, *, progress: Callable[[PullProgress], None] | None = None, timeout: float = 7200.0) -> None:
        """Fetch a model by the server's own pull, going on where an interrupted one ended; returns when it is stored.

        Whoever asked for the writer hears how it goes on where `progress` is not given. A failure inside the stream (often under HTTP 200) raises `CallFailed` with its words: disk full, no such tag.
        """

    def delete(self, model: str) -> None:
        """Delete a model; layers that others use stay; nothing where the server does not know it."""

    def create(self, model: str, *, source: str, parameters: Mapping[str, Any], timeout: float = 300.0) -> None:
        """Make `model` from `source` with these parameters on top (``/api/create``, in the release's own form, facts/ollama 3)."""

    def quarantine(self, digest: str) -> None:
        """Move a blob out of the store's ``blobs`` into ``set-aside`` beside it, so that a pull fetches it anew.

        Not within ``blobs``: the server deletes what has no valid name there. Nothing where it was moved already.
        """

    def restore(self, digest: str) -> None:
        """Move a blob that was set aside back, over what is there now."""

    def discard(self, digest: str) -> None:
        """Delete a blob that was set aside."""

    def restart(self, *, timeout: float = 60.0) -> None:
        """Restart the server, container or service, and wait until it answers."""
