"""volume.recreated loses nothing when it is stopped at any point; what could lose data is refused before any change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from remediation.model.errors import CallFailed, HostError, OutcomeUnknown, Unreachable
from remediation.model.facts import ExecResult
from remediation.model.outcome import Outcome
from remediation.steps.file_edit import digest
from remediation.steps.model.model_store import StorePlace, store_place
from tests.engine.fakes.examples import LOCAL, manifest, stored
from tests.engine.fakes.host import BOOT, GIB, MODEL, OLLAMA, VOLUME, FakeReader, World, container, stamp
from tests.engine.fakes.world import FakeVolume, Stored, blob_path, manifest_path
from tests.steps.step_runner import HOST, run, seen, summaries

POINTS = (
    "files.write",
    "engine.create_volume",
    "engine.copy_volume",
    "compose.remove",
    "engine.remove_volume",
    "compose.up",
    "ollama.pull",
)
TUNED = "sha256:" + "a" * 64
SAVED = f"{VOLUME}-saved-{digest(stamp(BOOT))[:6]}"
LOCAL_FILES = {manifest_path(LOCAL), blob_path(TUNED)}


def host() -> World:
    """Return the host with both models, the container gone from its labels' view as little as possible."""
    world = stored()
    world.variables["container"] = OLLAMA
    return world


def digests(world: World) -> dict[str, str]:
    return {entry.name: entry.digest for entry in FakeReader(world).ollama.models()}


def everywhere(world: World) -> set[str]:
    """Return the files of the local model that are in some volume."""
    return {path for volume in world.volumes.values() for path in volume.files if path in LOCAL_FILES}


def test_every_model_is_there_afterwards_by_its_digest() -> None:
    world = host()
    before, created = digests(world), world.volumes[VOLUME].created_at
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert digests(world) == before
    assert world.volumes[VOLUME].created_at != created
    assert summaries(result) == [
        f"record the content of volume {VOLUME}: 2 models",
        f"save 1.0 GiB of models that no registry holds into volume {SAVED}",
        f"remove the containers that use volume {VOLUME}: {OLLAMA}",
        f"remove volume {VOLUME}; its content can only be restored from the saved copy and the registry",
        f"start ollama with a new volume {VOLUME}",
        f"restore {LOCAL} from volume {SAVED}",
        f"pull {MODEL} (4.1 GiB)",
        f"mark volume {VOLUME} complete: every model is present with its digest",
    ]
    assert set(world.volumes[f"{SAVED}"].files) == LOCAL_FILES


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    "error",
    [CallFailed("broken off"), Unreachable("the connection is lost"), OutcomeUnknown("the answer was lost")],
    ids=lambda one: type(one).__name__,
)
def test_stopped_at_any_point_the_next_run_completes_it_and_nothing_is_lost(point: str, error: HostError) -> None:
    world = host()
    before = digests(world)
    world.fails[point] = [error]
    first = run(world, "volume.recreated")
    assert first.outcome.bad, point
    assert everywhere(world) == LOCAL_FILES
    assert VOLUME in world.volumes or f"{SAVED}" in world.volumes
    world.clock.sleep(3600.0)
    second = run(world, "volume.recreated", run_started=world.clock.now())
    assert second.outcome is Outcome.CHANGED, second.reason
    assert digests(world) == before
    assert everywhere(world) == LOCAL_FILES


def test_one_model_is_written_in_the_singular() -> None:
    world = host()
    run(world, "model.absent", {"model": LOCAL})
    world.fails["ollama.pull"] = [CallFailed("broken off")]
    result = run(world, "volume.recreated")
    assert summaries(result)[0] == f"record the content of volume {VOLUME}: 1 model"
    step, state, _ = seen(world, "volume.recreated")
    assert f"volume {VOLUME} held 1 model" in step.describe(state)
    step, state, _ = seen(world, "volume.completed")
    assert f"volume {VOLUME} is new and holds 0 of 1 model" in step.describe(state)


def test_it_is_recreated_once_per_run() -> None:
    world = host()
    assert run(world, "volume.recreated").outcome is Outcome.CHANGED
    assert run(world, "volume.recreated").outcome is Outcome.OK
    world.clock.sleep(3600.0)
    again = run(world, "volume.recreated", run_started=world.clock.now())
    assert again.outcome is Outcome.CHANGED, again.reason


def test_a_full_disk_while_saving_removes_nothing() -> None:
    world = host()
    world.fails["engine.copy_volume"] = [CallFailed("cp: write error: No space left on device", status=1)]
    result = run(world, "volume.recreated")
    assert (result.outcome, "No space left" in result.reason) == (Outcome.FAILED, True)
    assert not [write for write in world.writes if write.startswith(("remove volume", "compose rm"))]


def test_too_little_disk_is_refused_before_anything_is_done() -> None:
    world = host()
    line = f"/dev/sdb 1000000 900000 {100 * 1024} 90% /root/.ollama"
    world.answers["df", "-Pk", "/root/.ollama"] = ExecResult(0, f"Filesystem Size Used Available\n{line}\n")
    result = run(world, "volume.recreated")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert "of disk space is free" in result.reason


