"""What check mode has predicted before this step: the engine puts it into ``host.variables`` (`remediation.steps.contract`)."""

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
