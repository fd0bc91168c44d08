"""Lists the content of a model volume that the server does not list: unreadable manifests, and other files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from remediation.facets.protocols import Reader
from remediation.model.errors import NO_ANSWER
from remediation.steps.model.model_store import StorePlace

_MANIFEST_PARTS = 4
"""Registry, namespace, name and tag."""


@dataclass(frozen=True, slots=True)
class VolumeInventory:
    """Manifests by model name, and files outside the store (the server's key, its history) by path."""

    models: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def unlisted_content(host: Reader, container: str, place: StorePlace) -> VolumeInventory:
    """Return the unlisted content of a running container's volume. Returns nothing if its image has no ``ls``."""
    try:
        done = host.engine.exec(container, ("ls", "-R", place.mount))
    except NO_ANSWER:
        return VolumeInventory()
    folders = _folders(done.stdout.splitlines()) if done.code == 0 else {}
    store = posixpath.normpath(posixpath.join(place.mount, place.prefix))
    return VolumeInventory(tuple(sorted(_models(folders, posixpath.join(store, "manifests")))), _others(folders, place))


def _folders(lines: Iterable[str]) -> dict[str, list[str]]:
    """Group the lines of a recursive listing by folder."""
    found: dict[str, list[str]] = {}
    entries: list[str] = []
    for line in lines:
        if line.startswith("/") and line.endswith(":"):
            entries = found.setdefault(line[:-1].rstrip("/"), [])
        elif line:
            entries.append(line)
    return found


def _models(folders: Mapping[str, list[str]], manifests: str) -> Iterable[str]:
    for folder, entries in folders.items():
        parts = folder.removeprefix(f"{manifests}/").split("/") if folder.startswith(f"{manifests}/") else []
        if len(parts) == _MANIFEST_PARTS - 1:
            registry, namespace, name = parts
            yield from (_name(registry, namespace, name, tag) for tag in entries if f"{folder}/{tag}" not in folders)


def _name(registry: str, namespace: str, name: str, tag: str) -> str:
    """Return a model's name as the server lists it."""
    if registry != "registry.ollama.ai":
        return f"{registry}/{namespace}/{name}:{tag}"
    return f"{name}:{tag}" if namespace == "library" else f"{namespace}/{name}:{tag}"


def _others(folders: Mapping[str, list[str]], place: StorePlace) -> tuple[str, ...]:
    if place.prefix in {"", "."}:
        return ()
    store = place.prefix.split("/")[0]
    return tuple(name for name in folders.get(place.mount.rstrip("/"), ()) if name != store)
