"""What the engine tells a step of its run in ``host.variables``: when it began, and what check mode has predicted before (`remediation.steps.contract`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediation.facets.protocols import Reader

FREES = "frees"
"""In a change's data: the VRAM in bytes that it is predicted to free."""
SERVICE = "service"
"""In a change's data: the Compose service whose definition it changes, or that it recreates."""
ENVIRONMENT = "environment"
"""In a change's data: the settings it makes, name to value; None takes one out."""

DOTENV = "dotenv"
"""In a change's data: the file of settings that it changes."""


def pending(host: Reader) -> Sequence[Mapping[str, Any]]:
    """Return the data of the changes that check mode has predicted so far on this host."""
    found = host.variables.get("pending_changes") or ()
    return [change.get("data") or {} for change in found]


def pending_frees(host: Reader) -> int:
    """Return the VRAM in bytes that they would free."""
    return sum(int(data.get(FREES) or 0) for data in pending(host))


def pending_services(host: Reader) -> set[str]:
    """Return the services whose definition they would change."""
    return {str(data[SERVICE]) for data in pending(host) if data.get(SERVICE) and data.get(ENVIRONMENT) is not None}


def pending_dotenv(host: Reader) -> bool:
    """Return whether they would change the project's ``.env``."""
    return any(data.get(DOTENV) for data in pending(host))


def pending_environment(host: Reader, environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` as it would be after them."""
    after = dict(environment)
    for data in pending(host):
        for name, value in (data.get(ENVIRONMENT) or {}).items():
            if value is None:
                after.pop(name, None)
            else:
                after[name] = str(value)
    return after


def run_started(host: Reader) -> float:
    """Return when the run began, by the host's own clock: the engine tells it to steps that are ``once_per_run``."""
    return float(host.variables["run_started"])
