"""A program ``nvidia-smi`` for Linux that answers CSV queries from a GPU's snapshot, as the driver's own would."""

from __future__ import annotations

from pathlib import Path

from remediation_lab.linux import programs


def install(folder: Path, snapshot: Path) -> Path:
    """Write the program into `folder`; it knows no field of a driver newer than 2020."""
    return programs.install_nvidia_smi(folder, snapshot)
