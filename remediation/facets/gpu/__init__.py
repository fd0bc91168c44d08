"""GPUs: nvidia-smi, NVML and the Windows performance counters."""

from remediation.facets.gpu.devices import PosixGpu, WindowsGpu

__all__ = ["PosixGpu", "WindowsGpu"]
