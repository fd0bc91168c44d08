"""One load: decide where the layers go, log it as the release does, hold the memory, take the time (facts/ollama 2 and 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from remediation_lab.ollama import golang, llamacpp, newengine
from remediation_lab.ollama.answers import ApiError
from remediation_lab.ollama.children import NO_PROCESSES, RunnerProcesses
from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.environment import Settings
from remediation_lab.ollama.journal import Journal, Line, line
from remediation_lab.ollama.loadrule import Ending, Plan, Wish
from remediation_lab.ollama.models import Model, ModelFile
from remediation_lab.ollama.options import Options
from remediation_lab.ollama.releases.base import Card, Load, Memory, Release
from remediation_lab.ports import Device, LabClock, VideoMemory

_ANSWERING = 128 * 1024**2
"""System memory that a runner takes to answer when all its layers are on the card; seen: 120 MiB load, and die at the first token."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the machine is: bytes per second from the network and the disk, and of weights read by the GPU and by the CPU."""

    network: float = 110e6
    disk: float = 1.5e9
    gpu: float = 160e9
    cpu: float = 18e9
    context_bytes: int = 180 * 1024**2
    """Memory of a CUDA process in addition to its buffers; Ollama's estimates do not count it."""


@dataclass(slots=True)
class Runner:
    """One loaded model."""

    name: str
    digest: str
    num_gpu: int
    num_ctx: int
    layers: int
    size: int
    vram: int
    gpu_weights: int
    cpu_weights: int
    keep_alive: int
    expires: float
    busy: int = 0
    leaving: float | None = None
    dead: bool = False
    used: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """What every part of one server run shares."""

    release: Release
    settings: Settings
    journal: Journal
    clock: LabClock
    pace: Pace
    ram: Memory
    gpu_runner: bool = True
    processes: RunnerProcesses = NO_PROCESSES


