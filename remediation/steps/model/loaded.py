"""Models in memory: load, unload, and reload with as many layers as fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.units import MIB, human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import CallFailed, DeadlineExceeded, HostError
from remediation.model.facts import Runner
from remediation.steps.contract import Step, param, step
from remediation.steps.model.keep_alive import BRIEFLY, FOREVER, for_good, keep_alive_for, server_keeps
from remediation.steps.model.load_state import LoadState, hang_patience, layer_values, load_state, server_environment
from remediation.steps.resolve import resolve_model, runner_of

LOAD_TIMEOUT = 330.0
"""Seconds: slightly more than Ollama's default OLLAMA_LOAD_TIMEOUT of five minutes (envconfig/config.go)."""
_BRIEFLY = f"kept for {BRIEFLY} for inspection, because OLLAMA_KEEP_ALIVE is 0 here"


@dataclass(frozen=True, slots=True)
class LoadedState:
    """A model's name and its runner (None: not loaded). The other fields are those of `LoadState`.

    ``patience`` is the time limit of a load behind a forced load that may hang, None without one.
    """

    model: str
    runner: Runner | None
    keep_alive: str | None = None
    briefly: bool = False
    patience: float | None = None


@step("model.loaded", deadline=LOAD_TIMEOUT + 30.0)
class ModelLoaded(Step[LoadedState]):
    """The model is in memory, loaded as a plain request would load it. A loaded model is left as it is."""

    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")
    keep_alive: str | None = param(
        "how long the model stays loaded without requests; defaults to its previous remaining time, else to the server's setting",
        default=None,
        example="10m",
    )

    def observe(self, host: Reader) -> LoadedState:
        model = resolve_model(self.model, host)
        runner = runner_of(model, host.ollama.running())
        if runner is not None:
            return LoadedState(model, runner, self.keep_alive)
        environment, patience = server_environment(host), hang_patience(host)
        kept = self.keep_alive or keep_alive_for(host, model, environment)
        return LoadedState(
            model, None, kept, briefly=self.keep_alive is None and server_keeps(environment) == 0, patience=patience
        )

    def is_met(self, state: LoadedState) -> bool:
        return state.runner is not None

    def plan(self, state: LoadedState) -> Iterator[Change]:
        """Load without options, as a client's request would."""
        if state.runner is None:
            undo = StepCall("model.unloaded", {"model": state.model})
            yield Change(
                f"load {state.model}",
                subject=state.model,
                before="not loaded",
                after="loaded",
                undo=undo,
                data={"keep_alive": state.keep_alive, "patience": state.patience},
            )

    def apply(self, host: Writer, change: Change) -> None:
        limit = min(LOAD_TIMEOUT, change.data.get("patience") or LOAD_TIMEOUT)
        host.ollama.load(change.subject, options={}, keep_alive=change.data.get("keep_alive"), timeout=limit)

    def measured_effect(self, change: Change, before: LoadedState, after: LoadedState) -> str:
        """Mention a short keep-alive."""
        return _BRIEFLY if before.briefly and after.runner is not None else ""

    def describe(self, state: LoadedState) -> str:
        return f"{state.model} is {'not ' if state.runner is None else ''}loaded"


