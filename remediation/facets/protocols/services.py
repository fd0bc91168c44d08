"""Protocols of what serves Ollama, and of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from remediation.model.facts import Serving


class ServicesReader(Protocol):
    """What serves Ollama on the host."""

    def serving(self) -> Serving:
        """Return what serves the model, with its settings and their sources."""


class ServicesWriter(ServicesReader, Protocol):
    """The services of the host, with methods that restart them."""

    def reload_units(self, *, own: bool = False) -> None:
        """Let systemd read its unit files again (``daemon-reload``). Running processes keep their environment."""

    def restart_unit(self, name: str, *, own: bool = False) -> None:
        """Restart a unit. Raises `CallFailed` with systemctl's message and the next step."""

    def reload_unit(self, name: str) -> None:
        """Let a running service read its configuration again."""
