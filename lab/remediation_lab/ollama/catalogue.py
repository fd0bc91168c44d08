"""The answers about stored models: tags, show, create, copy, delete, pull (facts/ollama 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from remediation_lab.ollama import damage, golang
from remediation_lab.ollama.answers import ApiError
from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.models import FILE_TYPES, Model, ModelFile, ModelStore, full_name
from remediation_lab.ports import LabClock

_STEPS = 8
_MENDED = {"", "config-missing", "manifest-broken"}
"""Damage that a pull repairs, because it rewrites configuration and manifest."""
_UNREADABLE = {Damage.BLOB_MISSING, Damage.BLOB_EMPTY, Damage.BLOB_MAGIC}
_KEY_WIDTH = 30


def _count(number: int) -> str:
    for size, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if number >= size:
            return f"{number / size:.0f}{letter}" if number % size == 0 else f"{number / size:.{digits}f}{letter}"
    return str(number)


def details(model: Model) -> dict[str, Any]:
    """Return the `details` that tags, ps and show share."""
    family = model.file.shape.architecture
    return {
        "parent_model": model.parent,
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": _count(model.file.parameters),
        "quantization_level": model.file.quantization,
    }


_TELL_LENGTHS = {"qwen3"}
_PIECES = {
    "add_bos_token": True, "add_eos_token": False, "bos_token_id": 1, "eos_token_id": 2, "model": "llama", "pre": "default", "scores": None,
    "token_type": None, "tokens": None, "unknown_token_id": 0,
}  # fmt: skip
_BYTE_PAIRS = {
    "add_bos_token": False, "bos_token_id": 1, "eos_token_id": 2, "merges": None, "model": "gpt2", "pre": "qwen2", "token_type": None, "tokens": None,
}  # fmt: skip


def _information(file: ModelFile) -> dict[str, Any]:
    shape = file.shape
    arch = shape.architecture
    explicit = arch in _TELL_LENGTHS or shape.head_dim != shape.embedding // shape.heads
    lengths = {f"{arch}.attention.{key}": shape.head_dim for key in ("key_length", "value_length")} if explicit else {}
    rope = {} if arch in _TELL_LENGTHS else {f"{arch}.rope.dimension_count": shape.head_dim}
    return {
        "general.architecture": arch,
        "general.file_type": FILE_TYPES[file.quantization],
        "general.parameter_count": file.parameters,
        f"{arch}.attention.head_count": shape.heads,
        f"{arch}.attention.head_count_kv": shape.heads_kv,
        **lengths,
        f"{arch}.attention.layer_norm_rms_epsilon": file.norm_epsilon,
        f"{arch}.block_count": shape.blocks,
        f"{arch}.context_length": file.context,
        f"{arch}.embedding_length": shape.embedding,
        f"{arch}.feed_forward_length": shape.feed_forward,
        **rope,
        f"{arch}.rope.freq_base": int(file.rope_base),
        f"{arch}.vocab_size": shape.vocabulary,
        **{f"tokenizer.ggml.{key}": value for key, value in (_BYTE_PAIRS if arch in _TELL_LENGTHS else _PIECES).items()},
    }


def _flat(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in sorted(parameters):
        value = parameters[key]
        for each in value if isinstance(value, list) else [value]:
            yield key, each


class Catalogue:
    """The model store behind its HTTP answers."""

    def __init__(self, store: ModelStore, clock: LabClock, blobs: str, network: float, *, capabilities: bool = False) -> None:
        self.store = store
        self._capabilities = capabilities
        """Whether tags list capabilities and lengths (v0.30 and newer)."""
        self._clock = clock
        self._blobs = blobs
        self._network = network

    def find(self, name: str) -> Model:
        """Return a stored model; ApiError 404 with Ollama's text."""
        model = self.store.get(name) if isinstance(name, str) else None
        if model is None:
            raise ApiError(404, f"model '{name}' not found")
        return model

    def tags(self) -> dict[str, Any]:
        """Answer /api/tags."""
        return {
            "models": [
                {
                    "name": model.name,
                    "model": model.name,
                    "modified_at": golang.timestamp(model.modified),
                    "size": model.size,
                    "digest": model.digest,
                    **self._about(model),
                }
                for model in self.store.all()
                if damage.listed(model.harm)
            ]
        }

    def _about(self, model: Model) -> dict[str, Any]:
        readable = model.damage not in _UNREADABLE
        if not self._capabilities or not readable:
            return {"details": details(model)}
        lengths = {"context_length": model.file.context, "embedding_length": model.file.shape.embedding}
        return {"details": {**details(model), **lengths}, "capabilities": ["completion"]}

    def show(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer /api/show."""
        model = self.find(body.get("model") or body.get("name") or "")
        damage.check(model.harm, model.name, verb="show")
        path = golang.joined(self._blobs, model.file.digest.replace(":", "-"))
        lines = [
            '# Modelfile generated by "ollama show"',
            "# To build a new Modelfile based on this, replace FROM with:",
            f"# FROM {model.name}",
            "",
            f"FROM {path}",
            f"TEMPLATE {model.template}",
            *([f"SYSTEM {model.system}"] if model.system else []),
            *(f"PARAMETER {key} {golang.value(value)}" for key, value in _flat(model.parameters)),
        ]
        written = [
            f"{key:<{_KEY_WIDTH}} " + (f'"{value}"' if isinstance(value, str) else golang.value(value))
            for key, value in _flat(model.parameters)
        ]
        return {
            "modelfile": "\n".join(lines) + "\n",
            **({"parameters": "\n".join(written)} if written else {}),
            "template": model.template,
            **({"system": model.system} if model.system else {}),
            "details": details(model),
            "model_info": _information(model.file),
            "tensors": [{"name": each.name, "type": each.type, "shape": list(each.shape)} for each in model.file.tensors()],
            "capabilities": ["completion"],
            "modified_at": golang.timestamp(model.modified),
        }

    def create(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Make a model from another, its parameters over the inherited ones; an inherited key cannot be taken out (facts/ollama 3)."""
        name, origin = full_name(body.get("model") or body.get("name") or ""), body.get("from")
        if not name:
            raise ApiError(400, "invalid model name")
        if not origin:
            raise ApiError(400, "neither 'from' or 'files' was specified")
        base = self.store.get(origin)
        if base is None:
            raise ApiError(500, "pull model manifest: file does not exist")
        model = replace(
            base,
            name=name,
            parameters={**base.parameters, **(body.get("parameters") or {})},
            template=body.get("template") or base.template,
            system=body.get("system") or base.system,
            parent=base.name,
            modified=self._clock.now(),
        )
        inherited = {layer.digest for layer in base.layers}
        for layer in model.layers[1:]:
            yield {"status": f"{'using existing' if layer.digest in inherited else 'creating new'} layer {layer.digest}"}
        self.store.put(model)
        yield {"status": "writing manifest"}
        yield {"status": "success"}

    def copy(self, body: Mapping[str, Any]) -> None:
        """Give a model a second name."""
        source = self.store.get(body.get("source", ""))
        if source is None:
            raise ApiError(404, f'model "{body.get("source", "")}" not found')
        self.store.put(replace(source, name=full_name(body["destination"]), modified=self._clock.now()))

    def delete(self, body: Mapping[str, Any]) -> str:
        """Delete a name and return it in full."""
        model = self.find(body.get("model") or body.get("name") or "")
        self.store.remove(model.name)
        return model.name

    def pull(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Fetch a model from the table that plays the registry; a file that exists is not read again."""
        yield {"status": "pulling manifest"}
        model = self.store.fetch(body.get("model") or body.get("name") or "", self._clock.now())
        if model is None:
            raise ApiError(500, "pull model manifest: file does not exist")
        digest, total = model.file.digest, model.file.file_bytes
        status = {"status": f"pulling {digest.removeprefix('sha256:')[:12]}", "digest": digest, "total": total}
        there = [each for each in self.store.all() if each.file.digest == digest and each.damage is not Damage.BLOB_MISSING]
        if there:
            # what lies on disk is not read again, so a damaged blob stays as it is (facts/ollama 3)
            harm = next((each.damage for each in there if each.damage.value not in _MENDED), Damage.NONE)
            model = replace(model, damage=harm)
            yield {**status, "completed": total}
        else:
            yield dict(status)
            for step in range(1, _STEPS + 1):
                self._clock.sleep(total / self._network / _STEPS)
                yield {**status, "completed": total * step // _STEPS}
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        self.store.put(replace(model, modified=self._clock.now()))
        for other in self.store.all():
            if other.file.digest == digest and other.damage is Damage.BLOB_MISSING:
                self.store.put(replace(other, damage=Damage.NONE))  # the blob that they share is there again
        fetched = {layer.digest for layer in model.layers}
        for other in self.store.all():
            if fetched & set(other.gone):
                self.store.put(replace(other, gone=tuple(each for each in other.gone if each not in fetched)))
        yield {"status": "success"}
