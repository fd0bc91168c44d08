"""Compose of a host in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, Container
from tests.engine.fakes.docker import halted
from tests.engine.fakes.world import OLLAMA, VOLUME, FakeVolume, World, container, stamp

_FILLED = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")

_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class FakeCompose:
    def __init__(self, world: World) -> None:
        self._world = world

    def config(self, project: ComposeProject) -> Mapping[str, Any]:
        self._world.looks += 1
        self._world.may_fail("compose.config")
        services: dict[str, Any] = {}
        dotenv = _pairs((self._world.texts.get(f"{project.working_dir}\\.env") or b"").decode().split())
        for path in project.files:
            content = self._world.texts.get(path)
            if content is None:
                raise CallFailed(f"open {path}: no such file or directory", status=14)
            text = _FILLED.sub(lambda match: dotenv.get(match[1], match[2] or ""), content.decode())
            for name, definition in (yaml.safe_load(text) or {}).get("services", {}).items():
                own = services.setdefault(name, {})
                environment = {**own.get("environment", {}), **_pairs(definition.get("environment") or {})}
                own.update({**definition, "environment": environment})
        return {"name": project.name, "services": services}

    def warnings(self, project: ComposeProject) -> Sequence[str]:
        return ()

    def stale(self, project: ComposeProject) -> Sequence[str]:
        if not self._world.engine_up:
            raise CallFailed("the Docker engine does not answer", next_step="start Docker")
        running = {container.service: container for container in self._world.containers.values()}
        return [
            name
            for name, definition in self.config(project)["services"].items()
            if name not in running or _differs(running[name], definition)
        ]


class WritableCompose(FakeCompose):
    def up(
        self,
        project: ComposeProject,
        services: Sequence[str],
        *,
        recreate: bool = False,
        deps: bool = True,
        timeout: float = 600.0,
    ) -> None:
        world = self._world
        definitions = self.config(project)["services"]
        chosen = [name for name in definitions if not services or name in services]
        stale = chosen if recreate else [name for name in self.stale(project) if name in chosen]
        world.wrote(f"up {' '.join(stale)}")
        world.may_fail("compose.up")

        def recreated() -> None:
            for name in chosen:
                old = next((item for item in world.containers.values() if item.service == name), None)
                now = stamp(world.clock.now())
                if name not in stale:
                    if old is not None and old.status != "running":
                        world.containers[old.name] = replace(old, status="running", started_at=now)
                    continue
                definition = definitions[name]
                made = container(name, definition["environment"], started_at=now)
                devices = _at(definition, "deploy", "resources", "reservations", "devices")
                made = replace(
                    made, gpu_requested=bool(devices) if name == "ollama" else made.gpu_requested, raw=_limits(definition)
                )
                made = replace(made, name=old.name) if old else made
                world.containers[made.name] = made
                if made.name == OLLAMA:
                    world.runners.clear()
                    if VOLUME not in world.volumes:
                        world.volumes[VOLUME] = FakeVolume(now)
                    world.reread() if world.shows else None

        world.soon("up", recreated)

    def build(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 1800.0) -> None:
        self._world.wrote(f"build {' '.join(services)}")
        self._world.may_fail("compose.build")

    def start(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        self._world.wrote(f"compose start {' '.join(services)}")
        for item in self._of(services):
            self._world.containers[item.name] = replace(item, status="running", started_at=stamp(self._world.clock.now()))

    def stop(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        self._world.wrote(f"compose stop {' '.join(services)}")
        self._world.may_fail("compose.stop")
        for item in self._of(services):
            halted(self._world, item.name)

    def remove(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        self._world.wrote(f"compose rm {' '.join(services)}")
        self._world.may_fail("compose.remove")
        for item in self._of(services):
            halted(self._world, item.name)
            del self._world.containers[item.name]

    def down(self, project: ComposeProject, *, timeout: float = 180.0) -> None:
        self._world.wrote("compose down")
        self._world.may_fail("compose.down")
        for item in self._of(()):
            halted(self._world, item.name)
            del self._world.containers[item.name]

    def _of(self, services: Sequence[str]) -> list[Container]:
        return [item for item in self._world.containers.values() if not services or item.service in services]


def _differs(running: Container, definition: Mapping[str, Any]) -> bool:
    if dict(running.environment) != definition["environment"]:
        return True
    wanted, has = _limits(definition)["HostConfig"], running.raw.get("HostConfig") or {}
    if any(has.get(key, 0) != value for key, value in wanted.items()):
        return True
    return running.service == "ollama" and running.gpu_requested != bool(
        _at(definition, "deploy", "resources", "reservations", "devices")
    )


def _limits(definition: Mapping[str, Any]) -> dict[str, Any]:
    limits = _at(definition, "deploy", "resources", "limits") or {}
    memory, cpus = str(limits.get("memory") or "0"), float(limits.get("cpus") or 0)
    match = re.match(r"([\d.]+)\s*([bkmg]?)", memory.lower())
    size = int(float(match[1]) * _UNITS.get(match[2], 1)) if match else 0
    return {"HostConfig": {"Memory": size, "NanoCpus": int(cpus * 10**9)}}


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _pairs(environment: Mapping[str, Any] | Sequence[str]) -> dict[str, str]:
    if isinstance(environment, Mapping):
        return {str(name): str(value) for name, value in environment.items()}
    return dict(item.partition("=")[::2] for item in environment)
