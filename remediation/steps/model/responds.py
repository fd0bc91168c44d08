"""A model that answers as fast as a GPU lets it, measured by Ollama's own durations; and the card's load over a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pydantic import PrivateAttr

from remediation.diagnosis.units import human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.facts import GenerationFigures, GpuSample, Runner
from remediation.model.text.words import plural
from remediation.steps.contract import Step, param, step
from remediation.steps.resolve import runner_of, wanted_model

PROMPT = "Write the numbers from one to sixty as words, separated by commas."


@dataclass(frozen=True, slots=True)
class Answers:
    """A model, its runner, and the answers to the requests of this step so far."""

    model: str
    runner: Runner | None
    answers: tuple[GenerationFigures, ...]

    @property
    def rate(self) -> float | None:
        """Tokens per second, the middle one of the requests; a cold load does not count (facts/ollama 7.16)."""
        rates = [one.tokens / one.eval for one in self.answers if one.eval > 0 and one.tokens]
        return median(rates) if rates else None

    @property
    def warm(self) -> float | None:
        """Seconds of a warm request, the middle one: without the load."""
        return median(one.total - one.load for one in self.answers) if self.answers else None

    @property
    def cold(self) -> float | None:
        """Seconds that the load took, where one of the requests had to load."""
        return max((one.load for one in self.answers if one.load > 1.0), default=None)


@step("model.responds", settle=0.0, deadline=600.0)
class ModelResponds(Step[Answers]):
    """The model answers fast enough, asked so many times; cold and warm are told apart.

    The guide's "under 5 s is the GPU, over 15 s the processor" takes a cold load for the processor: what is judged is the warm
    request, and the rate in tokens per second. It asks anew each time it runs; a request renews the model's keep_alive.
    """

    within: float = param("seconds that a warm request of these tokens may take", default=5.0, gt=0, example=5.0)
    rate: float | None = param("tokens per second at least", default=None, gt=0, example=20.0)
    samples: int = param("how many times it is asked", default=3, ge=1, le=50)
    tokens: int = param("tokens of each answer", default=50, ge=1, le=500)
    model: str | None = param("which model; the target's by default", default=None, example="mistral:7b-instruct-q4_K_M")

    _answers: list[GenerationFigures] = PrivateAttr(default_factory=list)

    def look(self, host: Reader) -> Answers:
        """Read what is loaded; what was answered so far is known."""
        model = wanted_model(self.model, host)
        return Answers(model, runner_of(model, host.ollama.running()), tuple(self._answers))

    def met(self, seen: Answers) -> bool | None:
        """Whether it was fast enough; None before it was asked."""
        if seen.warm is None or len(seen.answers) < self.samples:
            return None
        return seen.warm <= self.within and (self.rate is None or (seen.rate or 0.0) >= self.rate)

    def plan(self, seen: Answers) -> Iterator[Change]:
        """Ask, once per sample."""
        for number in range(len(seen.answers) + 1, self.samples + 1):
            yield Change(f"ask {seen.model} for {plural(self.tokens, 'token')} ({number} of {self.samples})", subject=seen.model)

    def apply(self, host: Writer, change: Change) -> None:
        """Ask with the context that the runner has, so that it is not loaded anew."""
        runner = runner_of(change.subject, host.ollama.running())
        options: dict[str, Any] = {"num_predict": self.tokens, "temperature": 0, "seed": 1}
        if runner is not None and runner.context_length:
            options["num_ctx"] = runner.context_length
        self._answers.append(host.ollama.generate(change.subject, PROMPT, options=options, timeout=300.0))

    def describe(self, seen: Answers) -> str:
        """Say how fast it was."""
        if seen.warm is None:
            return f"{seen.model} was not asked yet"
        rate = f", {seen.rate:.1f} tokens/s" if seen.rate is not None else ""
        cold = f"; {seen.cold:.1f} s to load" if seen.cold is not None else ""
        return f"{plural(self.tokens, 'token')} in {seen.warm:.1f} s warm{rate}{cold}, at most {self.within:g} s wanted"

    def measured_effect(self, change: Change, before: Answers, after: Answers) -> str:
        """Say what this request took."""
        if len(after.answers) <= len(before.answers):
            return ""
        last = after.answers[-1]
        return f"{last.total:.1f} s, {last.load:.1f} s of them the load"

    def values(self, seen: Answers) -> dict[str, Any]:
        """Register the figures."""
        return {
            "warm": seen.warm, "cold": seen.cold, "tokens_per_second": seen.rate,
            "first_token": _middle([one.first_token for one in seen.answers if one.load <= 1.0]),
            "gpu_percent": _middle([one.gpu_percent for one in seen.answers]),
            "cpu_percent": _middle([one.cpu_percent for one in seen.answers]),
        }  # fmt: skip


@step("gpu.sample", risk=Risk.OBSERVE)
class GpuSampled(Step[Sequence[GpuSample]]):
    """The cards' load and memory over a while, within bounds where such are given: a check, it changes nothing.

    The guide's ``while ($true) { nvidia-smi }``, with an end. Live views of many hosts are what ``monitor`` is for.
    """

    seconds: float = param("for how long", default=10.0, gt=0, le=300)
    every: float = param("seconds between two samples", default=1.0, ge=0.2, le=60)
    busy: int | None = param("percent of load that the busiest sample reaches at least", default=None, ge=0, le=100, example=80)
    idle: int | None = param("percent of load that no sample exceeds", default=None, ge=0, le=100, example=10)

    def look(self, host: Reader) -> Sequence[GpuSample]:
        """Sample, in one call to the host."""
        return tuple(host.gpu.sample(seconds=self.seconds, every=self.every))

    def met(self, seen: Sequence[GpuSample]) -> bool | None:
        """Whether the load keeps the bounds; None where the card does not tell its load."""
        if self.busy is None and self.idle is None:
            return True
        most = _most(seen)
        if most is None:
            return None
        return (self.busy is None or most >= self.busy) and (self.idle is None or most <= self.idle)

    def plan(self, seen: Sequence[GpuSample]) -> Iterator[Change]:
        """Plan nothing."""
        return iter(())

    def describe(self, seen: Sequence[GpuSample]) -> str:
        """Say the highest load and the memory."""
        most, used = _most(seen), max((one.used for one in seen if one.used is not None), default=None)
        load = f"at most {most} % load" if most is not None else "its load is not told"
        memory = f", at most {human(used)} used" if used is not None else ""
        return f"{load}{memory} in {self.seconds:g} s ({plural(len(seen), 'sample')})"

    def values(self, seen: Sequence[GpuSample]) -> dict[str, Any]:
        """Register the samples."""
        rows = [{"at": one.at, "index": one.index, "utilization": one.utilization, "used": one.used} for one in seen]
        return {"samples": rows, "busiest": _most(seen)}


def _most(samples: Sequence[GpuSample]) -> int | None:
    return max((one.utilization for one in samples if one.utilization is not None), default=None)


def _middle(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return median(known) if known else None
