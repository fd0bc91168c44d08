"""How a ladder ends without its goal: what it leaves untried, what it says to do next, and what check mode promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from remediation.engine.ladder.goal import HANG
from remediation.engine.ladder.ladder import Ladder
from remediation.engine.ladder.rung_order import Rung
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import CallFailed, DeadlineExceeded, Undecided
from remediation.model.facts import Runner
from remediation.model.finding import Cause, Diagnosis, RuledOut
from remediation.model.outcome import Outcome
from remediation.steps.contract import Step, param, step
from tests.engine.fakes.host import MODEL, FakeReader
from tests.engine.ladder.test_ladder import CLOSE, GOAL, NUM_GPU, RELOAD, RESTART, ROOM, found, occupied, run, rungs, says
from tests.engine.sample_steps import TOYS, Bench, WholeOnGpu

DELETE = StepCall("sample.deleted", {"model": MODEL})
SOUND = StepCall("sample.sound", {})
FETCH = Rung("Fetch it again", (Cause.MODEL_CORRUPT,), last_resort=True, calls=(SOUND,))
RECREATE = Rung("Recreate the volume", (Cause.MODEL_CORRUPT,), last_resort=True, calls=(DELETE,))
SOUND_SAYS = "all 5 layers are what the manifest names"


@step("sample.sound", risk=Risk.DISRUPTIVE)
class Sound(Step[bool]):
    """The model's layers are sound; in the tests either they are, or nothing can be done about it."""

    damaged: bool = param("whether they are damaged", default=False)

    def observe(self, host: Reader) -> bool:
        return not self.damaged

    def is_met(self, seen: bool) -> bool:
        return seen

    def plan(self, seen: bool) -> Iterator[Change]:
        return iter(())

    def describe(self, seen: bool) -> str:
        return SOUND_SAYS if seen else "layer 3d31 is damaged, and the registry does not answer"

    def advice(self, seen: bool) -> str:
        return "let the host reach the registry"

    def rules_out(self, seen: bool) -> Iterable[RuledOut]:
        yield RuledOut(Cause.MODEL_CORRUPT, self.describe(seen))


@step("sample.answering")
class Answering(WholeOnGpu):
    """The model lies on the GPU as a whole, and answers."""

    def confirm(self, host: Writer, seen: Runner | None) -> str:
        assert seen is not None
        try:
            host.ollama.generate(seen.model, "Hi", options={"num_predict": 1}, timeout=60.0)
        except CallFailed as error:
            return f"it does not answer: {error.message}"
        return ""


@step("sample.unclear")
class Unclear(WholeOnGpu):
    """A goal of a host with several possible models."""

    def observe(self, host: Reader) -> Runner | None:
        raise Undecided("several models are loaded, and none is named", host=host.name, next_step="name it: -e model=NAME")


@step("sample.waking")
class Waking(WholeOnGpu):
    """A goal whose server hangs for some seconds of the host's clock."""

    seconds: float = param("how long it hangs")

    def observe(self, host: Reader) -> Runner | None:
        clock = cast("FakeReader", host)._world.clock
        if clock.monotonic() < STARTED[0] + self.seconds:
            raise DeadlineExceeded("the server does not answer", host=host.name)
        return super().observe(host)


STARTED = [0.0]
STEPS = {**TOYS, **{cls.name: cls for cls in (Sound, Answering, Unclear, Waking)}}


def bench(diagnosis: Diagnosis, **more: Any) -> Bench:
    return occupied(diagnose=says(diagnosis), steps=STEPS, **more)


def left_out(made: Bench) -> dict[str, str]:
    return {data["rung"]: data["reason"] for data in made.recorded.of("rung_skipped")}


@pytest.mark.parametrize(
    ("seconds", "check", "wakes"), [(HANG - 1, False, True), (HANG + 600, False, False), (HANG - 1, True, False)]
)
def test_a_server_that_hangs_for_a_moment_is_waited_for_before_a_rung_is_tried(seconds: float, check: bool, wakes: bool) -> None:
    made = bench(found(explicit_num_gpu=0.9))
    made.world.clock.sleep(1.0)
    STARTED[0] = made.world.clock.monotonic()
    goal = (StepCall("sample.waking", {"model": MODEL, "seconds": seconds}),)
    result = run(made, Ladder(goal, (RESTART,)), check=check)
    texts = [data["text"] for data in made.recorded.of("goal")]
    assert (texts[0] != "the server does not answer") == wakes
    assert result.outcome is not Outcome.OK
    waited = made.world.clock.monotonic() - STARTED[0]
    assert waited >= HANG - 1 if not check else waited < 1


