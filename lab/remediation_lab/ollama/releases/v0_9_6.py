"""Ollama v0.9.6: the estimate of llm/memory.go, layers on the runner's command line (facts/ollama 0, 2, 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remediation_lab.ollama import golang
from remediation_lab.ollama.environment import Settings
from remediation_lab.ollama.journal import Line, line
from remediation_lab.ollama.loadrule import MINIMUM, plan_g1
from remediation_lab.ollama.releases.base import Card, Load, Memory, Release

_AUTO = (2, 1)
"""The numbers of slots that are tried by default: the first with which all layers fit (facts/ollama 1, since v0.6.7)."""


@dataclass(frozen=True, slots=True)
class _V096(Release):
    def parallels(self, settings: Settings) -> tuple[int, ...]:
        return (settings.parallel,) if settings.parallel else _AUTO

    def discover(self, settings: Settings, card: Card | None, memory: Memory, *, present: bool) -> Iterator[Line]:
        del settings, present
        yield line("gpu.go:217", "looking for compatible GPUs")
        if card is None:
            yield line("gpu.go:377", "no compatible GPUs were discovered")
            yield line(
                "types.go:130", "inference compute", id=0, library="cpu", variant="", compute="", driver="0.0", name="",
                total=golang.human_bytes(memory.total), available=golang.human_bytes(memory.free),
            )  # fmt: skip
            return
        yield line(
            "types.go:130", "inference compute", id=card.device.uuid, library="cuda", variant="v12", compute=card.device.compute,
            driver=card.device.cuda, name=card.device.name, total=golang.human_bytes(card.total), available=golang.human_bytes(card.free),
        )  # fmt: skip

    def decide(self, load: Load) -> Iterator[Line]:
        plan, wish, card = load.plan, load.wish, load.card if load.wish.num_gpu != 0 else None
        if card is not None and plan.estimated >= (load.file.layers if wish.num_gpu < 0 else wish.num_gpu):
            yield line(
                "sched.go:788", "new model will fit in available VRAM in single GPU, loading", model=load.path, gpu=card.device.uuid,
                parallel=load.parallel, available=card.free, required=golang.human_bytes(plan.vram),
            )  # fmt: skip
        full, partial = (golang.human_bytes(size) for size in wish.graphs)
        numbers: dict[str, object] = {
            "library": "cuda" if card else "cpu",
            "layers.requested": wish.num_gpu,
            "layers.model": load.file.layers,
            "layers.offload": plan.estimated,
            "layers.split": "",
            "memory.available": f"[{golang.human_bytes(card.free if card else load.memory.free)}]",
            "memory.gpu_overhead": golang.human_bytes(load.settings.overhead),
            "memory.required.full": golang.human_bytes(plan.total),
            "memory.required.partial": golang.human_bytes(plan.vram),
            "memory.required.kv": golang.human_bytes(wish.cache),
            "memory.required.allocations": f"[{golang.human_bytes(plan.vram if card else plan.on_cpu)}]",
            "memory.weights.total": golang.human_bytes(load.file.weights),
            "memory.weights.repeating": golang.human_bytes(sum(load.file.block_bytes)),
            "memory.weights.nonrepeating": golang.human_bytes(load.file.output_bytes),
            "memory.graph.full": full,
            "memory.graph.partial": partial,
        }
        yield Line("server.go:175", "offload", tuple(numbers.items()))

    def overruled(self, load: Load) -> Iterator[Line]:
        settings = load.settings
        if settings.flash_attention and not load.flash:
            yield line("server.go:206", "flash attention enabled but not supported by gpu", "WARN")
        if settings.cache_type not in {"", "f16"} and not load.flash:
            yield line(self.at("kvtype"), self.at("kvtype_text"), "WARN", type=settings.cache_type)

    def evaluate(self, load: Load) -> Iterator[Line]:
        card = load.card
        if card is None or load.plan.estimated or load.wish.num_gpu > 0:
            return
        full, partial = (golang.human_bytes(size) for size in load.wish.graphs)
        for _ in range(2 * len(self.parallels(load.settings)) + 1):  # on one card, on all together, and for the load itself
            yield line(
                "memory.go:201", "gpu has too little memory to allocate any layers", "DEBUG", id=card.device.uuid, library="cuda", variant="v12",
                compute=card.device.compute, driver=card.device.cuda, name=card.device.name, total=golang.human_bytes(card.total),
                available=golang.human_bytes(card.free), minimum_memory=MINIMUM, layer_size=golang.human_bytes(load.wish.needs[0]),
                gpu_zer_overhead="0 B", partial_offload=partial, full_offload=full,
            )  # fmt: skip

    def sizes(self, load: Load) -> Iterator[Line]:
        wish = load.wish
        requested = wish.num_gpu if wish.num_gpu >= 0 else load.plan.estimated
        layers = f" --n-gpu-layers {requested}" if wish.num_gpu >= 0 or requested else ""
        mapped = "" if load.plan.estimated else " --no-mmap"
        command = (
            f"{self.bin} runner --model {load.path} --ctx-size {wish.context} --batch-size {wish.batch}{layers} --threads 8{mapped}"
            f" --parallel {load.parallel} --port {load.port}"
        )
        yield line(self.at("runner"), "starting llama server", cmd=command)

    def failed(self, load: Load, text: str) -> Line:
        return line(self.at("failed"), "NewLlamaServer failed", model=load.path, error=text)

    def evicting(self, load: Load) -> Line:
        del load
        return line("sched.go:858", "found an idle runner to unload", "DEBUG")


RELEASE = _V096(
    version="0.9.6",
    plan=plan_g1,
    environment={"OLLAMA_INTEL_GPU": "false", "OLLAMA_NUM_PARALLEL": "0"},
    dropped=("GGML_VK_VISIBLE_DEVICES", "OLLAMA_REMOTES"),
    skip_wording="",
    by_command=True,
    lists_context=False,
    decides_before_evicting=False,
    refuses_before_deciding=True,
    flash_default=False,
    places={
        "config": "routes.go:1235", "blobs": "images.go:476", "unused": "images.go:483", "listening": "routes.go:1288",
        "runner": "server.go:438", "sysmem": "server.go:135", "serving": "runner.go:874", "go": "runner.go:815",
        "waiting": "server.go:598", "available": "server.go:632", "started": "server.go:637", "runners": "sched.go:483",
        "failed": "sched.go:455", "unreadable": "sched.go:455", "kvtype": "server.go:221",
        "kvtype_text": "quantized kv cache requested but flash attention disabled", "too_large": "server.go:170", "context": "server.go:143",
        "dead": "server.go:580", "option": "types.go:636", "updated": "sched.go:548", "setup": "sched.go:495", "n_ctx": "n_ctx_per_seq",
    },
)  # fmt: skip
