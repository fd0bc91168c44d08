"""Changes the target's Ollama server: loads, queries, pulls, creates and deletes models, and restarts the server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from remediation.connections.calls import Http
from remediation.facets.checked import checked
from remediation.facets.ollama import pull as fetching
from remediation.facets.ollama.client import NOT_FOUND, OK, START, OllamaByHttp, same_name, what_for
from remediation.facets.protocols import EngineReader
from remediation.facets.snapshot import Snapshot
from remediation.model.clock import Clock
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import ExecResult, GenerationFigures, Runner, Target

_PROMPT = 20.0
"""Timeout in seconds for the confirmation of an unload, which does not wait for the runner to exit."""
_PAUSE = 0.5
EMBEDS = "does not support generate"
"""The server's words for a model that only embeds, and for one whose file cannot be read (server/images.go, Capabilities)."""


class Asker(Protocol):
    """Queries a model while GPU and CPU load are sampled."""

    def ask(self, url: str, body: Mapping[str, Any], *, timeout: float, sample: bool) -> GenerationFigures:
        """Send a streamed request and return its figures."""


class EngineChanges(EngineReader, Protocol):
    """The part of the engine facet that the writer uses."""

    def execute(self, name: str, argv: Sequence[str]) -> ExecResult:
        """Run a program that changes something inside a container."""

    def restart(self, name: str, *, timeout: float = 30.0) -> None:
        """Restart one container."""


@checked("ollama_writer")
class OllamaWriterByHttp(OllamaByHttp):
    """Adds methods that change the server."""

    def __init__(
        self, snapshot: Snapshot, target: Callable[[], Target], engine: EngineChanges, *, clock: Clock, asker: Asker, registry: str | None = None,
        on_progress: fetching.Progress | None = None, seen: dict[str, Runner] | None = None, restart_server: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(snapshot, target, engine, registry, seen)
        self._clock, self._asker, self._changes, self._on_progress = clock, asker, engine, on_progress
        self._restart_server = restart_server

    def load(self, model: str, *, options: Mapping[str, Any], keep_alive: str | None = None, timeout: float = 330.0) -> None:
        """Load a model and wait until it is loaded."""
        body: dict[str, Any] = {"model": model, "stream": False, "options": dict(options)}
        if keep_alive is not None:
            body["keep_alive"] = _seconds(keep_alive)
        try:
            self._post("generate", body, timeout)
        except CallFailed as refused:
            if EMBEDS not in refused.message:
                raise
            self._embed({**body, "input": ""}, timeout, refused)

    def embed(self, model: str, text: str, *, options: Mapping[str, Any], timeout: float) -> None:
        """Request the embedding of a text."""
        self._post("embed", {"model": model, "input": text, "options": dict(options)}, timeout)

    def _embed(self, body: Mapping[str, Any], timeout: float, refused: CallFailed) -> None:
        """Load a model through /api/embed. Raises `refused` if the release does not have it (before v0.3)."""
        try:
            self._post("embed", body, timeout)
        except CallFailed as error:
            if error.status == NOT_FOUND:
                raise refused from error
            raise

    def unload(self, model: str, *, timeout: float = 60.0) -> None:
        """Unload a model and wait until it is gone. The server answers before that."""
        until = self._clock.monotonic() + timeout
        self._post("generate", {"model": model, "stream": False, "keep_alive": 0}, min(timeout, _PROMPT))
        while any(same_name(runner.model, model) for runner in self._now()):
            if self._clock.monotonic() >= until:
                raise DeadlineExceeded(
                    f"{model} is still loaded {timeout:.0f} s after the request to unload it",
                    host=self._snapshot.host,
                    next_step="a request may be running; wait for it to end, or restart the server",
                )
            self._clock.sleep(_PAUSE)

    def generate(
        self, model: str, prompt: str, *, options: Mapping[str, Any], timeout: float, sample: bool = True
    ) -> GenerationFigures:
        """Generate tokens and return the figures."""
        body = {"model": model, "prompt": prompt, "stream": True, "options": dict(options)}
        url = f"{self.endpoint}/api/generate"
        self._snapshot.invalidate()
        return self._asker.ask(url, body, timeout=timeout, sample=sample)

    def pull(self, model: str, *, progress: fetching.Progress | None = None, timeout: float = 7200.0) -> None:
        """Pull a model through the server and wait until it is stored. Continues an interrupted pull."""
        what, progress = f"pulling {model}", progress or self._on_progress
        follower = fetching.Follower(what, self._snapshot.host, progress)
        call = Http(
            "POST", f"{self.endpoint}/api/pull", {"model": model, "name": model, "stream": True}, timeout=timeout, writes=True,
            stream=True, silence=fetching.SILENCE, on_chunk=follower.on_chunk if progress is not None else None,
        )  # fmt: skip
        reply = self._snapshot.http(call, what, next_step=fetching.AGAIN)
        if reply.status != OK:
            self._json(call, reply.status, reply.body)
        follower.judge(reply.body)

    def delete(self, model: str) -> None:
        """Delete a model, if the server has it."""
        call = Http("DELETE", f"{self.endpoint}/api/delete", {"model": model, "name": model}, timeout=60.0, writes=True)
        reply = self._snapshot.http(call, what_for(call), next_step=START)
        if reply.status not in {OK, NOT_FOUND}:
            self._json(call, reply.status, reply.body)

    def create(self, model: str, *, source: str, parameters: Mapping[str, Any], timeout: float = 300.0) -> None:
        """Create `model` from `source` with additional parameters."""
        self._post("create", fetching.create_body(self.version(), model, source, parameters), timeout)

    def quarantine(self, digest: str) -> None:
        """Move a blob out of ``blobs``, so that the next pull downloads it again."""
        self._store().quarantine(digest)

    def restore(self, digest: str) -> None:
        """Move a blob back."""
        self._store().restore(digest)

    def discard(self, digest: str) -> None:
        """Delete a blob that was moved aside."""
        self._store().discard(digest)

    def restart(self, *, timeout: float = 60.0) -> None:
        """Restart the container or service, and wait until the server answers."""
        found = self._target().container
        if found is not None:
            self._changes.restart(str(found.value), timeout=min(timeout, 30.0))
        elif self._restart_server is not None:
            self._restart_server()
        self.wait(timeout=timeout)

    def wait(self, *, timeout: float = 60.0) -> None:
        """Wait until the server answers."""
        until = self._clock.monotonic() + timeout
        while True:
            self._snapshot.invalidate()
            try:
                self.version()
            except (CallFailed, DeadlineExceeded):
                if self._clock.monotonic() >= until:
                    raise
                self._clock.sleep(_PAUSE)
            else:
                return

    def _execute(self, name: str, argv: list[str]) -> ExecResult:
        return self._changes.execute(name, argv)

    def _now(self) -> Sequence[Runner]:
        """Return the currently loaded models, ignoring the snapshot."""
        self._snapshot.invalidate()
        return self.running()

    def _post(self, path: str, body: Mapping[str, Any], timeout: float) -> Any:
        call = Http("POST", f"{self.endpoint}/api/{path}", dict(body), timeout=timeout, writes=True)
        reply = self._snapshot.http(call, what_for(call), next_step=START)
        return self._json(call, reply.status, reply.body)


def _seconds(keep_alive: str) -> str | int:
    """Convert a number to an integer: Ollama requires a unit in strings."""
    return int(keep_alive) if re.fullmatch(r"-?\d+", keep_alive) else keep_alive
