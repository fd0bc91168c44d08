"""The models of the lab: their metadata, the files on disk, and the table that plays the registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.quantization import Shape, Tensor, tensors

FILE_TYPES = {"Q4_0": 2, "Q3_K_M": 12, "Q4_K_M": 15}
_HEADER_BYTES = 760_000
"""Metadata and vocabulary at the head of a GGUF file with 32 000 tokens, about."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One GGUF file: what the load rule and /api/show need of it; sizes in bytes."""

    name: str
    shape: Shape
    quantization: str
    parameters: int
    context: int
    block_bytes: tuple[int, ...]
    output_bytes: int
    embedding_bytes: int
    file_bytes: int
    digest: str
    norm_epsilon: float = 1e-05
    rope_base: float = 10000.0
    stored: int = 0
    """The bytes that lie on disk for it where no weights are kept; 0: as many as the file has."""

    @property
    def layers(self) -> int:
        """The repeating blocks and the output layer: 33 for 32 blocks."""
        return self.shape.blocks + 1

    @property
    def weights(self) -> int:
        """The bytes that can go to a GPU: the blocks and the output layer."""
        return sum(self.block_bytes) + self.output_bytes

    def tensors(self) -> tuple[Tensor, ...]:
        """Return every tensor with its type and shape."""
        return tuple(tensors(self.shape, self.quantization))


def build(name: str, shape: Shape, quantization: str, context: int, rope_base: float) -> ModelFile:
    """Compute a model's sizes from its shape and quantisation."""
    parts = list(tensors(shape, quantization))
    blocks = [0] * shape.blocks
    for part in parts:
        if part.name.startswith("blk."):
            blocks[int(part.name.split(".")[1])] += part.bytes
    sizes = {part.name: part.bytes for part in parts}
    weights = sum(sizes.values())
    count = 0
    for part in parts:
        product = 1
        for side in part.shape:
            product *= side
        count += product
    return ModelFile(
        name=name,
        shape=shape,
        quantization=quantization,
        parameters=count,
        context=context,
        block_bytes=tuple(blocks),
        output_bytes=sizes["output.weight"] + sizes["output_norm.weight"],
        embedding_bytes=sizes["token_embd.weight"],
        file_bytes=weights + _HEADER_BYTES,
        digest="sha256:" + hashlib.sha256(f"{name} {quantization} {weights}".encode()).hexdigest(),
        rope_base=rope_base,
    )


_MISTRAL = Shape("llama", 32, 4096, 14336, 32, 8, 128, 32768)
_PHI3 = Shape("phi3", 32, 3072, 8192, 32, 32, 96, 32064)
_QWEN3 = Shape("qwen3", 36, 2560, 9728, 32, 8, 128, 151936)
_NOMIC = Shape("nomic-bert", 12, 768, 3072, 12, 12, 64, 30522)
EMBEDDING = frozenset({_NOMIC.architecture})
"""Architectures whose models embed and do not generate (server/images.go, Capabilities)."""

REGISTRY: Mapping[str, ModelFile] = {
    name: build(title, shape, quantization, context, rope)
    for title, shape, quantization, context, rope, names in (
        (
            "Mistral-7B-Instruct-v0.3",
            _MISTRAL,
            "Q4_K_M",
            32768,
            1e6,
            ("mistral:7b-instruct", "mistral:7b-instruct-q4_K_M", "mistral:latest"),
        ),
        ("Mistral-7B-Instruct-v0.3", _MISTRAL, "Q3_K_M", 32768, 1e6, ("mistral:7b-instruct-q3_K_M",)),
        ("Mistral-7B-Instruct-v0.3", _MISTRAL, "Q4_0", 32768, 1e6, ("mistral:7b-instruct-q4_0",)),
        ("Phi 3 Mini 128k Instruct", _PHI3, "Q4_0", 131072, 10000.0, ("phi3:3.8b", "phi3:latest")),
        ("Qwen3 4B", _QWEN3, "Q4_K_M", 40960, 1e6, ("qwen3:4b",)),
        ("nomic-embed-text-v1.5", _NOMIC, "Q4_0", 2048, 1000.0, ("nomic-embed-text:latest",)),
    )
    for name in names
}
"""What `pull` can fetch in the lab (facts/ollama 4.8)."""


def from_table(entry: Mapping[str, Any]) -> ModelFile:
    """Read one entry of a models.json as the recordings carry it (random-weight test models); KeyError names a missing field."""
    sizes = entry["tensor_bytes"]
    return ModelFile(
        name=entry["general_name"],
        shape=Shape(
            entry["architecture"],
            entry["block_count"],
            entry["embedding_length"],
            entry["feed_forward_length"],
            entry["head_count"],
            entry["head_count_kv"],
            entry["head_dim"],
            entry["vocab_size"],
        ),
        quantization={number: name for name, number in FILE_TYPES.items()}[entry["file_type"]],
        parameters=entry["parameter_count"],
        context=entry["context_length"],
        block_bytes=tuple(sizes["repeating_layer_bytes"]),
        output_bytes=sizes["output_weight"] + sizes["output_norm"],
        embedding_bytes=sizes["token_embd"],
        file_bytes=entry["file_bytes"],
        digest=entry["digest"],
    )


