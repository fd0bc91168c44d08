"""The raw lines that llama.cpp prints inside a runner while it loads a model (facts/ollama 2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from remediation_lab.ollama import golang
from remediation_lab.ollama.golang import mebibytes
from remediation_lab.ollama.models import FILE_TYPES, ModelFile
from remediation_lab.ollama.releases.base import Load

_TYPE_NAMES = {"Q4_0": "Q4_0", "Q3_K_M": "Q3_K - Medium", "Q4_K_M": "Q4_K - Medium"}


def vocabulary(file: ModelFile, path: str) -> Iterator[str]:
    """Yield what the server prints when it reads a model's vocabulary before a load."""
    yield from _head(file, path)
    yield "print_info: vocab_only       = 1"
    yield "llama_model_load: vocab only - skipping tensors"


def backends(load: Load, lib: str) -> Iterator[str]:
    """Yield the libraries that the runner loads; a GPU library only where a GPU is used."""
    yield f"load_backend: loaded CPU backend from {golang.joined(lib, _file(lib, 'ggml-cpu-haswell'))}"
    if load.card is not None:
        yield "ggml_cuda_init: found 1 CUDA devices:"
        yield f"  Device 0: {load.card.device.name}, compute capability {load.card.device.compute}, VMM: yes, ID: {load.card.device.uuid}"
        yield f"load_backend: loaded CUDA backend from {golang.joined(lib, load.card.library, _file(lib, 'ggml-cuda'))}"


def _file(lib: str, name: str) -> str:
    """Return the name of a library's file: a DLL on Windows."""
    return f"{name}.dll" if "\\" in lib else f"lib{name}.so"


def device(load: Load) -> Iterator[str]:
    """Yield the line of the GPU in use."""
    if load.card is not None:
        yield (
            f"llama_model_load_from_file_impl: using device CUDA0 ({load.card.device.name}) (0000:01:00.0) - {load.card.free // 1024**2} MiB free"
        )
    yield from _head(load.file, load.path)


def tensors(load: Load) -> Iterator[str]:
    """Yield where the weights went."""
    on, blocks = load.plan.span, load.file.shape.blocks
    mapped = "true" if load.card else "false"
    yield f"load_tensors: loading model tensors, this can take a while... (mmap = {mapped})"
    weights = (*load.file.block_bytes, load.file.output_bytes)
    gpu = sum(weights[index] for index in on)
    rest = sum(weights) - gpu + load.file.embedding_bytes
    if load.card is None:  # no `offloaded` line without a GPU library: recordings, surprise 2
        yield f"load_tensors:          CPU model buffer size = {mebibytes(rest):>8} MiB"
        return
    yield f"load_tensors: offloading {len([index for index in on if index < blocks])} repeating layers to GPU"
    if blocks in on:
        yield "load_tensors: offloading output layer to GPU"
    yield f"load_tensors: offloaded {load.plan.layers}/{load.file.layers} layers to GPU"
    if gpu:
        yield f"load_tensors:        CUDA0 model buffer size = {mebibytes(gpu):>8} MiB"
    yield f"load_tensors:   CPU_Mapped model buffer size = {mebibytes(rest):>8} MiB"


