"""A model store as files, for programs that list, hash and move manifests and blobs without the server (facts/ollama 3)."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.models import Model, ModelFile, ModelStore

_BLOBS, _ASIDE, _MANIFESTS = "models/blobs", "models/set-aside", "models/manifests/registry.ollama.ai/library"
_PART = {Damage.BLOB_EMPTY: 0.0, Damage.BLOB_CUT_IN_HEADER: 0.0001, Damage.BLOB_CUT: 0.5}
_WHOLE = {Damage.NONE, Damage.CONFIG_MISSING, Damage.MANIFEST_BROKEN}


@dataclass(frozen=True, slots=True)
class File:
    """One file: its size, the SHA-256 of what is in it, and its bytes unless they are weights."""

    size: int
    sha256: str
    content: bytes | None = None


def files(store: ModelStore) -> dict[str, File]:
    """Return every file of a store by its path below the store's home."""
    return dict(_files(store))


def move(store: ModelStore, path: str, to: str) -> None:
    """Move a blob out of the store or back; FileNotFoundError, and ValueError for a file that is no blob."""
    name = posixpath.basename(path)
    digest = name.replace("sha256-", "sha256:")
    if path not in files(store):
        raise FileNotFoundError(path)
    places = (posixpath.dirname(path), posixpath.dirname(to))
    if posixpath.basename(to) != name or places not in {(_BLOBS, _ASIDE), (_ASIDE, _BLOBS)}:
        raise ValueError(path)
    if places[0] == _BLOBS:
        store.aside[digest] = take(store, digest)
    else:
        give(store, digest, store.aside.pop(digest))


def remove(store: ModelStore, path: str) -> None:
    """Delete a blob or a manifest; FileNotFoundError when it is not there."""
    if path not in files(store):
        raise FileNotFoundError(path)
    digest = posixpath.basename(path).replace("sha256-", "sha256:")
    if path.startswith(_MANIFESTS):
        model, tag = path.split("/")[-2:]
        store.remove(f"{model}:{tag}")
    elif posixpath.dirname(path) == _ASIDE:
        del store.aside[digest]
    else:
        take(store, digest)


def take(store: ModelStore, digest: str) -> str:
    """Take a blob out and return its damage; every model that names it misses it from then on."""
    harm = store.loose.pop(digest, "")
    for model in store.all():
        if _small(model, digest) is not None:
            store.put(replace(model, gone=(*model.gone, digest)))
        if model.file.digest == digest:
            harm = _blob(model).value
            store.put(replace(model, damage=Damage.BLOB_MISSING))
    return harm


def give(store: ModelStore, digest: str, harm: str) -> None:
    """Put a blob in; models that missed it have it again, as damaged as it is."""
    small = [model for model in store.all() if digest in model.gone]
    for model in small:
        store.put(replace(model, gone=tuple(each for each in model.gone if each != digest)))
    if small:
        return
    named = [model for model in store.all() if model.file.digest == digest]
    for model in named:
        store.put(replace(model, damage=Damage(harm)))
    if not named:
        store.loose[digest] = harm


def copy(source: ModelStore, target: ModelStore, paths: Sequence[str]) -> int:
    """Copy files below these paths that the target lacks, or has otherwise; returns the bytes."""
    theirs, ours, copied = files(source), files(target), 0
    chosen = [path for path in theirs if any(wanted in {".", path} or path.startswith(f"{wanted}/") for wanted in paths)]
    chosen = [path for path in chosen if path not in ours or _differ(ours[path], theirs[path])]
    for path in sorted(chosen, key=lambda each: each.startswith(_MANIFESTS)):  # blobs first: a manifest then finds its own
        copied += theirs[path].size
        digest = posixpath.basename(path).replace("sha256-", "sha256:")
        if path.startswith(_MANIFESTS):
            model, tag = path.split("/")[-2:]
            own = source.get(f"{model}:{tag}")
            if own is not None:
                known = any(
                    each.file.digest == own.file.digest and each.damage is not Damage.BLOB_MISSING for each in target.all()
                )
                there = known or own.file.digest in target.loose
                harm = Damage(target.loose.pop(own.file.digest, "")) if there else Damage.BLOB_MISSING
                target.put(replace(own, damage=harm))
        elif theirs[path].content is None:
            harm_there = next(
                (_blob(each).value for each in source.all() if each.file.digest == digest), source.loose.get(digest, "")
            )
            give(target, digest, harm_there)
    return copied


def _differ(one: File, other: File) -> bool:
    """Return whether a copy is due: texts are compared, weights by their size alone."""
    return one.size != other.size or one.content != other.content


def _files(store: ModelStore) -> Iterator[tuple[str, File]]:
    known: dict[str, ModelFile] = {each.digest: each for each in store.registry.values()}
    for model in store.all():
        name, _, tag = model.name.rpartition(":")
        text = model.manifest[: len(model.manifest) // 2] if model.damage is Damage.MANIFEST_BROKEN else model.manifest
        yield f"{_MANIFESTS}/{name}/{tag}", _text(text)
        known[model.file.digest] = model.file
        config = model.layers[0].digest
        for layer in model.layers:
            missing = layer.digest in model.gone or (layer.digest == config and model.damage is Damage.CONFIG_MISSING)
            if layer.content is not None and not missing:
                yield f"{_BLOBS}/{layer.digest.replace(':', '-')}", _text(layer.content)
        if model.damage is not Damage.BLOB_MISSING:
            yield f"{_BLOBS}/{model.file.digest.replace(':', '-')}", _weights(model.file, _blob(model))
    for folder, blobs in ((_BLOBS, store.loose), (_ASIDE, store.aside)):
        for digest, harm in blobs.items():
            content = next((small for model in store.all() if (small := _small(model, digest)) is not None), None)
            if digest in known:
                yield f"{folder}/{digest.replace(':', '-')}", _weights(known[digest], Damage(harm))
            elif content is not None:
                yield f"{folder}/{digest.replace(':', '-')}", _text(content)


def _small(model: Model, digest: str) -> bytes | None:
    """Return what one of a model's small blobs says, None where it names no such blob."""
    return next((each.content for each in model.layers if each.digest == digest), None)


def _blob(model: Model) -> Damage:
    return Damage.NONE if model.damage in _WHOLE else model.damage


def _text(content: bytes) -> File:
    return File(len(content), hashlib.sha256(content).hexdigest(), content)


def _weights(file: ModelFile, harm: Damage) -> File:
    whole = file.stored or file.file_bytes
    sha256 = file.digest.removeprefix("sha256:")
    if harm in _WHOLE:
        return File(whole, sha256)
    return File(int(whole * _PART.get(harm, 1.0)), hashlib.sha256(f"{sha256} {harm.value}".encode()).hexdigest())
