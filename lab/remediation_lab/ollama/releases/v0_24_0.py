"""Ollama v0.24.0: as v0.13.5, with a context that follows the size of the card (facts/ollama 0, 4.3, 4.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remediation_lab.ollama import golang
from remediation_lab.ollama.environment import Settings
from remediation_lab.ollama.journal import Line, line
from remediation_lab.ollama.loadrule import plan_g2_signed
from remediation_lab.ollama.releases.base import Card, room
from remediation_lab.ollama.releases.v0_13_5 import Layouts

_TIERS = ((47 * 1024**3, 262144), (23 * 1024**3, 32768), (0, 4096))


@dataclass(frozen=True, slots=True)
class FollowsTheCard(Layouts):
    """What releases have in common whose default context follows the size of the card."""

    def start(self, settings: Settings, blobs: int, address: str) -> Iterator[Line]:
        """Yield the lines up to `Listening on`."""
        lines = Layouts.start(self, settings, blobs, address)
        yield next(lines)
        yield line(self.at("cloud"), f"Ollama cloud disabled: {settings.map['OLLAMA_NO_CLOUD']}")
        yield from lines

    def total(self, settings: Settings, card: Card | None) -> Iterator[Line]:
        """Yield the default context."""
        shown = golang.human_bytes(room(settings, card)) if card else "0 B"
        yield line(
            self.at("tier"), "vram-based default context", total_vram=shown, default_num_ctx=self._tier(settings, card)
        )  # fmt: skip

    def default_context(self, settings: Settings, card: Card | None) -> int:
        """Return the environment's context, else the tier of the card (facts/ollama 4.6)."""
        return settings.context or self._tier(settings, card)

    def _tier(self, settings: Settings, card: Card | None) -> int:
        size = room(settings, card)
        return next(context for least, context in _TIERS if size >= least)


RELEASE = FollowsTheCard(
    version="0.24.0",
    plan=plan_g2_signed,
    environment={
        "OLLAMA_CONTEXT_LENGTH": "0", "OLLAMA_DEBUG_LOG_REQUESTS": "false", "OLLAMA_EDITOR": "", "OLLAMA_MAX_TRANSFER_STREAMS": "4",
        "OLLAMA_NO_CLOUD": "false", "OLLAMA_VULKAN": "false",
    },
    skip_wording="user's",
    caps_context=True,
    checks_names=True,
    panics_at_start=True,
    tells_why_it_died=True,
    killed="llama runner process has terminated with exit code -1",
    places={
        "config": "routes.go:1802", "cloud": "routes.go:1804", "blobs": "images.go:517", "unused": "images.go:524", "listening": "routes.go:1864", "tier": "routes.go:1914",
        "overrode": "runner.go:536", "unset": "runner.go:540", "skip": "runner.go:98", "evaluating": "runner.go:123",
        "evaluating_text": "evaluating which, if any, devices to filter out", "runner": "server.go:433", "sysmem": "sched.go:484",
        "load": "runner.go:895", "serving": "runner.go:1001", "go": "runner.go:965", "waiting": "server.go:1385", "available": "server.go:1428",
        "started": "server.go:1432", "runners": "sched.go:561", "failed": "sched.go:511", "unreadable": "sched.go:470", "kvtype": "server.go:240",
        "kvtype_text": "OLLAMA_FLASH_ATTENTION must be enabled to use a quantized OLLAMA_KV_CACHE_TYPE", "too_large": "server.go:1079",
        "context": "server.go:169", "dead": "server.go:1305", "option": "types.go:992", "updated": "sched.go:627", "setup": "sched.go:573", "n_ctx": "n_ctx_seq",
        "gpumem": "sched.go:491", "loading": "server.go:532", "room": "server.go:1011", "evicting": "server.go:1064", "terminated": "server.go:316", "metadata": "sched.go:439",
    },
)  # fmt: skip
