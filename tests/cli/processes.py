"""Names that the tests of the real program share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
Started = subprocess.CompletedProcess[str]
Remediate = Callable[..., Started]
