"""Memory that runs short, of the card and of the machine (facts/ollama 2.2, 2.4; recordings, surprises 7, 8)."""

from __future__ import annotations

from remediation.diagnosis.signs.scan import sign

SIGNS = (
    sign(
        "gpu_oom",
        "out of memory",
        r"(?:cudaMalloc|hipMalloc|cuMem\w+) failed: out of memory|(?:CUDA|ROCm|HIP) error(?::| \d+ at [^\n]*:) ?out of memory|CUDA out of memory|GPU out of memory",
    ),
    sign(
        "gpu_oom",
        "memory allocation",
        r"Device memory allocation of size \d+ failed|ErrorOutOfDeviceMemory|Requested buffer size exceeds device memory",
    ),
    sign("gpu_oom", "failed to allocate", r"failed to allocate (?:\w+ ){0,3}(?:CUDA|ROCm|Vulkan|HIP)\d"),
    sign("gpu_oom", "alloc_failed", r"CUBLAS_STATUS_ALLOC_FAILED"),
    sign("too_little_vram", "gpu has too little memory"),
    sign("too_little_vram", "insufficient vram"),
    sign("existing_models", "existing loaded models"),
    sign(
        "evicting",
        "evict",
        r"evicting a model to make space|predicted to exceed available memory, evicting|evicting all other models",
    ),
    sign("vram_not_recovered", "vram usage didn't recover"),
    sign("layers_set_by_user", "already set by user", r"n_gpu_layers already set by user to (\d+)"),
    sign("layout_failed", "memory layout cannot be allocated", r"memory layout cannot be allocated(?: with num_gpu = (-?\d+))?"),
    sign("fit_failed", "failed to fit params"),
    sign("ram_refused", "requires more system memory", r"requires more system memory \(([^)]+)\) than is available \(([^)]+)\)"),
    sign("ram_refused", "too large for system", r"model request too large for system[^\n]*"),
    sign("ram_refused", "more system memory", r"requires more system memory"),
    sign("killed", "signal: killed"),
    sign("killed", "killed process", r"(?:Out of memory: )?Killed process \d+ \([^)]*\)"),
    sign(
        "killed",
        "oom",
        r"oom-kill|oom_kill(?:er|_process)?\W+[1-9]|invoked oom-killer|\bOOM[- ]?kill(?:ed|er)\b(?![\"']?\s*[:=])|OOMKilled[\"']?\s*[:=]\s*[\"']?true|memory cgroup out of memory",
    ),
    sign("exit_137", "137", r"(?:exit(?:ed)?(?: with)?(?: code| status)?:?|exitcode[\"']?:?)\s{0,12}\(?137\b"),
    sign("not_oom", "oomkilled", r"OOMKilled[\"']?\s*[:=]\s*[\"']?false"),
    # Go reports -1 for a process that a signal ended
    sign("signalled", "exit code -1", r"(?:runner|server) process has terminated with exit code -1\b"),
    sign("ram_allocation", "cannot allocate memory"),
    sign("ram_allocation", "bad_alloc"),
    sign("ram_allocation", "enough", r"not have enough (?:available |system )?memory to run"),
    sign(
        "ram_allocation",
        "failed",
        r"(?:ggml_backend_cpu_buffer_type_alloc_buffer|ggml_aligned_malloc)[^\n]*(?:fail|insufficient)|unable to allocate CPU|failed to allocate (?:CPU )?buffer of size|insufficient memory \(attempted",
    ),
    sign("ram_allocation", "unable to allocate", r"unable to allocate (?:CPU|memory|backend buffer)"),
    sign("ram_allocation", "paging file is too small"),
    sign("cache_needs_flash", "kv cache", r"quantized kv cache requested but flash attention disabled"),
    sign("cache_needs_flash", "must be enabled to use a quantized"),
    sign("load_timeout", "timed out waiting for llama", r"timed out waiting for llama[- ](?:runner|server)"),
    sign("client_gone", "client connection closed before", r"client connection closed before server finished loading"),
    sign("segfault", "segmentation", r"signal: segmentation|segmentation (?:fault|violation)|SIGSEGV"),
    sign(
        "runner_terminated",
        "process has terminated",
        r"(?:llama runner|llama-server) process (?:has )?(?:terminated|no longer running)",
    ),
    # a runner that was there and is gone: the server's own words, then those of its answers (facts/ollama 2.4)
    sign("runner_died", "post predict", r"post predict[^\n]*(?:EOF|reset by peer|refused|forcibly closed|broken pipe)"),
    sign("runner_died", "unexpectedly stopped", r"(?:model|llama) runner has unexpectedly stopped"),
    sign("runner_died", "no longer running", r"(?:llama[- ]?runner|llama-server|llama runner) process no longer running"),
    sign("runner_died", "runner terminated", r"(?:llama runner|llama-server) terminated\\?\" error="),
    sign("runner_died", "while running the model", r"error was encountered while running the model"),
    sign("runner_died", "error reading llm response", r"error reading llm response[^\n]*(?:EOF|reset by peer|forcibly closed)"),
    # docker events
    sign("killed", "container oom", r"\bcontainer oom [0-9a-f]{12}"),
    sign("queue_full", "server busy"),
    sign("type_error", "must be of type integer", r'option "?(num_gpu|num_ctx)"? must be of type integer'),
)
