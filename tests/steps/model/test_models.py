"""A model in memory and in the store: reloaded, neutralised, fetched, made whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediation.engine.journal.serialization import build
from remediation.model.change import Risk, StepCall
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded, HostError, Undecided, UsageError
from remediation.model.facts import Found, Manager, Runner, ServerProcess, Serving, Target
from remediation.model.outcome import Outcome
from remediation.steps.registry import registry
from tests.engine.fakes.examples import (
    LOCAL,
    baked,
    healthy,
    left_by_a_client,
    loaded,
    occupied,
    stack,
    stored,
)
from tests.engine.fakes.host import GIB, MODEL, FakeReader, FakeWriter, World, stamp
from tests.steps.step_runner import run, seen, summaries, undo


def test_a_runner_that_a_client_left_is_reloaded_and_never_forced() -> None:
    world = left_by_a_client()
    result = run(world, "model.reloaded")
    assert summaries(result) == [f"unload {MODEL}", f"load {MODEL} with num_gpu -1"]
    assert result.values["layers"] == [33, 33]


def test_a_host_on_which_no_more_fits_is_left_alone() -> None:
    world = occupied()
    assert (run(world, "model.reloaded").outcome, world.writes) == (Outcome.OK, [])


def test_what_the_server_decides_itself_is_what_fits_though_the_memory_model_says_more() -> None:
    world = occupied()
    world.log = world.log.replace(
        'msg="loading model"', 'msg="gpu memory" id=GPU-1 library=CUDA available="1.0 GiB" free="1.7 GiB" minimum="457.0 MiB" overhead="0 B"\n'
        'time=2026-01-01T00:00:00.000Z level=INFO source=server.go:443 msg="loading model"',
    )  # fmt: skip
    name, runner = next(iter(world.runners.items()))
    world.runners[name] = replace(runner, size_vram=runner.size_vram // 2)
    world.log = world.log.replace(f"offloaded {runner.size_vram}", "offloaded 1")
    result = run(world, "model.reloaded", check=True)
    assert result.outcome in {Outcome.OK, Outcome.WOULD_CHANGE}
    assert world.writes == []


def test_a_runner_with_a_clients_long_context_is_reloaded() -> None:
    world = loaded(stack(), num_ctx=32768)
    free = 'msg="gpu memory" id=GPU-1 library=CUDA available="5.5 GiB" free="6.0 GiB" minimum="457.0 MiB" overhead="0 B"'
    world.log = world.log.replace(
        'msg="loading model"', f'{free}\ntime=2026-01-01T00:00:00.000Z level=INFO source=server.go:443 msg="loading model"'
    )
    result = run(world, "model.reloaded")
    assert result.outcome is Outcome.CHANGED
    assert result.values["layers"] == [33, 33]


def test_a_runner_with_a_clients_long_context_is_reloaded_though_no_program_shows_the_card() -> None:
    """Layers on the card prove that it works; OLLAMA_CONTEXT_LENGTH would change nothing for that client."""
    world = loaded(stack(), num_ctx=32768)
    world.fails["gpu.use"] = [CallFailed("nvidia-smi is not installed") for _ in range(40)]
    result = run(world, "model.reloaded")
    assert result.outcome is Outcome.CHANGED
    assert next(iter(world.runners.values())).context_length == 4096


def test_other_models_that_take_the_room_are_unloaded_first() -> None:
    world = stored()
    FakeWriter(world).ollama.load(LOCAL, options={})
    FakeWriter(world).ollama.load(MODEL, options={})
    world.writes.clear()
    result = run(world, "model.reloaded")
    assert summaries(result)[0] == f"unload {LOCAL}"
    assert result.values["layers"] == [33, 33]
    assert run(loaded_beside(), "model.reloaded", {"others": False}).outcome is Outcome.OK


def loaded_beside() -> World:
    world = stored()
    FakeWriter(world).ollama.load(LOCAL, options={})
    FakeWriter(world).ollama.load(MODEL, options={})
    return world


@pytest.mark.parametrize(("ago", "hung"), [(600.0, True), (20.0, False)])
def test_a_server_that_hangs_in_a_forced_load_is_recognised_and_restarted(ago: float, hung: bool) -> None:
    world = stack()
    at = stamp(world.clock.now() - ago)
    world.log += (
        f'time={at} level=INFO source=server.go:443 msg="loading model" "model layers"=33 requested=999\n'
        f'time={at} level=INFO source=runner.go:1 msg="starting go runner"\n'
    )
    _, found, plan = seen(world, "model.reloaded")
    assert bool(found.hung_since) is hung
    assert (plan[0].data["action"] == "restart") is hung
    assert seen(world, "model.loaded")[1].patience == pytest.approx(1.0 if hung else 101.0)  # no other load is answered meanwhile
    if hung:
        assert plan[0].risk is Risk.DISRUPTIVE
        assert run(world, "model.reloaded").outcome is Outcome.CHANGED


def test_a_native_server_that_hangs_in_a_forced_load_is_restarted_as_a_service() -> None:
    world = stack()
    world.project = None
    at = stamp(world.clock.now() - 600)
    world.log += f'time={at} level=INFO source=server.go:443 msg="loading model" "model layers"=33 requested=999\n'
    _, _, plan = seen(world, "model.reloaded")
    assert plan[0].summary.startswith("restart the service ollama: its server hangs")
    run(world, "model.reloaded")
    assert world.writes[:2] == ["restart ollama", f"load {MODEL}"]


def test_a_load_that_does_not_answer_is_timed_out_and_not_repeated() -> None:
    world = stack()
    world.fails["ollama.load"] = [DeadlineExceeded("no answer within 330 s")]
    result = run(world, "model.reloaded")
    assert result.outcome is Outcome.TIMED_OUT
    assert world.writes == [f"load {MODEL}"]


def test_a_setting_that_hides_the_gpu_predicts_no_layer() -> None:
    world = loaded(stack("OLLAMA_LLM_LIBRARY=cuda"))
    assert run(world, "model.offloaded").values["predicted"] == [0, 33]


def test_ps_comes_first_and_the_log_counts() -> None:
    world = left_by_a_client()
    assert run(world, "model.offloaded").values["layers"] == [1, 33]
    world.log += "load_tensors: offloaded 33/33 layers to GPU\n"
    assert run(world, "model.offloaded").values["layers"] is None  # the log speaks of another load
    world.runners[MODEL] = Runner(MODEL, size=5 * GIB, size_vram=0)
    assert run(world, "model.offloaded").values["layers"] == [0, 33]


def test_what_spills_into_system_memory_is_no_success() -> None:
    world = healthy()
    assert run(world, "model.offloaded").outcome is Outcome.OK
    world.start("vmmemWSL", vram=0, spilled=2 * GIB)
    result = run(world, "model.offloaded")
    assert result.outcome is Outcome.FAILED
    assert "shared system memory" in result.reason


@pytest.mark.parametrize(
    ("layers", "outcome"),
    [("all", Outcome.FAILED), ("1", Outcome.OK), ("2", Outcome.FAILED), ("3%", Outcome.OK), ("10%", Outcome.FAILED)],
)
def test_a_goal_is_all_a_number_or_a_share(layers: str, outcome: Outcome) -> None:
    assert run(left_by_a_client(), "model.offloaded", {"layers": layers}).outcome is outcome


@pytest.mark.parametrize("layers", ["some", "-1", "120%", True])
def test_a_goal_that_is_none_is_refused(layers: object) -> None:
    with pytest.raises(UsageError, match="layers"):
        build(StepCall("model.offloaded", {"layers": layers}), registry())


def test_an_unclear_model_is_an_error_with_the_candidates() -> None:
    world = World()
    result = run(world, "model.reloaded")
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert "cannot determine the model" in result.reason


def test_a_baked_in_number_of_layers_is_neutralised_and_can_be_put_back() -> None:
    world = baked()
    result = run(world, "model.parameter")
    assert world.models[MODEL].parameters["num_gpu"] == "-1"
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert world.models[MODEL].parameters["num_gpu"] == "1"


def test_a_parameter_that_would_break_every_request_is_refused() -> None:
    with pytest.raises(UsageError, match="number of layers"):
        build(StepCall("model.parameter", {"set": {"num_gpu": "one"}}), registry())


def test_large_parameters_are_read_as_the_server_prints_them() -> None:
    world = stack()
    world.models[MODEL] = replace(world.models[MODEL], parameters={"num_ctx": "1.048576e+06"})
    assert run(world, "model.parameter", {"set": {"num_ctx": 1048576}}).outcome is Outcome.OK


def test_answers_are_judged_warm_and_by_their_rate() -> None:
    world = stack()
    result = run(world, "model.responds", {"samples": 3, "within": 5})
    assert result.outcome is Outcome.OK  # a measurement is no change
    assert (len(result.changes), all(change.measures for change in result.changes)) == (3, True)
    assert result.values["cold"] == pytest.approx(3.0)
    assert result.values["tokens_per_second"] == pytest.approx(40.0)
    assert result.values["warm"] == pytest.approx(1.35)
    world.eval_rate = 2.0
    slow = run(world, "model.responds", {"samples": 2, "within": 5})
    assert slow.outcome is Outcome.UNVERIFIED
    assert slow.reason.startswith("not met: 50 tokens in ")
    assert "limit 5 s" in slow.reason


@pytest.mark.parametrize("error", [CallFailed("the journal holds nothing"), DeadlineExceeded("no answer"), Blocked("no right")])
def test_without_a_log_the_api_says_enough_for_goal_and_repair(error: HostError) -> None:
    world = left_by_a_client()
    world.fails["ollama.log"] = [error] * 99
    _, found, _ = seen(world, "model.offloaded")
    assert (found.load.whole, found.load.requested, found.load.layers) == (False, None, None)
    result = run(world, "model.reloaded")
    assert (result.outcome, summaries(result)) == (Outcome.CHANGED, [f"unload {MODEL}", f"load {MODEL} with num_gpu -1"])
    assert (run(world, "model.offloaded").outcome, run(world, "model.reloaded").changes) == (Outcome.OK, ())


def test_without_a_log_what_the_server_decided_is_not_loaded_again_and_again() -> None:
    world = occupied()
    world.fails["ollama.log"] = [CallFailed("the journal holds nothing")] * 99
    assert (run(world, "model.reloaded").outcome, world.writes) == (Outcome.OK, [])


@pytest.mark.parametrize("error", [CallFailed("nvidia-smi is not installed"), DeadlineExceeded("asking the GPU took over 30 s")])
def test_without_nvidia_smi_a_number_of_layers_that_a_client_requested_is_repaired(error: HostError) -> None:
    world = left_by_a_client()
    world.fails["gpu.use"] = [error] * 99
    result = run(world, "model.reloaded")
    assert (result.outcome, result.values["layers"]) == (Outcome.CHANGED, [33, 33])
    assert "the free VRAM is unknown" in build(StepCall("model.reloaded"), registry()).describe(
        seen(without_card(left_by_a_client()), "model.reloaded")[1]
    )


def without_card(world: World) -> World:
    world.fails["gpu.use"] = [CallFailed("nvidia-smi is not installed")] * 99
    return world


@pytest.mark.parametrize("still_loaded", [False, True])
def test_a_model_that_is_not_stored_is_never_a_goal_that_is_met(still_loaded: bool) -> None:
    world = healthy() if still_loaded else stack()
    world.variables["model"] = MODEL
    show = world.models.pop(MODEL)
    world.models["phi3:3.8b"] = replace(show, model="phi3:3.8b")
    result = run(world, "model.offloaded")
    assert result.outcome is Outcome.FAILED
    assert f"{MODEL} is not stored on this server" in result.reason
    assert result.next_step == f"pull it: ollama pull {MODEL}, or choose a stored model: -e model=phi3:3.8b"


class Unclear(FakeReader):
    """A host with two models and no named one; a third was deleted and is still loaded."""

    def target(self) -> Target:
        return Target(endpoint=Found("http://127.0.0.1:11434", "answers"), candidates=(MODEL, "phi3:3.8b"), deleted=("old:1b",))


def test_a_model_that_is_not_clear_has_to_be_named() -> None:
    with pytest.raises(Undecided) as refused:
        build(StepCall("model.reloaded"), registry()).observe(Unclear(stack()))
    assert refused.value.message == (
        f"cannot determine the model: the server has {MODEL}, phi3:3.8b (old:1b is still loaded but was deleted)"
    )
    assert refused.value.next_step == f"set it: -e model={MODEL} or -e model=phi3:3.8b, or model in the inventory"


def test_the_only_loaded_model_is_the_target_if_the_server_answers_only_now() -> None:
    """The target was determined while /api/ps timed out."""
    world = healthy()
    world.models["phi3:3.8b"] = world.models[MODEL]
    assert build(StepCall("model.reloaded"), registry()).observe(Unclear(world)).model == MODEL


def test_a_server_that_hangs_is_not_said_to_hold_no_model() -> None:
    class Hanging(FakeReader):
        def target(self) -> Target:
            return Target(endpoint=Found("http://127.0.0.1:11434", "accepts connections and does not answer"))

    world = stack()
    world.fails["ollama.version"] = [DeadlineExceeded("accepts connections but does not answer", next_step="restart the server")]
    with pytest.raises(DeadlineExceeded) as refused:
        build(StepCall("model.offloaded"), registry()).observe(Hanging(world))
    assert refused.value.next_step == "restart the server"


def native() -> World:
    """Return a host whose server runs without any container."""
    world = left_by_a_client()
    world.project = None
    world.containers.clear()
    return world


@pytest.mark.parametrize(
    ("step", "params"),
    [
        ("compose.environment", {}), ("stack.up", {}), ("container.sees_gpu", {}), ("volume.recreated", {}), ("service.recreated", {}),
        ("compose.resources", {"memory": "12 GiB"}), ("docker_desktop.restarted", {}), ("env_file.set", {"set": {"A": "b"}}),
    ],
)  # fmt: skip
def test_what_only_a_container_or_docker_desktop_has_does_not_apply_to_a_native_server(
    step: str, params: dict[str, object]
) -> None:
    for installed in (True, False):
        world = native()
        world.engine_up = installed
        result = run(world, step, params)
        assert (result.outcome, result.applies, world.writes) == (Outcome.SKIPPED, False, []), result.reason
        assert result.reason.startswith("does not apply, because ")


def test_where_the_login_may_not_ask_the_engine_nothing_is_said_not_to_apply() -> None:
    world = native()
    world.fails["engine.containers"] = [
        CallFailed("refused", output="permission denied while trying to connect to the Docker daemon")
    ]
    result = run(world, "compose.environment")
    assert (result.outcome, result.applies) == (Outcome.FAILED, True)


def test_where_the_load_fails_what_was_loaded_before_is_brought_back() -> None:
    world = left_by_a_client()
    world.fails["ollama.load"] = [CallFailed("llama runner process has terminated", status=500)]
    result = run(world, "model.reloaded")
    assert (result.outcome, summaries(result)) == (Outcome.FAILED, [f"unload {MODEL}"])
    assert result.reason == f"llama runner process has terminated; {MODEL} is loaded again with its previous options"
    assert world.writes == [f"unload {MODEL}", f"load {MODEL}", f"load {MODEL}"]
    assert world.runners[MODEL].size_vram < world.runners[MODEL].size


def test_where_nothing_loads_any_more_it_is_said_what_is_left() -> None:
    for error in (CallFailed("connection refused"), DeadlineExceeded("no answer within 330 s")):
        world = left_by_a_client()
        world.fails["ollama.load"] = [error, CallFailed("connection refused")]
        result = run(world, "model.reloaded")
        assert result.reason == f"{error.message}; {MODEL} was loaded before and is unloaded now"
        assert summaries(result) == [f"unload {MODEL}"]
        assert world.writes.count(f"load {MODEL}") == (2 if isinstance(error, CallFailed) else 1)


def test_where_nothing_was_loaded_before_a_failed_load_is_tried_once() -> None:
    world = stack()
    world.fails["ollama.load"] = [CallFailed("llama runner process has terminated", status=500)]
    result = run(world, "model.reloaded")
    assert (result.reason, world.writes) == ("llama runner process has terminated", [f"load {MODEL}"])


def test_a_server_without_models_is_named_with_the_folder_of_its_settings() -> None:
    world = World()
    world.serving = Serving(Manager.PROCESS, process=ServerProcess(1, "ollama", environment={"OLLAMA_MODELS": "/mnt/models"}))
    result = run(world, "model.reloaded")
    assert result.reason == "cannot determine the model: the server has none in /mnt/models"
    assert result.next_step.startswith("pull a model: ollama pull NAME; if it had models: is the disk of /mnt/models mounted")
    world.serving = replace(world.serving, process=None)
    result = run(world, "model.reloaded")
    assert (result.reason, result.next_step) == (
        "cannot determine the model: the server has none",
        "pull a model: ollama pull NAME",
    )
