"""How the tests are shared out among processes (``-n auto``), and what each of these processes begins with."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.scheduler import WorkStealingScheduling


def pytest_configure() -> None:
    """Receive Ctrl-C and a hang-up, as the tests of them do: a job in a shell's background ignores one, under nohup the other.

    PowerShell's runtime does not measure itself for a better compilation: no test runs it for so long that this pays.
    """
    os.environ.setdefault("DOTNET_TieredPGO", "0")
    # a busy machine fails no property
    settings.register_profile("remediation", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("remediation")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the live tests: they take longest, and many of them wait for each other, which is no loss while others run."""
    items.sort(key=lambda item: item.get_closest_marker("live") is None)


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of every later garbage collection, and out of what forks copy."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return three times the cores: most of the time a test waits, for containers, for hosts, for time to pass."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 3 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WorkStealingScheduling | None:
    """Leave neighbours to one process: they share a lab, an engine, a server, which each process starts for itself."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None