@step("model.unloaded", deadline=90.0)
class ModelUnloaded(Step[LoadedState]):
    """The model is not in memory, and the VRAM of its runner is free."""

    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")

    def observe(self, host: Reader) -> LoadedState:
        model = resolve_model(self.model, host)
        return LoadedState(model, runner_of(model, host.ollama.running()))

    def is_met(self, state: LoadedState) -> bool:
        return state.runner is None

    def plan(self, state: LoadedState) -> Iterator[Change]:
        if state.runner is not None:
            yield Change(
                f"unload {state.model}", subject=state.model, before=state.runner.size_vram, after=0,
                undo=_reload_call(state.runner), data={"frees": state.runner.size_vram},
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        """Send ``keep_alive: 0`` and wait until the runner is gone."""
        host.ollama.unload(change.subject)

    def describe(self, state: LoadedState) -> str:
        return f"{state.model} is {'not ' if state.runner is None else ''}loaded"


@step("model.reloaded", settle=20.0, deadline=LOAD_TIMEOUT + 60.0)
class ModelReloaded(Step[LoadState]):
    """The model is loaded with as many layers as fit now.

    A runner keeps its layers even if memory is released later, and plain requests reuse a runner that a client loaded with few
    layers. The model is therefore unloaded and preloaded with num_gpu -1. It is never loaded with num_gpu 99, which can hang the
    server when little VRAM is free. A server that hangs in a forced load is detected from its log and restarted.
    """

    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")
    keep_alive: str | None = param(
        "how long the model stays loaded without requests; defaults to its previous remaining time, else to the server's setting",
        default=None,
        example="10m",
    )
    others: bool = param("also unload other models if they use the required memory", default=True)

    def observe(self, host: Reader) -> LoadState:
        return load_state(host, resolve_model(self.model, host))

    def is_met(self, state: LoadState) -> bool:
        """Whether a fresh automatic load would give no more layers."""
        if state.runner is None or state.hung_since:
            return False
        if state.whole:
            return True
        if self._is_crowded(state):
            return False
        return not state.spill and (_is_predicted_maximum(state) or _retry_is_futile(state))

    def plan(self, state: LoadState) -> Iterator[Change]:
        """Unload what occupies the memory, then load."""
        if self.is_met(state):
            return
        if state.hung_since:
            name = state.container or "the service ollama"
            yield Change(
                f"restart {name}: its server hangs in a forced load ({state.hung_since})",
                subject=name, risk=Risk.DISRUPTIVE, data={"action": "restart", "container": bool(state.container)},
            )  # fmt: skip
        if self._is_crowded(state):
            for other in state.others:
                yield _unload(other)
        if state.runner is not None:
            yield _unload(state.runner)
        fit = state.fit_alone if self.others else state.fit
        after = f"{fit.layers}/{fit.total} layers predicted" if fit is not None else "as many layers as fit"
        yield Change(
            f"load {state.model} with num_gpu -1", subject=state.model, before=state.words, after=after,
            data={"action": "load", "keep_alive": self.keep_alive or state.keep_alive, "earlier": state.earlier},
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        action = change.data["action"]
        if action == "restart":
            if change.data["container"]:
                host.engine.restart(change.subject)
            else:
                host.ollama.restart()
        elif action == "unload":
            host.ollama.unload(change.subject)
        else:
            self._load(host, change)

    def _load(self, host: Writer, change: Change) -> None:
        """Load the model. If that fails and it was loaded before, restore the earlier load or report that it is now unloaded."""
        model, keep_alive, earlier = change.subject, change.data.get("keep_alive"), change.data.get("earlier")
        try:
            host.ollama.load(model, options={"num_gpu": -1}, keep_alive=keep_alive, timeout=LOAD_TIMEOUT)
        except DeadlineExceeded as error:
            # a server that hangs in a load answers no other load, so a second attempt would only wait as long
            raise DeadlineExceeded(
                _with_earlier_state(error, model, earlier), host=host.name, next_step=error.next_step
            ) from error
        except CallFailed as error:
            if earlier is None:
                raise
            try:
                host.ollama.load(model, options=earlier, keep_alive=keep_alive, timeout=LOAD_TIMEOUT)
            except HostError:
                message = _with_earlier_state(error, model, earlier)
            else:
                message = f"{error.message}; {model} is loaded again with its previous options"
            raise CallFailed(
                message, host=host.name, next_step=error.next_step, status=error.status, output=error.output
            ) from error

    def describe(self, state: LoadState) -> str:
        parts = [state.words]
        if not state.whole and state.fit is not None:
            parts.append(state.fit.sentence)
        if self._is_crowded(state):
            parts.append(f"{', '.join(one.model for one in state.others)} also loaded")
        if state.best is None and not state.whole:
            parts.append("the free VRAM is unknown")
        if state.unread and not state.whole:
            parts.append(f"judged by /api/ps alone, because {state.unread}")
        if state.trouble:
            parts.append(state.trouble)
        if state.baked is not None:
            parts.append(
                f"the model itself sets num_gpu {state.baked}, so a plain request loads it that way again (model.parameter)"
            )
        if state.hung_since:
            parts.append(f"the server hangs in a forced load ({state.hung_since})")
        return "; ".join(parts)

    def measured_effect(self, change: Change, before: LoadState, after: LoadState) -> str:
        if change.data["action"] == "load":
            return "; ".join(filter(None, (after.words, _BRIEFLY if before.briefly else "")))
        if before.room is None or after.room is None:
            return ""
        return f"{human(after.room)} free for the load"

    def values(self, state: LoadState) -> dict[str, Any]:
        return layer_values(state, alone=self.others)

    def _is_crowded(self, state: LoadState) -> bool:
        """Whether other models use memory that this one needs."""
        if not self.others or not state.others or state.whole:
            return False
        with_them, without = state.fit, state.fit_alone
        return with_them is None or without is None or with_them.layers < without.layers


def _with_earlier_state(error: HostError, model: str, earlier: object) -> str:
    """Return an error message, extended by the state of a model that was loaded before."""
    return error.message if earlier is None else f"{error.message}; {model} was loaded before and is unloaded now"


def _unload(runner: Runner) -> Change:
    return Change(
        f"unload {runner.model}", subject=runner.model, before=runner.size_vram, after=0, data={"action": "unload"},
        undo=_reload_call(runner),
    )  # fmt: skip


def _reload_call(runner: Runner) -> StepCall:
    """Return the step that undoes an unload. A model that had no expiry gets none again."""
    return StepCall("model.loaded", {"model": runner.model, **({"keep_alive": FOREVER} if for_good(runner) else {})})


def _is_predicted_maximum(state: LoadState) -> bool:
    """Whether the memory model predicts no more layers than are loaded."""
    if state.fit is None or state.runner is None:
        return False
    if state.layers is not None:
        return state.layers[0] >= state.fit.layers
    # the log does not count layers: the fraction of bytes approximates the fraction of layers
    return state.runner.size_vram * state.fit.total >= state.runner.size * (state.fit.layers - 1)


def _retry_is_futile(state: LoadState) -> bool:
    """Whether the server decided automatically, and less than one layer's worth of VRAM has become free since.

    The memory model may predict more layers than the server loads; the server's own decision then counts as what fits. A server
    that found no GPU at start-up finds none for another load.
    """
    if state.requested not in {-1, None}:
        return False
    if state.setup.hidden:
        return True
    unseen = state.best is None and not state.unread
    on_card = state.runner is not None and state.runner.size_vram > 0
    if state.runner is not None and (state.runner.context_length or 0) > state.setup.context * state.setup.parallel:
        return unseen and not on_card  # a client requested a longer context than a fresh load would use
    if unseen:
        return True
    if state.requested is None or state.free_then is None:
        return False
    layer = 256 * MIB
    if state.metadata is not None:
        tokens = state.setup.context * state.setup.parallel
        layer = max(state.metadata.blocks_bytes) + state.metadata.kv_per_layer(tokens, state.setup.cache_type)
    free = state.best if state.room is None else state.room
    return free is not None and free < state.free_then + layer
