"""Where a host is and how it is looked at, and what stays known of its target between two looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediation.model.clock import Clock
    from remediation.model.facts import Found, Target

_LASTING = ("endpoint", "container", "project", "service", "application", "model")
"""What stays meant while its container is stopped, removed and made anew."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the host is and how it is looked at.

    ``local`` is this very machine, where NVML and the Docker SDK are at hand; ``environment`` is what ``docker`` needs to find
    the engine.
    """

    name: str
    variables: Mapping[str, Any]
    windows: bool
    local: bool
    clock: Clock
    environment: Mapping[str, str]
    earlier: dict[str, Found] = field(default_factory=dict, compare=False, repr=False)
    latest: list[Target] = field(default_factory=list, compare=False, repr=False)

    def remember(self, found: Target) -> Target:
        """Return the target with what an earlier look found of it, where a step has just taken its container away."""
        if found.container is not None and found.project is not None:
            for part in _LASTING:
                value = getattr(found, part)
                if value is not None:
                    self.earlier[part] = value
        elif found.container is None and self.earlier:
            lost: dict[str, Any] = {
                part: value for part, value in self.earlier.items() if getattr(found, part) is None or part == "endpoint"
            }
            found = replace(found, **lost)
        self.latest[:] = [found]
        return found

    @property
    def registry(self) -> str | None:
        """The registry to be asked instead of a model's own: a mirror."""
        named = self.variables.get("registry")
        return str(named).rstrip("/") if named else None

    @property
    def native(self) -> bool:
        """Whether libraries are asked instead of commands."""
        return self.local and not self.windows
