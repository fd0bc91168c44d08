"""Build the NVML stand-in with the machine's C compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.requirements import missing, need_program

SOURCE = Path(__file__).parent / "nvml" / "nvml.c"
VARIABLE = "REMEDIATION_GPU_SNAPSHOT"


def build(folder: Path) -> Path:
    """Compile libnvidia-ml.so.1 into `folder` and return its path; nvidia-ml-py finds it through LD_LIBRARY_PATH."""
    if sys.platform != "linux":
        missing("the NVML stand-in is a shared object for Linux")
    compiler = need_program("gcc", "gcc")
    library = folder / "libnvidia-ml.so.1"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    done = subprocess.run([compiler, *flags, "-o", str(library), str(SOURCE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


def environment(library: Path, snapshot: Path) -> dict[str, str]:
    """Return what a subprocess needs so that unpatched pynvml sees the snapshot's GPU."""
    return {"LD_LIBRARY_PATH": str(library.parent), VARIABLE: str(snapshot)}
