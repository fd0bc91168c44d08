"""A folder that every user of this machine can reach: pytest keeps its own from all others, and closes it at each start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def public_folder() -> Iterator[Path]:
    """Make a folder that all may enter; only its owner may write to it."""
    folder = Path(tempfile.mkdtemp(prefix="remediation-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
