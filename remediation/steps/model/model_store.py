"""The location of a server's model store, and the free disk space there."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from remediation.facets.ollama.model_store import Name
from remediation.facets.protocols import Reader
from remediation.model.errors import NO_ANSWER
from remediation.model.facts import Container
from remediation.model.text.digits import is_whole

HOME = "/root/.ollama"


def free_disk(host: Reader) -> int | None:
    """Return the free bytes where models are stored, or None if unknown.

    A container's volume is on the engine's machine, so ``df`` runs inside the container.
    """
    target = host.target()
    if target.container is None:
        return None
    try:
        done = host.engine.exec(str(target.container.value), ("df", "-Pk", HOME))
    except NO_ANSWER:
        return None
    fields = done.stdout.strip().splitlines()[-1].split() if done.code == 0 and done.stdout.strip() else []
    return int(fields[3]) * 1024 if len(fields) > 3 and is_whole(fields[3]) else None


@dataclass(frozen=True, slots=True)
class StorePlace:
    """The named volume that holds a container's models, the path of the store within it, and its mount point in the container."""

    volume: str
    prefix: str
    mount: str = field(default=HOME, compare=False)

    def manifest(self, model: str) -> str:
        """Return the path of a model's manifest within the volume."""
        return posixpath.join(self.prefix, "manifests", Name.parse(model).path)

    def blob(self, digest: str) -> str:
        """Return the path of a blob within the volume."""
        return posixpath.join(self.prefix, "blobs", digest.replace(":", "-"))


def store_place(container: Container) -> StorePlace | None:
    """Return where a container's models are stored, or None if they are not in a named volume."""
    store = container.environment.get("OLLAMA_MODELS") or posixpath.join(HOME, "models")
    mounts = [
        (str(mount.get("Name")), str(mount.get("Destination")))
        for mount in container.raw.get("Mounts") or ()
        if mount.get("Type") == "volume" and mount.get("Name")
    ]
    holding = [(name, path) for name, path in mounts if posixpath.commonpath([path, store]) == path]
    if holding:
        name, path = max(holding, key=lambda one: len(one[1]))
        return StorePlace(name, posixpath.relpath(store, path), path)
    if not mounts and len(container.volumes) == 1:
        return StorePlace(container.volumes[0], "models")
    return None