@pytest.mark.parametrize("check", [False, True])
def test_a_confirmed_cause_that_no_rung_treats_ends_the_run_with_its_cure(check: bool) -> None:
    made = bench(found(driver_too_old=0.92, vram_occupied=0.85, explicit_num_gpu=0.4))
    result = run(made, Ladder(GOAL, (NUM_GPU, ROOM, RESTART, RECREATE)), check=check, last_resort=True)
    assert (result.outcome, rungs(made), made.world.writes) == (Outcome.FAILED, [], [])
    assert result.next_step == "cure driver_too_old"
    assert result.reason.endswith("no rung of this ladder treats driver_too_old")
    assert left_out(made)["Make room"] == "driver_too_old 0.92 is confirmed, but no rung treats it"


def test_where_the_confirmed_cure_fails_nothing_is_guessed() -> None:
    made = bench(found(vram_occupied=0.97))
    made.world.fails["processes.close"] = [CallFailed("it does not end", next_step="close it by hand")] * 1000
    result = run(made, Ladder(GOAL, (NUM_GPU, ROOM)))
    assert (rungs(made), result.next_step) == (["Make room"], "close it by hand")
    assert left_out(made)["A client left few layers"] == "not confirmed, but vram_occupied 0.97 is"


def test_what_a_cure_freed_in_part_is_brought_into_effect_by_a_safe_rung() -> None:
    made = bench(found(vram_occupied=0.97))
    made.world.start("discord.exe", vram=1024**3)
    made.world.stubborn.add("discord.exe")
    part = replace(ROOM, calls=(replace(CLOSE, params={"names": ["chrome", "discord"]}), RELOAD))
    risky = replace(ROOM, name="Close more", treats=(Cause.OTHER_MODEL_LOADED,))
    result = run(made, Ladder(GOAL, (NUM_GPU, part, replace(risky, calls=(DELETE,)))))
    assert rungs(made) == ["Make room", "A client left few layers"]
    assert made.world.writes[-2:] == [f"unload {MODEL}", f"load {MODEL}"]
    assert result.outcome is Outcome.CHANGED


def test_where_the_confirmed_cure_fails_a_last_resort_that_the_user_allowed_is_tried_for_what_was_found_too() -> None:
    for allowed in (False, True):
        made = bench(found(vram_occupied=0.97, docker_desktop_state=0.6, model_corrupt=0.6))
        made.world.fails["processes.close"] = [CallFailed("it does not end", next_step="close it by hand")] * 1000
        run(made, Ladder(GOAL, (NUM_GPU, ROOM, RESTART, RECREATE)), last_resort=allowed)
        assert rungs(made) == (["Make room", "Restart it all"] if allowed else ["Make room"])
        assert "Recreate the volume" in left_out(made)  # nothing is deleted on a suspicion


def test_a_rung_that_treats_nothing_confirmed_never_says_what_to_do_next() -> None:
    made = bench(found(explicit_num_gpu=0.5))
    made.world.fails["processes.close"] = [CallFailed("it does not end", next_step="close it by hand")] * 1000
    result = run(made, Ladder(GOAL, (ROOM,)))
    assert (rungs(made), result.next_step) == (["Make room"], "cure explicit_num_gpu")
    made = bench(found(explicit_num_gpu=0.5))
    result = run(made, Ladder(GOAL, (ROOM,)), max_risk=Risk.SAFE)
    assert (result.outcome, result.next_step) == (Outcome.UNVERIFIED, "cure explicit_num_gpu")


@pytest.mark.parametrize("check", [False, True])
def test_a_blocked_cure_names_every_option_that_it_needs(check: bool) -> None:
    made = bench(found(model_corrupt=0.97))
    both = replace(RECREATE, calls=(CLOSE, DELETE))
    result = run(made, Ladder(GOAL, (NUM_GPU, both)), max_risk=Risk.SAFE, check=check)
    assert (result.outcome, made.world.writes) == (Outcome.BLOCKED, [])
    assert result.next_step == "allow it with --max-risk disruptive --yes-destroy laptop-07"


