"""Where a host is and how it is looked at, and what stays its target from the first look to the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediation.model.clock import Clock
    from remediation.model.facts import Found, Runner, Target

_LASTING = ("endpoint", "container", "project", "service", "application")
"""What stays meant while its container is stopped, removed and made anew, or its server restarts."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """Where the host is and how it is looked at.

    ``local`` is this very machine, where NVML and the Docker SDK are at hand; ``environment`` is what ``docker`` needs to find
    the engine. ``earlier`` holds the parts of the target as they were found, ``latest`` the target of the last look, ``runners``
    each model as it was last seen loaded.
    """

    name: str
    variables: Mapping[str, Any]
    windows: bool
    local: bool
    clock: Clock
    environment: Mapping[str, str]
    earlier: dict[str, Found] = field(default_factory=dict, compare=False, repr=False)
    latest: list[Target] = field(default_factory=list, compare=False, repr=False)
    runners: dict[str, Runner] = field(default_factory=dict, compare=False, repr=False)

    def remember(self, found: Target) -> Target:
        """Return the target with what an earlier look found of it: a step may just have taken container or model away."""
        found = self._with_model(self._with_parts(found))
        self.latest[:] = [found]
        return found

    def take_up(self, found: Mapping[str, Found], loaded: Sequence[Runner]) -> None:
        """Go on with the target's model and the runners that an earlier process of the same run has found."""
        self.earlier.update(found)
        self.runners.update({runner.model: runner for runner in loaded})

    def _with_parts(self, found: Target) -> Target:
        """Return the target with its container, or with the address of a server that is silent at this moment."""
        removed = found.container is None and "container" in self.earlier
        parts = {part: getattr(found, part) for part in _LASTING}
        for part in _LASTING if removed else ("endpoint",):
            # another server may answer at the port that a removed container published
            if part in self.earlier and (parts[part] is None or (part == "endpoint" and removed)):
                parts[part] = self.earlier[part]
        if not removed:
            self.earlier.update({part: value for part, value in parts.items() if value is not None})
        return replace(found, **parts)

    def _with_model(self, found: Target) -> Target:
        """Return the target with the model that was found first, whatever is loaded now.

        Unloading it, a restart or another client's request must not change what is repaired. Only who names the model anew
        does: the variable, or ``.env`` where it names another one than it did.
        """
        if self.variables.get("model"):
            return found
        configured, before = found.configured, self.earlier.get("configured")
        if configured is not None:
            self.earlier["configured"] = configured
        chosen = self.earlier.get("model")
        if configured is not None and before is not None and configured.value not in {"", before.value}:
            chosen = configured
        chosen = chosen or found.model
        if chosen is None:
            return found
        self.earlier["model"] = chosen
        return replace(found, model=chosen, candidates=())

    @property
    def registry(self) -> str | None:
        """The registry to be asked instead of a model's own: a mirror."""
        named = self.variables.get("registry")
        return str(named).rstrip("/") if named else None

    @property
    def native(self) -> bool:
        """Whether libraries are asked instead of commands."""
        return self.local and not self.windows
