"""Chooses a smaller quantization of the same model that fits the GPU, or another model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.memory.fit import Fit
from remediation.diagnosis.memory.metadata import ModelMetadata, metadata, metadata_of
from remediation.diagnosis.memory.prediction import requantise
from remediation.diagnosis.units import human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, StepCall
from remediation.model.facts import Manifest
from remediation.steps.contract import Step, param, step
from remediation.steps.model.load_state import LoadState, load_state
from remediation.steps.model.present import PULL_TIMEOUT
from remediation.steps.resolve import entry_of, resolve_model

LEVELS = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "Q3_K_M", "Q3_K_S", "Q2_K")
"""From largest to smallest."""

_KNOWN = {
    "phi3:3.8b": {
        "general.architecture": "phi3", "phi3.block_count": 32, "phi3.embedding_length": 3072, "phi3.feed_forward_length": 8192,
        "phi3.attention.head_count": 32, "phi3.attention.head_count_kv": 32, "phi3.vocab_size": 32064, "general.file_type": 2,
    },
}  # fmt: skip
"""Dimensions of fallback models that may not be stored (their GGUF metadata on ollama.com), so that their fit is known before a pull."""

_LEVEL = re.compile(r"-(?:q\d\w*|fp16|f16|bf16)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replacement model: its tag, whether it is stored, the predicted fit (None: unknown), and its manifest."""

    model: str
    stored: bool
    fit: Fit | None
    manifest: Manifest | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The current model and the candidates in order. ``chosen`` is the last one, None if none is suitable."""

    load: LoadState
    tried: tuple[Candidate, ...]
    chosen: Candidate | None

    @property
    def model(self) -> str:
        """The model to use from now on."""
        return self.chosen.model if self.chosen is not None else self.load.model


@step("model.smaller", settle=5.0, deadline=PULL_TIMEOUT)
class ModelSmaller(Step[ModelChoice]):
    """A model that fits the GPU completely is stored: the same model if it fits, else its largest quantization that does.

    The memory model predicts the fit, and the registry shows which tags exist. A Q3_K_M of the same model is preferred to another
    model: phi3:3.8b has a smaller file but needs three times the KV cache. The result is registered as ``model``. To switch
    the application to it, use env_file.set and service.recreated.
    """

    model: str | None = param("model to replace; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")
    levels: tuple[str, ...] = param("permitted quantizations", default=LEVELS[LEVELS.index("Q4_K_M") :], example=["Q3_K_M"])
    fallback: tuple[str, ...] = param("other models, used if no quantization fits", default=("phi3:3.8b",), example=["phi3:3.8b"])

    def observe(self, host: Reader) -> ModelChoice:
        """Check the memory model, then the registry, in order up to the first suitable candidate."""
        model = resolve_model(self.model, host)
        state = load_state(host, model)
        fit = state.fit
        if fit is not None and fit.whole:
            return ModelChoice(state, (), None)
        tried: list[Candidate] = []
        for candidate in self._candidates(host, state):
            tried.append(candidate)
            if (candidate.stored or candidate.manifest is not None) and (candidate.fit is None or candidate.fit.whole):
                return ModelChoice(state, tuple(tried), candidate)
        return ModelChoice(state, tuple(tried), None)

    def is_met(self, state: ModelChoice) -> bool | None:
        """Whether a model that fits is stored. None if the fit is unknown."""
        if state.chosen is not None:
            return state.chosen.stored
        if state.load.fit is None:
            return state.load.whole
        return state.load.fit.whole

    def plan(self, state: ModelChoice) -> Iterator[Change]:
        chosen = state.chosen
        if chosen is not None and not chosen.stored and chosen.manifest is not None:
            fits = f", {chosen.fit.total}/{chosen.fit.total} layers predicted" if chosen.fit is not None else ""
            yield Change(
                f"pull {chosen.model} ({human(chosen.manifest.size)}{fits})", subject=chosen.model, before="not stored",
                after=chosen.manifest.digest, undo=StepCall("model.absent", {"model": chosen.model}),
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        host.ollama.pull(change.subject, timeout=PULL_TIMEOUT - 60.0)

    def describe(self, state: ModelChoice) -> str:
        if not state.tried:
            fit = state.load.fit
            return (
                f"{state.load.model} fits completely"
                if fit is not None and fit.whole
                else f"{state.load.model}: cannot predict what fits"
            )
        parts = [f"{one.model}: {one.because}" for one in state.tried if one is not state.chosen and one.because]
        if state.chosen is not None:
            unknown = "" if state.chosen.fit is not None else " (its fit cannot be predicted)"
            parts.append(f"{state.chosen.model} is {'stored' if state.chosen.stored else 'available'}{unknown}")
        else:
            parts.append("none of them is suitable")
        return "; ".join(parts)

    def advice(self, state: ModelChoice) -> str:
        """Name the closest candidate and the command to switch to another model."""
        closest = max(
            (one for one in state.tried if one.fit is not None), key=lambda one: one.fit.layers if one.fit else 0, default=None
        )
        room = f" that needs at most {human(state.load.room)}" if state.load.room else ""
        nearest = (
            f"; the closest is {closest.model} with {closest.fit.layers}/{closest.fit.total} layers"
            if closest and closest.fit
            else ""
        )
        return f"choose a smaller model{room}: remediate play switch-model.yml -e to=MODEL{nearest}"

    def values(self, state: ModelChoice) -> dict[str, Any]:
        fit = state.chosen.fit if state.chosen is not None else state.load.fit
        return {"model": state.model, "predicted": [fit.layers, fit.total] if fit is not None else None}

    def _candidates(self, host: Reader, state: LoadState) -> Iterator[Candidate]:
        entries = host.ollama.models()
        for level in self._harder(state):
            smaller = requantise(state.metadata, level) if state.metadata is not None else None
            fit = state.setup.fit(smaller, state.room) if smaller is not None and state.room is not None else None
            for tag in _tags(state, level):
                entry = entry_of(tag, entries)
                if fit is not None and not fit.whole:
                    yield Candidate(tag, entry is not None, fit, because=fit.sentence)
                    break
                manifest = None if entry is not None else host.ollama.registry(tag)
                found = entry is not None or manifest is not None
                yield Candidate(tag, entry is not None, fit, manifest, "" if found else "no registry has this tag")
                if found:
                    break
        for tag in self.fallback:
            entry = entry_of(tag, entries)
            show = host.ollama.show(tag) if entry is not None else None
            stored = metadata(show, entry) if show is not None else None
            known = stored or metadata_of(_KNOWN.get(tag.lower(), {}), name=tag)
            fit = state.setup.fit(known, state.room) if known is not None and state.room is not None else None
            manifest = None if entry is not None else host.ollama.registry(tag)
            yield Candidate(
                tag, entry is not None, fit, manifest, fit.sentence if fit is not None else "no registry has this tag"
            )

    def _harder(self, state: LoadState) -> Iterator[str]:
        now = state.metadata.quantisation.upper() if state.metadata is not None else ""
        allowed = {level.upper() for level in self.levels}
        start = LEVELS.index(now) + 1 if now in LEVELS else 0
        yield from (level for level in LEVELS[start:] if level in allowed)


def _tags(state: LoadState, level: str) -> Iterator[str]:
    """Yield the tags that a registry may use for this quantization."""
    name, _, tag = state.model.partition(":")
    written = level[0].lower() + level[1:]  # q3_K_M
    base = _LEVEL.sub("", tag)
    if base and base != "latest":
        yield f"{name}:{base}-{written}"
        return
    if state.metadata is not None:
        size = _billions(state.metadata)
        yield f"{name}:{size}b-instruct-{written}"
        yield f"{name}:{size}b-{written}"


def _billions(model: ModelMetadata) -> int:
    """Return the number of weights in billions, as used in tags: 7 for 7.2 billion."""
    attention = model.heads * model.key_length + model.kv_heads * (model.key_length + model.value_length)
    block = model.embedding * (attention + model.heads * model.value_length + 3 * model.feed_forward)
    return round((model.blocks * block + 2 * model.embedding * model.vocabulary) / 1e9)
