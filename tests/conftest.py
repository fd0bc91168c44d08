"""What holds for all tests: those that work on this machine itself run one after the other."""

from __future__ import annotations

import os

import pytest

GROUP = "@this-machine"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests on this machine in one worker: they share its lease, its engine's networks and one private dockerd.

    The suffix is what pytest-xdist's ``--dist=loadgroup`` goes by; its own reading of the groups misses pytest 9's options.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        here = item.get_closest_marker("live") or item.get_closest_marker("here")
        if here and not item.nodeid.endswith(GROUP):
            item._nodeid = f"{item.nodeid}{GROUP}"
