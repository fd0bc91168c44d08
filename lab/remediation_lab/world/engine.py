"""The Docker engine of a machine: containers, volumes, and the Ollama servers that run in them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation_lab.ollama import shelf
from remediation_lab.ollama.loader import Pace
from remediation_lab.ollama.models import ModelStore
from remediation_lab.ollama.releases.base import Memory
from remediation_lab.ollama.server import OllamaServer
from remediation_lab.wire import Refusal
from remediation_lab.world.clock import MachineClock
from remediation_lab.world.gpu import VideoMemory
from remediation_lab.world.state import Card, Container, State, Volume

IMAGE_ENVIRONMENT = {
    "PATH": "/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "OLLAMA_HOST": "0.0.0.0:11434",
}
_PLAIN_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
_LOG_LINES = 3000
_STOP_SECONDS = 1.2
_START_SECONDS = 0.6
OLLAMA_PORT = 11434
_OLDEST_COMPUTE = 5.0
_OLDEST_DRIVER = 527.41
"""Windows' driver for CUDA 12 (facts/windows 4.4); an older one is found by no library of the image, without a word at INFO."""


class Engine:
    """Containers and volumes of one machine; raises Refusal with the daemon's words."""

    def __init__(self, state: State, clock: MachineClock, memory: VideoMemory, lock: threading.RLock) -> None:
        self._state, self._clock, self._memory, self._lock = state, clock, memory, lock
        self._servers: dict[str, OllamaServer] = {}
        self.turn = threading.RLock()
        """Held by each operation that changes containers: this daemon does one at a time."""
        for container in state.containers:
            if container.running and container.ollama is not None:
                server = self._build(container)
                server.restore(container.ollama)
                self._servers[container.id] = server

    @property
    def state(self) -> State:
        """The machine's state, for those who print it."""
        return self._state

    @property
    def clock(self) -> MachineClock:
        """The machine's clock."""
        return self._clock

    def server(self, container: Container) -> OllamaServer | None:
        """Return the Ollama server of a running container."""
        return self._servers.get(container.id)

    def servers(self) -> list[OllamaServer]:
        """Return every running Ollama server."""
        return list(self._servers.values())

    def listening(self, port: int) -> OllamaServer | None:
        """Return the server that the host reaches at a published port."""
        for container in self._state.containers:
            if container.running and self._state.engine.up:
                for each in container.definition.get("ports") or ():
                    if str(each.get("published")) == str(port) and int(each["target"]) == OLLAMA_PORT:
                        return self.server(container)
        return None

    def keep(self) -> None:
        """Note in the state what lives in the servers."""
        for container in self._state.containers:
            server = self._servers.get(container.id)
            if server is not None:
                container.ollama = server.state()
                volume = self._models(container)
                if volume is not None:
                    store = server.models
                    volume.models, volume.aside, volume.loose = store.state(), dict(store.aside), dict(store.loose)

    def known(self, name: str) -> Container | None:
        """Return a container by name or id, or None."""
        for each in self._state.containers:
            if each.name == name or (len(name) > 3 and each.id.startswith(name)):  # a short id
                return each
        return None

    def find(self, name: str) -> Container:
        """Return a container by name or id; raises Refusal."""
        container = self.known(name)
        if container is None:
            raise Refusal("error", f"Error response from daemon: No such container: {name}")
        return container

    def create(
        self, name: str, definition: Mapping[str, Any], labels: Mapping[str, str], volumes: Mapping[str, str]
    ) -> Container:
        """Create a container, with the volumes that it names; nothing is started."""
        image = definition["image"]
        own = IMAGE_ENVIRONMENT if is_ollama(image) else _PLAIN_ENVIRONMENT
        given = {key: value for key, value in (definition.get("environment") or {}).items() if value is not None}
        for each in self._state.containers:
            if each.name == name:
                text = f'Conflict. The container name "/{name}" is already in use by container "{each.id}".'
                raise Refusal(
                    "error",
                    f"Error response from daemon: {text} You have to remove (or rename) that container to be able to reuse that name.",
                )
        container = Container(
            id=self._fresh_id(name), name=name, image=image, created=self._clock.now(), environment={**own, **given},
            labels=dict(labels), definition=dict(definition), volumes=dict(volumes), address=2 + len(self._state.containers),
        )  # fmt: skip
        with self._lock:
            self._state.containers.append(container)
        return container

    def start(self, container: Container) -> None:
        """Start a container that does not run; raises Refusal when the engine has no GPU to give."""
        if container.running:
            return
        if container.wants_gpu and not self._state.engine.gpu_support:
            container.exit_code, container.error = 128, 'could not select device driver "nvidia" with capabilities: [[gpu]]'
            raise Refusal("error", f"Error response from daemon: {container.error}")
        self._clock.sleep(_START_SECONDS)
        container.status, container.started, container.finished = "running", self._clock.now(), 0.0
        container.exit_code, container.error, container.oom_killed = 0, "", False
        container.pid = 1000 + self._state.pid() % 30000
        if is_ollama(container.image):
            server = self._build(container)
            with self._lock:
                self._servers[container.id] = server
            if not server.start():
                self.stop(container, code=2)
                container.restarts += 1

    def stop(self, container: Container, *, code: int = 0) -> None:
        """Stop a running container; its CUDA processes give back what they held."""
        if not container.running:
            return
        self._clock.sleep(_STOP_SECONDS)
        self.keep()
        with self._lock:
            server = self._servers.pop(container.id, None)
        if server is not None:
            server.stop()
        self._memory.release_all(f"{container.id[:12]} ")
        container.status, container.finished, container.exit_code = "exited", self._clock.now(), code
        container.pid, container.ollama = 0, None

    def restart(self, container: Container) -> None:
        """Stop and start."""
        self.stop(container)
        self.start(container)

    def remove(self, container: Container) -> None:
        """Remove a stopped container."""
        with self._lock:
            self._state.containers.remove(container)
            if container.image not in self._state.images:
                self._state.images.append(container.image)

    def volume(self, name: str, labels: Mapping[str, str]) -> bool:
        """Create a volume if it is missing; tells whether it was."""
        if any(each.name == name for each in self._state.volumes):
            return False
        self._state.volumes.append(Volume(name, self._clock.now(), dict(labels)))
        return True

    def copy(self, source: str, target: str, paths: Sequence[str]) -> int:
        """Copy parts of a volume into another, also while containers use them; returns the bytes. Raises Refusal."""
        self.keep()
        found = {each.name: each for each in self._state.volumes}
        if source not in found:
            raise Refusal("error", f"Error response from daemon: get {source}: no such volume")
        self.volume(target, {})
        volume = next(each for each in self._state.volumes if each.name == target)
        store = stored(volume)
        before = sum(each.size for path, each in shelf.files(store).items() if "/blobs/" in path)
        copied = shelf.copy(stored(found[source]), store, paths)
        after = sum(each.size for path, each in shelf.files(store).items() if "/blobs/" in path)
        if after - before > self._state.disk_free:
            raise Refusal("error", "cp: write error: No space left on device")
        self._state.disk_free -= after - before
        self._clock.sleep(copied / self._state.disk)
        volume.models, volume.aside, volume.loose = store.state(), store.aside, store.loose
        for container in self._state.containers:
            server = self._servers.get(container.id)
            if server is not None and any(name == target for name, _ in self.mounts(container)):
                server.models.restore(volume.models)
        return copied

    def mounts(self, container: Container) -> list[tuple[str, str]]:
        """Return the container's named volumes and where they are mounted."""
        return [
            (container.volumes.get(each["source"], each["source"]), each["target"])
            for each in container.definition.get("volumes") or ()
            if each["type"] == "volume"
        ]

    def _models(self, container: Container) -> Volume | None:
        for name, target in self.mounts(container):
            if target == "/root/.ollama":
                return next((each for each in self._state.volumes if each.name == name), None)
        return None

    def _build(self, container: Container) -> OllamaServer:
        volume = self._models(container)
        store = stored(volume) if volume is not None else ModelStore()

        def log(stream: str, text: str) -> None:
            container.log.append([stream, self._clock.now(), text])
            del container.log[: max(0, len(container.log) - _LOG_LINES)]

        limit = ((container.definition.get("deploy") or {}).get("resources") or {}).get("limits") or {}
        total = min(int(limit.get("memory", 0)) or self._state.engine.memory, self._state.engine.memory)
        release = container.image.partition(":")[2] or self._state.ollama_version
        version = release if release[:1].isdigit() else self._state.ollama_version
        visible = container.environment.get("NVIDIA_VISIBLE_DEVICES", "all") not in {"", "none", "void"}
        there = container.wants_gpu and visible and able(self._state.card)
        return OllamaServer(
            version=version, environment=container.environment, device=self._memory.device if there else None,
            memory=_Share(self._memory, container.id[:12]), clock=self._clock, models=store, log=log,
            ram=replace(Memory(), total=total, free=int(total * 0.9)), pace=replace(Pace(), disk=self._state.disk),
        )  # fmt: skip

    def _fresh_id(self, name: str) -> str:
        self._state.serial += 1
        return hashlib.sha256(f"{self._state.name} {name} {self._state.serial} {self._clock.now()}".encode()).hexdigest()


class _Share:
    """One container's use of the card: its runners' names are its own."""

    def __init__(self, memory: VideoMemory, container: str) -> None:
        self._memory, self._container = memory, container

    def total(self) -> int:
        return self._memory.total()

    def free(self) -> int:
        return self._memory.free()

    def hold(self, owner: str, size: int) -> None:
        self._memory.hold(f"{self._container} {owner}", size)


def stored(volume: Volume) -> ModelStore:
    """Return what an Ollama server finds in a volume."""
    store = ModelStore()
    store.restore(volume.models)
    store.aside, store.loose = dict(volume.aside), dict(volume.loose)
    return store


def able(card: Card) -> bool:
    """Return whether Ollama's CUDA libraries can use a card as it stands."""
    old = float(card.compute) < _OLDEST_COMPUTE or float(card.driver) < _OLDEST_DRIVER
    return card.installed and not (old or card.fallen or card.reset)


def is_ollama(image: str) -> bool:
    """Return whether the image is one whose entry point is an Ollama server."""
    return image.partition(":")[0].rpartition("/")[2] == "ollama"