def test_a_last_resort_is_offered_only_for_a_cause_that_something_speaks_for() -> None:
    made = bench(found(docker_desktop_state=0.6, vram_occupied=0.3))
    result = run(made, Ladder(GOAL, (NUM_GPU, RESTART, FETCH, RECREATE)))
    assert result.next_step == "allow 'Restart it all' with --last-resort: docker_desktop_state 0.60 may be the cause"
    made = bench(found(vram_occupied=0.6))
    assert run(made, Ladder(GOAL, (NUM_GPU, RESTART, FETCH, RECREATE))).next_step == "cure vram_occupied"


def test_what_may_delete_data_is_never_offered_on_a_suspicion() -> None:
    made = bench(found(model_corrupt=0.6))
    assert run(made, Ladder(GOAL, (NUM_GPU, RECREATE))).next_step == "cure model_corrupt"


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("allowed", [False, True])
def test_a_check_that_finds_the_data_sound_takes_the_rungs_that_would_delete_it_out(check: bool, allowed: bool) -> None:
    made = bench(found(model_corrupt=0.93, vram_occupied=0.6))
    destroy = {"yes_destroy": frozenset({"laptop-07"}), "max_risk": Risk.DESTRUCTIVE} if allowed else {}
    result = run(made, Ladder(GOAL, (NUM_GPU, FETCH, RECREATE)), check=check, last_resort=allowed, **destroy)
    assert f"delete {MODEL}" not in made.world.writes
    assert "Recreate the volume" not in rungs(made)
    assert left_out(made)["Recreate the volume"] == f"model_corrupt is ruled out ({SOUND_SAYS})"
    assert "yes-destroy" not in result.next_step
    assert "model_corrupt" not in result.values["causes"]


def test_a_resumed_run_deletes_nothing_that_was_found_sound_before_it_was_cut_off() -> None:
    made = bench(found(model_corrupt=0.93))
    made.memory.climbed["0.0"] = (FETCH.name,)
    run(made, Ladder(GOAL, (FETCH, RECREATE)), yes_destroy=frozenset({"laptop-07"}), max_risk=Risk.DESTRUCTIVE)
    assert (rungs(made), made.world.writes) == ([], [])


def test_a_damage_that_cannot_be_mended_now_says_what_mends_it_and_offers_no_deletion() -> None:
    made = bench(found(model_corrupt=0.97))
    offline = replace(FETCH, calls=(replace(SOUND, params={"damaged": True}),))
    for check in (False, True):
        result = run(made, Ladder(GOAL, (offline, RECREATE)), check=check)
        assert (result.outcome, result.next_step) == (Outcome.UNVERIFIED, "let the host reach the registry")
        assert made.world.writes == []


def test_check_mode_shows_a_rung_that_would_fail_and_predicts_nothing_of_it() -> None:
    made = bench(found(model_corrupt=0.97))
    offline = replace(
        FETCH, calls=(replace(SOUND, params={"damaged": True}), replace(RELOAD, params={"model": MODEL, "predicts": [33, 33]}))
    )
    result = run(made, Ladder(GOAL, (offline,)), check=True)
    (start,) = made.recorded.of("rung_start")
    assert (start["would"], start["stops"], "predicted" in start) == ("fail", False, False)
    assert result.outcome is Outcome.UNVERIFIED


def test_a_partial_prediction_does_not_meet_the_goal() -> None:
    made = bench(found(vram_occupied=0.97, explicit_num_gpu=0.9))
    partly = replace(ROOM, calls=(CLOSE, replace(RELOAD, params={"model": MODEL, "predicts": [27, 33]})))
    result = run(made, Ladder(GOAL, (partly, replace(NUM_GPU, calls=(CLOSE, RELOAD)))), check=True)
    assert [(data["rung"], data["stops"]) for data in made.recorded.of("rung_start")] == [
        ("Make room", False),
        ("A client left few layers", False),
    ]
    assert result.reason.endswith("no rung is predicted to meet the goal")
    assert result.outcome is Outcome.WOULD_CHANGE


