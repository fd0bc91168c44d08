"""Repairs a damaged model: only damaged layers are fetched again, and the change can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.units import human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import NO_ANSWER, CallFailed
from remediation.model.facts import Blob, Manifest
from remediation.model.finding import Cause, RuledOut
from remediation.steps.contract import Step, param, step
from remediation.steps.model.model_store import free_disk
from remediation.steps.model.present import PULL_TIMEOUT
from remediation.steps.resolve import resolve_model


@dataclass(frozen=True, slots=True)
class Soundness:
    """The hashed layers of a model, None if its manifest is missing or ``damaged``."""

    model: str
    blobs: tuple[Blob, ...] | None
    damaged: str
    manifest: Manifest | None
    offline: str
    disk: int | None

    @property
    def bad(self) -> tuple[Blob, ...]:
        """Layers whose content does not match the manifest."""
        return tuple(blob for blob in self.blobs or () if blob.sound is False)

    @property
    def sound(self) -> bool:
        """Whether all layers match the manifest."""
        return self.blobs is not None and not self.damaged and all(blob.sound for blob in self.blobs)

    @property
    def needed(self) -> int:
        """Bytes to download."""
        if self.blobs is None:
            return self.manifest.size if self.manifest is not None else 0
        return sum(blob.size for blob in self.bad)


@step("model.repulled", risk=Risk.DISRUPTIVE, settle=10.0, deadline=PULL_TIMEOUT)
class ModelRepulled(Step[Soundness]):
    """Every layer of the model on disk matches the hash in its manifest.

    A pull does not hash existing files, so a damaged layer is first moved aside and then pulled again; undo moves it back. Damage
    causes load errors, never a low number of layers: use this step as a last resort. A model that no registry has is left alone.
    """

    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")
    discard: bool = param("delete the moved layers at the end, which makes undo impossible", default=False)

    def observe(self, host: Reader) -> Soundness:
        """Hash the stored layers. The registry is queried only if one is damaged."""
        model = resolve_model(self.model, host)
        damaged = ""
        try:
            found = host.ollama.blobs(model, verify=True)
        except CallFailed as error:
            found, damaged = None, error.message
        blobs = None if found is None else tuple(found)
        if blobs is not None and all(blob.sound for blob in blobs):
            return Soundness(model, blobs, damaged, None, "", None)
        try:
            return Soundness(model, blobs, damaged, host.ollama.registry(model), "", free_disk(host))
        except NO_ANSWER as error:
            return Soundness(model, blobs, damaged, None, error.message, None)

    def is_met(self, state: Soundness) -> bool:
        return state.sound

    def plan(self, state: Soundness) -> Iterator[Change]:
        """Move the damaged layers aside, then pull."""
        if state.sound or state.manifest is None or (state.disk is not None and state.disk < state.needed):
            return
        for blob in state.bad:
            if blob.present is not None:
                yield Change(
                    f"move the damaged layer {blob.digest[7:19]} of {state.model} aside ({human(blob.size)})", subject=blob.digest,
                    before=blob.actual or blob.present, undo=StepCall("model.layer_restored", {"digest": blob.digest}),
                    data={"action": "aside"},
                )  # fmt: skip
        yield Change(
            f"pull {state.model} again ({human(state.needed)} to fetch)", subject=state.model, risk=Risk.SAFE, after=state.manifest.digest,
            data={"action": "pull"},
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        if change.data["action"] == "aside":
            host.ollama.quarantine(change.subject)
            return
        host.ollama.pull(change.subject, timeout=PULL_TIMEOUT - 60.0)
        if self.discard:
            for digest in host.ollama.quarantined_blobs():
                host.ollama.discard(digest)

    def describe(self, state: Soundness) -> str:
        if state.sound:
            number = len(state.blobs or ())
            return f"{f'all {number} layers' if number > 1 else 'the layer'} of {state.model} {'match' if number > 1 else 'matches'} its manifest"
        what = state.damaged or (f"{state.model} has no manifest" if state.blobs is None else "")
        parts = [what] if what else []
        parts += [f"layer {blob.digest[7:19]} is {'missing' if blob.present is None else 'damaged'}" for blob in state.bad]
        if state.offline:
            parts.append(f"its registry cannot be reached ({state.offline}), so nothing is changed")
        elif state.manifest is None:
            parts.append("no registry has it, so the remaining files are left alone")
        elif state.disk is not None and state.disk < state.needed:
            parts.append(f"{human(state.needed)} of disk space is needed and {human(state.disk)} is free")
        return "; ".join(parts)

    def advice(self, state: Soundness) -> str:
        if state.offline:
            return (
                "give the host access to the model's registry, then run this again: it fetches only the layers that are damaged"
            )
        if state.manifest is not None and state.disk is not None and state.disk < state.needed:
            return f"free {human(state.needed - state.disk)} of disk space, then run this again"
        return f"restore {state.model} from its source (a backup, or ollama create): no registry has it"

    def rules_out(self, state: Soundness) -> Iterator[RuledOut]:
        yield RuledOut(Cause.MODEL_CORRUPT, self.describe(state))

    def values(self, state: Soundness) -> dict[str, Any]:
        rows = [{"digest": blob.digest, "size": blob.size, "sound": blob.sound} for blob in state.blobs or ()]
        return {"model": state.model, "layers": rows}


@step("model.layer_restored", risk=Risk.DISRUPTIVE)
class ModelLayerRestored(Step[bool]):
    """A layer that model.repulled moved aside is back in the store and replaces the pulled one. This is its undo."""

    digest: str = param("digest of the layer", example="sha256:ff82381e2bea77d91c1b824c7afb83f6fb73e9f7de9dda631bcdbca564aa5435")

    def observe(self, host: Reader) -> bool:
        """Return whether the layer was moved aside."""
        return self.digest in host.ollama.quarantined_blobs()

    def is_met(self, state: bool) -> bool:
        return not state

    def plan(self, state: bool) -> Iterator[Change]:
        if state:
            yield Change(f"move layer {self.digest[7:19]} back", subject=self.digest)

    def apply(self, host: Writer, change: Change) -> None:
        host.ollama.restore(change.subject)

    def describe(self, state: bool) -> str:
        layer = self.digest[7:19]
        return f"layer {layer} was moved aside" if state else f"layer {layer} is in the store"
