"""A host in memory that implements the facets honestly: what is written is what is read, and time passes by waiting.

Readers have no method that writes. Every write goes through `World.wrote`, which refuses while the world is frozen: so a
look or a plan that changed anything would be caught however it did it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import yaml

from remediation.diagnosis.memory.fit import fit
from remediation.diagnosis.memory.metadata import metadata
from remediation.diagnosis.versions import parse_version
from remediation.model.errors import CallFailed, HostError, WriteRefused
from remediation.model.facts import (
    ComposeProject,
    Container,
    EngineFacts,
    Found,
    Generation,
    Gpu,
    GpuUse,
    ModelEntry,
    ModelShow,
    Process,
    Runner,
    SessionFacts,
    SystemFacts,
    Target,
)

GIB = 1024**3
MIB = 1024**2
MODEL = "mistral:7b-instruct-q4_K_M"
OLLAMA = "ai-native-ollama"
SERVICE = "com.docker.compose.service"
BOOT = 1_700_000_000.0


class FakeClock:
    """Time that passes only by sleeping; what was put on the calendar happens on the way."""

    def __init__(self, start: float = BOOT + 86_400.0) -> None:
        self.start = start
        self.passed = 0.0
        self._calendar: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.start + self.passed

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        until = self.passed + seconds
        while due := sorted((item for item in self._calendar if item[0] <= until), key=lambda item: item[0]):
            self._calendar.remove(due[0])
            self.passed = max(self.passed, due[0][0])
            due[0][1]()
        self.passed = until

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let `action` happen once `seconds` have passed."""
        self._calendar.append((self.passed + seconds, action))


@dataclass
class World:
    """The state of one host. ``writes`` tells what was written, in order; ``fails`` raises instead of one such call."""

    clock: FakeClock = field(default_factory=FakeClock)
    os: str = "windows"
    vram: int = 6 * GIB
    programs: dict[int, Process] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    project: ComposeProject | None = None
    models: dict[str, ModelShow] = field(default_factory=dict)
    runners: dict[str, Runner] = field(default_factory=dict)
    version: str = "0.13.5"
    log: str = ""
    desktop_user: str | None = "ana"
    elevated: bool = True
    variables: dict[str, Any] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    looks: int = 0
    frozen: bool = False
    fails: dict[str, list[HostError]] = field(default_factory=dict)
    settles: dict[str, float] = field(default_factory=dict)
    stubborn: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    def wrote(self, what: str) -> None:
        """Count a write; refused while nothing may write."""
        if self.frozen:
            msg = f"{what} was written by something that may only look"
            raise AssertionError(msg)
        self.writes.append(what)

    def may_fail(self, call: str) -> None:
        """Raise what was put up for this call, once each."""
        planned = self.fails.get(call)
        if planned:
            raise planned.pop(0)

    def soon(self, kind: str, action: Callable[[], None]) -> None:
        """Let a write take effect: at once, or after the seconds that this kind of write needs here."""
        delay = self.settles.get(kind, 0.0)
        if delay:
            self.clock.after(delay, action)
        else:
            action()

    @contextmanager
    def only_looking(self) -> Iterator[None]:
        """Refuse every write meanwhile."""
        self.frozen = True
        try:
            yield
        finally:
            self.frozen = False

    def start(self, name: str, *, vram: int | None = None, pid: int = 0, **facts: Any) -> Process:  # noqa: ANN401 - fields of Process
        """Start a program."""
        pid = pid or 100 + 4 * len(self.programs)
        process = Process(pid=pid, name=name, started=self.clock.now(), vram=vram, **{"session_id": 1, "owner": "ana", **facts})
        self.programs[pid] = process
        return process

    @property
    def used(self) -> int:
        """Dedicated memory in use, in bytes."""
        return sum(process.vram or 0 for process in self.programs.values()) + sum(r.size_vram for r in self.runners.values())


