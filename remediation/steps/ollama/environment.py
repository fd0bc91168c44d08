"""Settings of the Ollama server, in the file or store that its manager reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import field_validator

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change
from remediation.model.errors import CallFailed, HostError, NotApplicable
from remediation.model.facts import Manager, Serving
from remediation.steps.compose.environment import ComposeDeclaration, ComposeEnvironment, check_variable_names, setting_text
from remediation.steps.contract import Step, param, step
from remediation.steps.model.ollama_settings import DEAD, HARMFUL
from remediation.steps.ollama.settings import SettingsPlace, has_readable_settings, settings_place

_NIX = "/nix/store/"
Settings = ComposeDeclaration | SettingsPlace


@step("ollama.environment", settle=5.0, deadline=300.0)
class OllamaEnvironment(Step[Settings]):
    """The place that the server's settings come from gives it no harmful settings, and all requested ones.

    For a Compose service that is its Compose file, for a systemd unit a drop-in of this tool, after which systemd reads its unit files
    again. The unit itself and other drop-ins are never edited, except an environment file that would win over a drop-in. On Windows it
    is the environment of the user or of the service in the registry, and the settings database of the Ollama app, which wins; the app
    is restarted for a change of its database, and a service without a log for every change. Which settings are harmful depends on the Ollama release. The running server keeps its
    environment until ``ollama.reconfigured``. The settings of a server that a user started by hand are checked and not changed.
    """

    set: dict[str, str] = param("settings to add or change, by name", default={}, example={"OLLAMA_MAX_LOADED_MODELS": "1"})
    remove: tuple[str, ...] = param("settings to remove unconditionally", default=(), example=["OLLAMA_GPU_OVERHEAD"])
    prune: bool = param("also remove settings that this release ignores", default=False)
    service: str | None = param("Compose service; defaults to the service that runs Ollama", default=None, example="ollama")

    @field_validator("set", mode="before")
    @classmethod
    def _set(cls, value: object) -> object:
        return {str(name): setting_text(one) for name, one in value.items()} if isinstance(value, Mapping) else value

    @field_validator("set", "remove")
    @classmethod
    def _names(cls, value: dict[str, str] | tuple[str, ...]) -> dict[str, str] | tuple[str, ...]:
        check_variable_names(value)
        return value

    @property
    def _compose(self) -> ComposeEnvironment:
        return ComposeEnvironment(service=self.service, set=self.set, remove=self.remove, prune=self.prune)

    def observe(self, host: Reader) -> Settings:
        serving = host.services.serving()
        if serving.manager is Manager.COMPOSE:
            return self._compose.observe(host)
        if serving.unit is not None and serving.unit.fragment.startswith(_NIX):
            raise NotApplicable(
                "does not apply, because NixOS writes the unit: set services.ollama.environmentVariables and rebuild",
                host=host.name,
            )
        if not has_readable_settings(serving):
            raise self._unreadable(host, serving)
        return settings_place(host, serving)

    def _unreadable(self, host: Reader, serving: Serving) -> HostError:
        if serving.elsewhere is not None:
            return CallFailed(str(serving.elsewhere), host=host.name, next_step=serving.elsewhere.next_step)
        if serving.contained is not None:
            return NotApplicable(f"does not apply, because {serving.words} runs Ollama", host=host.name)
        if serving.manager is Manager.NOTHING:
            return CallFailed(
                f"nothing on {host.name} starts Ollama: neither a container nor a systemd unit was found", host=host.name,
                next_step="start Ollama once, or set container, compose_files or endpoint in the inventory",
            )  # fmt: skip
        if self.set or self.remove:
            return CallFailed(
                f"the settings of {serving.words} cannot be read, so they are not changed", host=host.name,
                next_step="become root to read them (become: true), or restart it by hand with the settings",
            )  # fmt: skip
        return NotApplicable(f"does not apply, because {serving.words} has no file of settings", host=host.name)

    def is_met(self, state: Settings) -> bool:
        if isinstance(state, ComposeDeclaration):
            return self._compose.is_met(state)
        return not self._names_to_remove(state) and not self._values_to_set(state)

    def plan(self, state: Settings) -> Iterator[Change]:
        yield from (
            self._compose.plan(state)
            if isinstance(state, ComposeDeclaration)
            else state.edits(self._names_to_remove(state), self._values_to_set(state))
        )

    def apply(self, host: Writer, change: Change) -> None:
        if "values" in change.data or "columns" in change.data:
            restart = bool(change.data.get("restart"))
            if restart:
                host.target()  # where to wait for the server, read while it still answers
            host.services.change_windows(
                values=change.data.get("values") or (), columns=change.data.get("columns"), restart=restart
            )
            if restart or "columns" in change.data:
                host.ollama.wait()
            return
        content, backup = change.data["text"].encode("utf-8"), change.data["backup"]
        if "own" in change.data:
            host.services.write_unit_file(change.subject, content, backup=backup, own=change.data["own"])
        else:
            host.files.write(change.subject, content, backup=backup)

    def advice(self, state: Settings) -> str:
        return (
            ""
            if isinstance(state, ComposeDeclaration)
            else state.by_hand(self._names_to_remove(state), self._values_to_set(state))
        )

    def describe(self, state: Settings) -> str:
        if isinstance(state, ComposeDeclaration):
            return self._compose.describe(state)
        going = self._names_to_remove(state)
        parts = [
            f"{one.name}={one.value} (from {state.source(one.name)}): {one.because}" for one in state.judged if one.name in going
        ]
        parts += [f"{name} is to be removed" for name in self.remove if name in going]
        parts += [f"{name} must be {value}{self._from(state, name)}" for name, value in self._values_to_set(state).items()]
        dead = [
            f"{one.name}={one.value} ({one.because})" for one in state.judged if one.verdict == DEAD and one.name not in going
        ]
        if dead:
            parts.append(f"ignored by this release, kept: {', '.join(dead)}")
        if parts and state.remark:
            parts.append(state.remark)
        return "; ".join(parts) or f"no harmful setting of {state.serving.words}"

    def _from(self, state: SettingsPlace, name: str) -> str:
        now = state.environment.get(name)
        return f" ({now} from {state.source(name)})" if now is not None else ""

    def values(self, state: Settings) -> dict[str, Any]:
        if isinstance(state, ComposeDeclaration):
            return self._compose.values(state)
        return {
            "service": state.name,
            "settings": [
                {"name": one.name, "value": one.value, "verdict": one.verdict, "because": one.because} for one in state.judged
            ],
            "sources": [{"name": one.name, "value": one.value, "source": one.source, "wins": one.wins} for one in state.sources],
        }

    def _names_to_remove(self, state: SettingsPlace) -> list[str]:
        verdicts = {HARMFUL, DEAD} if self.prune else {HARMFUL}
        judged = [one.name for one in state.judged if one.verdict in verdicts and one.name not in self.set]
        present = state.environment
        return list(dict.fromkeys([*judged, *(name for name in self.remove if name in present and name not in self.set)]))

    def _values_to_set(self, state: SettingsPlace) -> dict[str, str]:
        return {name: value for name, value in self.set.items() if state.environment.get(name) != value}
