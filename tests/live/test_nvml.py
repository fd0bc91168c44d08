"""The NVML stand-in, loaded by the real nvidia-ml-py in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remediation_lab.ollama import snapshot
from tests.support import nvml_library
from tests.support.engine import DEVICE, TOTAL

pytestmark = pytest.mark.live

_ASK = """
import json, pynvml
pynvml.nvmlInit()
card = pynvml.nvmlDeviceGetHandleByIndex(0)
memory, newer = pynvml.nvmlDeviceGetMemoryInfo(card), pynvml.nvmlDeviceGetMemoryInfo(card, version=pynvml.nvmlMemory_v2)
print(json.dumps({
    "driver": pynvml.nvmlSystemGetDriverVersion(), "cuda": pynvml.nvmlSystemGetCudaDriverVersion(), "count": pynvml.nvmlDeviceGetCount(),
    "name": pynvml.nvmlDeviceGetName(card), "uuid": pynvml.nvmlDeviceGetUUID(card), "compute": pynvml.nvmlDeviceGetCudaComputeCapability(card),
    "total": memory.total, "used": memory.used, "free": memory.free, "newer": [newer.total, newer.used, newer.free],
    "busy": pynvml.nvmlDeviceGetUtilizationRates(card).gpu, "pci": pynvml.nvmlDeviceGetPciInfo(card).busId,
    "processes": [[each.pid, each.usedGpuMemory] for each in pynvml.nvmlDeviceGetComputeRunningProcesses(card)],
}))
pynvml.nvmlShutdown()
"""


def _ask(library: Path, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **nvml_library.environment(library, path)}
    return subprocess.run([sys.executable, "-c", _ASK], env=environment, capture_output=True, text=True, check=False)


def test_pynvml_reads_the_card_of_the_snapshot(nvml: Path, tmp_path: Path) -> None:
    path = tmp_path / "gpu.txt"
    held = {"4312/chrome.exe": 700 * 1024**2, "ollama runner mistral:7b-instruct": 4 * 1024**3}
    snapshot.write(path, snapshot.Snapshot(DEVICE, "555.42.06", TOTAL, held, busy=37))
    done = _ask(nvml, path)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    used = sum(held.values())
    assert seen == {
        "driver": "555.42.06",
        "cuda": 12050,
        "count": 1,
        "name": DEVICE.name,
        "uuid": DEVICE.uuid,
        "compute": [8, 6],
        "total": TOTAL,
        "used": used,
        "free": TOTAL - used,
        "newer": [TOTAL, used, TOTAL - used],
        "busy": 37,
        "pci": "00000000:01:00.0",
        "processes": [[4312, None]],
    }


def test_what_a_server_holds_shows_in_nvml(nvml: Path, tmp_path: Path) -> None:
    path = tmp_path / "gpu.txt"
    snapshot.write(path, snapshot.Snapshot(DEVICE, "555.42.06", TOTAL, {}))
    memory = snapshot.SnapshotMemory(path)
    memory.hold("ollama runner a", 3 * 1024**3)
    assert json.loads(_ask(nvml, path).stdout)["used"] == 3 * 1024**3
    memory.hold("ollama runner a", 0)
    assert json.loads(_ask(nvml, path).stdout)["used"] == 0


def test_without_a_card_init_fails_as_without_a_driver(nvml: Path, tmp_path: Path) -> None:
    done = _ask(nvml, tmp_path / "missing.txt")
    assert done.returncode == 1
    assert "NVMLError_DriverNotLoaded" in done.stderr
