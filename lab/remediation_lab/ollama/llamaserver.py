"""Loads of v0.30 and newer: a llama-server process that fits the layers itself (facts/ollama 2.2, 2.3, 4.5; recordings, v0.32.0)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from remediation_lab.ollama import golang
from remediation_lab.ollama.answers import ApiError
from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.golang import mebibytes
from remediation_lab.ollama.journal import line
from remediation_lab.ollama.loader import Loader, Runner
from remediation_lab.ollama.loadrule import MINIMUM, Ending, Plan, Wish
from remediation_lab.ollama.models import Model
from remediation_lab.ollama.options import Options
from remediation_lab.ollama.releases.base import Load

_MIB = 1024**2
_TARGET = 1024
"""MiB that llama-server leaves free on a card unless LLAMA_ARG_FIT_TARGET says otherwise."""
_SHARE = 0.8
"""Ollama's own prediction must stay below this part of the free memory, or another model has to go."""
_SEGMENTATION = "llama-server process has terminated: signal: segmentation fault"
_KILLED = "llama-server process has terminated: signal: killed"


def compute(wish: Wish, *, whole: bool) -> int:
    """Return the bytes of the compute buffer on the card: logits, two activations, the mask and its indices."""
    shape = wish.model.shape
    size = 4 * wish.batch * (shape.vocabulary + 2 * shape.embedding) + (2 * wish.batch + 128) * wish.context
    return size if whole else size + 8 * wish.batch * shape.embedding


def host_compute(wish: Wish) -> int:
    """Return the bytes of the compute buffer in RAM."""
    return 2 * wish.batch * wish.context + 8 * wish.batch * wish.model.shape.embedding


@dataclass(frozen=True, slots=True)
class Fit:
    """The result of the fit: layers on the card, and the sizes that decided it."""

    layers: int
    projected: int
    needed: int
    """The memory for the requested layers."""
    target: int

    @property
    def meets(self) -> bool:
        """Whether nothing had to be changed."""
        return self.projected == self.needed