class Loader:
    """Loads models of one server onto one card."""

    def __init__(self, run: Run, device: Device | None, memory: VideoMemory) -> None:
        self.run = run
        self.release = run.release
        self.settings = run.settings
        self.clock = run.clock
        self.journal = run.journal
        self.loads = 0
        self._device = device
        self._memory = memory
        self._pace = run.pace
        self._ram = run.ram

    def card(self) -> Card | None:
        """Return the GPU that this server uses, as it stands now."""
        return Card(self._device, self._memory.total(), self._memory.free()) if self._device else None

    def release_memory(self, name: str) -> None:
        """Give back what the runner of a model holds on the card."""
        self._memory.hold(f"ollama runner {name}", 0)

    def starves(self) -> bool:
        """Return whether the container's memory ends at a runner's first token, though the load fitted."""
        return min(self._ram.total, self._ram.limit or self._ram.total) < _ANSWERING

    def prepare(self, model: Model, options: Options, *, alone: bool) -> Load:
        """Decide where a model's layers go on the card as it stands now; ApiError when its file cannot be read."""
        context = min(options.num_ctx, model.file.context)
        card = self.card() if options.num_gpu != 0 else None
        flash = self.settings.flash_attention if self.settings.flash_attention is not None else self.release.flash_default
        if self.release.by_command and card is None:
            flash = False
        quantized = self.settings.cache_type if (self.settings.flash_attention and flash) or self.release.llama_server else ""
        kind = quantized if quantized in {"q8_0", "q4_0"} else ""
        for parallel in self.release.parallels(self.settings):
            wish = Wish(model.file, context * parallel, kind, options.num_gpu, real=self.release.llama_server)
            plan = self.release.plan(wish, card.free if card else None, overhead=self.settings.overhead, alone=alone)
            if card is None or plan.estimated >= (model.file.layers if options.num_gpu < 0 else options.num_gpu):
                break
        self.loads += 1
        load = Load(
            model.file, self.path(model.file), wish, plan, parallel, flash, self.settings, self._ram, card, 35000 + self.loads * 37 % 9000,
            compute_buffer(wish, plan, flash=flash is not False),
        )  # fmt: skip
        if model.damage is Damage.BLOB_CUT:
            self._unreadable(load)
        return load

    def _unreadable(self, load: Load) -> NoReturn:
        if self.release.by_command:  # it is decided by the file's head, before anything reads the rest
            self._decided(load)
        for text in llamacpp.cut_file(load.file):
            self.journal.write(text)
        error = f"unable to load model: {load.path}"
        self.journal.write(line(self.release.at("unreadable"), "NewLlamaServer failed", model=load.path, error=error))
        raise ApiError(500, error)

    def path(self, file: ModelFile) -> str:
        """Return where a model's weights lie."""
        return golang.joined(self.settings.models, "blobs", file.digest.replace(":", "-"))

    def announce(self, load: Load, options: Options, *, alone: bool) -> None:
        """Log what comes before the runner's own lines."""
        write = self.journal.write
        self._refresh(load, alone=alone)
        engine = self._new_engine(load)
        if not self.release.by_command and not engine:
            for each in llamacpp.vocabulary(load.file, load.path):
                write(each)
        if options.num_ctx > load.file.context:
            text = "requested context size too large for model"
            write(line(self.release.at("context"), text, "WARN", num_ctx=options.num_ctx, n_ctx_train=load.file.context))
        for warning in self.release.overruled(load):
            write(warning)
        if not self.release.by_command:
            write(self.release.runner(f"{'--ollama-engine ' if engine else ''}--model {load.path}", load.port))
        self._decided(load)
        if self.release.by_command:
            for each in llamacpp.vocabulary(load.file, load.path):
                write(each)

    def _new_engine(self, load: Load) -> bool:
        return newengine.runs(load.file) and not self.release.by_command and not self.release.llama_server

    def decide(self, load: Load, *, alone: bool) -> None:
        """Log a further attempt of the same load, after others have left the card."""
        self._refresh(load, alone=alone)
        self._decided(load)

    def hang(self) -> None:
        """Log the last thing that a server says whose layout search never ends."""
        self.journal.write(line(self.release.at("go"), "starting go runner"))

    def _decided(self, load: Load) -> None:
        self.journal.write(self.release.system_memory(self._ram))
        for entry in self.release.evaluate(load):
            self.journal.write(entry)
        if self.release.refuses_before_deciding and load.plan.ending is Ending.LOADS:
            self._check_ram(load)
        if load.plan.ending is not Ending.CROWDED or self.release.decides_before_evicting:
            for entry in self.release.decide(load):
                self.journal.write(entry)

    def _refresh(self, load: Load, *, alone: bool) -> None:
        if load.card is None:
            return
        if not self.release.by_command:
            self.journal.write(self.release.runner("--ollama-engine", load.port + 1))
        if not alone:
            total, free = golang.human_bytes(load.card.total), golang.human_bytes(load.card.free)
            text = "updated VRAM based on existing loaded models"
            self.journal.write(
                line(self.release.at("updated"), text, gpu=load.card.device.uuid, library="CUDA", total=total, available=free)
            )

    def _check_ram(self, load: Load) -> None:
        need = sum(load.wish.needs) - sum(load.wish.needs[index] for index in load.plan.span)
        if need > self._ram.free + self._ram.swap:
            lines, text = self.release.refusal(load, need)
            for entry in lines:
                self.journal.write(entry)
            raise ApiError(500, text)

    def _starve(self, load: Load, lines: Iterator[str]) -> NoReturn:
        last = ""
        for last in lines:
            self.journal.write(last)
        why = f"{last}\npanic:" if self.release.tells_why_it_died else "exit status 2"
        text = f"llama runner process has terminated: {why}"
        if self.release.tells_why_it_died:
            self.journal.write(line(self.release.at("terminated"), "llama runner terminated", "ERROR", error="exit status 2"))
        self.journal.write(self.release.failed(load, text))
        raise ApiError(500, text)

    def start(self, model: Model, options: Options, load: Load, *, others: int) -> Runner:
        """Start the runner and wait until it is loaded; ApiError when RAM or the card refuses."""
        self._check_ram(load)
        release, write, began = self.release, self.journal.write, self.clock.now()
        estimate, load = load.plan, self._placed(load, others)
        gpu = sum((*load.file.block_bytes, load.file.output_bytes)[index] for index in load.plan.span)
        cache = load.wish.cache_per_layer * len([index for index in load.plan.span if index < load.file.shape.blocks])
        room = load.card.free if load.card else 0
        if load.card and gpu + cache > room:
            self._starve(load, llamacpp.no_room_for_cache(cache))
        for text in () if self._new_engine(load) else llamacpp.context(load, release.places["n_ctx"]):
            write(text)
        if self._ram.limit and sum(load.wish.needs) - sum(load.wish.needs[index] for index in load.plan.span) > self._ram.limit:
            write(line(release.at("available"), "waiting for server to become available", status="llm server not responding"))
            write(release.failed(load, release.killed))
            raise ApiError(500, release.killed)
        if load.card and gpu + cache + load.compute > room:
            self._starve(load, llamacpp.no_room_for_compute(load.compute))
        held = gpu + cache + load.compute + self._pace.context_bytes if load.card else 0
        self._memory.hold(f"ollama runner {model.name}", min(held, room))
        self.clock.sleep(load.file.file_bytes / self._pace.disk)
        now = self.clock.now()
        runner = Runner(
            model.name, model.digest, options.num_gpu, options.num_ctx, load.plan.layers, estimate.total, estimate.vram, gpu,
            load.file.weights - gpu, self.settings.keep_alive, now + self.settings.keep_alive / golang.SECOND, used=now,
        )  # fmt: skip
        started = line(release.at("started"), f"llama runner started in {now - began:.2f} seconds")
        write(started)
        if not release.by_command:
            self._waiting(others)
            write(started)
        size, vram = golang.human_bytes(runner.size), golang.human_bytes(runner.vram)
        name = f"registry.ollama.ai/library/{model.name}"
        setup: dict[str, object] = {
            "runner.name": name,
            "runner.size": size,
            "runner.vram": vram,
            "runner.parallel": load.parallel,
            "runner.num_ctx": options.num_ctx,
        }
        write(Line(release.at("setup"), "finished setting up", tuple(setup.items()), "DEBUG"))
        return runner

    def _placed(self, load: Load, others: int) -> Load:
        """Log the runner's start and where the layers go, and return what it really loads."""
        real = load if self.run.gpu_runner else _on_cpu(load)
        sizes = tuple(self.release.sizes(load))
        engine = self._new_engine(load)
        for entry in () if engine else sizes:  # the newer engine measures them in the runner
            self.journal.write(entry)
        self._spawned(real, others)
        lines = (*newengine.tensors(real), *sizes) if engine else (*llamacpp.device(real), *llamacpp.tensors(real))
        for each in lines:
            self.journal.write(each)
        return real

    def _spawned(self, load: Load, others: int) -> None:
        """Log the runner's process up to the load."""
        release, write = self.release, self.journal.write
        if release.by_command:
            self._waiting(others)
        engine = self._new_engine(load)
        write(newengine.STARTING if engine else line(release.at("go"), "starting go runner"))
        for text in llamacpp.backends(load, release.lib):
            write(text)
        write(Line("ggml.go:104", "system", (("CPU.0.LLAMAFILE", 1), ("compiler", "cgo(gcc)"))))
        write(line(release.at("serving"), f"Server listening on 127.0.0.1:{load.port}"))
        if not release.by_command:
            write(release.request(load))
            write(line(release.at("waiting"), "waiting for llama runner to start responding"))
        write(line(release.at("available"), "waiting for server to become available", status="llm server loading model"))

    def _waiting(self, others: int) -> None:
        self.journal.write(line(self.release.at("runners"), "loaded runners", count=others + 1))
        self.journal.write(line(self.release.at("waiting"), "waiting for llama runner to start responding"))


def _on_cpu(load: Load) -> Load:
    """Return what becomes of a load where the build for the card is missing."""
    return replace(load, card=None, plan=replace(load.plan, first=load.file.shape.blocks, layers=0))


def compute_buffer(wish: Wish, plan: Plan, *, flash: bool) -> int:
    """Return the bytes of the compute buffer that is really allocated; flash attention needs far less than the estimate says."""
    full, partial = wish.graphs
    if not flash:
        return full if plan.layers > wish.model.shape.blocks else partial
    shape = wish.model.shape
    return 4 * wish.batch * (shape.vocabulary + 6 * shape.embedding) + 2 * wish.batch * wish.context
