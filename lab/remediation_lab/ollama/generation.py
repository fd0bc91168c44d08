"""Generated tokens: nonsense words at a speed that depends on where the layers are, and the final object's durations (facts/ollama 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remediation_lab.ollama import golang
from remediation_lab.ollama.loader import Pace, Runner
from remediation_lab.ports import LabClock

_SENTENCE = "the light of a day is scattered by small parts in air so blue reaches us from every side while red goes on"
_WORDS = tuple(_SENTENCE.split())
_NATURAL_LENGTH = 48
_PROMPT_GPU, _PROMPT_CPU = 25.0, 8.0
"""A prompt's tokens are read in batches, so many times as fast as tokens are made."""


class RunnerDied(Exception):  # an event of the world, not an error of the lab
    """The runner's process ended while it was answering."""


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """What an answer is made of: the prompt, how many tokens at most (-1: as many as come), and when the runner is to die."""

    prompt: str
    limit: int
    dies_after: int | None = None


@dataclass(slots=True)
class Tally:
    """What the final object tells about one answer; ns and tokens."""

    started: float
    load: int = 0
    prompt_count: int = 0
    prompt: int = 0
    count: int = 0
    spent: int = 0
    reason: str = "stop"

    def fields(self, now: float) -> dict[str, int]:
        """Return the durations; zero fields are left out, as Go's omitempty does."""
        figures = {
            "total_duration": int((now - self.started) * golang.SECOND),
            "load_duration": self.load,
            "prompt_eval_count": self.prompt_count,
            "prompt_eval_duration": self.prompt,
            "eval_count": self.count,
            "eval_duration": self.spent,
        }
        return {key: value for key, value in figures.items() if value}


def seconds_per_token(runner: Runner, pace: Pace) -> float:
    """Return how long one token takes: every weight is read once, where it lies."""
    return runner.gpu_weights / pace.gpu + runner.cpu_weights / pace.cpu


def seconds_per_prompt_token(runner: Runner, pace: Pace) -> float:
    """Return how long one token of the prompt takes."""
    return runner.gpu_weights / pace.gpu / _PROMPT_GPU + runner.cpu_weights / pace.cpu / _PROMPT_CPU


def words(runner: Runner, request: AnswerRequest, tally: Tally, pace: Pace, clock: LabClock) -> Iterator[str]:
    """Yield the words of one answer, filling the tally; RunnerDied when the runner is to end after so many."""
    prompt, limit, dies_after = request.prompt, request.limit, request.dies_after
    began = clock.now()
    tally.prompt_count = 4 + len(prompt) // 4
    clock.sleep(tally.prompt_count * seconds_per_prompt_token(runner, pace))
    first = clock.now()
    tally.prompt = max(1, int((first - began) * golang.SECOND))
    length = min(limit, _NATURAL_LENGTH) if limit > 0 else _NATURAL_LENGTH
    tally.reason = "length" if 0 < limit <= _NATURAL_LENGTH else "stop"
    for index in range(length):
        if dies_after is not None and index >= dies_after:
            raise RunnerDied
        clock.sleep(seconds_per_token(runner, pace))
        tally.count += 1
        tally.spent = max(1, int((clock.now() - first) * golang.SECOND))
        word = _WORDS[(len(prompt) + index) % len(_WORDS)]
        yield f" {word}" if index else word.capitalize()
