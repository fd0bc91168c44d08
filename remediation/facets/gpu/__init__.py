"""GPUs: nvidia-smi, NVML, and the performance counters of Windows."""
