"""Measures a model's response time from Ollama's own durations, and the load of the GPUs over time."""

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
from remediation.steps.contract import CheckStep, Step, param, step
from remediation.steps.resolve import resolve_model, runner_of

PROMPT = "Write the numbers from one to sixty as words, separated by commas."


@dataclass(frozen=True, slots=True)
class Answers:
    """A model, its runner, and the answers to this step's requests so far."""

    model: str
    runner: Runner | None
    answers: tuple[GenerationFigures, ...]

    @property
    def rate(self) -> float | None:
        """Median tokens per second of the requests. The load of a cold model is not counted."""
        rates = [one.tokens / one.eval for one in self.answers if one.eval > 0 and one.tokens]
        return median(rates) if rates else None

    @property
    def warm(self) -> float | None:
        """Median seconds of a warm request, without the load."""
        return median(one.total - one.load for one in self.answers) if self.answers else None

    @property
    def cold(self) -> float | None:
        """Seconds of the load, if one of the requests had to load the model."""
        return max((one.load for one in self.answers if one.load > 1.0), default=None)


@step("model.responds", settle=0.0, deadline=600.0)
class ModelResponds(Step[Answers]):
    """The model answers fast enough, measured over several requests. Cold and warm requests are distinguished.

    The guide's "under 5 s is the GPU, over 15 s the CPU" mistakes a cold load for CPU inference. This step judges warm requests
    and the rate in tokens per second. It sends new requests each time it runs, and they renew the model's keep_alive.
    """

    within: float = param("highest duration of a warm request in seconds", default=5.0, gt=0, example=5.0)
    rate: float | None = param("lowest rate in tokens per second", default=None, gt=0, example=20.0)
    samples: int = param("number of requests", default=3, ge=1, le=50)
    tokens: int = param("tokens per answer", default=50, ge=1, le=500)
    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")

    _answers: list[GenerationFigures] = PrivateAttr(default_factory=list)

    def observe(self, host: Reader) -> Answers:
        model = resolve_model(self.model, host)
        return Answers(model, runner_of(model, host.ollama.running()), tuple(self._answers))

    def is_met(self, state: Answers) -> bool | None:
        """Whether it was fast enough. None before the requests."""
        if state.warm is None or len(state.answers) < self.samples:
            return None
        return state.warm <= self.within and (self.rate is None or (state.rate or 0.0) >= self.rate)

    def plan(self, state: Answers) -> Iterator[Change]:
        for number in range(len(state.answers) + 1, self.samples + 1):
            yield Change(
                f"ask {state.model} for {plural(self.tokens, 'token')} ({number} of {self.samples})",
                subject=state.model,
                measures=True,
            )

    def apply(self, host: Writer, change: Change) -> None:
        """Use the runner's context size, so that the model is not reloaded."""
        runner = runner_of(change.subject, host.ollama.running())
        options: dict[str, Any] = {"num_predict": self.tokens, "temperature": 0, "seed": 1}
        if runner is not None and runner.context_length:
            options["num_ctx"] = runner.context_length
        self._answers.append(host.ollama.generate(change.subject, PROMPT, options=options, timeout=300.0))

    def describe(self, state: Answers) -> str:
        if state.warm is None:
            return f"{state.model} has not been queried yet"
        rate = f", {state.rate:.1f} tokens/s" if state.rate is not None else ""
        cold = f"; {state.cold:.1f} s to load" if state.cold is not None else ""
        return f"{plural(self.tokens, 'token')} in {state.warm:.1f} s warm{rate}{cold}, limit {self.within:g} s"

    def measured_effect(self, change: Change, before: Answers, after: Answers) -> str:
        if len(after.answers) <= len(before.answers):
            return ""
        last = after.answers[-1]
        return f"{last.total:.1f} s, {last.load:.1f} s of it loading"

    def values(self, state: Answers) -> dict[str, Any]:
        return {
            "warm": state.warm, "cold": state.cold, "tokens_per_second": state.rate,
            "first_token": _middle([one.first_token for one in state.answers if one.load <= 1.0]),
            "gpu_percent": _middle([one.gpu_percent for one in state.answers]),
            "cpu_percent": _middle([one.cpu_percent for one in state.answers]),
        }  # fmt: skip


@step("gpu.sample", risk=Risk.OBSERVE)
class GpuSampled(CheckStep[Sequence[GpuSample]]):
    """The load and memory of the GPUs over time stay within the given bounds. This step only checks.

    A bounded version of the guide's ``while ($true) { nvidia-smi }``. For a live view of many hosts, use ``monitor``.
    """

    seconds: float = param("duration in seconds", default=10.0, gt=0, le=300)
    every: float = param("seconds between samples", default=1.0, ge=0.2, le=60)
    busy: int | None = param("lowest load in percent that the busiest sample must reach", default=None, ge=0, le=100, example=80)
    idle: int | None = param("highest load in percent of any sample", default=None, ge=0, le=100, example=10)

    def observe(self, host: Reader) -> Sequence[GpuSample]:
        return tuple(host.gpu.sample(seconds=self.seconds, every=self.every))

    def is_met(self, state: Sequence[GpuSample]) -> bool | None:
        """Whether the load is within the bounds. None if the card does not report its load."""
        if self.busy is None and self.idle is None:
            return True
        most = _most(state)
        if most is None:
            return None
        return (self.busy is None or most >= self.busy) and (self.idle is None or most <= self.idle)

    def describe(self, state: Sequence[GpuSample]) -> str:
        most, used = _most(state), max((one.used for one in state if one.used is not None), default=None)
        load = f"at most {most} % load" if most is not None else "load not reported"
        memory = f", at most {human(used)} used" if used is not None else ""
        return f"{load}{memory} in {self.seconds:g} s ({plural(len(state), 'sample')})"

    def values(self, state: Sequence[GpuSample]) -> dict[str, Any]:
        rows = [{"at": one.at, "index": one.index, "utilization": one.utilization, "used": one.used} for one in state]
        return {"samples": rows, "busiest": _most(state)}


def _most(samples: Sequence[GpuSample]) -> int | None:
    return max((one.utilization for one in samples if one.utilization is not None), default=None)


def _middle(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return median(known) if known else None
