"""The Ollama server of a host in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.diagnosis.memory.fit import fit
from remediation.diagnosis.memory.metadata import metadata
from remediation.diagnosis.versions import parse_version
from remediation.model.errors import CallFailed
from remediation.model.facts import Blob, GenerationFigures, Manifest, ModelEntry, ModelShow, PullProgress, Runner
from tests.engine.fakes.services import FakeServices
from tests.engine.fakes.world import GIB, OLLAMA, Stored, World, blob_path, manifest_path, stamp

LAYERS = 33
WEIGHTS = 5 * GIB
"""Of a model whose dimensions are not given; what a layer needs is a share of it."""


class FakeOllama:
    def __init__(self, world: World) -> None:
        self._world = world

    def _answering(self) -> World:
        world = self._world
        served = world.containers.get(OLLAMA)
        if world.project is not None and (not world.engine_up or served is None or served.status != "running"):
            raise CallFailed("Ollama does not answer at http://127.0.0.1:11434: connection refused", next_step="start Ollama")
        return world

    def version(self) -> str:
        world = self._answering()
        world.may_fail("ollama.version")
        return world.version

    def running(self) -> Sequence[Runner]:
        world = self._answering()
        world.looks += 1
        world.may_fail("ollama.running")
        world.seen.update(world.runners)
        return tuple(world.runners.values())

    def last_runner(self, model: str) -> Runner | None:
        return self._world.seen.get(model)

    def models(self) -> Sequence[ModelEntry]:
        world = self._answering()
        world.may_fail("ollama.models")
        return tuple(ModelEntry(name, 4_372_824_384, self._digest(name), show.details) for name, show in world.models.items())

    def _digest(self, name: str) -> str:
        held = self._world.store.get(manifest_path(name)) if self._world.shows else None
        return held.digest if held else f"sha256:{name}"

    def show(self, model: str) -> ModelShow | None:
        world = self._answering()
        world.looks += 1
        return world.models.get(model)

    def log(self, *, tail: int = 4000) -> str:
        self._world.may_fail("ollama.log")
        return "\n".join(self._world.log.splitlines()[-tail:])

    def blobs(self, model: str, *, verify: bool = False, timeout: float = 900.0) -> Sequence[Blob] | None:
        world = self._world
        world.looks += 1
        world.may_fail("ollama.blobs")
        held = world.store.get(manifest_path(model))
        if held is None:
            return None
        found = []
        for digest, size in held.layers:
            item = world.store.get(blob_path(digest))
            actual = item.digest if item is not None and verify else None
            found.append(Blob(digest, size, "application/vnd.ollama.image.model", item.size if item else None, actual))
        return found

    def quarantined_blobs(self) -> Sequence[str]:
        return tuple(self._world.aside)

    def registry(self, model: str) -> Manifest | None:
        self._world.looks += 1
        self._world.may_fail("ollama.registry")
        return self._world.registry.get(model)


class WritableOllama(FakeOllama):
    def load(self, model: str, *, options: Mapping[str, Any], keep_alive: str | None = None, timeout: float = 330.0) -> None:
        world = self._answering()
        world.wrote(f"load {model}")
        world.may_fail("ollama.load")
        if model not in world.models:
            raise CallFailed(f"model {model!r} not found", status=404)
        baked = int((world.models[model].parameters if world.models[model] else {}).get("num_gpu", -1))
        asked, context = int(options.get("num_gpu", baked)), int(options.get("num_ctx", 4096))
        loaded = world.runners.get(model)
        if loaded is not None and asked == -1:
            return  # an automatic num_gpu keeps the runner that is loaded (facts/ollama 3)
        world.runners.pop(model, None)
        fits, whole = self._fits(model, context)
        layers = fits if asked < 0 else min(asked, LAYERS)
        served = world.containers.get(OLLAMA)
        filtered = served is not None and served.environment.get("OLLAMA_LLM_LIBRARY") == "cuda"
        unseen = served is not None and not served.gpu_requested
        layers = 0 if filtered or unseen else layers  # facts/ollama 1.2: the name filters every GPU library out

        def loading() -> None:
            vram = whole if layers == LAYERS else layers * (whole // LAYERS)
            world.runners[model] = Runner(
                model, size=whole, size_vram=vram, context_length=context, expires_at=world.expiry(keep_alive)
            )
            world.log += _CPU_ONLY if filtered or unseen else _load_lines(asked, layers, context)

        world.soon("load", loading)

    def _fits(self, model: str, context: int) -> tuple[int, int]:
        """Return the layers that fit into what is free, and the bytes of all."""
        free, show = max(0, self._world.vram - self._world.used), self._world.models[model]
        known = metadata(show) if show is not None else None
        found = fit(known, context=context, free=free, version=parse_version(self._world.version)) if known else None
        return (found.layers, found.need_all) if found else (min(LAYERS, free // (WEIGHTS // LAYERS)), WEIGHTS)

    def unload(self, model: str, *, timeout: float = 60.0) -> None:
        self._world.wrote(f"unload {model}")
        self._world.may_fail("ollama.unload")
        self._world.runners.pop(model, None)

    def generate(
        self,
        model: str,
        prompt: str,
        *,
        options: Mapping[str, Any],
        timeout: float,
        sample: bool = True,
    ) -> GenerationFigures:
        world = self._answering()
        world.wrote(f"generate {model}")
        world.may_fail("ollama.generate")
        tokens = int(options.get("num_predict", 8))
        spent, cold = tokens / world.eval_rate, 0.0 if model in world.runners else 3.0
        if model not in world.runners:
            self.load(model, options={})
        return GenerationFigures(
            tokens=tokens, total=cold + 0.1 + spent, load=cold, prompt_eval=0.1, eval=spent, first_token=cold + 0.2,
            gpu_percent=90.0, cpu_percent=12.0,
        )  # fmt: skip

    def embed(self, model: str, text: str, *, options: Mapping[str, Any], timeout: float) -> None:
        self._answering().wrote(f"embed {model}")
        self._world.may_fail("ollama.embed")

    def pull(self, model: str, *, progress: Callable[[PullProgress], None] | None = None, timeout: float = 7200.0) -> None:
        world = self._answering()
        world.wrote(f"pull {model}")
        manifest = world.registry.get(model)
        if manifest is None:
            raise CallFailed("pull model manifest: file does not exist", status=200)
        for layer in manifest.layers:
            world.may_fail("ollama.pull")
            if progress is not None:
                progress(PullProgress(f"pulling {layer.digest[7:19]}", layer.digest, layer.size, layer.size))
            world.store.setdefault(
                blob_path(layer.digest), Stored(layer.size, layer.digest)
            )  # existing blobs are not hashed again
        world.hold(manifest, world.shows.get(model) or ModelShow(model, {}, {}))

    def delete(self, model: str) -> None:
        world = self._world
        world.wrote(f"delete {model}")
        world.may_fail("ollama.delete")
        world.models.pop(model, None)  # its runner stays, as the real server's does
        held = world.store.pop(manifest_path(model), None)
        others = {digest for item in world.store.values() for digest, _ in item.layers}
        for digest, _size in held.layers if held else ():
            if digest not in others:
                world.store.pop(blob_path(digest), None)

    def create(self, model: str, *, source: str, parameters: Mapping[str, Any], timeout: float = 300.0) -> None:
        world = self._answering()
        world.wrote(f"create {model}")
        world.may_fail("ollama.create")
        old = world.models.get(source)
        if old is None:
            raise CallFailed(f"model {source!r} not found", status=404)
        merged = {**old.parameters, **{name: str(value) for name, value in parameters.items()}}
        world.models[model] = replace(old, model=model, parameters=merged)
        if world.shows:
            world.shows[model] = world.models[model]

    def quarantine(self, digest: str) -> None:
        self._world.wrote(f"set aside {digest}")
        self._world.may_fail("ollama.set_aside")
        item = self._world.store.pop(blob_path(digest), None)
        if item is not None:
            self._world.aside[digest] = item

    def restore(self, digest: str) -> None:
        self._world.wrote(f"put back {digest}")
        self._world.store[blob_path(digest)] = self._world.aside.pop(digest)

    def discard(self, digest: str) -> None:
        self._world.wrote(f"discard {digest}")
        self._world.aside.pop(digest, None)

    def wait(self, *, timeout: float = 60.0) -> None:
        """The server answers at once."""

    def restart(self, *, timeout: float = 60.0) -> None:
        world = self._world
        world.wrote("restart ollama")
        world.runners.clear()
        world.served = dict(FakeServices(world).serving().declared)
        if OLLAMA in world.containers:
            world.containers[OLLAMA] = replace(world.containers[OLLAMA], status="running", started_at=stamp(world.clock.now()))
        now = stamp(world.clock.now())  # what it logs from now on is another process's
        world.log += f'time={now} level=INFO source=routes.go:1607 msg="Listening on [::]:11434 (version {world.version})"\n'


_CPU_ONLY = (
    'time=2026-01-01T00:00:00.000Z level=INFO source=routes.go:1554 msg="server config" env="map[OLLAMA_LLM_LIBRARY:cuda]"\n'
    'time=2026-01-01T00:00:01.000Z level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu compute="" name=cpu\n'
)
"""What it logs when no GPU library was loaded: no line says how many layers were offloaded."""


def _load_lines(asked: int, layers: int, context: int) -> str:
    """The lines of v0.13.5's log of a load that a reader needs (facts/ollama 2.2)."""
    assigned = f"{layers}[ID:GPU-1 Layers:{layers}({LAYERS - layers}..{LAYERS - 1})]" if layers else "[]"
    stamped = "time=2026-01-01T00:00:00.000Z level=INFO source"
    return (
        f'{stamped}=server.go:443 msg="loading model" "model layers"={LAYERS} requested={asked}\n'
        f'{stamped}=runner.go:1271 msg=load request="{{Operation:commit LoraPath:[] Parallel:1 BatchSize:512 FlashAttention:false '
        f'KvSize:{context} KvCacheType: NumThreads:6 GPULayers:{assigned} MultiUserCache:false}}"\n'
        f"load_tensors: offloaded {layers}/{LAYERS} layers to GPU\n"
    )
