"""Whether a loaded model answers: by the log alone, and by a request."""

from __future__ import annotations

import pytest

from remediation.engine.step.executor import execute_step
from remediation.model.change import StepCall
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.outcome import Outcome
from remediation.steps.model.offloaded import last_death, token_failure
from remediation.steps.registry import registry
from tests.engine.fakes.examples import healthy, stack
from tests.engine.fakes.host import MODEL, FakeReader, FakeWriter, World, stamp
from tests.engine.sample_steps import Bench

LOADED = (
    'time=2026-11-29T11:38:07.000Z level=INFO source=server.go:443 msg="loading model" "model layers"=33 requested=-1\n'
    'time=2026-11-29T11:38:09.000Z level=INFO source=server.go:1376 msg="llama runner started in 2.10 seconds"\n'
)
EOF = 'time=2026-11-29T11:38:10.000Z level=ERROR source=server.go:1583 msg="post predict" error="Post \\"http://127.0.0.1:34243/completion\\": EOF"\n'
GONE = 'time=2026-11-29T11:38:11.000Z level=WARN source=server.go:1258 msg="llama runner process no longer running" sys=9 string="signal: killed"\n'
REFUSED = '[GIN] 2026/11/29 - 11:38:10 | 500 |  1.200000s |       127.0.0.1 | POST     "/api/generate"\n'
ANSWERED = '[GIN] 2026/11/29 - 11:38:12 | 200 |  1.200000s |       127.0.0.1 | POST     "/api/chat"\n'
LISTED = '[GIN] 2026/11/29 - 11:38:12 | 200 |     12.000µs |       127.0.0.1 | GET      "/api/ps"\n'


@pytest.mark.parametrize(
    ("after", "died"),
    [
        ("", False),
        (LOADED, False),
        (LOADED + EOF + REFUSED, True),
        (LOADED + EOF + REFUSED + LISTED, True),
        (LOADED + EOF + REFUSED + GONE + LOADED, False),
        (LOADED + EOF + REFUSED + GONE + LOADED + EOF + REFUSED, True),
        (LOADED + EOF + REFUSED + ANSWERED, False),
        (LOADED + REFUSED, False),
    ],
    ids=["nothing", "loaded", "died", "listed", "loaded again", "died again", "answered since", "refused for another reason"],
)
def test_a_runner_that_died_is_known_by_what_follows_its_load(after: str, died: bool) -> None:
    world = healthy()
    world.log += after
    assert bool(last_death(FakeReader(world))) is died
    context = Bench(world, steps=registry()).context()
    result = execute_step(StepCall("model.offloaded", {"layers": "all"}), context)
    assert result.outcome is (Outcome.FAILED if died else Outcome.OK)
    assert ("its runner died while it answered" in result.reason) is died
    assert ("docker logs" in result.next_step) is died


def asked(world: World) -> str:
    return token_failure(FakeWriter(world), world.runners[MODEL])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CallFailed("asking the model failed: model runner has unexpectedly stopped", status=500), "it does not answer: asking the model failed"),
        (CallFailed("asking the model failed: HTTP 502", status=502), "it does not answer"),
        (DeadlineExceeded("no answer"), "it returned no token within 60 s"),
    ],
)  # fmt: skip
def test_the_answer_of_the_model(error: CallFailed, said: str) -> None:
    world = healthy()
    world.fails["ollama.generate"] = [error]
    answer = asked(world)
    assert answer.startswith(said)
    assert bool(answer) is bool(said)
    assert asked(world) == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, ""),
        (CallFailed("Ollama refused: open /blobs/sha256-9f: no such file or directory", status=500), "it does not answer: Ollama refused: open"),
        (DeadlineExceeded("no answer"), "it returned no embedding within 60 s"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_generate_is_asked_for_an_embedding(error: CallFailed | None, said: str) -> None:
    """A server that cannot read a model's file any more refuses in the same words as for an embedding model."""
    world = healthy()
    world.fails["ollama.generate"] = [CallFailed('querying the model failed: "bge-m3" does not support generate', status=400)]
    world.fails["ollama.embed"] = [error] if error is not None else []
    answer = asked(world)
    assert answer.startswith(said)
    assert bool(answer) is bool(said)
    assert world.writes[-1] == f"embed {MODEL}"


def test_after_a_change_a_state_counts_only_once_the_model_answers() -> None:
    world = healthy()
    bench = Bench(world, steps=registry())
    call = StepCall("model.offloaded", {"layers": "all"})
    assert execute_step(call, bench.context()).outcome is Outcome.OK
    assert world.writes == []
    bench.memory.changes = 1
    world.fails["ollama.generate"] = [CallFailed("model runner has unexpectedly stopped", status=500)]
    result = execute_step(call, bench.context())
    assert result.outcome is Outcome.UNVERIFIED
    assert "it does not answer" in result.reason
    assert execute_step(call, bench.context(check=True)).outcome is Outcome.OK
    assert world.writes == [f"generate {MODEL}"]


def test_a_server_that_hangs_in_a_forced_load_is_known_before_it_is_waited_for() -> None:
    world = stack()
    at = stamp(world.clock.now() - 600)
    world.log += (
        f'time={at} level=INFO source=server.go:443 msg="loading model" "model layers"=33 requested=999\n'
        f'time={at} level=INFO source=runner.go:1 msg="starting go runner"\n'
    )
    result = execute_step(StepCall("model.offloaded", {"layers": "all"}), Bench(world, steps=registry()).context())
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert "the server hangs in a forced load" in result.reason
