"""What every release of the runner-over-HTTP generations logs; a release module gives the places, the wording and the load rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from remediation_lab.ollama import golang
from remediation_lab.ollama.environment import Settings
from remediation_lab.ollama.journal import Line, line
from remediation_lab.ollama.loadrule import MINIMUM, LoadRule, Plan, Wish
from remediation_lab.ollama.models import ModelFile
from remediation_lab.ports import Device

VISIBLE = ("CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of the machine's RAM as the server sees them."""

    total: int = 16 * 1024**3
    free: int = 13 * 1024**3
    swap: int = 0
    limit: int = 0
    """Above so much the kernel kills a runner, without the server having known; 0: there is no such limit."""


@dataclass(frozen=True, slots=True)
class Card:
    """The GPU at one time; bytes."""

    device: Device
    total: int
    free: int

    @property
    def library(self) -> str:
        """The directory under lib/ollama whose build serves this card (facts/ollama 6)."""
        major = int(self.device.cuda.split(".")[0])
        return "cuda_v13" if major >= 13 and float(self.device.compute) >= 7.5 else "cuda_v12"  # facts/ollama 6


@dataclass(frozen=True, slots=True)
class Load:
    """One load as the log tells it."""

    file: ModelFile
    path: str
    wish: Wish
    plan: Plan
    parallel: int
    flash: bool | None
    settings: Settings
    memory: Memory
    card: Card | None
    port: int
    compute: int

    @property
    def flash_word(self) -> str:
        """Flash attention as the load request of the layouts writes it."""
        return "Auto" if self.flash is None else "Enabled" if self.flash else "Disabled"


