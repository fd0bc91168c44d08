"""Ollama v0.12.10: the estimate of llm/memory.go, layers sent to the runner (facts/ollama 0, 2, 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remediation_lab.ollama import golang
from remediation_lab.ollama.journal import Line, line
from remediation_lab.ollama.loadrule import Ending, plan_g1b
from remediation_lab.ollama.releases.base import Load, Release

_ROOM = "model requires more memory than is currently available, evicting a model to make space"
_SIZES = (
    "gpu_overhead", "required.full", "required.partial", "required.kv", "weights.total", "weights.repeating", "weights.nonrepeating", "graph.full",
    "graph.partial",
)  # fmt: skip
_EMPTY: tuple[tuple[str, object], ...] = (
    ("estimate.library", ""),
    ("estimate.layers.requested", 0),
    ("estimate.layers.model", 0),
    ("estimate.layers.offload", 0),
    ("estimate.layers.split", "[]"),
    ("estimate.memory.available", "[]"),
    *((f"estimate.memory.{name}", "0 B") for name in _SIZES),
)


@dataclass(frozen=True, slots=True)
class _V01210(Release):
    def decide(self, load: Load) -> Iterator[Line]:
        plan, wish, card = load.plan, load.wish, load.card if load.wish.num_gpu != 0 else None
        if card is None:
            text = "new model will fit in available system memory for CPU inference, loading"
            yield line("memory.go:110", text, model=load.path, parallel=load.parallel, required=golang.human_bytes(plan.total))
        elif plan.estimated >= (load.file.layers if wish.num_gpu < 0 else wish.num_gpu):
            text = "new model will fit in available VRAM across minimum required GPUs, loading"
            yield line(
                "memory.go:37",
                text,
                model=load.path,
                library="CUDA",
                parallel=load.parallel,
                required=golang.human_bytes(plan.vram),
                gpus=1,
            )
        full, partial = (golang.human_bytes(size) for size in wish.graphs)
        split = f"[{plan.estimated}]" if plan.estimated else "[]"
        repeating = sum(load.file.block_bytes)
        numbers: dict[str, object] = {
            "library": "CUDA" if card else "cpu",
            "layers.requested": wish.num_gpu,
            "layers.model": load.file.layers,
            "layers.offload": plan.estimated,
            "layers.split": split,
            "memory.available": f"[{golang.human_bytes(card.free)}]" if card else "[]",
            "memory.gpu_overhead": golang.human_bytes(load.settings.overhead),
            "memory.required.full": golang.human_bytes(plan.total),
            "memory.required.partial": golang.human_bytes(plan.vram),
            "memory.required.kv": golang.human_bytes(wish.cache),
            "memory.required.allocations": f"[{golang.human_bytes(plan.vram)}]" if card else "[]",
            "memory.weights.total": golang.human_bytes(load.file.weights),
            "memory.weights.repeating": golang.human_bytes(repeating),
            "memory.weights.nonrepeating": golang.human_bytes(load.file.output_bytes),
            "memory.graph.full": full,
            "memory.graph.partial": partial,
        }
        yield Line("server.go:522", "offload", tuple(numbers.items()))

    def evaluate(self, load: Load) -> Iterator[Line]:
        card, wish = load.card, load.wish
        if card is None or load.plan.estimated:
            return
        full, partial = (golang.human_bytes(size) for size in wish.graphs)
        for _ in range(1 if load.plan.ending is Ending.CROWDED else 2):  # once to look for a full fit, once for the load
            yield line(
                "memory.go:286", "gpu has too little memory to allocate any layers", "DEBUG", id=card.device.uuid, library="CUDA",
                compute=card.device.compute, driver=card.device.cuda, name="CUDA0", total=golang.human_bytes(card.total),
                available=golang.human_bytes(card.free), layer_size=golang.human_bytes(wish.needs[0]), partial_offload=partial, full_offload=full,
            )  # fmt: skip
            yield line("memory.go:427", "insufficient VRAM to load any model layers", "DEBUG")

    def refusal(self, load: Load, need: int) -> tuple[tuple[Line, ...], str]:
        if load.card is not None:
            return Release.refusal(self, load, need)
        logged = (
            Line("server.go:474", _ROOM, _EMPTY),
            line("sched.go:445", "model is too large for system memory", requireFull="false"),
        )
        return logged, "model requires more system memory than is currently available unable to load full model on GPU"

    def sizes(self, load: Load) -> Iterator[Line]:
        del load  # the offload line shows them
        yield from ()

    def evicting(self, load: Load) -> Line:
        del load  # this release prints an empty estimate here
        return Line("server.go:483", _ROOM, _EMPTY)


RELEASE = _V01210(
    version="0.12.10",
    plan=plan_g1b,
    environment={"OLLAMA_INTEL_GPU": "false"},
    skip_wording="users",
    warns_visible=False,
    decides_before_evicting=False,
    refuses_before_deciding=True,
    flash_default=False,
    places={
        "config": "routes.go:1525", "blobs": "images.go:522", "unused": "images.go:529", "listening": "routes.go:1578", "lowvram": "routes.go:1619",
        "skip": "runner.go:93", "evaluating": "runner.go:113", "evaluating_text": "evluating which if any devices to filter out",
        "runner": "server.go:400", "sysmem": "server.go:470", "load": "runner.go:845", "serving": "runner.go:946", "go": "runner.go:910",
        "waiting": "server.go:1251", "available": "server.go:1285", "started": "server.go:1289", "runners": "sched.go:500",
        "failed": "sched.go:453", "unreadable": "sched.go:425", "kvtype": "server.go:226", "kvtype_text": "quantized kv cache requested but flash attention disabled",
        "too_large": "server.go:517", "context": "server.go:173", "dead": "server.go:1171", "option": "types.go:755", "updated": "sched.go:566", "setup": "sched.go:512", "n_ctx": "n_ctx_per_seq",
    },
)  # fmt: skip