def full_name(name: str) -> str:
    """Give a model name its default tag."""
    return name if ":" in name.rsplit("/", 1)[-1] or not name else f"{name}:latest"


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of a manifest; `content` is None for weights, which are never kept."""

    kind: str
    digest: str
    size: int
    content: bytes | None


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Model:
    """A name in the store: a file with a template and parameters on top."""

    name: str
    file: ModelFile
    parameters: Mapping[str, Any] = field(default_factory=dict)
    template: str = "{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}"
    system: str = ""
    parent: str = ""
    modified: float = 0.0
    damage: Damage = Damage.NONE
    gone: tuple[str, ...] = ()
    """Digests of small blobs of its manifest that are not in the store."""

    @property
    def harm(self) -> Damage:
        """What a request meets first: the manifest, the configuration and the small layers are read before the weights."""
        if not self.gone or self.damage is Damage.MANIFEST_BROKEN:
            return self.damage
        return Damage.CONFIG_MISSING if self.layers[0].digest in self.gone else Damage.LAYER_MISSING

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The blobs of its manifest, the configuration first; the weights have no content here."""
        config = {"model_format": "gguf", "model_family": self.file.shape.architecture, "file_type": self.file.quantization}
        texts = [("application/vnd.docker.container.image.v1+json", _json(config))]
        weights = Layer("application/vnd.ollama.image.model", self.file.digest, self.file.stored or self.file.file_bytes, None)
        texts.append(("application/vnd.ollama.image.template", self.template.encode()))
        if self.system:
            texts.append(("application/vnd.ollama.image.system", self.system.encode()))
        if self.parameters:
            texts.append(("application/vnd.ollama.image.params", _json(dict(self.parameters))))
        found = [Layer(kind, f"sha256:{hashlib.sha256(text).hexdigest()}", len(text), text) for kind, text in texts]
        return (found[0], weights, *found[1:])

    @property
    def manifest(self) -> bytes:
        """The manifest as it lies on disk and in the registry."""
        config, *layers = [{"mediaType": each.kind, "digest": each.digest, "size": each.size} for each in self.layers]
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        return _json({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers})

    @property
    def digest(self) -> str:
        """The manifest's digest, without its `sha256:`."""
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def size(self) -> int:
        """The bytes of all layers of the manifest."""
        parameters = len(json.dumps(dict(self.parameters))) if self.parameters else 0
        return self.file.file_bytes + len(self.template) + len(self.system) + parameters + 340


class ModelStore:
    """The models on one disk, and the registry they come from."""

    def __init__(self, models: Iterable[Model] = (), *, registry: Mapping[str, ModelFile] = REGISTRY) -> None:
        self.registry = registry
        self._models = {model.name: model for model in models}
        self.aside: dict[str, str] = {}
        """Blobs of weights that were moved out of the store, with their damage."""
        self.loose: dict[str, str] = {}
        """Blobs of weights that no manifest names, with their damage."""

    def get(self, name: str) -> Model | None:
        """Return the model called so, with or without its tag."""
        return self._models.get(full_name(name))

    def all(self) -> tuple[Model, ...]:
        """Return every model, the last changed first."""
        return tuple(sorted(self._models.values(), key=lambda model: -model.modified))

    def put(self, model: Model) -> None:
        """Store a model, in the place of one with its name."""
        self._models[model.name] = model

    def remove(self, name: str) -> bool:
        """Delete a name; False when there is none."""
        return self._models.pop(full_name(name), None) is not None

    def fetch(self, name: str, now: float) -> Model | None:
        """Return what the registry has under that name, not stored yet."""
        file = self.registry.get(full_name(name))
        return None if file is None else Model(full_name(name), file, parameters={"stop": ["[INST]", "[/INST]"]}, modified=now)

    def state(self) -> list[dict[str, Any]]:
        """Return the models as JSON values; the files themselves are named by digest."""
        return [
            {
                "name": model.name,
                "file": model.file.digest,
                "parameters": dict(model.parameters),
                "template": model.template,
                "system": model.system,
                "parent": model.parent,
                "modified": model.modified,
                "damage": model.damage.value,
                "gone": list(model.gone),
            }
            for model in self._models.values()
        ]

    def restore(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Take back what `state` returned; a file that neither the registry nor this store knows is left out."""
        files = {file.digest: file for file in self.registry.values()} | {
            model.file.digest: model.file for model in self._models.values()
        }
        self._models = {
            entry["name"]: Model(
                **{**entry, "file": files[entry["file"]], "damage": Damage(entry["damage"]), "gone": tuple(entry.get("gone", ()))}
            )
            for entry in state
            if entry["file"] in files
        }
