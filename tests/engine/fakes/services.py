"""What serves Ollama, in memory: a container, or a systemd unit whose files are among the world's texts."""

from __future__ import annotations

from remediation.facets.services.unit_files import settings_in, settings_that_win
from remediation.model.facts import Manager, ServerProcess, ServiceUnit, Serving, SourcedSetting
from tests.engine.fakes.world import OLLAMA, World

UNIT = "/etc/systemd/system/ollama.service"


class FakeServices:
    """What serves Ollama, read only."""

    def __init__(self, world: World) -> None:
        self._world = world

    def serving(self) -> Serving:
        world = self._world
        world.looks += 1
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

    def restart_unit(self, name: str, *, own: bool = False) -> None:
        self._world.wrote(f"restart {name}")
        self._world.served = dict(self.serving().declared)

    def reload_unit(self, name: str) -> None:
        self._world.wrote(f"reload {name}")