class FakeGpu:
    def __init__(self, world: World) -> None:
        self._world = world

    def use(self) -> GpuUse:
        world = self._world
        world.looks += 1
        world.may_fail("gpu.use")
        gpu = Gpu(
            index=0, uuid="GPU-1", name="NVIDIA GeForce RTX 3060 Laptop GPU", driver_version="551.86", total=world.vram,
            used=world.used, free=world.vram - world.used, driver_model="WDDM", compute_capability="8.6",
        )  # fmt: skip
        return GpuUse((gpu,), tuple(process for process in world.programs.values() if process.vram is not None))


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
        world.soon("close", lambda: world.programs.pop(pid, None) and None)
        return True


class FakeEngine:
    def __init__(self, world: World) -> None:
        self._world = world

    def facts(self) -> EngineFacts:
        self._world.may_fail("engine.facts")
        return EngineFacts(
            version="27.4.0", api_version="1.47", os="Docker Desktop", memory_total=8 * GIB, runtimes=("nvidia", "runc")
        )

    def containers(self) -> Sequence[Container]:
        self._world.looks += 1
        return tuple(self._world.containers.values())

    def inspect(self, name: str) -> Container | None:
        self._world.looks += 1
        self._world.may_fail("engine.inspect")
        return self._world.containers.get(name)

    def logs(self, name: str, *, tail: int = 4000) -> str:
        text = self._world.log if name == OLLAMA else ""
        return "\n".join(text.splitlines()[-tail:])


class WritableEngine(FakeEngine):
    def restart(self, name: str, *, timeout: float = 30.0) -> None:  # noqa: ARG002 - the facet's signature
        world = self._world
        world.wrote(f"restart {name}")
        world.may_fail("engine.restart")

        def restarted() -> None:
            world.containers[name] = replace(world.containers[name], started_at=stamp(world.clock.now()))
            if name == OLLAMA:
                world.runners.clear()

        world.soon("restart", restarted)


class FakeCompose:
    def __init__(self, world: World) -> None:
        self._world = world

    def config(self, project: ComposeProject) -> Mapping[str, Any]:
        self._world.looks += 1
        self._world.may_fail("compose.config")
        services: dict[str, Any] = {}
        for path in project.files:
            content = self._world.texts.get(path)
            if content is None:
                raise CallFailed(f"open {path}: no such file or directory", status=14)
            for name, definition in (yaml.safe_load(content) or {}).get("services", {}).items():
                own = services.setdefault(name, {})
                environment = {**own.get("environment", {}), **_pairs(definition.get("environment") or {})}
                own.update({**definition, "environment": environment})
        return {"name": project.name, "services": services}

    def warnings(self, project: ComposeProject) -> Sequence[str]:  # noqa: ARG002 - no variable is unset here
        return ()

    def stale(self, project: ComposeProject) -> Sequence[str]:
        running = {container.service: container for container in self._world.containers.values()}
        return [
            name
            for name, definition in self.config(project)["services"].items()
            if name not in running or dict(running[name].environment) != definition["environment"]
        ]


class WritableCompose(FakeCompose):
    def up(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 600.0) -> None:  # noqa: ARG002 - the facet's
        world = self._world
        stale = [name for name in self.stale(project) if not services or name in services]
        world.wrote(f"up {' '.join(stale)}")
        world.may_fail("compose.up")
        definitions = self.config(project)["services"]

        def recreated() -> None:
            for name in stale:
                old = next((item for item in world.containers.values() if item.service == name), None)
                made = container(name, definitions[name]["environment"], started_at=stamp(world.clock.now()))
                made = replace(made, name=old.name) if old else made
                world.containers[made.name] = made
                if made.name == OLLAMA:
                    world.runners.clear()

        world.soon("up", recreated)


class FakeOllama:
    def __init__(self, world: World) -> None:
        self._world = world

    def version(self) -> str:
        self._world.may_fail("ollama.version")
        return self._world.version

    def running(self) -> Sequence[Runner]:
        self._world.looks += 1
        self._world.may_fail("ollama.running")
        return tuple(self._world.runners.values())

    def models(self) -> Sequence[ModelEntry]:
        return tuple(ModelEntry(name, 4_372_824_384, f"sha256:{name}", show.details) for name, show in self._world.models.items())

    def show(self, model: str) -> ModelShow | None:
        self._world.looks += 1
        return self._world.models.get(model)

    def log(self, *, tail: int = 4000) -> str:
        return "\n".join(self._world.log.splitlines()[-tail:])