@dataclass(frozen=True, slots=True)
class Release(ABC):
    """A release: its number, its places in the source, its load rule and what it prints at each point."""

    version: str
    places: Mapping[str, str]
    plan: LoadRule
    environment: Mapping[str, str]
    skip_wording: str
    bin: str = "/usr/bin/ollama"
    lib: str = "/usr/lib/ollama"
    libraries: tuple[str, ...] = ("cuda_v12", "cuda_v13", "vulkan")
    warns_visible: bool = True
    flash_default: bool | None = None
    decides_before_evicting: bool = True
    refuses_before_deciding: bool = False
    caps_context: bool = False
    """Whether /api/ps shows the context that the model can have, not the requested one (recordings, surprise 11)."""
    checks_names: bool = False
    """Whether the error for an invalid name differs from the one for a missing model."""
    panics_at_start: bool = False
    """Whether a model with a damaged header ends the whole server (recordings, surprise 9)."""
    by_command: bool = False
    """Whether the runner gets its layers on its command line, and loads at once (up to v0.11.4)."""
    lists_context: bool = True
    """Whether /api/ps shows a context."""
    llama_server: bool = False
    """Whether a llama-server process fits the layers (v0.30 and newer)."""
    dropped: tuple[str, ...] = ()
    """Variables that older releases print and this one does not."""
    killed: str = "llama runner process has terminated: signal: killed"
    tells_why_it_died: bool = False
    """Whether the error of a dead runner holds its last words (recordings, surprise 8)."""

    @property
    def process(self) -> str:
        """What the release calls the program that holds a model."""
        return "llama-server" if self.llama_server else "llama runner"

    def parallels(self, settings: Settings) -> tuple[int, ...]:
        """Return the numbers of slots that a load may have: the first with which all requested layers fit, else the last."""
        return (settings.parallel,)

    def at(self, key: str) -> str:
        """Return file.go:NN of one message."""
        return self.places[key]

    def start(self, settings: Settings, blobs: int, address: str) -> Iterator[Line]:
        """Yield the lines up to `Listening on`."""
        shown = " ".join(f"{key}:{of}" for key, of in settings.map.items())
        yield line(self.at("config"), "server config", env=f"map[{shown}]")
        yield line(self.at("blobs"), f"total blobs: {blobs}")
        yield line(self.at("unused"), "total unused blobs removed: 0")
        yield line(self.at("listening"), f"Listening on {address} (version {self.version})")
        yield line("sched.go:120", "starting llm scheduler", "DEBUG")

    def discover(self, settings: Settings, card: Card | None, memory: Memory, *, present: bool) -> Iterator[Line]:
        """Yield the search for GPUs; `card` is the card after the filters, `present` whether the machine has a card."""
        yield line("runner.go:67", "discovering available GPUs...")
        overridden = [(key, settings.raw[key]) for key in VISIBLE if settings.raw.get(key)]
        if self.warns_visible and overridden:
            for key, of in overridden:
                yield Line(self.at("overrode"), "user overrode visible devices", ((key, of),), "WARN")
            yield line(self.at("unset"), "if GPUs are not correctly discovered, unset and try again", "WARN")
        for name in self.libraries:
            if settings.library and settings.library != name:
                where = golang.joined(self.lib, name)
                yield line(
                    self.at("skip"),
                    f"skipping available library at {self.skip_wording} request",
                    "DEBUG",
                    requested=settings.library,
                    libDir=where,
                )
            elif present:
                yield self.runner("--ollama-engine", 40000 + len(name))
        yield line(self.at("evaluating"), self.at("evaluating_text"), "DEBUG", initial_count=int(card is not None))
        yield line("runner.go:40", "GPU bootstrap discovery took", "DEBUG", duration="0s")  # the lab's discovery takes no time
        if card is None:
            total, free = golang.human_bytes(memory.total), golang.human_bytes(memory.free)
            yield line(
                "types.go:60", "inference compute", id="cpu", library="cpu", compute="", name="cpu", description="cpu", libdirs="ollama",
                driver="", pci_id="", type="", total=total, available=free,
            )  # fmt: skip
        else:
            yield line(
                "types.go:42", "inference compute", id=card.device.uuid, filter_id="", library="CUDA", compute=card.device.compute, name="CUDA0",
                description=card.device.name, libdirs=f"ollama,{card.library}", driver=card.device.cuda, pci_id="0000:01:00.0", type="discrete",
                total=golang.human_bytes(card.total), available=golang.human_bytes(card.free),
            )  # fmt: skip
        yield from self.total(settings, card)

    def total(self, settings: Settings, card: Card | None) -> Iterator[Line]:
        """Yield what follows from the size of the card."""
        if room(settings, card) < 20 * 1024**3:
            shown = golang.human_bytes(card.total if card else 0)
            yield line(self.at("lowvram"), "entering low vram mode", total__vram=shown, threshold="20.0 GiB")

    def default_context(self, settings: Settings, card: Card | None) -> int:
        """Return the context of a request that names none."""
        del card  # from v0.15.5 on it counts
        return settings.context

    def runner(self, arguments: str, port: int) -> Line:
        """Return the line of a runner process being started."""
        return line(self.at("runner"), "starting runner", cmd=f"{self.bin} runner {arguments} --port {port}")

    def system_memory(self, memory: Memory) -> Line:
        """Return the RAM line."""
        total, free = golang.human_bytes(memory.total), golang.human_bytes(memory.free)
        return line(self.at("sysmem"), "system memory", total=total, free=free, free_swap=golang.human_bytes(memory.swap))

    @abstractmethod
    def decide(self, load: Load) -> Iterator[Line]:
        """Yield the lines of the decision, after the RAM line."""

    @abstractmethod
    def sizes(self, load: Load) -> Iterator[Line]:
        """Yield the lines about estimated sizes by device, where this release prints them."""

    @abstractmethod
    def evicting(self, load: Load) -> Line:
        """Return the line that announces an eviction."""

    def request(self, load: Load) -> Line:
        """Return the runner's load request."""
        plan = load.plan
        layers = "[]"
        if plan.layers and load.card:
            layers = f"{plan.layers}[ID:{load.card.device.uuid} Layers:{plan.layers}({plan.span[0]}..{plan.span[-1]})]"
        flash = load.flash_word if self.flash_default is None else golang.value(bool(load.flash))
        mapped = golang.value(load.card is not None)
        text = (
            f"{{Operation:commit LoraPath:[] Parallel:{load.parallel} BatchSize:{load.wish.batch} FlashAttention:{flash} KvSize:{load.wish.context}"
            f" KvCacheType:{load.wish.cache_type} NumThreads:8 GPULayers:{layers} MultiUserCache:false ProjectorPath: MainGPU:0 UseMmap:{mapped}}}"
        )
        return line(self.at("load"), "load", request=text)

    def evaluate(self, load: Load) -> Iterator[Line]:
        """Yield what the search for room says before anything is decided."""
        del load
        yield from ()

    def failed(self, load: Load, text: str) -> Line:
        """Return the line of a load that failed."""
        return line(self.at("failed"), "Load failed", model=load.path, error=text)

    def refusal(self, load: Load, need: int) -> tuple[tuple[Line, ...], str]:
        """Return the lines and the error of a load whose part for the CPU does not fit in RAM; `need` in bytes."""
        memory = load.memory
        shown, left = golang.human_bytes(need), golang.human_bytes(memory.free + memory.swap)
        text = "model request too large for system"
        logged = line(
            self.at("too_large"), text, "WARN", requested=shown, available=left,
            total=golang.human_bytes(memory.total), free=golang.human_bytes(memory.free), swap=golang.human_bytes(memory.swap),
        )  # fmt: skip
        error = f"model requires more system memory ({shown}) than is available ({left})"
        return (logged, self.failed(load, error)), error

    def overruled(self, load: Load) -> Iterable[Line]:
        """Yield the WARN about a cache type that needs flash attention."""
        settings = load.settings
        if settings.cache_type not in {"", "f16"} and not settings.flash_attention:
            yield line(self.at("kvtype"), self.at("kvtype_text"), "WARN", type=settings.cache_type)

    def available(self, card: Card, overhead: int) -> str:
        """Write the free memory of a card after the reserves."""
        return golang.human_bytes(max(0, card.free - MINIMUM - overhead))


def room(settings: Settings, card: Card | None) -> int:
    """Return the size of the card less what is reserved; unsigned, so a reserve above the size wraps (facts/ollama 1.3)."""
    return (card.total - settings.overhead) % 2**64 if card else 0
