"""What a volume of models held, written down before it is removed, so that any later run can complete what one began."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader
from remediation.model.errors import NO_ANSWER, Blocked, CallFailed
from remediation.model.facts import Container, Manifest
from remediation.model.text.json_text import load_json
from remediation.steps.container.volume_inventory import Held
from remediation.steps.model.model_store import StorePlace, store_place


@dataclass(frozen=True, slots=True)
class Kept:
    """One model: ``local`` says that no registry holds it as it is; ``paths`` are its files within the volume."""

    name: str
    digest: str
    size: int
    local: bool
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A volume as it was: its models, by which image and service it is filled, and whether the local ones are saved.

    ``others`` is what lies beside the store. ``saved`` says that what no registry holds was copied, ``restored`` that it was
    copied back. ``damaged`` are layers that were no longer what their name says when they were saved, None where nobody could
    hash them. ``finished`` is when everything was there again, by the host's clock; None while something is still to be done.
    """

    volume: str
    created_at: str
    saved_in: str
    image: str
    service: str
    services: tuple[str, ...]
    models: tuple[Kept, ...]
    saved: bool
    others: tuple[str, ...] = ()
    restored: bool = False
    damaged: tuple[str, ...] | None = None
    finished: float | None = None

    @property
    def local(self) -> tuple[Kept, ...]:
        """The models that no registry holds as they are."""
        return tuple(one for one in self.models if one.local)

    @property
    def kept_paths(self) -> tuple[str, ...]:
        """The files that no registry holds; a model's manifest after its layers, so that half a copy is no model yet."""
        return tuple(dict.fromkeys((*(path for one in self.local for path in one.paths), *self.others)))

    @property
    def local_size(self) -> int:
        """Their bytes, shared layers counted once per model."""
        return sum(one.size for one in self.local)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Return the record that `to_json` wrote."""
        models = tuple(Kept(**{**one, "paths": tuple(one["paths"])}) for one in data["models"])
        damaged = data.get("damaged")
        return cls(**{
            **data, "services": tuple(data["services"]), "models": models, "others": tuple(data.get("others") or ()),
            "damaged": None if damaged is None else tuple(damaged),
        })  # fmt: skip

    @classmethod
    def read(cls, content: bytes, path: str, host: str) -> Record:
        """Return the record in a file; raises `CallFailed` where it is damaged, because what it names must not be lost."""
        try:
            return cls.from_json(load_json(content))
        except (ValueError, KeyError, TypeError):
            raise CallFailed(
                f"{path} is damaged; it names the models that a volume held before it was to be made anew", host=host,
                next_step="look at it, then move it away to begin anew",
            ) from None  # fmt: skip


def manifest_folder(container: Container, given: str | None, host: str) -> StorePlace:
    """Return where a container's models lie; raises `CallFailed` where no named volume holds them."""
    found = store_place(container)
    if found is None or (given is not None and found.volume != given):
        raise CallFailed(
            f"the models of {container.name} lie in {f'volume {found.volume}' if found else 'no named volume'}"
            + (f", not in {given}" if given else ""),
            host=host, next_step="correct volume" if given else "a folder of the host is not made anew by this step",
        )  # fmt: skip
    return found


def kept_models(host: Reader, place: StorePlace, present: Mapping[str, str], found: Held) -> tuple[Kept, ...]:
    """Return the models with what could be fetched again; raises `Blocked` where a registry cannot be asked.

    A model whose manifest is there and which the server does not list is damaged: it counts as far as a registry holds it.
    """
    listed = [_kept(host, place, name, digest) for name, digest in sorted(present.items())]
    return (*listed, *(_unlisted(host, name) for name in found.models if name not in present))


def _kept(host: Reader, place: StorePlace, name: str, digest: str) -> Kept:
    manifest = _registry(host, name)
    blobs = host.ollama.blobs(name) or ()
    local = manifest is None or manifest.digest != digest
    if local and not blobs:
        raise Blocked(
            f"{name} is in no registry as it is, and its layers cannot be read: it would be lost", host=host.name,
            next_step=f"save or delete {name} yourself, then run again",
        )  # fmt: skip
    paths = (*(place.blob(blob.digest) for blob in blobs), place.manifest(name))
    size = sum(blob.size for blob in blobs) or (manifest.size if manifest is not None else 0)
    return Kept(name, digest, size, local, paths if local else ())


def _unlisted(host: Reader, name: str) -> Kept:
    manifest = _registry(host, name)
    if manifest is None:
        raise Blocked(
            f"the volume holds a manifest of {name}, which the server does not list and no registry holds: it would be lost",
            host=host.name, next_step=f"save or delete {name} yourself, then run again",
        )  # fmt: skip
    return Kept(name, manifest.digest, manifest.size, local=False)


def _registry(host: Reader, name: str) -> Manifest | None:
    try:
        return host.ollama.registry(name)
    except NO_ANSWER as error:
        raise Blocked(
            f"the registry cannot be asked whether {name} could be fetched again ({error.message}), so nothing is removed",
            host=host.name, next_step="connect the host to the registry, then run again",
        ) from None  # fmt: skip
