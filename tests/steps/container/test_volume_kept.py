"""What volume.recreated must not forget: later models, half copies, unlisted manifests, other files in the store; and its undo."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from remediation.facets.scripts import shell
from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, ExecResult
from remediation.model.outcome import Outcome
from remediation.steps.container.volume_inventory import VolumeInventory, unlisted_content
from remediation.steps.model.model_store import StorePlace
from tests.engine.fakes.examples import LOCAL, manifest, stored
from tests.engine.fakes.host import GIB, MODEL, OLLAMA, VOLUME, FakeReader, FakeWriter, World
from tests.engine.fakes.world import Stored, blob_path, manifest_path
from tests.steps.container.test_volume import LOCAL_FILES, POINTS, SAVED, TUNED, digests, everywhere, host
from tests.steps.step_runner import run, seen, summaries

LISTING = """/root/.ollama:
history
id_ed25519
models

/root/.ollama/models:
blobs
manifests

/root/.ollama/models/manifests:
registry.ollama.ai

/root/.ollama/models/manifests/registry.ollama.ai:
ana
library

/root/.ollama/models/manifests/registry.ollama.ai/ana:
own

/root/.ollama/models/manifests/registry.ollama.ai/ana/own:
v1

/root/.ollama/models/manifests/registry.ollama.ai/library:
phi3

