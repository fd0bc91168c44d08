"""The repair target on a host, each part with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the target and its source ("from .env: OLLAMA_MODEL")."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Target:
    """The repair target on a host; each part has its source, ``None`` if it does not exist.

    - ``endpoint``: a URL as reached from the host itself.
    - ``container``: a container name.
    - ``project``: a ComposeProject.
    - ``service``: the Ollama service of the project.
    - ``application``: the service that uses it.
    - ``configured``: the model named by the project's ``.env`` or the application, "" if they name none, ``None`` if
      unreadable.
    - ``candidates``: the possible models if the choice is ambiguous.
    - ``deleted``: models that are still loaded but no longer stored.
    """

    model: Found | None = None
    endpoint: Found | None = None
    container: Found | None = None
    project: Found | None = None
    service: Found | None = None
    application: Found | None = None
    configured: Found | None = None
    candidates: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
