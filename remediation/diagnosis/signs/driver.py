"""What NVIDIA's and AMD's drivers say when they do not work (facts/ollama 2.1 Failures, 6; recordings, surprise 16)."""

from __future__ import annotations

from remediation.diagnosis.signs.scan import sign

SIGNS = (
    sign("nvml_unknown", "nvml", r"Failed to initialize NVML: Unknown Error"),
    sign(
        "nvml_mismatch",
        "mismatch",
        r"Driver/library version mismatch|API mismatch: the client has the version|kernel version .* does not match",
    ),
    sign("nvml_blocked", "blocked by the operating system"),
    sign(
        "nvml_absent",
        "nvml",
        r"Failed to initialize NVML: (?:Driver Not Loaded|Uninitialized|Not Found|Insufficient Permissions|N/A)|couldn't find libnvidia-ml",
    ),
    sign("smi_no_driver", "communicate with the nvidia driver"),
    sign("smi_no_devices", "no devices were found"),
    sign(
        "gpu_lost",
        "gpu",
        r"GPU is lost|fallen off the bus|RmInitAdapter failed|rm_init_adapter failed|Unable to determine the device handle|GPU requires reset|GPU recovery action",
    ),
    sign("xid", "xid", r"NVRM: Xid|\bXid \(PCI|\bXid[: ]+\d+"),
    # the codes in every shape that Ollama, ggml, PyTorch and people print them
    sign("cuda_code", "init failure", r"(?:cuda driver library|cudart|cuda) init failure:? (\d+)"),
    # NVML counts its own codes
    sign("nvml_code", "nvml", r"nvml (?:vram )?init failure:? (\d+)"),
    sign("cuda_code", "device context", r"failed to get device context (\d+)"),
    sign(
        "cuda_code",
        "err",
        r"cu(?:daSetDevice|Init|daGetDeviceCount|daMemGetInfo|DeviceGet\w*) (?:err|returned|failed)[: ]+\(?(\d+)",
    ),
    sign("cuda_code", "cuda error", r"CUDA error[: ]+(\d+)\b"),
    sign("cuda_code", "error", r"CUDA initialization: (?:CUDA )?(?:unknown )?error:? (\d+)"),
    sign("cuda_code", "cuda driver error", r"CUDA driver error[: ]+(\d+)"),
    sign("cuda_code", "cuinit", r"cuInit\b[^\d\n]{0,30}?(\d{1,3})\b"),
    sign("cuda_name", "cuda_error_", r"(CUDA_ERROR_[A-Z_]+)"),
    sign("cuda_name", "cudaerror", r"(cudaError[A-Z]\w+)"),
    sign("cuda_text", "initialize cuda", r"failed to initialize CUDA: (.+)"),
    sign("cuda_text", "cuda error", r"CUDA error: ([A-Za-z].+)"),
    sign("cuda_text", "cuda", r"(CUDA driver version is insufficient for CUDA runtime version)"),
    sign("cuda_text", "ptx", r"(the provided PTX was compiled with an unsupported toolchain)"),
    sign("cuda_text", "named symbol", r"(named symbol not found)"),
    sign("cuda_text", "no cuda", r"(no CUDA-capable device is detected)"),
    sign("cuda_text", "no kernel image", r"(no kernel image is available)"),
    sign("cuda_text", "invalid device function", r"(invalid device function)"),
    sign("cuda_text", "forward compatibility", r"(forward compatibility was attempted)"),
    sign("cuda_text", "unsupported display driver", r"(unsupported display driver)"),
    sign("device_context", "error looking up nvidia gpu memory"),
    sign("version_mismatch", "version mismatch between driver"),
    sign(
        "old_driver",
        "too old",
        r"(?:nvidia driver is too old|NVIDIA driver too old|driver (?:version )?is too old|driver on your system is too old)",
    ),
    sign("old_driver", "old cuda driver"),
    sign("old_driver", "insufficient", r"driver version is insufficient"),
    sign("old_driver", "unsatisfied condition", r"unsatisfied condition: (?:cuda|driver|brand)\s*[><=]"),
    sign("driver_unverified", "could not verify nvidia driver"),
    sign("gpu_too_old", "too old", r"CUDA GPU is too old\. Compute Capability detected: ([\d.]+)"),
    sign("gpu_too_old", "skipping cuda device"),
    sign(
        "gpu_too_old",
        "compute capability",
        r"compute capability (?:of )?[\d.]+ (?:is )?(?:not supported|unsupported|too (?:low|old))|not in compiled architectures|minimum (?:required )?compute capability",
    ),
    sign(
        "amd_unsupported", "amdgpu", r"amdgpu (?:\[?\d*\]? ?)?(?:gfx\w+ )?(?:is not supported|is too old|too old|not supported)"
    ),
    sign("amd_unsupported", "unsupported radeon"),
    sign("amd_unsupported", "unsupported", r"unsupported (?:AMD|gfx\w+|iGPU|Intel|Radeon)"),
    sign("amd_no_devices", "no compatible amdgpu"),
    sign(
        "amd_permission",
        "kfd",
        r"/dev/kfd[^\n]*(?:denied|not permitted|failed)|permission[^\n]*/dev/kfd|check permission on /dev/kfd",
    ),
    sign("amd_permission", "permission problems block access"),
    sign("amd_permission", "group", r"not member of \"?(?:video|render)\"? group"),
    sign(
        "device_node_missing",
        "/dev/",
        r"/dev/(?:kfd|dri|nvidia\w*)\S*[^\n]{0,60}(?:No such file|does not exist|not exist|not found|missing)|(?:no|cannot access|missing) ['\"]?/dev/(?:kfd|dri|nvidia)",
    ),
    sign(
        "rocm_no_devices", "no devices found", r"Tensile host: No devices found|ROCm[^\n]*No devices found|no ROCm-capable device"
    ),
    sign("rocblas_missing", "tensilelibrary", r"rocBLAS error: Cannot read .*TensileLibrary"),
    sign("integrated_dropped", "dropping integrated gpu"),
    sign("no_nvidia_devices", "no nvidia devices detected"),
    sign("no_gpu", "no compatible gpus"),
    sign("no_gpu", "no gpu", r"(?:no GPU detected|No NVIDIA/AMD GPU detected|WARNING: No (?:NVIDIA|GPU)[^\n]*detected)"),
    sign("no_gpu", "gpu support may not be enabled"),
    # facts/ollama 2.1: a total of 0 B is "no GPU"
    sign("no_gpu", '="0 b"', r"(?:total vram\"?=|total_vram=)\"0 B\""),
    sign("no_gpu", "discovered gpu libraries: []"),
    sign("cudart_unloadable", "unable to load cudart"),
    sign("unlicensed", "unlicensed"),
    sign("nouveau", "nouveau", r"nouveau[^\n]*(?:error|fail|loaded|in use)|(?:not|error)[^\n]*nouveau"),
)
