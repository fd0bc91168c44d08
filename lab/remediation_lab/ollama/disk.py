"""A model store in a folder with Ollama's layout: a manifest per name, a file per blob.

No weights are kept: the blob of weights is a short text with a GGUF head, and its digest is that text's, so a program that hashes, moves or
damages blobs finds what a real store would show.  The folder is read again for every request, because others write to it, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.models import REGISTRY, Model, ModelFile, ModelStore

_LIBRARY = "manifests/registry.ollama.ai/library"
_HEADER = 16
"""The bytes of a blob of weights that count as its header."""


def _weights(file: ModelFile) -> bytes:
    return f"GGUF stand-in of {file.name} {file.quantization}, {file.file_bytes} bytes of weights left out\n".encode()


def short(registry: Mapping[str, ModelFile]) -> dict[str, ModelFile]:
    """Return the registry's models as they lie on such a disk."""
    made = {}
    for name, file in registry.items():
        text = _weights(file)
        made[name] = replace(file, digest=f"sha256:{hashlib.sha256(text).hexdigest()}", stored=len(text))
    return made


class DiskStore(ModelStore):
    """Reads the folder when asked, and writes every change through."""

    def __init__(self, folder: Path, *, registry: Mapping[str, ModelFile] = REGISTRY) -> None:
        super().__init__(registry=short(registry))
        self._folder = folder
        self._files = {file.digest: file for file in self.registry.values()}

    def get(self, name: str) -> Model | None:
        """Return the model called so, as its files are now."""
        self._read()
        return super().get(name)

    def all(self) -> tuple[Model, ...]:
        """Return every model, the last changed first."""
        self._read()
        return super().all()

    def put(self, model: Model) -> None:
        """Store a model: its manifest, and blobs that are not there."""
        super().put(model)
        blobs = self._folder / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        for layer in model.layers:
            path = blobs / layer.digest.replace(":", "-")
            left_out = layer.digest in model.gone or (layer.content is None and model.damage is Damage.BLOB_MISSING)
            if not path.exists() and not left_out:
                path.write_bytes(layer.content if layer.content is not None else _weights(model.file))
        path = self._path(model.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.manifest)

    def remove(self, name: str) -> bool:
        """Delete a name and its manifest; blobs that another name uses stay."""
        model = self.get(name)
        if model is None:
            return False
        super().remove(name)
        self._path(model.name).unlink(missing_ok=True)
        used = {layer.digest for other in self.all() for layer in other.layers}
        for layer in model.layers:
            if layer.digest not in used:
                (self._folder / "blobs" / layer.digest.replace(":", "-")).unlink(missing_ok=True)
        return True

    def _read(self) -> None:
        found = {}
        for path in sorted((self._folder / _LIBRARY).glob("*/*")):
            model = self._model(f"{path.parent.name}:{path.name}", path)
            if model is not None:
                found[model.name] = model
        self._models = found

    def _model(self, name: str, path: Path) -> Model | None:
        try:
            manifest: dict[str, Any] = json.loads(path.read_bytes())
            layers = {each["mediaType"].rpartition(".")[2]: each["digest"] for each in manifest["layers"]}
            digests = [str(manifest["config"]["digest"]), *(digest for kind, digest in layers.items() if kind != "model")]
        except (ValueError, KeyError, TypeError, OSError):
            known = self.registry.get(name)
            return None if known is None else Model(name, known, damage=Damage.MANIFEST_BROKEN)
        missing = tuple(each for each in digests if not (self._folder / "blobs" / each.replace(":", "-")).exists())
        file = self._files.get(layers.get("model", ""))
        if file is None:
            return None
        modified = path.stat().st_mtime
        parameters = json.loads(self._text(layers.get("params")) or "{}")
        return Model(
            name, file, parameters=parameters, template=self._text(layers.get("template")), system=self._text(layers.get("system")),
            modified=modified, damage=self._damage(file), gone=missing,
        )  # fmt: skip

    def _text(self, digest: str | None) -> str:
        path = self._folder / "blobs" / (digest or "none").replace(":", "-")
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _damage(self, file: ModelFile) -> Damage:
        path, whole = self._folder / "blobs" / file.digest.replace(":", "-"), _weights(file)
        if not path.exists():
            return Damage.BLOB_MISSING
        content = path.read_bytes()
        if content == whole:
            return Damage.NONE
        if not content:
            return Damage.BLOB_EMPTY
        if not content.startswith(b"GGUF"):
            return Damage.BLOB_MAGIC
        if whole.startswith(content):
            return Damage.BLOB_CUT
        return Damage.BLOB_DATA if content.startswith(whole[:_HEADER]) else Damage.BLOB_HEADER

    def _path(self, name: str) -> Path:
        model, _, tag = name.rpartition(":")
        return self._folder / _LIBRARY / model / tag
