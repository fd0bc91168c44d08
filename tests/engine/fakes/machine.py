"""The machine, its programs, files and desktop, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.model.errors import Blocked, CallFailed
from remediation.model.facts import (
    DiskSpace,
    DockerDesktop,
    FileEntry,
    FileStatus,
    Gpu,
    GpuSample,
    GpuUse,
    Process,
    ServiceStatus,
    SessionFacts,
    SystemFacts,
    SystemLimits,
    WslDistribution,
)
from tests.engine.fakes.docker import halted
from tests.engine.fakes.world import BOOT, GIB, World


class FakeGpu:
    def __init__(self, world: World) -> None:
        self._world = world

    def use(self) -> GpuUse:
        world = self._world
        world.looks += 1
        world.may_fail("gpu.use")
        gpu = Gpu(
            index=0, uuid="GPU-1", name="NVIDIA GeForce RTX 3060 Laptop GPU", driver_version=world.driver, total=world.vram,
            used=world.used, free=world.vram - world.used, driver_model="WDDM", compute_capability="8.6",
        )  # fmt: skip
        return GpuUse((gpu,), tuple(process for process in world.programs.values() if process.vram is not None))

    def sample(self, *, seconds: float, every: float = 1.0) -> Sequence[GpuSample]:
        world = self._world
        world.looks += 1
        world.clock.sleep(seconds)
        if world.samples:
            return world.samples
        count = max(1, round(seconds / every))
        return tuple(GpuSample(world.clock.now(), 0, 90 if world.runners else 3, world.used) for _ in range(count))


class FakeProcesses:
    def __init__(self, world: World) -> None:
        self._world = world

    def list(self) -> Sequence[Process]:
        self._world.looks += 1
        self._world.may_fail("processes.list")
        return tuple(self._world.programs.values())


class WritableProcesses(FakeProcesses):
    def close(self, pid: int, started: float, *, grace: float, force: bool = False) -> bool:
        world = self._world
        process = world.programs.get(pid)
        if process is None or process.started != started:
            return True
        world.wrote(f"close {process.name}")
        world.may_fail("processes.close")
        if process.name in world.stubborn and not force:
            world.clock.sleep(grace)
            return False

        def closed() -> None:
            ended = world.programs.pop(pid, None)
            if ended is not None and ended.name in world.returning:
                world.start(ended.name, vram=ended.vram, pid=pid + 10_000, has_window=ended.has_window)

        world.soon("close", closed)
        return True


class FakeDesktop:
    def __init__(self, world: World) -> None:
        self._world = world

    def session(self) -> SessionFacts:
        return SessionFacts(
            user="ops",
            elevated=self._world.elevated,
            desktop_user=self._world.desktop_user,
            credential_store=False,
            problems=self._world.session_problems,
        )

    def docker(self) -> DockerDesktop | None:
        self._world.looks += 1
        self._world.may_fail("desktop.docker")
        found = self._world.docker
        return replace(found, engine=self._world.engine_up) if found is not None else None


class WritableDesktop(FakeDesktop):
    def notify(self, message: str, *, seconds: float) -> bool:
        self._world.may_fail("desktop.notify")
        self._world.notified.append(message)
        return True

    def stop_docker(self, *, timeout: float = 180.0) -> None:
        world = self._world
        world.wrote("stop Docker Desktop")
        world.may_fail("desktop.stop_docker")
        assert world.docker is not None
        world.docker = replace(world.docker, state="stopped", started=None)
        world.engine_up = False
        for item in tuple(world.containers.values()):
            if item.status == "running":
                halted(world, item.name)

    def start_docker(self, *, timeout: float = 300.0) -> None:
        world = self._world
        world.wrote("start Docker Desktop")
        world.may_fail("desktop.start_docker")
        assert world.docker is not None
        world.docker = replace(world.docker, state="running", started=world.clock.now())
        world.engine_up = True

    def set_docker(self, settings: Mapping[str, Any]) -> str:
        world = self._world
        world.wrote(f"set {settings}")
        assert world.docker is not None
        if world.docker.state != "stopped":
            raise Blocked("Docker Desktop is running and would overwrite its settings")
        kept = {name: value for name, value in {**world.docker.settings, **settings}.items() if value is not None}
        world.docker = replace(world.docker, settings=kept)
        return f"{world.docker.settings_path}.bak"


class FakeSystem:
    def __init__(self, world: World) -> None:
        self._world = world

    def facts(self) -> SystemFacts:
        now = self._world.clock.now()
        return SystemFacts(
            self._world.os,
            "10.0.22631",
            "LAPTOP-07",
            memory_total=16 * GIB,
            memory_free=8 * GIB,
            now=now,
            booted=self._world.booted,
        )

    def limits(self) -> SystemLimits:
        return replace(self._world.limits, engine=self._world.engine_memory if self._world.engine_up else None)

    def distributions(self) -> Sequence[WslDistribution]:
        return tuple(self._world.distributions)


class WritableSystem(FakeSystem):
    def reboot(self, *, delay: float = 5.0, message: str = "", timeout: float = 900.0) -> None:
        world = self._world
        world.wrote("reboot")
        world.may_fail("system.reboot")
        world.clock.sleep(60.0)
        world.booted = world.clock.now()
        world.programs.clear()
        world.runners.clear()
        world.desktop_user = None
        if world.docker is not None:
            world.docker, world.engine_up = replace(world.docker, state="stopped", started=None), False

    def stop_distributions(self, name: str = "") -> None:
        world = self._world
        world.wrote(f"stop {name or 'WSL'}")
        world.may_fail("system.stop_distributions")
        for number, each in enumerate(world.distributions):
            if each.name == name or not name:
                world.distributions[number] = replace(each, running=False, started=None)

    def start_distribution(self, name: str) -> None:
        world = self._world
        world.wrote(f"start {name}")
        world.may_fail("system.start_distribution")
        for number, each in enumerate(world.distributions):
            if each.name == name:
                world.distributions[number] = replace(each, running=True, started=world.clock.now())


class FakeFiles:
    def __init__(self, world: World) -> None:
        self._world = world

    def read(self, path: str) -> bytes | None:
        self._world.looks += 1
        self._world.may_fail("files.read")
        return self._world.texts.get(path)

    def list(self, path: str) -> Sequence[FileEntry] | None:
        self._world.looks += 1
        inside = [name for name in self._world.texts if name.startswith(f"{path}\\")]
        entries = [FileEntry(name[len(path) + 1 :], len(self._world.texts[name]), BOOT) for name in inside]
        return entries or None

    def space(self, path: str) -> DiskSpace:
        return self._world.disk

    def status(
        self, path: str, *, follow: bool = False, algorithm: str | None = None, details: bool = False
    ) -> FileStatus | None:
        self._world.looks += 1
        self._world.may_fail("files.status")
        world, content = self._world, self._world.texts.get(path)
        mode = world.modes.get(path)
        if path in world.links:
            return FileStatus(path, "link", 0, target=world.links[path])
        if content is None:
            inside = path in world.folders or any(name.startswith(f"{path}\\") for name in world.texts)
            return FileStatus(path, "directory", 0, mode=mode) if inside else None
        summed = hashlib.new(algorithm, content).hexdigest() if algorithm else None
        return FileStatus(path, "file", len(content), mode=mode, checksum=summed)


class WritableFiles(FakeFiles):
    def write(self, path: str, content: bytes, *, backup: str | None = None) -> None:
        world = self._world
        world.wrote(f"write {path}")
        world.may_fail("files.write")
        if backup is not None and path in world.texts:
            world.texts[backup] = world.texts[path]
        world.soon("write", lambda: world.texts.__setitem__(path, content))

    def rename(self, path: str, to: str) -> None:
        world = self._world
        world.wrote(f"rename {path}")
        if path not in world.texts or to in world.texts:
            raise CallFailed(f"cannot rename {path} to {to}")
        world.texts[to] = world.texts.pop(path)

    def remove(self, path: str) -> None:
        self._world.wrote(f"remove {path}")
        self._world.texts.pop(path, None)
        self._world.links.pop(path, None)

    def remove_folder(self, path: str, *, empty: bool = False) -> None:
        self._world.wrote(f"remove folder {path}")
        self._world.folders.discard(path)
        for name in [name for name in self._world.texts if name.startswith(f"{path}\\")]:
            del self._world.texts[name]

    def create_folder(self, path: str) -> None:
        self._world.wrote(f"create folder {path}")
        self._world.folders.add(path)

    def set_attributes(self, path: str, *, mode: int | None = None, owner: str | None = None, group: str | None = None) -> None:
        self._world.wrote(f"attributes {path}")
        if mode is not None:
            self._world.modes[path] = mode

    def link(self, path: str, target: str, *, hard: bool = False) -> None:
        self._world.wrote(f"link {path}")
        self._world.texts.pop(path, None)
        self._world.links[path] = target


class FakeServiceManager:
    def __init__(self, world: World) -> None:
        self._world = world

    def status(self, name: str, *, user: bool = False) -> ServiceStatus | None:
        self._world.looks += 1
        self._world.may_fail("service_manager.status")
        return self._world.services.get(name)


class WritableServiceManager(FakeServiceManager):
    def act(self, name: str, verb: str, *, user: bool = False, force: bool = False) -> None:
        world = self._world
        world.wrote(f"service {verb} {name}")
        now = world.services[name]
        if verb == "remove":
            del world.services[name]
            return
        states = {"start": "running", "stop": "stopped", "restart": "running", "pause": "paused"}
        changed = {
            "enable": {"enabled": True},
            "disable": {"enabled": False},
            "mask": {"masked": True},
            "unmask": {"masked": False},
        }
        again = {"instance": f"{now.instance}x"} if verb in {"start", "restart"} else {}
        world.services[name] = replace(now, **changed.get(verb, {"state": states.get(verb, now.state)}), **again)

    def configure(self, name: str, settings: Mapping[str, str], *, create: bool = False) -> None:
        world = self._world
        world.wrote(f"service configure {name}")
        now = world.services.get(name) or ServiceStatus(name, "stopped", start_mode="auto")
        rest = {key: value for key, value in settings.items() if key != "start_mode"}
        world.services[name] = replace(
            now, start_mode=settings.get("start_mode", now.start_mode), details={**now.details, **rest}
        )
