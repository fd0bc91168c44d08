"""The engine and Compose of a host in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, Container, ContainerStats, EngineFacts, Executed, Volume
from tests.engine.world import OLLAMA, VOLUME, FakeVolume, World, container, stamp

_FILLED = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class FakeEngine:
    def __init__(self, world: World) -> None:
        self._world = world

    def _answering(self) -> World:
        if not self._world.engine_up:
            raise CallFailed("the Docker engine does not answer", next_step="start Docker")
        return self._world

    def facts(self) -> EngineFacts:
        world = self._answering()
        world.may_fail("engine.facts")
        return EngineFacts(
            version="27.4.0",
            api_version="1.47",
            os="Docker Desktop",
            memory_total=world.engine_memory,
            runtimes=("nvidia", "runc"),
        )

    def containers(self) -> Sequence[Container]:
        world = self._answering()
        world.looks += 1
        world.may_fail("engine.containers")
        return tuple(world.containers.values())

    def inspect(self, name: str) -> Container | None:
        world = self._answering()
        world.looks += 1
        world.may_fail("engine.inspect")
        return world.containers.get(name)

    def logs(self, name: str, *, tail: int = 4000) -> str:
        text = self._answering().log if name == OLLAMA else ""
        return "\n".join(text.splitlines()[-tail:])

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> Executed:  # noqa: ARG002 - the facet's signature
        world = self._answering()
        world.looks += 1
        found = world.containers.get(name)
        if found is None or found.status != "running":
            raise CallFailed(f"container {name} is not running", status=1)
        if tuple(argv) == ("env",):
            return Executed(0, "".join(f"{key}={value}\n" for key, value in found.environment.items()))
        return world.answers.get(tuple(argv), Executed(127, "", f'exec: "{argv[0]}": executable file not found in $PATH'))

    def stats(self, name: str) -> ContainerStats:
        world = self._answering()
        if name not in world.containers:
            raise CallFailed(f"no container {name}", status=1)
        return world.stats

    def volumes(self) -> Sequence[Volume]:
        world = self._answering()
        world.looks += 1
        return tuple(
            Volume(name, created_at=volume.created_at, labels=volume.labels, users=self._users(name))
            for name, volume in world.volumes.items()
        )

    def _users(self, volume: str) -> tuple[str, ...]:
        return tuple(item.name for item in self._world.containers.values() if volume in item.volumes)


class WritableEngine(FakeEngine):
    def restart(self, name: str, *, timeout: float = 30.0) -> None:  # noqa: ARG002 - the facet's signature
        world = self._answering()
        world.wrote(f"restart {name}")
        world.may_fail("engine.restart")

        def restarted() -> None:
            world.containers[name] = replace(world.containers[name], started_at=stamp(world.clock.now()), status="running")
            if name == OLLAMA:
                world.runners.clear()
                world.reread() if world.shows else None
                read = " ".join(f"{key}:{value}" for key, value in world.containers[name].environment.items())
                now = stamp(world.clock.now())  # a restarted container's log goes on
                world.log += f'time={now} level=INFO source=routes.go:1554 msg="server config" env="map[{read}]"\n'

        world.soon("restart", restarted)

    def start(self, name: str) -> None:
        world = self._answering()
        world.wrote(f"start {name}")
        world.may_fail("engine.start")
        if world.containers[name].status != "running":
            world.containers[name] = replace(world.containers[name], started_at=stamp(world.clock.now()), status="running")

    def stop(self, name: str, *, timeout: float = 30.0) -> None:  # noqa: ARG002 - the facet's signature
        world = self._answering()
        world.wrote(f"stop {name}")
        world.may_fail("engine.stop")
        halted(world, name)

    def create_volume(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        world = self._answering()
        world.wrote(f"create volume {name}")
        world.may_fail("engine.create_volume")
        world.volumes.setdefault(name, FakeVolume(stamp(world.clock.now()), labels=dict(labels or {})))

    def remove_volume(self, name: str) -> None:
        world = self._answering()
        world.wrote(f"remove volume {name}")
        world.may_fail("engine.remove_volume")
        if users := self._users(name):
            raise CallFailed(f"volume {name} is in use by {', '.join(users)}", status=1)
        world.volumes.pop(name, None)
        if name == VOLUME:
            world.reread()

    def copy_volume(
        self,
        source: str,
        target: str,
        *,
        image: str,
        paths: Sequence[str] = (".",),
        timeout: float = 3600.0,  # noqa: ARG002 - the facet's signature
    ) -> int:
        world = self._answering()
        assert image, "nothing is pulled for a helper: the image is the service's own"
        world.wrote(f"copy {source} to {target}")
        world.may_fail("engine.copy_volume")
        if target not in world.volumes or source not in world.volumes:
            raise CallFailed("no such volume", status=1)
        copied = 0
        for path, item in world.volumes[source].files.items():
            if "." not in paths and path not in paths:
                continue
            old = world.volumes[target].files.get(path)
            if old is None or old.size != item.size:
                world.volumes[target].files[path] = item
                copied += item.size
        if target == VOLUME:
            world.reread()
        return copied


def halted(world: World, name: str) -> None:
    """Let a container be stopped."""
    world.containers[name] = replace(world.containers[name], status="exited", exit_code=0, finished_at=stamp(world.clock.now()))
    if name == OLLAMA:
        world.runners.clear()


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

    def warnings(self, project: ComposeProject) -> Sequence[str]:  # noqa: ARG002 - no variable is unset here
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
        deps: bool = True,  # noqa: ARG002 - no service here depends on another
        timeout: float = 600.0,  # noqa: ARG002 - the facet's signature
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

    def build(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 1800.0) -> None:  # noqa: ARG002
        self._world.wrote(f"build {' '.join(services)}")
        self._world.may_fail("compose.build")

    def start(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:  # noqa: ARG002
        self._world.wrote(f"compose start {' '.join(services)}")
        for item in self._of(services):
            self._world.containers[item.name] = replace(item, status="running", started_at=stamp(self._world.clock.now()))

    def stop(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:  # noqa: ARG002
        self._world.wrote(f"compose stop {' '.join(services)}")
        self._world.may_fail("compose.stop")
        for item in self._of(services):
            halted(self._world, item.name)

    def remove(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:  # noqa: ARG002
        self._world.wrote(f"compose rm {' '.join(services)}")
        self._world.may_fail("compose.remove")
        for item in self._of(services):
            halted(self._world, item.name)
            del self._world.containers[item.name]

    def down(self, project: ComposeProject, *, timeout: float = 180.0) -> None:  # noqa: ARG002
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


def _at(value: Any, *path: str) -> Any:  # noqa: ANN401 - a piece of YAML
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _pairs(environment: Mapping[str, Any] | Sequence[str]) -> dict[str, str]:
    if isinstance(environment, Mapping):
        return {str(name): str(value) for name, value in environment.items()}
    return dict(item.partition("=")[::2] for item in environment)