def test_check_mode_ends_as_a_run_would_where_nothing_could_be_done() -> None:
    made = bench(found(vram_occupied=0.97))
    result = run(made, Ladder(GOAL, (ROOM,)), check=True, max_risk=Risk.SAFE)
    assert (result.outcome, result.next_step) == (Outcome.BLOCKED, "allow it with --max-risk disruptive")
    (start,) = made.recorded.of("rung_start")
    assert (start["would"], start["stops"]) == ("be blocked", False)
    asked = bench(found(vram_occupied=0.97))
    assert run(asked, Ladder(GOAL, (ROOM,)), check=True, max_risk=Risk.SAFE, interactive=True).outcome is Outcome.WOULD_CHANGE


def test_a_goal_is_met_only_if_the_model_answers() -> None:
    goal = (StepCall("sample.answering", {"model": MODEL}),)
    made = bench(found(system_memory_limit=0.97))
    made.world.programs.clear()
    made.world.runners.clear()
    run(made, Ladder(GOAL, ()))
    made.world.writes.clear()
    made.world.fails["ollama.generate"] = [CallFailed("model runner has unexpectedly stopped", status=500)]
    result = run(made, Ladder(goal, ()))
    assert result.outcome is Outcome.FAILED
    assert "it does not answer: model runner has unexpectedly stopped" in result.reason
    assert result.next_step == "cure system_memory_limit"
    assert run(made, Ladder(goal, ())).outcome is Outcome.OK
    assert made.world.writes == [f"generate {MODEL}"] * 2
    made.world.writes.clear()
    run(made, Ladder(goal, ()), check=True)
    assert made.world.writes == []


def test_with_several_possible_models_no_rung_is_tried() -> None:
    made = bench(found(vram_occupied=0.97))
    result = run(made, Ladder((StepCall("sample.unclear", {"model": MODEL}),), (ROOM, RESTART)))
    assert (result.outcome, result.next_step, rungs(made)) == (Outcome.FAILED, "name it: -e model=NAME", [])


def test_a_load_that_failed_is_not_tried_again_before_something_has_changed() -> None:
    made = bench(Diagnosis())
    made.world.runners.clear()
    made.world.programs.clear()
    made.world.fails["ollama.load"] = [CallFailed("unable to load model", status=500)] * 1000
    names = ("one", "two", "three", "four")
    run(made, Ladder(GOAL, tuple(Rung(name, calls=(RELOAD,)) for name in names)))
    assert rungs(made) == list(names)
    assert made.world.writes.count(f"load {MODEL}") == 1
    assert len([data for data in made.recorded.of("note") if "could not be determined" in data["text"]]) == 1


def test_after_a_change_the_load_is_tried_again() -> None:
    made = bench(found(vram_occupied=0.97))
    made.world.runners.clear()
    made.world.fails["ollama.load"] = [CallFailed("out of memory", status=500)]
    assert run(made, Ladder(GOAL, (ROOM,))).outcome is Outcome.CHANGED
    assert made.world.writes == [f"load {MODEL}", "close chrome.exe", f"load {MODEL}"]


@pytest.mark.parametrize("check", [False, True])
def test_a_rung_of_a_container_is_no_last_resort_where_none_runs_ollama(check: bool) -> None:
    @step("sample.recreated", risk=Risk.DISRUPTIVE, in_container=True)
    class Recreated(Sound):
        """A state of Ollama's container."""

        def rules_out(self, seen: bool) -> Iterable[RuledOut]:
            return ()

    rung = Rung("Recreate the container", (Cause.DOCKER_DESKTOP_STATE,), last_resort=True, calls=(StepCall(Recreated.name, {}),))
    for native in (False, True):
        made = occupied(
            diagnose=says(found(docker_desktop_state=0.6, vram_occupied=0.3)), steps={**STEPS, Recreated.name: Recreated}
        )
        if not native:  # a container may be there, and this login does not see it
            said = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
            made.world.fails["engine.containers"] = [CallFailed("the engine refuses the login", output=said)] * 100
        result = run(made, Ladder(GOAL, (NUM_GPU, rung)), check=check)
        assert ("Recreate the container" in result.next_step) is (not native and not check), result
        reason = left_out(made)["Recreate the container"]
        assert (reason == "does not apply, because no container runs Ollama here") is native
        assert [data["reason"] for data in made.recorded.of("rung_skipped") if data["rung"] == rung.name] == [reason]
