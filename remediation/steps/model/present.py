"""Models in the server's store: present, absent, or with given parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator

from remediation.diagnosis.units import human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import NO_ANSWER
from remediation.model.facts import Manifest, ModelEntry, ModelShow
from remediation.steps.contract import Step, param, step
from remediation.steps.model.model_store import free_disk
from remediation.steps.resolve import entry_of, resolve_model, runner_of

PULL_TIMEOUT = 7200.0


@dataclass(frozen=True, slots=True)
class StoredModelState:
    """A stored model (None: not stored). ``manifest`` is the registry's, looked up only if the model is not stored."""

    model: str
    entry: ModelEntry | None
    manifest: Manifest | None = None
    disk: int | None = None
    offline: str = ""

    @property
    def fits(self) -> bool:
        """Whether the disk has room for the model, if known."""
        return self.manifest is None or self.disk is None or self.manifest.size <= self.disk


@step("model.present", settle=5.0, deadline=PULL_TIMEOUT)
class ModelPresent(Step[StoredModelState]):
    """The server has the model. A missing model is pulled by the server.

    An interrupted pull continues where it stopped. Existing files are not hashed again; use model.repulled for a damaged model.
    """

    model: str | None = param("model name; defaults to the target's", default=None, example="phi3:3.8b")

    def observe(self, host: Reader) -> StoredModelState:
        model = resolve_model(self.model, host)
        entry = entry_of(model, host.ollama.models())
        if entry is not None:
            return StoredModelState(model, entry)
        try:
            return StoredModelState(model, None, host.ollama.registry(model), free_disk(host))
        except NO_ANSWER as error:
            return StoredModelState(model, None, offline=error.message)

    def is_met(self, state: StoredModelState) -> bool:
        return state.entry is not None

    def plan(self, state: StoredModelState) -> Iterator[Change]:
        if state.entry is None and state.manifest is not None and state.fits:
            yield Change(
                f"pull {state.model} ({human(state.manifest.size)})", subject=state.model, before="not stored", after=state.manifest.digest,
                undo=StepCall("model.absent", {"model": state.model}),
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        host.ollama.pull(change.subject, timeout=PULL_TIMEOUT - 60.0)

    def describe(self, state: StoredModelState) -> str:
        if state.entry is not None:
            return f"{state.model} is stored ({human(state.entry.size)})"
        if state.offline:
            return f"{state.model} is not stored, and its registry cannot be reached: {state.offline}"
        if state.manifest is None:
            return f"{state.model} is not stored, and no registry has a model of that name"
        if not state.fits and state.disk is not None:
            return f"{state.model} needs {human(state.manifest.size)} of disk space, {human(state.disk)} is free"
        return f"{state.model} is not stored"

    def values(self, state: StoredModelState) -> dict[str, Any]:
        return {"model": state.model, "digest": state.entry.digest if state.entry else None}


@step("model.absent", risk=Risk.DISRUPTIVE, settle=5.0)
class ModelAbsent(Step[StoredModelState]):
    """The server does not have the model. Deleting a model that no registry has is destructive."""

    model: str = param("model name", example="phi3:3.8b")

    def observe(self, host: Reader) -> StoredModelState:
        entry = entry_of(self.model, host.ollama.models())
        if entry is None:
            return StoredModelState(self.model, None)
        try:
            return StoredModelState(self.model, entry, host.ollama.registry(self.model))
        except NO_ANSWER as error:
            return StoredModelState(self.model, entry, offline=error.message)

    def is_met(self, state: StoredModelState) -> bool:
        return state.entry is None

    def plan(self, state: StoredModelState) -> Iterator[Change]:
        """Delete the model. Layers used by other models are kept."""
        if state.entry is None:
            return
        again = state.manifest is not None and state.manifest.digest == state.entry.digest
        yield Change(
            f"delete {state.model} ({human(state.entry.size)})" + ("" if again else ": no registry has this version"),
            subject=state.model, before=state.entry.digest, after=None, risk=Risk.DISRUPTIVE if again else Risk.DESTRUCTIVE,
            undo=StepCall("model.present", {"model": state.model}) if again else None,
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        """Unload the model first: a deleted model stays in memory until it expires, and requests can no longer unload it."""
        if runner_of(change.subject, host.ollama.running()) is not None:
            host.ollama.unload(change.subject)
        host.ollama.delete(change.subject)

    def describe(self, state: StoredModelState) -> str:
        return f"{state.model} is {'not ' if state.entry is None else ''}stored"


@dataclass(frozen=True, slots=True)
class Parameters:
    """A model's own parameters."""

    model: str
    show: ModelShow | None


@step("model.parameter", settle=5.0)
class ModelParameter(Step[Parameters]):
    """The model itself has these parameters. By default, num_gpu is reset to -1.

    Uses ``/api/create`` with the model as its own source, which shares the weights and takes a few KB. Ollama cannot remove a
    parameter, only overwrite it. A loaded runner keeps its values: run model.reloaded afterwards.
    """

    set: dict[str, int | float | bool | str] = param(
        "parameters by name", default={"num_gpu": -1}, example={"num_gpu": -1}, min_length=1
    )
    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")

    @field_validator("set")
    @classmethod
    def _set(cls, value: dict[str, int | float | bool | str]) -> dict[str, int | float | bool | str]:
        for name in ("num_gpu", "num_ctx"):
            if name in value and (isinstance(value[name], bool) or not isinstance(value[name], int)):
                msg = f"{name} is a number of {'layers' if name == 'num_gpu' else 'tokens'}, not {value[name]!r}; the server would reject every request"
                raise ValueError(msg)
        return value

    def observe(self, host: Reader) -> Parameters:
        model = resolve_model(self.model, host)
        return Parameters(model, host.ollama.show(model))

    def is_met(self, state: Parameters) -> bool:
        """Whether each parameter has the requested value. An unset num_gpu counts as -1."""
        return state.show is not None and not self._values_to_set(state.show)

    def plan(self, state: Parameters) -> Iterator[Change]:
        if state.show is None:
            return
        lacking = self._values_to_set(state.show)
        if not lacking:
            return
        before = {name: _number(state.show.parameters[name]) for name in lacking if name in state.show.parameters}
        undo = StepCall("model.parameter", {"set": before, "model": state.model}) if len(before) == len(lacking) else None
        words = ", ".join(f"{name} {value}" for name, value in lacking.items())
        yield Change(
            f"set {words} as parameter{'s' if len(lacking) > 1 else ''} of {state.model}", subject=state.model,
            before=before, after=dict(lacking), undo=undo, data={"parameters": dict(lacking)},
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        host.ollama.create(change.subject, source=change.subject, parameters=change.data["parameters"])

    def describe(self, state: Parameters) -> str:
        if state.show is None:
            return f"{state.model} is not stored on this server"
        return f"{state.model}: " + ", ".join(f"{name} {state.show.parameters.get(name, 'not set')}" for name in self.set)

    def values(self, state: Parameters) -> dict[str, Any]:
        return {"model": state.model, "parameters": dict(state.show.parameters) if state.show else {}}

    def _values_to_set(self, show: ModelShow) -> Mapping[str, int | float | bool | str]:
        default = {"num_gpu": "-1"}
        return {
            name: value
            for name, value in self.set.items()
            if _number(show.parameters.get(name, default.get(name, ""))) != _number(str(value))
        }


def _number(text: str) -> int | float | str:
    """Convert a parameter as printed by ``/api/show`` (``1.048576e+06``) to a number."""
    try:
        value = float(text)
    except ValueError:
        return text.strip().strip('"')
    return int(value) if value.is_integer() else value
