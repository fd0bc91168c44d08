"""What serves Ollama, in memory: a container, or a systemd unit whose files are among the world's texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.facets.services.unit_files import settings_in, settings_that_win
from remediation.facets.services.windows import from_probe
from remediation.model.facts import Manager, ServerProcess, ServiceUnit, Serving, SourcedSetting
from tests.engine.fakes.machine import WritableFiles
from tests.engine.fakes.world import OLLAMA, World

UNIT = "/etc/systemd/system/ollama.service"


def printed(environment: Mapping[str, str]) -> str:
    """Return the line in which a server prints its configuration."""
    known = {"OLLAMA_CONTEXT_LENGTH": "4096", "OLLAMA_LLM_LIBRARY": "", "OLLAMA_NUM_PARALLEL": "1", **environment}
    words = " ".join(f"{name}:{value}" for name, value in known.items())
    return f'time=2026-11-30T07:50:49.855Z level=INFO source=routes.go:1554 msg="server config" env="map[{words}]"\n'


class FakeServices:
    """What serves Ollama, read only."""

    def __init__(self, world: World) -> None:
        self._world = world

    def serving(self) -> Serving:
        world = self._world
        world.looks += 1
        if world.serving is not None:
            return world.serving
        if world.project is not None:
            given = world.containers[OLLAMA].environment if OLLAMA in world.containers else {}
            settings = tuple(SourcedSetting(name, value, OLLAMA, wins=True) for name, value in given.items())
            return Serving(Manager.COMPOSE, OLLAMA, settings=settings)
        files = {path: text.decode() for path, text in sorted(world.texts.items(), key=lambda item: (len(item[0]), item[0]))}
        own = {path: text for path, text in files.items() if path.startswith(UNIT) and path.endswith((".service", ".conf"))}
        others = {path: text for path, text in files.items() if path.startswith("/etc/default/")}
        settings = settings_in(own, others)
        unit = ServiceUnit(
            "ollama.service", "active", 1, UNIT, settings_that_win(settings), settings, {**own, **others},
            needs_reload=world.units_changed,
        )  # fmt: skip
        return Serving(Manager.SYSTEMD, unit.name, ServerProcess(1, "ollama", environment=world.served), unit, settings=settings)


class WritableServices(FakeServices):
    """What serves Ollama, and restarting it."""

    def reload_units(self, *, own: bool = False) -> None:
        self._world.wrote("daemon-reload")
        self._world.units_changed = False

    def write_unit_file(self, path: str, content: bytes, *, backup: str | None = None, own: bool = False) -> None:
        WritableFiles(self._world).write(path, content, backup=backup)
        self.reload_units(own=own)

    def restart_unit(self, name: str, *, own: bool = False) -> None:
        self._world.wrote(f"restart {name}")
        self._world.served = dict(self.serving().declared)

    def change_windows(
        self, *, values: Sequence[Mapping[str, Any]] = (), columns: Mapping[str, str] | None = None, restart: bool = False
    ) -> None:
        now = self.serving()
        assert now.windows is not None
        app = {"schema_version": str(now.windows.schema), **now.windows.row, **(columns or {})}
        kept = [(one.name, one.value, one.kind, one.file) for one in now.settings if one.kind]
        for each in values:
            self._world.wrote(f"registry {each['name']}={each['value']}")
            kept = [one for one in kept if (one[0], one[3]) != (each["name"], each["key"])]
            kept += [(each["name"], each["value"], each["kind"], each["key"])] if each["value"] is not None else []
        rows = [{"Name": name, "Value": value, "Kind": kind, "Key": key} for name, value, kind, key in kept]
        answer = {"Machine": [], "User": rows, "Service": [], "Sid": "S-1", "Database": now.windows.database, "App": app}
        self._world.serving = from_probe(replace(now, settings=()), answer)
        if columns:
            self._world.wrote(f"app {dict(columns)}")
        if restart or columns:
            self._world.wrote("restart the app")
            self._world.log = printed(self._world.serving.declared)
