"""GPU libraries and runners that are missing, filtered out or the wrong build (facts/ollama 1.2, 2.1; recordings, surprises 5, 17)."""

from __future__ import annotations

from remediation.diagnosis.signs.scan import sign

SIGNS = (
    sign(
        "no_avx",
        "avx",
        r"(?:CPU does not have (?:AVX|minimum vector)|no AVX|does not support AVX|AVX (?:instructions )?(?:is |are )?(?:not supported|missing|disabled))",
    ),
    sign("no_avx", "vector extensions", r"does not have minimum vector extensions"),
    sign("runner_missing", "no suitable llama servers"),
    sign(
        "runner_missing",
        "runner",
        r"unable to locate llm runner|llm runner directory|runner[^\n]{0,80}(?:not found|no such file|cannot find)|no (?:cuda|gpu|rocm) runners?",
    ),
    sign(
        "runner_missing",
        "ollama_llama_server",
        r"ollama_llama_server[^\n]{0,60}(?:no such file|not found|permission denied|cannot find|operation did not complete)",
    ),
    sign(
        "runner_missing",
        "llama-server",
        r"(?:unable to (?:find|locate)|cannot find|no) llama-server|llama-server[^\n\"]{0,30}(?:: no such file|not found|file does not exist|is missing)",
    ),
    sign("runner_missing", "virus", r"(?:virus or potentially unwanted software)"),
    sign(
        "libcuda_missing",
        "libcuda.so",
        r"libcuda\.so[.\d]*:? (?:cannot open shared object|not found|no such)|failed to load[^\n]*libcuda\.so",
    ),
    sign(
        "library_missing",
        "cannot open shared object",
        r"(lib(?:ggml|cudart|cublas|cublasLt|hip|rocblas|hipblas|nvrtc|amdhip)[\w.-]*)[^\n]{0,20}: cannot open shared object",
    ),
    sign(
        "library_missing",
        "libggml-cuda",
        r"(?:no|missing|without|not contain|not find)[^\n]{0,40}libggml-cuda|libggml-cuda[^\n]{0,50}(?:missing|not found|absent|no such)",
    ),
    sign("library_missing", "ggml-cuda", r"failed to load[^\n]*ggml-(?:cuda|hip|vulkan)"),
    sign(
        "library_missing",
        "missing",
        r"missing (?:the )?(?:cuda(?:_v\d+)?|rocm|gpu)(?: (?:or|and) (?:cuda|rocm)\w*)? (?:libraries|library|backend|folders?|runtime|director(?:y|ies))|lib/ollama[^\n]{0,50}(?:missing|empty)",
    ),
    sign(
        "library_missing",
        "no cuda",
        r"\bno cuda(?:_v\d+)?(?: (?:or|and) cuda\w*)? (?:libraries|library|backend|folders?|runtime|director(?:y|ies))",
    ),
    sign("library_missing", "undefined symbol", r"(?:undefined symbol|symbol lookup error)[^\n]*"),
    sign(
        "library_missing",
        "specified module could not be found",
        r"(?:cudart|cublas|ggml-cuda|nvcuda|ggml)[^\n]*The specified module could not be found",
    ),
    sign("backend_failed", "failed to initialize backend"),
    sign(
        "no_gpu_support",
        "not compiled with",
        r"(?:not |was not |isn't )compiled with (?:GPU|CUDA|cuBLAS)[^\n]*|compiled without (?:GPU|CUDA)",
    ),
    sign(
        "no_gpu_support",
        "gpu offload",
        r"(?:no|without|lacks) (?:usable )?GPU (?:offload|support) (?:found|support)|no usable GPU found|gpu-layers option will be ignored",
    ),
    sign("library_filtered", "skipping available library"),
    sign("library_filtered", "invalid ollama_llm_library"),
    sign("vulkan_disabled", "vulkan support disabled"),
    sign("incompatible_library", "incompatible library detected"),
    sign("physx", "physx", r"PhysX[^\n]*cudart"),
    sign("discovery_failed", "gpu discovery", r"failure during (?:llama-server )?GPU discovery"),
    sign(
        "discovery_timeout",
        "discovery",
        r"failed to finish discovery before timeout|GPU discovery watchdog timed out|discovery (?:runner )?(?:times? out|timed out)",
    ),
    sign("device_filtered", "fully initialize", r"filtering device which didn't fully initialize"),
    # ..v0.5.7 list the runners they found; with no GPU runner among them everything runs on the processor
    sign("runner_missing", "dynamic llm libraries", r"Dynamic LLM libraries\"?(?: runners=)?\s*\"?\[\s*(?:cpu(?:_avx2?)?\s*)*\]"),
    sign("none_compatible", "compatible gpu libraries", r"compatible gpu libraries\"? compatible=\[\]"),
    sign("cpu_runner", "runners/cpu", r"starting llama server[^\n]*runners/cpu[\w]*/ollama_llama_server"),
    sign("cpu_backend", "using cpu backend"),
    sign("bus_error", "bus error"),
    sign("unknown_architecture", "unknown model architecture"),
    sign("unknown_architecture", "wrong number of tensors"),
    # GGUF has had the versions 1 to 3; 0 and huge numbers are what a damaged header reads like
    sign(
        "unknown_architecture",
        "unsupported version",
        r"(?:gguf|model)[^\n]*unsupported version:? (?:1|[4-9]|\d\d)\b|unsupported version:? (?:1|[4-9]|\d\d)\b[^\n]*gguf",
    ),
    sign("gguf_invalid", "unsupported version", r"(?:gguf|model)[^\n]*unsupported version:? (?:0\b|\d{3,})"),
)
