"""Information about the run that the engine passes to steps with the host (`remediation.facets.protocols.LookContext`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediation.facets.protocols import Reader
from remediation.model.text.timestamps import parse_timestamp

FREES = "frees"
"""Key in a change's data: the VRAM in bytes that it is predicted to release."""
SERVICE = "service"
"""Key in a change's data: the Compose service that it redefines or recreates."""
ENVIRONMENT = "environment"
"""Key in a change's data: the settings it writes, by name; None removes one."""

DOTENV = "dotenv"
"""Key in a change's data: the ``.env`` file that it edits."""


def pending(host: Reader) -> Sequence[Mapping[str, Any]]:
    """Return the data of the changes predicted so far on this host in check mode."""
    return [change.data for change in host.context.pending]


def pending_frees(host: Reader) -> int:
    """Return the VRAM in bytes that the pending changes would release."""
    return sum(int(data.get(FREES) or 0) for data in pending(host))


def pending_services(host: Reader) -> set[str]:
    """Return the services whose definition the pending changes would edit."""
    return {str(data[SERVICE]) for data in pending(host) if data.get(SERVICE) and data.get(ENVIRONMENT) is not None}


def pending_dotenv(host: Reader) -> bool:
    """Return whether the pending changes would edit the project's ``.env``."""
    return any(data.get(DOTENV) for data in pending(host))


def pending_environment(host: Reader, environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with the pending changes applied."""
    after = dict(environment)
    for data in pending(host):
        for name, value in (data.get(ENVIRONMENT) or {}).items():
            if value is None:
                after.pop(name, None)
            else:
                after[name] = str(value)
    return after


def run_started(host: Reader) -> float:
    """Return the start of the run by the host's clock. Available to ``once_per_run`` steps."""
    if host.context.run_started is None:
        msg = "a step that needs the start of the run declares once_per_run=True"
        raise TypeError(msg)
    return host.context.run_started


def is_since(text: str, since: float) -> bool:
    """Whether a time as Docker writes it is known and not before `since`."""
    at = parse_timestamp(text)
    return at is not None and at >= since
