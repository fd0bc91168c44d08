"""One small function per cause: from what was read to a finding, to "ruled out", or to nothing."""

from __future__ import annotations

from collections.abc import Callable

from remediation.diagnosis.causes import (
    context_too_large,
    cuda_visible_devices_wrong,
    docker_desktop_state,
    driver_lost,
    driver_too_old,
    estimate_too_conservative,
    explicit_num_gpu,
    gpu_not_visible_to_container,
    gpu_overhead_reserved,
    healthy,
    load_latency,
    model_corrupt,
    model_too_large,
    not_gpu_model_runs_on_cpu_by_design,
    num_parallel_too_high,
    other,
    other_model_loaded,
    system_memory_limit,
    unsupported_gpu,
    vram_occupied,
    wrong_library_or_missing_runner,
)
from remediation.diagnosis.causes.base import Verdict
from remediation.diagnosis.reading import Reading

FINDERS: tuple[Callable[[Reading], Verdict], ...] = (
    explicit_num_gpu.find,
    vram_occupied.find,
    other_model_loaded.find,
    model_too_large.find,
    context_too_large.find,
    num_parallel_too_high.find,
    estimate_too_conservative.find,
    gpu_overhead_reserved.find,
    system_memory_limit.find,
    gpu_not_visible_to_container.find,
    driver_too_old.find,
    driver_lost.find,
    wrong_library_or_missing_runner.find,
    unsupported_gpu.find,
    cuda_visible_devices_wrong.find,
    model_corrupt.find,
    docker_desktop_state.find,
    load_latency.find,
    not_gpu_model_runs_on_cpu_by_design.find,
    healthy.find,
    other.find,
)

__all__ = ["FINDERS", "Verdict"]
