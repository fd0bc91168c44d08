"""Figures before and after: asked of the loaded runner with its own context, and never made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from remediation.engine.benchmark import measure
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded, HostError, Unreachable
from remediation.model.facts import Found, GenerationFigures, Runner, Target

MODEL = "mistral:7b-instruct-q4_K_M"
LOADED = Runner(MODEL, size=5_700_000_000, size_vram=476_000_000, context_length=4096)


@dataclass
class FakeOllama:
    """An Ollama that has `loaded` and answers `answer`, or fails with it."""

    loaded: list[Runner] = field(default_factory=lambda: [LOADED])
    answer: GenerationFigures | HostError = field(default_factory=lambda: generation(8))
    silent: HostError | None = None
    asked: list[tuple[str, Mapping[str, Any], float]] = field(default_factory=list)

    def running(self) -> list[Runner]:
        if self.silent is not None:
            raise self.silent
        return self.loaded

    def generate(
        self,
        model: str,
        prompt: str,
        *,
        options: Mapping[str, Any],
        timeout: float,
        sample: bool = True,
    ) -> GenerationFigures:
        self.asked.append((model, options, timeout))
        if isinstance(self.answer, HostError):
            raise self.answer
        return self.answer


@dataclass
class FakeHost:
    """The part of a host that a measurement touches."""

    ollama: FakeOllama
    model: str = MODEL

    def target(self) -> Target:
        return Target(model=Found(self.model, "given"))


def generation(tokens: int) -> GenerationFigures:
    return GenerationFigures(
        tokens=tokens, total=6.0, load=0.5, prompt_eval=1.0, eval=0.5 * tokens, first_token=1.4, gpu_percent=3.0, cpu_percent=94.0
    )


def figures(host: FakeHost, label: str = "before", *, check: bool = False) -> dict[str, Any]:
    return measure(host, None if check else host, label=label, layers=(1, 33))  # type: ignore[arg-type] - the part of a host that is used


def test_before_asks_for_eight_tokens_with_the_runners_own_context_and_extrapolates() -> None:
    host = FakeHost(FakeOllama())
    found = figures(host)
    ((model, options, timeout),) = host.ollama.asked
    assert (model, options["num_ctx"], options["num_predict"], timeout) == (MODEL, 4096, 8, 20.0)
    assert found["total_50_tokens_s"] == pytest.approx(1.0 + 50 * 0.5)
    assert (found["extrapolated"], found["tokens_seen"], found["first_token_s"]) == (True, 8, 1.4)
    assert (found["layers"], found["vram_bytes"], found["gpu_percent"], found["reason"]) == ([1, 33], 476_000_000, 3.0, "")


def test_the_caller_may_limit_the_request_to_the_model() -> None:
    host = FakeHost(FakeOllama())
    measure(host, host, label="before", seconds=3.0)  # type: ignore[arg-type] - the part of a host that is used
    ((_, options, timeout),) = host.ollama.asked
    assert (options["num_predict"], timeout) == (8, 3.0)


def test_num_gpu_is_never_sent_because_it_would_reload_the_runner() -> None:
    host = FakeHost(FakeOllama())
    figures(host)
    assert "num_gpu" not in host.ollama.asked[0][1]


def test_after_asks_for_fifty_and_extrapolates_only_when_the_model_stopped_early() -> None:
    assert figures(FakeHost(FakeOllama(answer=generation(50))), "after")["extrapolated"] is False
    early = figures(FakeHost(FakeOllama(answer=generation(30))), "after")
    assert (early["extrapolated"], early["tokens_seen"]) == (True, 30)
    assert early["total_50_tokens_s"] == pytest.approx(1.0 + 50 * 0.5)


def test_without_a_named_model_it_is_not_said_to_be_unloaded() -> None:
    host = FakeHost(FakeOllama(), model="")
    assert figures(host)["reason"] == "not measured: it is not known which model is meant"


@pytest.mark.parametrize(
    ("ollama", "reason"),
    [
        (FakeOllama(loaded=[]), "not measured: the model is not loaded, and loading it"),
        (FakeOllama(loaded=[Runner("phi3:3.8b", 1, 1, 4096)]), "the model is not loaded"),
        (FakeOllama(loaded=[Runner(MODEL, 5, 1)]), "does not report the context length"),
        (FakeOllama(answer=DeadlineExceeded("slow")), "no answer within 20 s"),
        (FakeOllama(answer=CallFailed("server busy")), "server busy"),
        (FakeOllama(silent=CallFailed("connection refused")), "not measured: connection refused"),
        (FakeOllama(silent=DeadlineExceeded("accepts connections but does not answer")), "not measured: accepts connections"),
        (FakeOllama(silent=Blocked("this login may not")), "not measured: this login may not"),
        (FakeOllama(answer=generation(0)), "without a token"),
    ],
)
def test_what_cannot_be_measured_is_null_with_its_reason(ollama: FakeOllama, reason: str) -> None:
    found = figures(FakeHost(ollama))
    assert found["total_50_tokens_s"] is None
    assert reason in found["reason"]


def test_a_runner_with_unknown_options_gets_no_request_and_none_does_in_check_mode() -> None:
    for host, check in ((FakeHost(FakeOllama(loaded=[Runner(MODEL, 5, 1)])), False), (FakeHost(FakeOllama()), True)):
        figures(host, check=check)
        assert host.ollama.asked == []


def test_a_name_without_tag_means_latest() -> None:
    host = FakeHost(FakeOllama(loaded=[Runner("mistral:latest", 5, 5, 4096)]), model="mistral")
    assert figures(host)["tokens_seen"] == 8


def test_layers_of_a_model_that_is_not_loaded_are_not_taken_from_what_was_seen_before() -> None:
    assert figures(FakeHost(FakeOllama(loaded=[])))["layers"] is None


def test_a_host_that_is_gone_is_no_figure() -> None:
    with pytest.raises(Unreachable):
        figures(FakeHost(FakeOllama(silent=Unreachable("the connection was lost"))))