class LlamaServerLoader(Loader):
    """Loads by llama-server."""

    def prepare(self, model: Model, options: Options, *, alone: bool) -> Load:
        """Fit a model on the card as it stands now."""
        if model.damage is Damage.BLOB_CUT:
            self._cut(model)
        load = Loader.prepare(self, replace(model, damage=Damage.NONE), options, alone=True)
        wish = load.wish
        if load.card is None or self._hidden:
            size = wish.model.weights + wish.model.embedding_bytes + wish.cache + compute(wish, whole=False)
            plan = Plan(Ending.LOADS, wish.model.shape.blocks, 0, 0, size, 0, 0)
            if self._hidden:
                plan = replace(plan, total=0)  # buffers of no device are counted nowhere: recordings, surprise 3
            return replace(load, plan=plan, compute=compute(wish, whole=False))
        fit = self.fit(wish, load.card.free)
        first = wish.model.layers - fit.layers
        total, vram = self._sizes(wish, fit.layers)
        predicted = (
            wish.model.file_bytes
            + 4 * wish.model.shape.blocks * wish.model.shape.heads_kv * wish.model.shape.head_dim * wish.context
        )
        crowded = not alone and predicted > _SHARE * load.card.free
        plan = Plan(Ending.CROWDED if crowded else Ending.LOADS, first, fit.layers, fit.layers, total, vram, 0)
        return replace(load, plan=plan, compute=compute(wish, whole=fit.layers == wish.model.layers))

    def fit(self, wish: Wish, free: int) -> Fit:
        """Decide how many layers go to a card with so much free memory."""
        layers, target = wish.model.layers, self._number("LLAMA_ARG_FIT_TARGET", _TARGET) * _MIB
        requested = wish.num_gpu if wish.num_gpu >= 0 else self._number("LLAMA_ARG_N_GPU_LAYERS", -1)
        wanted = self._sizes(wish, min(requested, layers) if requested >= 0 else layers)[1]
        if requested >= 0 or self.settings.raw.get("LLAMA_ARG_FIT") == "off":
            return Fit(min(requested, layers) if requested >= 0 else layers, wanted, wanted, target)
        room = self._seen(free) - target
        if wanted <= room:
            return Fit(layers, wanted, wanted, target)
        # back to front, the output layer first; with none of them only the compute buffer is on the card
        count = max((each for each in range(layers) if self._sizes(wish, each)[1] <= room), default=0)
        return Fit(count, self._sizes(wish, count)[1], wanted, target)

    def announce(self, load: Load, options: Options, *, alone: bool) -> None:
        """Log what comes before llama-server's own lines."""
        del options, alone
        if load.card is None:
            text = "disabling mmap for llama-server load by default"
            self.journal.write(line(self.release.at("mmap"), text, model=load.path, reason="cpu"))
        self._start_line(load)
        self.journal.write(self.release.system_memory(self._ram))
        self._decision(load)

    def decide(self, load: Load, *, alone: bool) -> None:
        """Log a further attempt, after another model has left."""
        del alone
        self._start_line(load)
        self.journal.write(self.release.system_memory(self._ram))
        self._decision(load)

    def start(self, model: Model, options: Options, load: Load, *, others: int) -> Runner:
        """Start llama-server and wait until it is loaded; ApiError when it dies."""
        if self._hidden:
            load = replace(load, card=None)
        release, write, began, wish = self.release, self.journal.write, self.clock.now(), load.wish
        write(line(release.at("via"), "loading model via llama-server", model=load.path))
        write(line(release.at("waiting"), "waiting for llama-server to start responding"))
        write(line(release.at("available"), "waiting for llama-server to become available", status="llm server not responding"))
        for text in (*self._fitting(load), *self._tensors(load)):
            write(text)
        write(line(release.at("available"), "waiting for llama-server to become available", status="llm server loading model"))
        on_cpu = sum(wish.needs) - sum(wish.needs[index] for index in load.plan.span)
        if on_cpu > self._ram.free + self._ram.swap:
            self._die(load, _SEGMENTATION)
        if load.card is not None and load.plan.vram > load.card.free:
            write(
                f"ggml_backend_cuda_buffer_type_alloc_buffer: allocating {mebibytes(load.plan.vram)} MiB on device 0: cudaMalloc failed: out of memory"
            )
            self._die(load, _SEGMENTATION)
        for text in self._context(load):
            write(text)
        if self._ram.limit and on_cpu > self._ram.limit:
            self._die(load, _KILLED)
        if load.card is not None:
            self._memory.hold(f"ollama runner {model.name}", min(load.plan.vram + self._pace.context_bytes, load.card.free))
        for text in self._buffers(load):
            write(text)
        self.clock.sleep(load.file.file_bytes / self._pace.disk)
        now = self.clock.now()
        gpu = sum((*load.file.block_bytes, load.file.output_bytes)[index] for index in load.plan.span)
        write(line(release.at("started"), f"llama-server started in {now - began:.2f} seconds"))
        write(line(release.at("runners"), "loaded runners", count=others + 1))
        write(line(release.at("waiting"), "waiting for llama-server to start responding"))
        write(line(release.at("started"), f"llama-server started in {now - began:.2f} seconds"))
        return Runner(
            model.name, model.digest, options.num_gpu, options.num_ctx, load.plan.layers, load.plan.total, load.plan.vram, gpu,
            load.file.weights - gpu, self.settings.keep_alive, now + self.settings.keep_alive / golang.SECOND, used=now,
        )  # fmt: skip

    @property
    def _hidden(self) -> bool:
        """Whether llama-server gets the option to use no device, which Ollama does not know."""
        return self.settings.raw.get("LLAMA_ARG_DEVICE") == "none"

    def _sizes(self, wish: Wish, layers: int) -> tuple[int, int]:
        """Return all bytes, and those on the card, with so many layers there."""
        model = wish.model
        whole = layers == model.layers
        span = range(model.layers - layers, model.layers)
        on_card = sum(wish.needs[index] for index in span) + compute(wish, whole=whole)
        if whole:
            return on_card, on_card
        return model.weights + model.embedding_bytes + wish.cache + compute(wish, whole=False) + host_compute(wish), on_card

    @staticmethod
    def _seen(free: int) -> int:
        return free - _MIB // 16  # what the process has allocated before it looks

    def _number(self, name: str, default: int) -> int:
        text = self.settings.raw.get(name, "")
        return int(text) if text.lstrip("-").isdecimal() else default

    def _start_line(self, load: Load) -> None:
        wish = load.wish
        write = self.journal.write
        write(line(self.release.at("using"), "using llama-server for model", model=load.path))
        layers = f" -ngl {wish.num_gpu}" if wish.num_gpu >= 0 else ""
        cache = f" --cache-type-k {wish.cache_type} --cache-type-v {wish.cache_type}" if wish.cache_type else ""
        flash = "on" if wish.cache_type else {None: "auto", True: "on", False: "off"}[load.flash]
        text = (
            f"{golang.joined(self.release.lib, 'llama-server')} --model {load.path} --port {load.port} --host 127.0.0.1 --no-webui --offline -c {wish.context}"
            f" -np {load.parallel} --log-verbosity 4 --no-log-prefix --no-log-timestamps --no-jinja --chat-template chatml"
            f"{' --no-mmap' if load.card is None else ''} --flash-attn {flash} -b {wish.batch} -ub {wish.batch}{layers}{cache} --context-shift --keep 4"
        )
        write(line(self.release.at("starting"), "starting llama-server", cmd=text))

    def _decision(self, load: Load) -> None:
        if load.card is None:
            return
        card, overhead = load.card, self.settings.overhead
        self.journal.write(
            line(
                self.release.at("gpumem"), "gpu memory", id=0, library="CUDA", available=self.release.available(card, overhead),
                free=golang.human_bytes(card.free), minimum=golang.human_bytes(MINIMUM), overhead=golang.human_bytes(overhead),
            )
        )  # fmt: skip

    def _fitting(self, load: Load) -> Iterator[str]:
        if self.settings.raw.get("LLAMA_ARG_FIT") == "off":
            return
        yield "cmn  common_init_: fitting params to device memory ..."
        yield "common_params_fit_impl: getting device memory data for initial parameters:"
        if load.card is None:
            used, total = load.wish.cache + compute(load.wish, whole=False), self._ram.total
            yield f"common_params_fit_impl: projected to use {used // _MIB} MiB of host memory vs. {total // _MIB} MiB of total host memory"
            yield f"common_params_fit_impl: will leave {(total - used) // _MIB} >= 1024 MiB of system memory, no changes needed"
            return
        fit, free = self.fit(load.wish, load.card.free), self._seen(load.card.free)
        target = fit.target // _MIB
        yield f"common_params_fit_impl: projected to use {fit.needed // _MIB} MiB of device memory vs. {free // _MIB} MiB of free device memory"
        if free - fit.needed >= fit.target:
            yield f"common_params_fit_impl: will leave {(free - fit.needed) // _MIB} >= {target} MiB of free device memory, no changes needed"
            yield "common_fit_params: successfully fit params to free device memory"
            return
        short = (fit.target + fit.needed - free + _MIB - 1) // _MIB
        yield f"common_params_fit_impl: cannot meet free memory target of {target} MiB, need to reduce device memory by {short} MiB"
        if load.wish.num_gpu >= 0 or self._number("LLAMA_ARG_N_GPU_LAYERS", -1) >= 0:
            requested = load.wish.num_gpu if load.wish.num_gpu >= 0 else self._number("LLAMA_ARG_N_GPU_LAYERS", -1)
            yield f"common_fit_params: failed to fit params to free device memory: n_gpu_layers already set by user to {requested}, abort"
            return
        yield f"common_params_fit_impl: context size set by user to {load.wish.context} -> no change"
        yield "common_params_fit_impl: filling dense layers back-to-front:"
        left, used = (free - fit.projected) // _MIB, fit.projected // _MIB
        yield f"common_params_fit_impl:   - CUDA0 ({load.card.device.name}): {fit.layers:>2} layers, {used:>6} MiB used, {left:>6} MiB free"
        yield "common_fit_params: successfully fit params to free device memory"

    def _tensors(self, load: Load) -> Iterator[str]:
        file, on = load.file, load.plan.span
        yield (
            f"llama_model_loader: loaded meta data with 24 key-value pairs and {9 * file.shape.blocks + 3} tensors from {load.path}"
            " (version GGUF V3 (latest))"
        )
        weights = (*file.block_bytes, file.output_bytes)
        gpu = sum(weights[index] for index in on)
        whole = load.plan.layers == file.layers
        rest = file.embedding_bytes if whole else sum(weights) + file.embedding_bytes
        if load.card is not None:
            yield f"llama_prepare_model_devices: using device CUDA0 ({load.card.device.name}) (0000:01:00.0) - {load.card.free // _MIB} MiB free"
        yield f"load_tensors: loading model tensors, this can take a while... (mmap = {'true' if load.card else 'false'}, direct_io = false)"
        if load.card is None and not self._hidden:
            yield f"load_tensors:          CPU model buffer size = {mebibytes(rest):>8} MiB"
            return
        shown = file.layers if self._hidden else load.plan.layers
        if shown:
            yield "load_tensors: offloading output layer to GPU"
        yield f"load_tensors: offloading {max(0, shown - 1 - whole)} repeating layers to GPU"
        yield f"load_tensors: offloaded {shown}/{file.layers} layers to GPU"
        yield f"load_tensors:   CPU_Mapped model buffer size = {mebibytes(rest):>8} MiB"
        if gpu:
            yield f"load_tensors:        CUDA0 model buffer size = {mebibytes(gpu):>8} MiB"

    def _context(self, load: Load) -> Iterator[str]:
        wish, blocks = load.wish, load.file.shape.blocks
        per_sequence = wish.context // load.parallel
        yield "llama_context: constructing llama_context"
        yield f"llama_context: n_seq_max     = {load.parallel}"
        yield f"llama_context: n_ctx         = {wish.context}"
        yield f"llama_context: n_ctx_seq     = {per_sequence}"
        yield "llama_context: flash_attn    = auto"
        if per_sequence < load.file.context:
            yield f"llama_context: n_ctx_seq ({per_sequence}) < n_ctx_train ({load.file.context}) -- the full capacity of the model will not be utilized"
        count = len([index for index in load.plan.span if index < blocks])
        if count < blocks:
            yield f"llama_kv_cache:        CPU KV buffer size = {mebibytes(wish.cache_per_layer * (blocks - count)):>8} MiB"
        if count:
            yield f"llama_kv_cache:      CUDA0 KV buffer size = {mebibytes(wish.cache_per_layer * count):>8} MiB"

    def _buffers(self, load: Load) -> Iterator[str]:
        where = "CUDA0" if load.card else "  CPU"
        yield f"sched_reserve:      {where} compute buffer size = {mebibytes(load.compute):>8} MiB"
        if load.card:
            yield f"sched_reserve:  CUDA_Host compute buffer size = {mebibytes(host_compute(load.wish)):>8} MiB"
        yield "srv  llama_server: model loaded"

    def _cut(self, model: Model) -> NoReturn:
        file = model.file
        middle = file.shape.blocks // 2
        text = f'tensor "blk.{middle}.ffn_up.weight" offset+size ({file.file_bytes}) exceeds file size ({file.file_bytes // 2})'
        self.journal.write(line(self.release.at("metadata"), "failed to load model metadata", model=self.path(file), error=text))
        raise ApiError(500, text)

    def _die(self, load: Load, text: str) -> NoReturn:
        self.journal.write(self.release.failed(load, text))
        raise ApiError(500, text)
