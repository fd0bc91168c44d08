"""A host's properties, and its target, which stays the same during the whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediation.model.clock import Clock
    from remediation.model.facts import Found, Runner, Target

_LASTING = ("endpoint", "container", "project", "service", "application")
"""Parts of the target that stay the same while the container is stopped or recreated, or the server restarts."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host's properties and its last known target.

    ``local`` means this machine, where NVML and the Docker SDK are available. ``environment`` is passed to ``docker`` to find the
    engine. ``earlier`` holds the parts of the target as first found, ``latest`` the target of the last snapshot, and ``runners``
    the last seen runner of each model.
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
        """Complete the target with parts found earlier: a step may just have removed the container or the model."""
        found = self._with_model(self._with_parts(found))
        self.latest[:] = [found]
        return found

    def restore_found(self, found: Mapping[str, Found], loaded: Sequence[Runner]) -> None:
        """Adopt the target's model and the runners found by an earlier process of the same run."""
        self.earlier.update(found)
        self.runners.update({runner.model: runner for runner in loaded})

    def _with_parts(self, found: Target) -> Target:
        """Complete the target with its container, or with the address of a server that does not answer now."""
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
        """Complete the target with the model that was found first, whichever model is loaded now.

        Unloading, a restart or another client's request must not change the model under repair. Only the user changes it: with the
        ``model`` variable, or by editing ``.env``.
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
        """A mirror to query instead of a model's own registry."""
        named = self.variables.get("registry")
        return str(named).rstrip("/") if named else None

    @property
    def native(self) -> bool:
        """Whether libraries are used instead of commands."""
        return self.local and not self.windows
