"""Scripts that import modules by their former names keep working and get a warning with the present ones."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from remediation.former_names import FORMER, RENAMED

SCRIPT = """
from remediation.connections import settings
from remediation.connections.base import *
from remediation.connections.base import Call, Probe, ProbeReply, Reply, Run
from remediation.connections.child import ChildChannel
from remediation.connections.open import open_connection
from remediation.connections.worker import WorkerConnection
from remediation.facets.files import Files
from remediation.facets.gpu import WindowsGpu
from remediation.facets.look import Look
from remediation.facets.processes import WindowsProcessWriter
from remediation.facets.scripts import script
from remediation.connections import calls
from remediation.facets.snapshot import Snapshot
assert Run is calls.Run and Look is Snapshot and ReadFile is calls.ReadFile
print("all there")
"""


def test_a_script_of_before_runs_and_is_warned() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "all there\n"), done.stderr
    assert "remediation.facets.look is remediation.facets.snapshot now; the former name goes with version 0.2" in done.stderr


@pytest.mark.parametrize(("former", "present"), FORMER.items())
def test_every_former_name_leads_to_a_module(former: str, present: str) -> None:
    module = importlib.import_module(present)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{former}_other")
    assert not importlib.util.find_spec(former).origin  # type: ignore[union-attr]  # a spec of ours
    assert all(hasattr(module, name) for name in RENAMED.get(present, {}).values())
