"""The goal: so many layers of the model on the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import field_validator

from remediation.facets.protocols import Reader
from remediation.model.change import Change, StepCall
from remediation.steps.contract import Step, param, step
from remediation.steps.loads import LoadState, layer_values, load_state
from remediation.steps.naming import wanted_model

_CENTURIES_AWAY = 2200


@step("model.offloaded", settle=30.0)
class ModelOffloaded(Step[LoadState]):
    """So many of the model's layers are on the GPU: a goal, it changes nothing itself.

    ``/api/ps`` says none, part or all, the log's last line counts them. What spills into shared system memory is no success.
    """

    model: str | None = param("which model; the target's by default", default=None, example="mistral:7b-instruct-q4_K_M")
    layers: str = param("all, a number of layers, or a share of them", default="all", example="90%")

    @field_validator("layers", mode="before")
    @classmethod
    def _layers(cls, value: object) -> str:
        text = str(value).strip().lower()
        number = text.removesuffix("%").strip()
        if text != "all" and not (number.isdigit() and not isinstance(value, bool)):
            msg = f"all, a number of layers or a share such as 90% is wanted, not {value!r}"
            raise ValueError(msg)
        if text.endswith("%") and int(number) > 100:  # noqa: PLR2004 - a share
            msg = f"a share of at most 100% is wanted, not {value!r}"
            raise ValueError(msg)
        return text

    def look(self, host: Reader) -> LoadState:
        """Read how it is loaded."""
        return load_state(host, wanted_model(self.model, host))

    def met(self, seen: LoadState) -> bool | None:
        """Whether enough layers are there; None while it is not loaded or nothing counts them."""
        if seen.runner is None:
            return None
        if seen.whole:
            return True
        if self.layers == "all" or seen.spill:
            return False
        if seen.layers is None:
            return None if seen.runner.size_vram else False
        return seen.layers[0] >= self._wanted(seen.layers[1])

    def _wanted(self, total: int) -> int:
        if self.layers == "all":
            return total
        if self.layers.endswith("%"):
            return -(-total * int(self.layers.removesuffix("%").strip()) // 100)
        return min(int(self.layers), total)

    def plan(self, seen: LoadState) -> Iterator[Change]:  # noqa: ARG002 - a goal has no plan of its own
        """Plan nothing."""
        return iter(())

    def clarify(self, seen: LoadState) -> StepCall | None:
        """Load it where it is not loaded, as a client's request would."""
        return StepCall("model.loaded", {"model": seen.model}) if seen.runner is None else None

    def explain(self, seen: LoadState) -> str:
        """Say how many layers there are, and why not more."""
        if not seen.stored:
            return f"{seen.model} is not stored on this server"
        parts = [seen.words, *([seen.trouble] if seen.trouble else [])]
        if self.met(seen) is False:
            wanted = self._wanted(seen.total) if seen.total else self.layers
            parts.append(f"wanted {wanted}{f'/{seen.total}' if seen.total else ''}")
        if seen.fit is not None and not seen.whole:
            parts.append(seen.fit.sentence)
        return "; ".join(parts)

    def values(self, seen: LoadState) -> dict[str, Any]:
        """Register layers, sizes and what would fit; the context it was loaded with, whether for good, and the server's container."""
        runner = seen.runner
        kept = {"context": runner.context_length, "kept": _for_good(runner.expires_at)} if runner is not None else {}
        return {**layer_values(seen, alone=False), **kept, "container": seen.container}


def _for_good(expires: str) -> bool:
    """Whether a runner was told to stay: ``keep_alive: -1`` is written as a moment centuries away."""
    return expires[:4].isdigit() and int(expires[:4]) >= _CENTURIES_AWAY
