"""compose.environment takes out what harms on the release at hand, and leaves the rest alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediation.model.outcome import Outcome
from tests.engine.fakes.examples import BASE, FOLDER, GPU, stack
from tests.steps.step_runner import run, seen, undo


def test_the_guides_environment_loses_the_harmful_setting_alone() -> None:
    world = stack("OLLAMA_NUM_GPU=99", "OLLAMA_GPU_MEMORY_FRACTION=0.85", "OLLAMA_LLM_LIBRARY=cuda")
    before = world.texts[GPU]
    result = run(world, "compose.environment")
    assert result.outcome is Outcome.CHANGED
    assert world.texts[GPU] == before.replace(b"      - OLLAMA_LLM_LIBRARY=cuda\n", b"")
    assert b"# every card" in world.texts[GPU]
    assert "ignored by this release, kept: OLLAMA_NUM_GPU=99" in result.reason
    assert "-      - OLLAMA_LLM_LIBRARY=cuda" in result.changes[0].diff
    backup = next(path for path in world.texts if path.endswith(".bak"))
    assert world.texts[backup] == before


@pytest.mark.parametrize(
    ("version", "outcome"), [("0.12.3", Outcome.OK), ("0.12.4", Outcome.CHANGED), ("0.32.0", Outcome.CHANGED)]
)
def test_what_harms_depends_on_the_release(version: str, outcome: Outcome) -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    world.version = version
    assert run(world, "compose.environment").outcome is outcome


@pytest.mark.parametrize(
    "setting", ["CUDA_VISIBLE_DEVICES=-1", "CUDA_VISIBLE_DEVICES=", "CUDA_VISIBLE_DEVICES=1", "NVIDIA_VISIBLE_DEVICES=void"]
)
def test_what_hides_every_card_goes(setting: str) -> None:
    world = stack(setting) if not setting.startswith("NVIDIA") else stack()
    if setting.startswith("NVIDIA"):
        world.texts[GPU] = world.texts[GPU].replace(b"NVIDIA_VISIBLE_DEVICES=all", setting.encode())
    assert run(world, "compose.environment").outcome is Outcome.CHANGED
    assert setting.partition("=")[0].encode() + b"=" + setting.partition("=")[2].encode() + b"\n" not in world.texts[GPU]


def test_a_card_that_is_there_is_no_harm() -> None:
    assert run(stack("CUDA_VISIBLE_DEVICES=0"), "compose.environment").outcome is Outcome.OK


def test_prune_takes_dead_settings_out_as_well() -> None:
    world = stack("OLLAMA_NUM_GPU=99", "OLLAMA_GPU_MEMORY_FRACTION=0.85")
    assert run(world, "compose.environment").outcome is Outcome.OK
    assert run(world, "compose.environment", {"prune": True}).outcome is Outcome.CHANGED
    assert b"NUM_GPU" not in world.texts[GPU]
    assert b"FRACTION" not in world.texts[GPU]


def test_what_the_user_sets_stays_though_it_harms() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    assert run(world, "compose.environment", {"set": {"OLLAMA_LLM_LIBRARY": "cuda"}}).outcome is Outcome.OK


def test_undo_restores_the_file_to_the_byte_unless_it_was_edited_since() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    before = world.texts[GPU]
    change = run(world, "compose.environment").changes[0]
    repaired = world.texts[GPU]
    world.texts[GPU] = repaired + b"# mine\n"
    refused = undo(world, change)
    assert (refused.outcome, world.texts[GPU]) == (Outcome.FAILED, repaired + b"# mine\n")
    assert "was edited since" in refused.reason
    world.texts[GPU] = repaired
    assert undo(world, change).outcome is Outcome.CHANGED
    assert world.texts[GPU] == before


def test_undo_recreates_the_container_only_where_it_got_the_edit() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    change = run(world, "compose.environment").changes[0]
    assert [one.summary for one in undo(world, change).changes] == [f"restore {GPU} from {change.data['backup']}"]
    change = run(world, "compose.environment").changes[0]
    run(world, "stack.up")
    assert [one.summary for one in undo(world, change).changes][-1] == "recreate ollama"
    assert world.containers["ai-native-ollama"].environment["OLLAMA_LLM_LIBRARY"] == "cuda"


def test_the_newest_backup_is_found() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    before = world.texts[GPU]
    run(world, "compose.environment")
    assert run(world, "file.restored").outcome is Outcome.CHANGED
    assert world.texts[GPU] == before
    assert run(world, "file.restored").outcome is Outcome.OK


def test_no_backup_is_said_in_a_sentence() -> None:
    result = run(stack(), "file.restored")
    assert (result.outcome, result.changes) == (Outcome.FAILED, ())
    assert "no backup found next to" in result.reason


def test_a_setting_in_an_included_file_is_taken_out_there() -> None:
    world = stack()
    other = f"{FOLDER}\\more.yml"
    world.texts[BASE] = b"include: [more.yml]\n" + world.texts[BASE]
    world.texts[other] = b"services:\n  ollama:\n    environment:\n      - OLLAMA_LLM_LIBRARY=cuda\n      - TZ=UTC\n"
    assert world.project is not None
    world.project = replace(world.project, files=(*world.project.files, other))
    assert run(world, "compose.environment").outcome is Outcome.CHANGED
    assert world.texts[other] == b"services:\n  ollama:\n    environment:\n      - TZ=UTC\n"


def test_a_setting_that_stands_in_no_file_is_not_guessed_at() -> None:
    world = stack()
    world.texts[GPU] = world.texts[GPU].replace(b"    environment:", b"    env_file: gpu.env\n    environment:")
    step, found, plan = seen(world, "compose.environment")
    hidden = replace(found, judged=step.observe.__globals__["judge_declared"]({"OLLAMA_LLM_LIBRARY": "cuda"}, (0, 13, 5)))
    assert plan == []
    assert list(step.plan(hidden)) == []
    assert "check env_file" in step.describe(hidden)


@pytest.mark.parametrize(
    ("given", "said"), [("nope", "has no service 'nope'; it has ollama, api"), (None, "cannot determine the service")]
)
def test_no_service_or_two_are_said_with_the_candidates(given: str | None, said: str) -> None:
    world = stack()
    if given is None:
        world.texts[BASE] = world.texts[BASE].replace(b"image: activia/api", b"image: ollama/ollama")
        step, _, _ = seen(stack(), "compose.environment")
        from remediation.steps.compose.environment import resolve_service
        from tests.engine.fakes.host import FakeReader

        reader = FakeReader(world)
        reader.target = lambda: replace(FakeReader(world).target(), service=None)  # type: ignore[method-assign]
        with pytest.raises(Exception, match=said):
            resolve_service(reader, reader.compose.config(world.project)["services"], None)  # type: ignore[arg-type]
        assert step
        return
    result = run(world, "compose.environment", {"service": given})
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert said in result.reason


def test_yaml_with_a_tab_is_an_error_with_its_line_and_nothing_is_written() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    seen_before = run(world, "compose.environment", check=True)
    assert seen_before.outcome is Outcome.WOULD_CHANGE
    world.texts[GPU] = world.texts[GPU].replace(b"  ollama:\n", b"  ollama:\n\t# tab\n\tx: 1\n", 1)
    from remediation.steps.compose.text import ComposeText

    with pytest.raises(Exception, match=r"docker-compose\.gpu\.yml:\d+"):
        ComposeText(GPU, world.texts[GPU].decode())
    assert world.writes == []


def test_a_write_that_fails_leaves_the_file() -> None:
    from remediation.model.errors import CallFailed

    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    before = dict(world.texts)
    world.fails["files.write"] = [CallFailed("no space left on device")]
    result = run(world, "compose.environment")
    assert (result.outcome, world.texts) == (Outcome.FAILED, before)
    assert "no space left" in result.reason
