"""What is to be repaired on a host, each part with where it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the target and where it came from ("from .env: OLLAMA_MODEL")."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be repaired on a host (design 7); each part says where it came from, ``None`` where there is none.

    ``endpoint`` is a URL as reached from the host itself; ``container`` a container name; ``project`` a ComposeProject;
    ``service`` the Ollama service of the project; ``application`` the service that uses it. ``configured`` is the model that
    the project's ``.env`` or the application names, "" where they name none, ``None`` where they could not be read.
    ``candidates`` are the models of which one may be meant, where that is not clear; ``gone`` those that are still loaded
    and no longer stored.
    """

    model: Found | None = None
    endpoint: Found | None = None
    container: Found | None = None
    project: Found | None = None
    service: Found | None = None
    application: Found | None = None
    configured: Found | None = None
    candidates: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
