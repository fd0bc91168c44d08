"""A model store that lies in a folder as Ollama's does: a manifest per name, a file per blob (small ones: no weights are kept)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from remediation.lab.ollama.models import REGISTRY, Model, ModelFile, ModelStore

_LIBRARY = "manifests/registry.ollama.ai/library"


class DiskStore(ModelStore):
    """Reads the folder when made, and writes every change through."""

    def __init__(self, folder: Path, *, registry: Mapping[str, ModelFile] = REGISTRY) -> None:
        super().__init__(registry=registry)
        self._folder = folder
        files = sorted((folder / _LIBRARY).glob("*/*"))
        self.restore([json.loads(path.read_text(encoding="utf-8"))["stand-in"] for path in files])

    def put(self, model: Model) -> None:
        """Store a model and write its manifest."""
        super().put(model)
        path = self._path(model.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        blobs = self._folder / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        (blobs / model.file.digest.replace(":", "-")).write_text(
            f"{model.file.name} {model.file.quantization}\n", encoding="utf-8"
        )
        layer = {"mediaType": "application/vnd.ollama.image.model", "digest": model.file.digest, "size": model.file.file_bytes}
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "layers": [layer],
            "stand-in": next(entry for entry in self.state() if entry["name"] == model.name),
        }
        path.write_text(json.dumps(manifest), encoding="utf-8")

    def remove(self, name: str) -> bool:
        """Delete a name and its manifest; blobs that another name uses stay."""
        model = self.get(name)
        if model is None:
            return False
        super().remove(name)
        self._path(model.name).unlink(missing_ok=True)
        if all(other.file.digest != model.file.digest for other in self.all()):
            (self._folder / "blobs" / model.file.digest.replace(":", "-")).unlink(missing_ok=True)
        return True

    def _path(self, name: str) -> Path:
        model, _, tag = name.rpartition(":")
        return self._folder / _LIBRARY / model / tag
