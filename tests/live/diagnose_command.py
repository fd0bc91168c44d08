"""``remediate diagnose`` as its users start it, on the private engine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.cli.processes import ROOT
from tests.support.preloaded_python import python


def diagnosed(environment: dict[str, str], tmp_path: Path, *words: str) -> dict[str, Any]:
    inventory = str(ROOT / "inventory/local.yml")
    done = subprocess.run(
        [*python(environment), "-m", "remediation.cli.main", "diagnose", "--inventory", inventory, "--json", *words],
        cwd=tmp_path,
        env={**environment, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found