/root/.ollama/models/manifests/registry.ollama.ai/library/phi3:
3.8b
"""


def stopped_at(world: World, point: str) -> None:
    """Break the run off at a point."""
    world.fails[point] = [CallFailed("broken off")]
    assert run(world, "volume.recreated").outcome.bad
    world.fails.clear()


def test_a_model_made_after_it_was_written_down_is_written_down_too() -> None:
    world = host()
    stopped_at(world, "compose.remove")
    world.hold(manifest("later:latest", "sha256:" + "c" * 64, size=GIB), world.shows[LOCAL])
    before = digests(world)
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert digests(world) == before
    assert f"record the content of volume {VOLUME}: 3 models" in summaries(result)


def test_half_a_restored_model_is_no_model() -> None:
    world = host()
    before = digests(world)
    stopped_at(world, "ollama.pull")
    whole = world.volumes[VOLUME].files[blob_path(TUNED)]
    world.volumes[VOLUME].files[blob_path(TUNED)] = Stored(whole.size // 2, "sha256:half")
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert (digests(world), world.volumes[VOLUME].files[blob_path(TUNED)]) == (before, whole)


def test_a_copy_that_differs_from_what_was_saved_is_never_called_complete() -> None:
    world = host()
    stopped_at(world, "ollama.pull")
    whole = world.volumes[VOLUME].files[blob_path(TUNED)]
    world.volumes[VOLUME].files[blob_path(TUNED)] = Stored(whole.size, "sha256:rotten")
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.FAILED
    assert "differs from what was saved" in result.reason
    assert world.volumes[SAVED].files[blob_path(TUNED)] == whole


def test_a_layer_that_was_damaged_before_comes_back_as_it_was() -> None:
    world = host()
    old = world.volumes[VOLUME].files[blob_path(TUNED)]
    world.volumes[VOLUME].files[blob_path(TUNED)] = Stored(old.size, "sha256:damaged")
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert world.volumes[VOLUME].files[blob_path(TUNED)].digest == "sha256:damaged"


def test_files_next_to_the_store_and_unlisted_manifests_are_found() -> None:
    world = host()
    world.answers["ls", "-R", "/root/.ollama"] = ExecResult(0, LISTING)
    found = unlisted_content(FakeReader(world), OLLAMA, StorePlace(VOLUME, "models"))
    assert found == VolumeInventory(("ana/own:v1", "phi3:3.8b"), ("history", "id_ed25519"))


def test_a_manifest_that_the_server_does_not_list_is_fetched_again_or_stops_it() -> None:
    world = host()
    world.answers["ls", "-R", "/root/.ollama"] = ExecResult(0, LISTING)
    result = run(world, "volume.recreated")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert "a manifest of ana/own:v1 that the server does not list" in result.reason
    for name in ("ana/own:v1", "phi3:3.8b"):
        world.registry[name] = manifest(name, "sha256:" + "d" * 64, size=GIB)
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert {"pull phi3:3.8b (1.0 GiB)", "pull ana/own:v1 (1.0 GiB)"} <= set(summaries(result))


def test_the_servers_key_is_saved_and_restored() -> None:
    world = stored()
    world.variables["container"] = OLLAMA
    world.volumes[VOLUME].files["id_ed25519"] = Stored(387, "sha256:key")
    world.answers["ls", "-R", "/root/.ollama"] = ExecResult(0, "/root/.ollama:\nid_ed25519\nmodels\n")
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert f"restore {LOCAL}, id_ed25519 from volume {SAVED}" in summaries(result)
    assert world.volumes[VOLUME].files["id_ed25519"] == Stored(387, "sha256:key")


def test_a_removed_copy_is_made_again_while_that_is_possible() -> None:
    world = host()
    before = digests(world)
    stopped_at(world, "engine.remove_volume")
    del world.volumes[SAVED]
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert digests(world) == before
    assert set(world.volumes[SAVED].files) == LOCAL_FILES


@pytest.mark.parametrize("loss", ["copy", "record", "model"])
def test_what_is_no_longer_saved_when_it_is_to_be_removed_is_not_removed(loss: str) -> None:
    world = host()
    stopped_at(world, "compose.remove")
    step, _, plan = seen(world, "volume.recreated")
    if loss == "copy":
        del world.volumes[SAVED]
    elif loss == "record":
        del world.texts[next(path for path in world.texts if "remediation-volume" in path)]
    else:
        world.hold(manifest(LOCAL, "sha256:" + "9" * 64, size=GIB), world.shows[LOCAL])
        world.volumes[VOLUME].files[manifest_path(LOCAL)] = replace(
            world.volumes[VOLUME].files[manifest_path(LOCAL)], digest="new"
        )
    for change in plan[:2]:
        with pytest.raises(CallFailed, match="not saved in its current state"):
            step.apply(FakeWriter(world), change)
    assert (VOLUME in world.volumes, OLLAMA in world.containers) == (True, True)


@pytest.mark.parametrize("point", POINTS)
def test_taken_back_at_any_point_every_model_is_served_again(point: str) -> None:
    world = host()
    before = digests(world)
    stopped_at(world, point)
    result = run(world, "volume.completed")
    assert not result.outcome.bad, result.reason
    assert digests(world) == before
    assert everywhere(world) == LOCAL_FILES
    assert not [line for line in summaries(result) if line.startswith(("remove volume", "remove the containers"))]


def test_only_what_removes_has_an_undo_and_that_removes_nothing() -> None:
    result = run(host(), "volume.recreated")
    undone = {change.summary.split()[1]: change.undo.step for change in result.changes if change.undo}
    assert undone == {"the": "volume.completed", "volume": "volume.completed"}


def test_with_all_containers_gone_the_second_volume_says_which_project_it_was() -> None:
    world = host()
    del world.containers["ai-native-api"]
    before, project = digests(world), world.project
    stopped_at(world, "engine.remove_volume")
    assert OLLAMA not in world.containers
    world.project = None  # no container has labels by which it could be found
    del world.variables["container"]
    _, state, _ = seen(world, "volume.recreated")
    assert project is not None
    assert state.project == ComposeProject(project.name, project.files, project.working_dir)
    world.project = project
    assert run(world, "volume.completed").outcome is Outcome.CHANGED
    assert digests(world) == before


@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell here")
def test_a_manifest_of_the_same_size_is_copied_over_the_old_one(tmp_path: Path) -> None:
    for name, text in (("from", "new manifest"), ("to", "old manifest")):
        (tmp_path / name / "m").mkdir(parents=True)
        (tmp_path / name / "m" / "latest").write_text(text, encoding="utf-8")
    script = shell("copy").replace("/from/", f"{tmp_path}/from/").replace("/to/", f"{tmp_path}/to/")
    copied = [
        subprocess.run(["sh", "-c", script, "copy", "m"], capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    assert (tmp_path / "to" / "m" / "latest").read_text(encoding="utf-8") == "new manifest"
    assert copied == [f"{len('new manifest')}\n", "0\n"]


@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell here")
def test_a_link_that_waits_in_the_volume_is_not_followed(tmp_path: Path) -> None:
    for name in ("from", "to"):
        (tmp_path / name / "m").mkdir(parents=True)
    (tmp_path / "from" / "m" / "latest").write_text("manifest", encoding="utf-8")
    (tmp_path / "victim").write_text("untouched", encoding="utf-8")
    (tmp_path / "to" / "m" / "latest.remediation-part").symlink_to(tmp_path / "victim")
    script = shell("copy").replace("/from/", f"{tmp_path}/from/").replace("/to/", f"{tmp_path}/to/")
    subprocess.run(["sh", "-c", script, "copy", "m"], capture_output=True, check=True)
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "untouched"
    assert [path.name for path in (tmp_path / "to" / "m").iterdir()] == ["latest"]


def test_a_record_of_an_earlier_release_is_read() -> None:
    world = host()
    stopped_at(world, "compose.remove")
    path = next(path for path in world.texts if "remediation-volume" in path)
    record = json.loads(world.texts[path])
    for name in ("others", "restored", "damaged"):
        del record[name]
    world.texts[path] = json.dumps(record).encode()
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert replace(world.volumes[SAVED], labels={}).files.keys() == LOCAL_FILES
    assert manifest_path(MODEL) in world.volumes[VOLUME].files
