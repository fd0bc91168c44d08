"""GPUs: nvidia-smi, NVML and the Windows performance counters."""
