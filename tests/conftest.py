"""What holds for all tests: those that work on this machine itself run one after the other."""

from __future__ import annotations

import pytest

HERE = "this machine"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests on this machine in one worker: they share its lease, its engine's networks and one private dockerd."""
    for item in items:
        if item.get_closest_marker("live") or item.get_closest_marker("here"):
            item.add_marker(pytest.mark.xdist_group(HERE))
