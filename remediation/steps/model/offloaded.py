"""The goal of a repair: a given number of the model's layers on the GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator

from remediation.facets.ollama.writer import EMBEDS
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import StepCall
from remediation.model.errors import CallFailed, DeadlineExceeded, HostError
from remediation.model.facts import Runner
from remediation.model.text.digits import is_whole
from remediation.steps.contract import CheckStep, param, step
from remediation.steps.model.keep_alive import for_good
from remediation.steps.model.load_state import LoadState, layer_values, load_state, log_of
from remediation.steps.resolve import not_stored, resolve_model

SECONDS = 60.0
"""Time limit in seconds for one token of a model that is entirely on the GPU."""


@dataclass(frozen=True, slots=True)
class Offload:
    """How a model is loaded, and what the log says about a runner that died while answering (or "")."""

    load: LoadState
    died: str


@step("model.offloaded", settle=30.0)
class ModelOffloaded(CheckStep[Offload]):
    """The given number of the model's layers is on the GPU, and the model answers. This step only checks; it serves as a goal.

    ``/api/ps`` shows whether none, some or all of the model is on the GPU; the server log counts layers. Memory that spilled into
    shared system memory and a dead runner that is still listed do not count as success.
    """

    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")
    layers: str = param("all, a number of layers, or a percentage", default="all", example="90%")

    @field_validator("layers", mode="before")
    @classmethod
    def _layers(cls, value: object) -> str:
        text = str(value).strip().lower()
        number = text.removesuffix("%").strip()
        if text != "all" and not (is_whole(number) and not isinstance(value, bool)):
            msg = f"expected all, a number of layers or a percentage such as 90%, got {value!r}"
            raise ValueError(msg)
        if text.endswith("%") and int(number) > 100:
            msg = f"expected at most 100%, got {value!r}"
            raise ValueError(msg)
        return text

    def observe(self, host: Reader) -> Offload:
        model = resolve_model(self.model, host)
        state = load_state(host, model)
        if not state.stored and not _on_disk(host, model):
            raise not_stored(model, host)
        return Offload(state, last_death(host) if state.runner is not None else "")

    def is_met(self, state: Offload) -> bool | None:
        """Whether enough layers of an answering model are on the GPU. None if it is not loaded or the layers are not counted."""
        return False if state.died or not state.load.stored else self._has_enough_layers(state.load)

    def _has_enough_layers(self, state: LoadState) -> bool | None:
        if state.runner is None:
            return False if state.hung_since else None
        if state.whole:
            return True
        if self.layers == "all" or state.spill:
            return False
        if state.layers is None:
            return None if state.runner.size_vram else False
        return state.layers[0] >= self._target_layers(state.layers[1])

    def _target_layers(self, total: int) -> int:
        if self.layers == "all":
            return total
        if self.layers.endswith("%"):
            return -(-total * int(self.layers.removesuffix("%").strip()) // 100)
        return min(int(self.layers), total)

    def probe_step(self, state: Offload) -> StepCall | None:
        """Load an unloaded model as a client's request would."""
        return StepCall("model.loaded", {"model": state.load.model}) if state.load.runner is None else None

    def confirm(self, host: Writer, state: Offload) -> str:
        """Request one token: a dead runner is still listed with all its layers."""
        return token_failure(host, state.load.runner) if state.load.runner is not None else ""

    def advice(self, state: Offload) -> str:
        if not state.died:
            return ""
        log = f"docker logs --tail 50 {state.load.container}" if state.load.container else "the end of the server's log"
        return f"find out why its runner exited ({log}): out of memory, or a bug in the driver or in this release"

    def reached_by(self, foreseen: Mapping[str, Any]) -> bool | None:
        predicted = foreseen.get("predicted")
        return predicted[0] >= self._target_layers(predicted[1]) if predicted else None

    def describe(self, state: Offload) -> str:
        load = state.load
        if not load.stored:
            return f"{load.model} is not stored on this server"
        parts = [load.words, *([load.trouble] if load.trouble else []), *([state.died] if state.died else [])]
        if load.hung_since:
            parts.append(f"the server hangs in a forced load ({load.hung_since})")
        if self._has_enough_layers(load) is False and load.runner is not None:
            wanted = self._target_layers(load.total) if load.total else self.layers
            parts.append(f"wanted {wanted}{f'/{load.total}' if load.total else ''}")
        if load.fit is not None and not load.whole:
            parts.append(load.fit.sentence)
        return "; ".join(parts)

    def values(self, state: Offload) -> dict[str, Any]:
        """Register layers, sizes, what would fit, the context size and expiry of the load, and the server's container."""
        load, runner = state.load, state.load.runner
        kept = {"context": runner.context_length, "kept": for_good(runner)} if runner is not None else {}
        return {**layer_values(load, alone=False), **kept, "container": load.container}


def _on_disk(host: Reader, model: str) -> bool:
    """Whether a model that the server does not list has a manifest. A layer is then missing, which can be repaired."""
    try:
        return host.ollama.blobs(model) is not None
    except HostError:
        return False


def last_death(host: Reader) -> str:
    """Return what the log says about a runner that died while answering. Returns "" if a later load or answer contradicts it."""
    log = log_of(host)
    died = next((hit for hit in reversed(log.hits) if hit.key == "runner_died" and hit.server == log.server), None)
    if died is None or any(load.number > died.load and load.started_at is not None for load in log.loads):
        return ""
    later = [request for request in log.requests if request.line > died.line]
    if any(request.answered for request in later):
        return ""
    return f"its runner died while it answered{' (HTTP 500)' if any(request.failed for request in later) else ''}"


def token_failure(host: Writer, runner: Runner) -> str:
    """Request one token from a loaded model. Returns why it did not answer, or "" if it did or has no known context size.

    The request uses the context size of the load. Another size would reload the model. A runner that the kernel killed stays in
    ``/api/ps`` with all its layers until the next request (Ollama's server/sched.go).
    """
    if runner.context_length is None:
        return ""
    options: dict[str, Any] = {"num_ctx": runner.context_length, "num_predict": 1, "temperature": 0, "seed": 1}
    try:
        host.ollama.generate(runner.model, "Hi", options=options, timeout=SECONDS, sample=False)
    except CallFailed as error:
        if EMBEDS not in error.message:
            return f"it does not answer: {error.message}"
    except DeadlineExceeded:
        return f"it returned no token within {SECONDS:g} s"
    else:
        return ""
    return _embedding_failure(host, runner)


def _embedding_failure(host: Writer, runner: Runner) -> str:
    """Request one embedding, as of a model that does not generate. A model whose file is gone gives the same refusal, and no embedding."""
    try:
        host.ollama.embed(runner.model, "Hi", options={"num_ctx": runner.context_length}, timeout=SECONDS)
    except CallFailed as error:
        return f"it does not answer: {error.message}"
    except DeadlineExceeded:
        return f"it returned no embedding within {SECONDS:g} s"
    return ""
