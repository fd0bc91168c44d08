from __future__ import annotations

from tests.support.fixtures import gpu_engine, guide_project, nvml, plain_engine, project_environment

__all__ = ["gpu_engine", "guide_project", "nvml", "plain_engine", "project_environment"]
