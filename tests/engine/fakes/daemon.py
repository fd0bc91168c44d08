"""The Docker daemon of a Linux host in memory: it uses what its file said when it was last reloaded or restarted."""

from __future__ import annotations

import json
from dataclasses import replace

from remediation.model.facts import DaemonFacts, LinuxGpuSoftware
from tests.engine.fakes.world import World

CONFIG = "/etc/docker/daemon.json"


class FakeDaemon:
    """The daemon, read only."""

    def __init__(self, world: World) -> None:
        self._world = world

    def software(self) -> LinuxGpuSoftware:
        world = self._world
        world.looks += 1
        text = world.texts.get(CONFIG)
        daemon = DaemonFacts(
            world.daemon_pid,
            "/usr/bin/dockerd",
            CONFIG,
            None if text is None else text.decode(),
            world.daemon_flags,
            "docker.service",
        )
        return LinuxGpuSoftware(daemon if world.daemon_pid else None, world.toolkit, world.kernel_modules)

    def rejects(self, daemon: DaemonFacts, text: str) -> str:
        return "no such option: nonsense" if "nonsense" in text else ""


class WritableDaemon(FakeDaemon):
    """The daemon, and restarting it."""

    def reload(self, daemon: DaemonFacts) -> None:
        self._world.wrote("reload dockerd")
        self._world.daemon_keys = self._read()

    def restart(self, daemon: DaemonFacts) -> None:
        world = self._world
        world.wrote("restart dockerd")
        world.may_fail("daemon.restart")
        world.daemon_keys = self._read()
        world.programs = {
            pid: replace(one, started=world.clock.now()) if pid == daemon.pid else one for pid, one in world.programs.items()
        }

    def reload_module(self, module: str, unit: str) -> None:
        world = self._world
        world.wrote(f"reload {module}")
        world.programs = {pid: replace(one, started=world.clock.now()) for pid, one in world.programs.items()}

    def _read(self) -> dict[str, object]:
        found = json.loads(self._world.texts.get(CONFIG, b"{}") or b"{}")
        assert isinstance(found, dict)
        return found
