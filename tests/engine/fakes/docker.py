"""The engine of a host in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.facets.docker.containers import wants_gpu
from remediation.model.errors import CallFailed
from remediation.model.facts import Container, ContainerStats, EngineFacts, ExecResult, Volume
from tests.engine.fakes.world import OLLAMA, VOLUME, FakeVolume, World, stamp


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
            os="Docker Desktop",
            memory_total=world.engine_memory,
            runtimes=("runc", *world.daemon_keys.get("runtimes", {})) if world.daemon_pid else ("nvidia", "runc"),
            live_restore=world.daemon_keys.get("live-restore") is True,
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

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> ExecResult:
        world = self._answering()
        world.looks += 1
        found = world.containers.get(name)
        if found is None or found.status != "running":
            raise CallFailed(f"container {name} is not running", status=1)
        if tuple(argv) == ("env",):
            return ExecResult(0, "".join(f"{key}={value}\n" for key, value in found.environment.items()))
        return world.answers.get(tuple(argv), ExecResult(127, "", f'exec: "{argv[0]}": executable file not found in $PATH'))

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
    def restart(self, name: str, *, timeout: float = 30.0) -> None:
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

    def stop(self, name: str, *, timeout: float = 30.0) -> None:
        world = self._answering()
        world.wrote(f"stop {name}")
        world.may_fail("engine.stop")
        halted(world, name)

    def recreate(self, name: str, changed: Mapping[str, Any]) -> None:
        world = self._answering()
        world.wrote(f"recreate {name}")
        world.may_fail("engine.recreate")
        old = world.containers[name]
        config = {**(old.raw.get("HostConfig") or {}), **changed}
        now = stamp(world.clock.now())
        raw = {**old.raw, "HostConfig": config}
        world.containers[name] = replace(
            old, id=f"{old.id}+", gpu_requested=wants_gpu(config), started_at=now, created_at=now, status="running", raw=raw
        )
        if name == OLLAMA:
            world.runners.clear()

    def give_back(self, name: str) -> None:
        world = self._answering()
        world.wrote(f"give back {name}")
        old = world.containers.pop(f"{name}-before-recreation")
        world.containers[name] = replace(old, name=name, started_at=stamp(world.clock.now()), status="running")

    def remove(self, name: str) -> None:
        world = self._answering()
        world.wrote(f"remove {name}")
        del world.containers[name]

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
        timeout: float = 3600.0,
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
