"""The record of a model volume's content, written before the volume is removed so that any later run can complete the work."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader
from remediation.model.errors import NO_ANSWER, Blocked, CallFailed
from remediation.model.facts import Container, Manifest
from remediation.model.text.json_text import load_json
from remediation.steps.container.volume_inventory import VolumeInventory
from remediation.steps.model.model_store import StorePlace, store_place


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One model. ``local`` means that no registry has this version; ``paths`` are its files within the volume."""

    name: str
    digest: str
    size: int
    local: bool
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A volume before its removal: its models, its image and services, and the progress of the recreation.

    ``others`` are files outside the store. ``saved`` means that content missing from every registry was copied, and ``restored``
    that it was copied back. ``damaged`` lists layers whose hash was already wrong when they were saved, or is None if they could
    not be hashed. ``finished`` is the time of completion by the host's clock, None while work remains.
    """

    volume: str
    created_at: str
    saved_in: str
    image: str
    service: str
    services: tuple[str, ...]
    models: tuple[ModelRecord, ...]
    saved: bool
    others: tuple[str, ...] = ()
    restored: bool = False
    damaged: tuple[str, ...] | None = None
    finished: float | None = None

    @property
    def local(self) -> tuple[ModelRecord, ...]:
        """The models that no registry has in this version."""
        return tuple(one for one in self.models if one.local)

    @property
    def unregistered_paths(self) -> tuple[str, ...]:
        """The files that no registry has. A model's manifest comes after its layers, so a partial copy is never listed as a model."""
        return tuple(dict.fromkeys((*(path for one in self.local for path in one.paths), *self.others)))

    @property
    def local_size(self) -> int:
        """Total size of the local models in bytes; shared layers count once per model."""
        return sum(one.size for one in self.local)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Return the record from the output of `to_json`."""
        models = tuple(ModelRecord(**{**one, "paths": tuple(one["paths"])}) for one in data["models"])
        damaged = data.get("damaged")
        return cls(**{
            **data, "services": tuple(data["services"]), "models": models, "others": tuple(data.get("others") or ()),
            "damaged": None if damaged is None else tuple(damaged),
        })  # fmt: skip

    @classmethod
    def read(cls, content: bytes, path: str, host: str) -> Record:
        """Parse a record. Raises `CallFailed` if it is damaged, because it names models that could otherwise be lost."""
        try:
            return cls.from_json(load_json(content))
        except (ValueError, KeyError, TypeError):
            raise CallFailed(
                f"{path} is damaged; it lists the models of a volume that was to be recreated", host=host,
                next_step="inspect it, then move it away to start over",
            ) from None  # fmt: skip


def manifest_folder(container: Container, given: str | None, host: str) -> StorePlace:
    """Return the location of a container's models. Raises `CallFailed` unless they are in a named volume."""
    found = store_place(container)
    if found is None or (given is not None and found.volume != given):
        raise CallFailed(
            f"the models of {container.name} are in {f'volume {found.volume}' if found else 'no named volume'}"
            + (f", not in {given}" if given else ""),
            host=host, next_step="correct the parameter volume, or leave it out" if given else "this step does not recreate host folders",
        )  # fmt: skip
    return found


def model_records(host: Reader, place: StorePlace, present: Mapping[str, str], found: VolumeInventory) -> tuple[ModelRecord, ...]:
    """Return the models and whether they can be fetched again. Raises `Blocked` if the registry does not answer.

    A model with a manifest that the server does not list is damaged. It is included if a registry has it.
    """
    listed = [_model_record(host, place, name, digest) for name, digest in sorted(present.items())]
    return (*listed, *(_unlisted_model(host, name) for name in found.models if name not in present))


def _model_record(host: Reader, place: StorePlace, name: str, digest: str) -> ModelRecord:
    manifest = _registry(host, name)
    blobs = host.ollama.blobs(name) or ()
    local = manifest is None or manifest.digest != digest
    if local and not blobs:
        raise Blocked(
            f"{name} exists in no registry in this version and its layers cannot be read, so it would be lost", host=host.name,
            next_step=f"save or delete {name} yourself, then run again",
        )  # fmt: skip
    paths = (*(place.blob(blob.digest) for blob in blobs), place.manifest(name))
    size = sum(blob.size for blob in blobs) or (manifest.size if manifest is not None else 0)
    return ModelRecord(name, digest, size, local, paths if local else ())


def _unlisted_model(host: Reader, name: str) -> ModelRecord:
    manifest = _registry(host, name)
    if manifest is None:
        raise Blocked(
            f"the volume holds a manifest of {name} that the server does not list and no registry has, so it would be lost",
            host=host.name, next_step=f"save or delete {name} yourself, then run again",
        )  # fmt: skip
    return ModelRecord(name, manifest.digest, manifest.size, local=False)


def _registry(host: Reader, name: str) -> Manifest | None:
    try:
        return host.ollama.registry(name)
    except NO_ANSWER as error:
        raise Blocked(
            f"cannot determine whether the registry has {name} ({error.message}), so nothing is removed",
            host=host.name, next_step="connect the host to the registry, then run again",
        ) from None  # fmt: skip
