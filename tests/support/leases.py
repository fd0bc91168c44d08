"""Leases of tests that run playbooks on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take leases in the test's own folder: other tests work on this machine at the same time."""
    monkeypatch.setenv("REMEDIATION_LEASE_FOLDER", str(tmp_path / "lease"))