LAYERS = 33
WEIGHTS = 5 * GIB
"""Of a model whose dimensions are not given; what a layer needs is a share of it."""


class WritableOllama(FakeOllama):
    def load(self, model: str, *, options: Mapping[str, Any], keep_alive: str = "10m", timeout: float = 330.0) -> None:  # noqa: ARG002 - the facet's
        world = self._world
        world.wrote(f"load {model}")
        world.may_fail("ollama.load")
        if model not in world.models:
            raise CallFailed(f"model {model!r} not found", status=404)
        asked, context = int(options.get("num_gpu", -1)), int(options.get("num_ctx", 4096))
        loaded = world.runners.get(model)
        if loaded is not None and asked == -1:
            return  # facts/ollama 3: an automatic num_gpu keeps the runner that is there, whatever it was loaded with
        world.runners.pop(model, None)
        fits, whole = self._fits(model, context)
        layers = fits if asked < 0 else min(asked, LAYERS)
        filtered = OLLAMA in world.containers and world.containers[OLLAMA].environment.get("OLLAMA_LLM_LIBRARY") == "cuda"
        layers = 0 if filtered else layers  # facts/ollama 1.2: the name filters every GPU library out

        def loading() -> None:
            vram = whole if layers == LAYERS else layers * (whole // LAYERS)
            world.runners[model] = Runner(model, size=whole, size_vram=vram, context_length=context)
            world.log += _CPU_ONLY if filtered else _load_lines(asked, layers, context)

        world.soon("load", loading)

    def _fits(self, model: str, context: int) -> tuple[int, int]:
        """Return the layers that fit into what is free, and the bytes of all."""
        free, show = max(0, self._world.vram - self._world.used), self._world.models[model]
        known = metadata(show) if show is not None else None
        found = fit(known, context=context, free=free, version=parse_version(self._world.version)) if known else None
        return (found.layers, found.need_all) if found else (min(LAYERS, free // (WEIGHTS // LAYERS)), WEIGHTS)

    def unload(self, model: str, *, timeout: float = 60.0) -> None:  # noqa: ARG002 - the facet's signature
        self._world.wrote(f"unload {model}")
        self._world.runners.pop(model, None)

    def generate(self, model: str, prompt: str, *, options: Mapping[str, Any], timeout: float, sample: bool = True) -> Generation:  # noqa: ARG002 - the facet's
        self._world.wrote(f"generate {model}")
        return Generation(tokens=8, total=1.0, load=0.0, prompt_eval=0.1, eval=0.9, first_token=0.2)


class FakeDesktop:
    def __init__(self, world: World) -> None:
        self._world = world

    def session(self) -> SessionFacts:
        return SessionFacts(
            user="ops", elevated=self._world.elevated, desktop_user=self._world.desktop_user, credential_store=False
        )


class WritableDesktop(FakeDesktop):
    def notify(self, message: str, *, seconds: float) -> bool:  # noqa: ARG002 - the facet's signature
        self._world.told.append(message)
        return True


class FakeSystem:
    def __init__(self, world: World) -> None:
        self._world = world

    def facts(self) -> SystemFacts:
        now = self._world.clock.now()
        return SystemFacts(
            self._world.os, "10.0.22631", "LAPTOP-07", memory_total=16 * GIB, memory_free=8 * GIB, now=now, booted=BOOT
        )


class FakeFiles:
    def __init__(self, world: World) -> None:
        self._world = world

    def read(self, path: str) -> bytes | None:
        self._world.looks += 1
        self._world.may_fail("files.read")
        return self._world.texts.get(path)


class WritableFiles(FakeFiles):
    def write(self, path: str, content: bytes, *, backup: str | None = None) -> None:
        world = self._world
        world.wrote(f"write {path}")
        world.may_fail("files.write")
        if backup is not None and path in world.texts:
            world.texts[backup] = world.texts[path]
        world.soon("write", lambda: world.texts.__setitem__(path, content))


class FakeReader:
    """A host, read only."""

    def __init__(self, world: World) -> None:
        self.name = "laptop-07"
        self.variables: Mapping[str, Any] = world.variables
        self.gpu = FakeGpu(world)
        self.processes = FakeProcesses(world)
        self.engine = FakeEngine(world)
        self.compose = FakeCompose(world)
        self.ollama = FakeOllama(world)
        self.desktop = FakeDesktop(world)
        self.system = FakeSystem(world)
        self.files = FakeFiles(world)
        self._world = world

    def target(self) -> Target:
        world = self._world
        model = world.variables.get("model") or next(iter(world.models), None)
        found = Target(
            model=Found(model, "given") if model else None,
            endpoint=Found("http://127.0.0.1:11434", "published by the container"),
        )
        if world.project is None:
            return found
        return replace(
            found,
            container=Found(OLLAMA, "runs an ollama image"),
            project=Found(world.project, "from the container's labels"),
            service=Found("ollama", "from the container's labels"),
        )


class FakeWriter(FakeReader):
    """A host with its writers."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.processes = WritableProcesses(world)
        self.engine = WritableEngine(world)
        self.compose = WritableCompose(world)
        self.ollama = WritableOllama(world)
        self.desktop = WritableDesktop(world)
        self.files = WritableFiles(world)


class FakeAccess:
    """An opened host; in check mode it has no writer."""

    def __init__(self, world: World, *, check: bool = False) -> None:
        self.world = world
        self.reader = FakeReader(world)
        self.clock = world.clock
        self.check = check

    @property
    def round_trips(self) -> int:
        return self.world.looks + len(self.world.writes)

    def writer(self) -> FakeWriter:
        if self.check:
            raise WriteRefused("a write in check mode")
        return FakeWriter(self.world)

    def close(self) -> None:
        """Nothing is open."""


def stamp(seconds: float) -> str:
    """Return a time as Docker writes it."""
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat().replace("+00:00", "Z")


def container(service: str, environment: Mapping[str, str], *, name: str = "", started_at: str = "") -> Container:
    return Container(
        id=f"id-{service}", name=name or f"ai-native-{service}", image=f"{service}/{service}:latest", status="running",
        environment=dict(environment), labels={SERVICE: service}, gpu_requested=True, started_at=started_at or stamp(BOOT),
        ports={"11434/tcp": ("0.0.0.0:11434",)} if service == "ollama" else {},
    )  # fmt: skip


_CPU_ONLY = (
    'time=2026-01-01T00:00:00.000Z level=INFO source=routes.go:1554 msg="server config" env="map[OLLAMA_LLM_LIBRARY:cuda]"\n'
    'time=2026-01-01T00:00:01.000Z level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu compute="" name=cpu\n'
)
"""What it logs when no GPU library was loaded: no line says how many layers were offloaded."""


def _load_lines(asked: int, layers: int, context: int) -> str:
    """What v0.13.5 logs of a load, as far as a reader needs it (facts/ollama 2.2)."""
    assigned = f"{layers}[ID:GPU-1 Layers:{layers}({LAYERS - layers}..{LAYERS - 1})]" if layers else "[]"
    stamped = "time=2026-01-01T00:00:00.000Z level=INFO source"
    return (
        f'{stamped}=server.go:443 msg="loading model" "model layers"={LAYERS} requested={asked}\n'
        f'{stamped}=runner.go:1271 msg=load request="{{Operation:commit LoraPath:[] Parallel:1 BatchSize:512 FlashAttention:false '
        f'KvSize:{context} KvCacheType: NumThreads:6 GPULayers:{assigned} MultiUserCache:false}}"\n'
        f"load_tensors: offloaded {layers}/{LAYERS} layers to GPU\n"
    )


def _pairs(environment: Mapping[str, Any] | Sequence[str]) -> dict[str, str]:
    if isinstance(environment, Mapping):
        return {str(name): str(value) for name, value in environment.items()}
    return dict(item.partition("=")[::2] for item in environment)
