"""Settings of the Ollama server, in the file or store that its manager reads."""

from __future__ import annotations

from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change
from remediation.model.errors import CallFailed, HostError, NotApplicable
from remediation.model.facts import Manager, Serving
from remediation.steps.compose.environment import SettingsSource, SettingsStep, read_declared
from remediation.steps.contract import step
from remediation.steps.file_edit import write_edit
from remediation.steps.ollama.settings import SettingsPlace, has_readable_settings, settings_place

_NIX = "/nix/store/"


@step("ollama.environment", settle=5.0, deadline=300.0)
class OllamaEnvironment(SettingsStep):
    """The place that the server's settings come from gives it no harmful settings, and all requested ones.

    For a Compose service that is its Compose file, for a systemd unit a drop-in of this tool, after which systemd reads its unit files
    again. The unit itself and other drop-ins are never edited, except an environment file that would win over a drop-in. On Windows it
    is the environment of the user or of the service in the registry, and the settings database of the Ollama app, which wins; the app
    is restarted for a change of its database, and a service without a log for every change. Which settings are harmful depends on the Ollama release. The running server keeps its
    environment until ``ollama.reconfigured``. The settings of a server that a user started by hand are checked and not changed.
    """

    def observe(self, host: Reader) -> SettingsSource:
        serving = host.services.serving()
        if serving.manager is Manager.COMPOSE:
            return read_declared(host, self.service)
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
        if "own" not in change.data:
            write_edit(host, change)
            return
        content = change.data["text"].encode("utf-8")
        host.services.write_unit_file(change.subject, content, backup=change.data["backup"], own=change.data["own"])

    def advice(self, state: SettingsSource) -> str:
        by_hand = state.by_hand if isinstance(state, SettingsPlace) else None
        return by_hand(self._names_to_remove(state), self._values_to_set(state)) if by_hand is not None else ""

    def values(self, state: SettingsSource) -> dict[str, Any]:
        found = super().values(state)
        if isinstance(state, SettingsPlace):
            rows = [{"name": one.name, "value": one.value, "source": one.source, "wins": one.wins} for one in state.sources]
            found["sources"] = rows
        return found
