"""Enables Ollama's debug log for a diagnosis and disables it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.versions import Version, at_least
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.steps.compose.environment import ComposeDeclaration, home_of, read_declared
from remediation.steps.compose.stack import silence
from remediation.steps.compose.text import ComposeText
from remediation.steps.contract import Step, param, step
from remediation.steps.file_edit import file_edit, write_edit
from remediation.steps.resolve import resolve_project

NAME = "OLLAMA_DEBUG"
_OFF = frozenset({"", "0", "f", "false"})


@dataclass(frozen=True, slots=True)
class DebugLogState:
    """The declared settings, whether the running container differs from them, and why Ollama does not answer (or "")."""

    declared: ComposeDeclaration
    stale: bool
    silent: str


@step("ollama.debug", risk=Risk.DISRUPTIVE, settle=60.0, deadline=600.0)
class OllamaDebug(Step[DebugLogState]):
    """Ollama's server logs at debug level, or no longer does.

    Level 1 is enough for old releases. Since v0.12.4, errors of GPU discovery are printed at level 2 only. The setting is
    written to the Compose file and the service is recreated, which unloads its models. Set ``on: false`` after the diagnosis.
    """

    on: bool = param("enable the debug level", default=True)
    level: int | None = param("1 or 2; defaults to the level that shows GPU discovery in this release", default=None, ge=1, le=2)
    service: str | None = param("service name; defaults to the service that runs Ollama", default=None, example="ollama")

    def observe(self, host: Reader) -> DebugLogState:
        seen = read_declared(host, self.service)
        stale = seen.name in host.compose.stale(resolve_project(host))
        return DebugLogState(seen, stale, silence(host, [seen.name]))

    def is_met(self, state: DebugLogState) -> bool:
        """Whether the setting is declared and in effect."""
        return self._is_off(state.declared) and not state.stale and not state.silent

    def plan(self, state: DebugLogState) -> Iterator[Change]:
        if self.is_met(state):
            return
        if not self._is_off(state.declared):
            yield self._edit(state.declared)
        if not self._is_off(state.declared) or state.stale:
            yield Change(f"recreate {state.declared.name}", subject=state.declared.name, data={"up": state.declared.name})

    def _edit(self, state: ComposeDeclaration) -> Change:
        file = home_of(state.files, state.name, NAME)
        level, parsed = str(self._level(state.version)), ComposeText(file.path, file.text)
        text = parsed.put(state.name, NAME, level) if self.on else parsed.remove(state.name, [NAME])
        place = f"service {state.name} in {file.path}"
        return file_edit(
            f"set {NAME}={level} in {place}" if self.on else f"remove {NAME} from {place}", file.path, file.text, text, restore={"service": state.name},
            risk=Risk.SAFE, before=state.environment.get(NAME), after=level if self.on else None,
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        if "up" in change.data:
            host.compose.up(resolve_project(host), [change.data["up"]], deps=False)
        else:
            write_edit(host, change)

    def describe(self, state: DebugLogState) -> str:
        value = state.declared.environment.get(NAME)
        parts = [f"{NAME} is {value if value is not None else 'not set'} in the Compose files"]
        if state.stale:
            parts.append("the container differs from them")
        return "; ".join(filter(None, (*parts, state.silent)))

    def values(self, state: DebugLogState) -> dict[str, Any]:
        return {"debug": state.declared.environment.get(NAME)}

    def _is_off(self, state: ComposeDeclaration) -> bool:
        value = state.environment.get(NAME)
        if not self.on:
            return value is None or value.strip().lower() in _OFF
        return value == str(self._level(state.version))

    def _level(self, version: Version | None) -> int:
        return self.level or (2 if at_least(version, "0.12.4") is not False else 1)