def context(load: Load, name: str) -> Iterator[str]:
    """Yield the context, its cache and its compute buffers; `name` is this release's word for the context of one sequence."""
    wish, blocks = load.wish, load.file.shape.blocks
    per_sequence = wish.context // load.parallel
    yield "llama_context: constructing llama_context"
    yield f"llama_context: n_seq_max     = {load.parallel}"
    yield f"llama_context: n_ctx         = {wish.context}"
    yield f"llama_context: {name:<13} = {per_sequence}"
    yield f"llama_context: n_batch       = {wish.batch * load.parallel}"
    yield f"llama_context: n_ubatch      = {wish.batch}"
    flash = "auto" if load.flash is None else "enabled" if load.flash else "disabled"
    yield f"llama_context: flash_attn    = {flash}"
    if per_sequence < load.file.context:
        yield (
            f"llama_context: {name} ({per_sequence}) < n_ctx_train ({load.file.context})"
            " -- the full capacity of the model will not be utilized"
        )
    whole = load.plan.layers == load.file.layers
    output = mebibytes(4 * load.file.shape.vocabulary * load.parallel)
    yield f"llama_context: {'CUDA_Host' if whole else '      CPU'}  output buffer size = {output:>8} MiB"
    count = len([index for index in load.plan.span if index < blocks])
    if count < blocks:
        yield f"llama_kv_cache:        CPU KV buffer size = {mebibytes(wish.cache_per_layer * (blocks - count)):>8} MiB"
    if count:
        yield f"llama_kv_cache:      CUDA0 KV buffer size = {mebibytes(wish.cache_per_layer * count):>8} MiB"
    kind, half = wish.cache_type or "f16", f"{mebibytes(wish.cache / 2):>7}"
    yield (
        f"llama_kv_cache: size = {mebibytes(wish.cache):>7} MiB ({wish.context:>6} cells, {blocks:>3} layers, "
        f"{load.parallel:>2}/{load.parallel} seqs), K ({kind}): {half} MiB, V ({kind}): {half} MiB"
    )
    if load.flash is None:
        yield "llama_context: Flash Attention was auto, set to enabled"
    where = "CUDA0" if load.card else "CPU"
    yield f"llama_context: {where:>10} compute buffer size = {mebibytes(load.compute):>8} MiB"
    if load.card:
        host = 2 * wish.batch * wish.context + 4 * wish.batch * load.file.shape.embedding
        yield f"llama_context:  CUDA_Host compute buffer size = {mebibytes(host):>8} MiB"


def no_room_for_cache(size: int) -> Iterator[str]:
    """Yield what the runner prints when the card refuses `size` bytes for the cache (facts/ollama 2.4)."""
    yield f"ggml_backend_cuda_buffer_type_alloc_buffer: allocating {mebibytes(size)} MiB on device 0: cudaMalloc failed: out of memory"
    yield f"alloc_tensor_range: failed to allocate CUDA0 buffer of size {size}"
    yield "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache"


def no_room_for_compute(size: int) -> Iterator[str]:
    """Yield what the runner prints when the card refuses `size` bytes for the compute buffer."""
    yield f"ggml_backend_cuda_buffer_type_alloc_buffer: allocating {mebibytes(size)} MiB on device 0: cudaMalloc failed: out of memory"
    yield f"ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size {size}"
    yield "graph_reserve: failed to allocate compute buffers"
    yield "llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers"


def cut_file(file: ModelFile) -> Iterator[str]:
    """Yield what is printed for a file that ends too early."""
    middle = file.shape.blocks // 2
    yield f"llama_model_load: error loading model: tensor 'blk.{middle}.ffn_up.weight' data is not within the file bounds, model is corrupted or incomplete"
    yield "llama_model_load_from_file_impl: failed to load model"


def _head(file: ModelFile, path: str) -> Iterator[str]:
    shape = file.shape
    size = sum(file.block_bytes) + file.output_bytes + file.embedding_bytes
    yield (
        f"llama_model_loader: loaded meta data with 24 key-value pairs and {9 * shape.blocks + 3} tensors from {path}"
        " (version GGUF V3 (latest))"
    )
    yield "llama_model_loader: Dumping metadata keys/values. Note: KV overrides do not apply in this output."
    yield f"llama_model_loader: - kv   0:                       general.architecture str              = {shape.architecture}"
    yield f"llama_model_loader: - kv   1:                          general.file_type u32              = {FILE_TYPES[file.quantization]}"
    yield f"llama_model_loader: - kv   2:                               general.name str              = {file.name}"
    yield "print_info: file format = GGUF V3 (latest)"
    yield f"print_info: file type   = {_TYPE_NAMES[file.quantization]}"
    yield f"print_info: file size   = {mebibytes(size)} MiB ({8 * size / file.parameters:.2f} BPW) "
    yield f"print_info: arch             = {shape.architecture}"
    yield f"print_info: n_ctx_train      = {file.context}"
    yield f"print_info: n_layer          = {shape.blocks}"
    yield f"print_info: model params     = {file.parameters / 1e9:.2f} B"
    yield f"print_info: general.name     = {file.name}"