@pytest.mark.parametrize("user", ["another-project-ollama-1", "by-hand"])
def test_another_user_of_the_volume_stops_it_at_once(user: str) -> None:
    world = host()
    other = replace(container("other", {}, name=user), labels={}, volumes=(VOLUME,))
    if user.startswith("another"):
        other = replace(other, labels={"com.docker.compose.project": "another", "com.docker.compose.service": "ollama2"})
    world.containers[user] = other
    result = run(world, "volume.recreated")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert user in result.reason


def test_a_registry_that_does_not_answer_stops_it_at_once() -> None:
    world = host()
    world.fails["ollama.registry"] = [CallFailed("no route to host")]
    result = run(world, "volume.recreated")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert "cannot determine whether the registry has" in result.reason


def test_a_model_of_which_the_registry_holds_another_version_is_saved_too() -> None:
    world = host()
    world.registry[MODEL] = replace(world.registry[MODEL], digest="sha256:newer")
    before = digests(world)
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert digests(world) == before
    assert not [write for write in world.writes if write.startswith("pull")]


def test_a_server_that_does_not_answer_stops_it_because_its_models_are_unknown() -> None:
    world = host()
    step, found, _ = seen(world, "volume.recreated")
    assert found.planned is not None
    assert step.describe(found).startswith(f"volume {VOLUME} held 2 models, {LOCAL} in no registry")


def test_what_differs_afterwards_is_said_and_the_record_stays() -> None:
    world = host()
    world.fails["ollama.pull"] = [CallFailed("connection reset")]
    run(world, "volume.recreated")
    changed = manifest(MODEL, "sha256:" + "e" * 64)
    world.registry[MODEL] = replace(changed, digest="sha256:another")
    result = run(world, "volume.recreated")
    assert result.outcome is Outcome.UNVERIFIED
    assert f"different from the record: {MODEL}" in result.reason
    assert result.next_step.startswith(f"compare {MODEL} with what you need: the registry has another version")
    assert [path for path in world.texts if "remediation-volume" in path]


def test_a_damaged_record_is_not_thrown_away() -> None:
    world = host()
    path = seen(world, "volume.recreated")[1].path
    world.texts[path] = b"{half of it"
    result = run(world, "volume.recreated")
    assert (result.outcome, world.writes, world.texts[path]) == (Outcome.FAILED, [], b"{half of it")
    assert path in result.reason


def test_it_is_destructive_and_wants_the_hosts_name() -> None:
    world = host()
    result = run(world, "volume.recreated", yes_destroy=frozenset())
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert f"--yes-destroy {HOST}" in result.next_step


def test_the_record_names_every_model_and_file() -> None:
    world = host()
    world.fails["engine.create_volume"] = [CallFailed("broken off")]
    run(world, "volume.recreated")
    path = next(path for path in world.texts if "remediation-volume" in path)
    record = json.loads(world.texts[path])
    assert {one["name"]: (one["local"], set(one["paths"])) for one in record["models"]} == {
        MODEL: (False, set()),
        LOCAL: (True, LOCAL_FILES),
    }


def test_where_models_lie_is_read_from_the_mounts() -> None:
    mounts = [
        {"Type": "volume", "Name": "data", "Destination": "/root/.ollama"},
        {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
    ]
    plain = replace(container("ollama", {}), raw={"Mounts": mounts})
    assert store_place(plain) == StorePlace("data", "models")
    moved = replace(
        container("ollama", {"OLLAMA_MODELS": "/models"}),
        raw={"Mounts": [{"Type": "volume", "Name": "m", "Destination": "/models"}]},
    )
    assert store_place(moved) == StorePlace("m", ".")
    elsewhere = replace(container("ollama", {"OLLAMA_MODELS": "/srv/models"}), raw={"Mounts": mounts})
    assert store_place(elsewhere) is None


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("mistral:7b", "models/manifests/registry.ollama.ai/library/mistral/7b"),
        ("mistral", "models/manifests/registry.ollama.ai/library/mistral/latest"),
        ("ana/tuned:v1", "models/manifests/registry.ollama.ai/ana/tuned/v1"),
        ("hf.co/ana/tuned:q4", "models/manifests/hf.co/ana/tuned/q4"),
        ("localhost:5000/ana/tuned", "models/manifests/localhost:5000/ana/tuned/latest"),
    ],
)
def test_where_a_manifest_lies_follows_from_the_name(model: str, path: str) -> None:
    assert StorePlace("v", "models").manifest(model) == path


def test_the_fakes_copy_only_the_given_paths() -> None:
    world = World()
    world.volumes["a"] = FakeVolume("x", {"one": Stored(GIB, "d1"), "two": Stored(1, "d2")})
    from tests.engine.fakes.host import FakeWriter

    writer = FakeWriter(world)
    writer.engine.create_volume("b")
    assert writer.engine.copy_volume("a", "b", image="i", paths=["one", "three"]) == GIB
    assert set(world.volumes["b"].files) == {"one"}
