"""Ollama v0.13.5: a layout from estimates, sent to the runner (facts/ollama 0, 2, 4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remediation_lab.ollama import golang
from remediation_lab.ollama.journal import Line, line
from remediation_lab.ollama.loadrule import MINIMUM, plan_g2
from remediation_lab.ollama.releases.base import Load, Release


@dataclass(frozen=True, slots=True)
class Layouts(Release):
    """What the releases with layouts from estimates have in common; the places in the source are each release's own."""

    def decide(self, load: Load) -> Iterator[Line]:
        """Yield the facts about the card, and the request."""
        if load.card is not None and load.wish.num_gpu != 0:
            yield line(
                self.at("gpumem"), "gpu memory", id=load.card.device.uuid, library="CUDA", available=self.available(load.card, load.settings.overhead),
                free=golang.human_bytes(load.card.free), minimum=golang.human_bytes(MINIMUM), overhead=golang.human_bytes(load.settings.overhead),
            )  # fmt: skip
        yield line(self.at("loading"), "loading model", model__layers=load.file.layers, requested=load.wish.num_gpu)
        if load.card is not None and load.wish.num_gpu != 0:
            for graph in dict.fromkeys((0, load.plan.graph)):
                room = max(0, load.card.free - load.wish.needs[0] - MINIMUM - load.settings.overhead - graph)
                yield line(
                    self.at("room"), "available gpu", "DEBUG", id=load.card.device.uuid, library="CUDA", available__layer__vram=golang.human_bytes(room),
                    backoff="0.00", minimum=golang.human_bytes(MINIMUM), overhead=golang.human_bytes(load.settings.overhead),
                    graph=golang.human_bytes(graph),
                )  # fmt: skip

    def sizes(self, load: Load) -> Iterator[Line]:
        """Yield the estimates by device; a device with nothing has no line."""
        on = load.plan.span
        blocks = load.file.shape.blocks
        weights = (*load.file.block_bytes, load.file.output_bytes)
        gpu_weights = sum(weights[index] for index in on)
        gpu_cache = load.wish.cache_per_layer * len([index for index in on if index < blocks])
        rows = (
            ("device.go:240", "model weights", "CUDA0", gpu_weights),
            ("device.go:245", "model weights", "CPU", sum(weights) - gpu_weights),
            ("device.go:251", "kv cache", "CUDA0", gpu_cache),
            ("device.go:256", "kv cache", "CPU", load.wish.cache - gpu_cache),
            ("device.go:262", "compute graph", "CUDA0", load.plan.graph),
        )
        for source, text, device, size in rows:
            if size:
                yield line(source, text, device=device, size=golang.human_bytes(size))
        yield line("device.go:272", "total memory", size=golang.human_bytes(load.plan.total))

    def evicting(self, load: Load) -> Line:
        """Return the line that announces an eviction."""
        text = "model requires more gpu memory than is currently available, evicting a model to make space"
        return line(self.at("evicting"), text, loaded__layers=load.plan.estimated)


RELEASE = Layouts(
    version="0.13.5",
    plan=plan_g2,
    environment={"OLLAMA_VULKAN": "false"},
    skip_wording="user's",
    places={
        "config": "routes.go:1554", "blobs": "images.go:493", "unused": "images.go:500", "listening": "routes.go:1607", "lowvram": "routes.go:1648",
        "overrode": "runner.go:485", "unset": "runner.go:489", "skip": "runner.go:98", "evaluating": "runner.go:124",
        "evaluating_text": "evaluating which, if any, devices to filter out", "runner": "server.go:429", "sysmem": "sched.go:443",
        "load": "runner.go:895", "serving": "runner.go:1001", "go": "runner.go:965", "waiting": "server.go:1338", "available": "server.go:1372",
        "started": "server.go:1376", "runners": "sched.go:517", "failed": "sched.go:470", "unreadable": "sched.go:425", "kvtype": "server.go:226",
        "kvtype_text": "OLLAMA_FLASH_ATTENTION must be enabled to use a quantized OLLAMA_KV_CACHE_TYPE", "too_large": "server.go:1033",
        "context": "server.go:167", "dead": "server.go:1258", "option": "types.go:801", "updated": "sched.go:583", "setup": "sched.go:529", "n_ctx": "n_ctx_seq",
        "gpumem": "sched.go:450", "loading": "server.go:496", "room": "server.go:965", "evicting": "server.go:1018",
    },
)  # fmt: skip
