"""Ollama v0.32.0: llama-server processes that fit the layers themselves (facts/ollama 0, 2, 4.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remediation_lab.ollama import golang
from remediation_lab.ollama.environment import Settings
from remediation_lab.ollama.journal import Line, line
from remediation_lab.ollama.loadrule import plan_g2_signed
from remediation_lab.ollama.releases.base import VISIBLE, Card, Load, Memory
from remediation_lab.ollama.releases.v0_24_0 import FollowsTheCard


@dataclass(frozen=True, slots=True)
class _V0320(FollowsTheCard):
    def discover(self, settings: Settings, card: Card | None, memory: Memory, *, present: bool) -> Iterator[Line]:
        del present  # a llama-server lists the devices; the log does not mention it
        yield line("runner.go:60", "discovering available GPUs...")
        overridden = [(key, settings.raw[key]) for key in VISIBLE if settings.raw.get(key)]
        for key, of in overridden:
            yield Line(self.at("overrode"), "user overrode visible devices", ((key, of),), "WARN")
        if overridden:
            yield line(self.at("unset"), "if GPUs are not correctly discovered, unset and try again", "WARN")
        for name in self.libraries if settings.library else ():
            if settings.library != name:
                text = "skipping available library at user's request"
                yield line(self.at("skip"), text, "DEBUG", requested=settings.library, libDir=golang.joined(self.lib, name))
        if card is None:
            total, free = golang.human_bytes(memory.total), golang.human_bytes(memory.free)
            yield line(
                "types.go:50", "inference compute", id="cpu", library="cpu", compute="", name="cpu", description="cpu", libdirs="ollama",
                driver="", pci_id="", type="", total=total, available=free,
            )  # fmt: skip
        else:
            yield line(
                "types.go:32", "inference compute", id=0, filter_id=0, library="CUDA", compute=card.device.compute, name="CUDA0",
                description=card.device.name, libdirs=f"ollama,{card.library}", driver=card.device.cuda, pci_id="0000:01:00.0", type="discrete",
                total=golang.human_bytes(card.total), available=golang.human_bytes(card.free),
            )  # fmt: skip
        yield from self.total(settings, card)

    def evicting(self, load: Load) -> Line:
        free = load.card.free if load.card else 0
        text = "llama-server model predicted to exceed available memory, evicting"
        predicted, shown = golang.human_bytes(load.plan.total), golang.human_bytes(free)
        return line(self.at("evicting"), text, predicted=predicted, available=shown, gpu_free=shown)


RELEASE = _V0320(
    version="0.32.0",
    plan=plan_g2_signed,  # not asked: llama-server fits the layers
    llama_server=True,
    environment={
        "LLAMA_ARG_FIT": "", "LLAMA_ARG_FIT_TARGET": "", "OLLAMA_CONTEXT_LENGTH": "0", "OLLAMA_DEBUG_LOG_REQUESTS": "false", "OLLAMA_EDITOR": "",
        "OLLAMA_GO_TEMPLATE": "true", "OLLAMA_IGPU_ENABLE": "", "OLLAMA_MAX_TRANSFER_STREAMS": "4", "OLLAMA_NO_CLOUD": "false",
        "OLLAMA_VULKAN": "false",
    },
    dropped=("OLLAMA_MULTIUSER_CACHE", "OLLAMA_NEW_ENGINE"),
    skip_wording="user's",
    caps_context=True,
    checks_names=True,
    places={
        "config": "routes.go:1947", "cloud": "routes.go:1949", "blobs": "images.go:883", "unused": "images.go:890", "listening": "routes.go:2004",
        "tier": "routes.go:2054", "overrode": "runner.go:722", "unset": "runner.go:726", "skip": "runner.go:98", "using": "server.go:109",
        "starting": "llama_server.go:433", "sysmem": "sched.go:623", "gpumem": "sched.go:630", "via": "llama_server.go:1001",
        "waiting": "llama_server.go:1248", "available": "llama_server.go:1303", "started": "llama_server.go:1315", "runners": "sched.go:739",
        "failed": "sched.go:651", "metadata": "sched.go:535", "mmap": "sched.go:1158", "dead": "llama_server.go:1149", "option": "types.go:992",
        "evicting": "sched.go:880", "updated": "sched.go:790", "context": "llama_server.go:300", "n_ctx": "n_ctx_seq",
        "kvtype": "llama_server.go:280", "kvtype_text": "OLLAMA_FLASH_ATTENTION must be enabled to use a quantized OLLAMA_KV_CACHE_TYPE",
        "too_large": "sched.go:640", "runner": "llama_server.go:433", "go": "llama_server.go:433", "setup": "sched.go:751", "load": "llama_server.go:1001",
        "serving": "llama_server.go:1001", "unreadable": "sched.go:535", "evaluating": "runner.go:123", "evaluating_text": "",
    },
)  # fmt: skip
