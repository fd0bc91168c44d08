"""The start of the run by the host's clock."""

from __future__ import annotations

from remediation.facets.protocols import Reader


def run_started(host: Reader) -> float:
    """Return when the run began, by the host's own clock: the engine tells it to steps that are ``once_per_run``."""
    return float(host.variables["run_started"])
