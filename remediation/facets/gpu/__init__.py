"""GPUs: nvidia-smi, NVML, and the performance counters of Windows."""

from remediation.facets.gpu.devices import PosixGpu, WindowsGpu

__all__ = ["PosixGpu", "WindowsGpu"]
