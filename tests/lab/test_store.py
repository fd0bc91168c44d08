"""Models as files: in a simulated container, in volumes, on a real disk, and in the registry."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.error
import urllib.request
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from remediation_lab.host.host import Host
from remediation_lab.ollama import registry, shelf
from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.disk import DiskStore
from remediation_lab.ollama.models import ModelStore
from remediation_lab.scenarios.faults import FOLDER, MODEL
from remediation_lab.wire import Json
from tests.lab.conftest import made

OLLAMA = "ai-native-ollama"
MODELS = "/root/.ollama/models"
MANIFEST = f"{MODELS}/manifests/registry.ollama.ai/library/mistral/7b-instruct-q4_K_M"
VOLUME = "activia1_ollama_data"


def docker(machine: Host, *words: str) -> tuple[int, str, str]:
    done = machine.call("run", argv=["docker", *words], cwd=FOLDER, timeout=3600)
    return done["rc"], base64.b64decode(done["stdout"]).decode(), base64.b64decode(done["stderr"]).decode()


def post(machine: Host, path: str, **body: Json) -> list[dict[str, Any]]:
    value = machine.network.request(method="POST", url=f"http://localhost:11434{path}", body=json.dumps(body), timeout=3600)
    return [json.loads(line) for line in base64.b64decode(value["body"]).splitlines()]


def weights(machine: Host) -> str:
    manifest = json.loads(docker(machine, "exec", OLLAMA, "cat", MANIFEST)[1])
    return next(each["digest"] for each in manifest["layers"] if each["mediaType"].endswith("model"))


def test_the_manifest_on_disk_is_what_tags_and_the_registry_say() -> None:
    machine = made("healthy")
    rc, text, _ = docker(machine, "exec", OLLAMA, "cat", MANIFEST)
    digest = hashlib.sha256(text.encode()).hexdigest()
    tags = json.loads(
        base64.b64decode(
            machine.network.request(method="GET", url="http://localhost:11434/api/tags", body=None, timeout=3600)["body"]
        )
    )
    answer = machine.network.request(
        method="GET", url="https://registry.ollama.ai/v2/library/mistral/manifests/7b-instruct-q4_K_M", body=None, timeout=3600
    )
    assert rc == 0
    assert tags["models"][0]["digest"] == digest
    assert (answer["status"], base64.b64decode(answer["body"])) == (200, text.encode())
    missing = machine.network.request(
        method="GET", url="https://registry.ollama.ai/v2/library/mistral/manifests/7b-q9", body=None, timeout=3600
    )
    assert missing["status"] == 404


def test_blobs_are_listed_and_hashed_as_they_are() -> None:
    machine = made("healthy")
    digest = weights(machine)
    name = digest.replace(":", "-")
    listing = docker(machine, "exec", OLLAMA, "ls", "-ln", f"{MODELS}/blobs")[1]
    sizes = {line.split()[8]: int(line.split()[4]) for line in listing.splitlines()[1:]}
    assert sizes[name] > 4_000_000_000
    assert len(sizes) == 4
    assert docker(machine, "exec", OLLAMA, "sha256sum", f"{MODELS}/blobs/{name}")[1].split()[0] == digest[7:]
    small = next(each for each in sizes if each != name)
    content = docker(machine, "exec", OLLAMA, "cat", f"{MODELS}/blobs/{small}")[1]
    assert f"sha256-{hashlib.sha256(content.encode()).hexdigest()}" == small


@pytest.mark.parametrize("command", [["cat"], ["sha256sum"], ["ls", "-ln"], ["rm"], ["mv", "x"]])
def test_what_is_not_there_is_refused(command: list[str]) -> None:
    rc, _, stderr = docker(made("healthy"), "exec", OLLAMA, *command, f"{MODELS}/blobs/sha256-{'0' * 64}")
    assert rc != 0
    assert "No such file or directory" in stderr


def test_a_damaged_blob_is_not_repaired_by_a_pull_until_it_is_out_of_the_way() -> None:
    machine = made("model-corrupt")
    digest = weights(machine)
    blob, aside = (f"{MODELS}/{folder}/{digest.replace(':', '-')}" for folder in ("blobs", "set-aside"))
    assert docker(machine, "exec", OLLAMA, "sha256sum", blob)[1].split()[0] != digest[7:]
    assert post(machine, "/api/pull", model=MODEL)[-1] == {"status": "success"}
    assert "error" in post(machine, "/api/generate", model=MODEL, prompt="x", stream=False)[0]  # a pull reads nothing again
    assert docker(machine, "exec", OLLAMA, "mv", "-f", blob, aside)[0] == 0
    assert docker(machine, "exec", OLLAMA, "ls", "-ln", blob)[0] != 0
    lines = post(machine, "/api/pull", model=MODEL)
    assert [each["completed"] for each in lines if "completed" in each] != [lines[2]["total"]]  # it came over the network
    assert post(machine, "/api/generate", model=MODEL, prompt="x", stream=False)[0]["done"]
    assert docker(machine, "exec", OLLAMA, "rm", "-f", aside)[0] == 0
    assert docker(machine, "exec", OLLAMA, "ls", f"{MODELS}/set-aside")[0] != 0


@pytest.mark.parametrize(("layer", "listed"), [("config", False), ("template", True)])
def test_a_small_blob_that_is_moved_away_is_missed_until_it_is_there_again(layer: str, listed: bool) -> None:
    machine = made("healthy")
    manifest = json.loads(docker(machine, "exec", OLLAMA, "cat", MANIFEST)[1])
    digest = next(
        each["digest"] for each in (manifest["config"], *manifest["layers"]) if layer in each["mediaType"] or layer == "config"
    )
    blob, aside = (f"{MODELS}/{folder}/{digest.replace(':', '-')}" for folder in ("blobs", "set-aside"))
    content = docker(machine, "exec", OLLAMA, "cat", blob)
    for way_back in ("mv", "pull"):
        assert docker(machine, "exec", OLLAMA, "mv", "-f", blob, aside)[0] == 0
        assert docker(machine, "exec", OLLAMA, "cat", blob)[0] != 0
        docker(machine, "restart", OLLAMA)
        assert docker(machine, "exec", OLLAMA, "cat", aside) == content
        assert (MODEL in names(machine)) is listed
        for path in ("/api/show", "/api/generate"):
            assert post(machine, path, model=MODEL, prompt="x", stream=False)[0] == {"error": f"model '{MODEL}' not found"}
        if way_back == "mv":
            assert docker(machine, "exec", OLLAMA, "mv", "-f", aside, blob)[0] == 0
        else:
            assert post(machine, "/api/pull", model=MODEL)[-1] == {"status": "success"}
        assert docker(machine, "exec", OLLAMA, "cat", blob) == content
        assert MODEL in names(machine)
        assert post(machine, "/api/generate", model=MODEL, prompt="x", stream=False)[0]["done"]


def names(machine: Host) -> list[str]:
    answer = machine.network.request(method="GET", url="http://localhost:11434/api/tags", body=None, timeout=3600)
    return [each["name"] for each in json.loads(base64.b64decode(answer["body"]))["models"]]


def test_a_blob_that_was_set_aside_can_be_put_back_as_it_was() -> None:
    machine = made("model-corrupt")
    digest = weights(machine)
    blob, aside = (f"{MODELS}/{folder}/{digest.replace(':', '-')}" for folder in ("blobs", "set-aside"))
    before = docker(machine, "exec", OLLAMA, "sha256sum", blob)[1].split()[0]
    docker(machine, "exec", OLLAMA, "mv", "-f", blob, aside)
    docker(machine, "restart", OLLAMA)
    assert docker(machine, "exec", OLLAMA, "mv", "-f", aside, blob)[0] == 0
    assert docker(machine, "exec", OLLAMA, "sha256sum", blob)[1].split()[0] == before


def test_a_volume_is_copied_removed_and_copied_back_with_the_same_digests() -> None:
    machine = made("healthy")
    post(machine, "/api/create", model="own:latest", **{"from": MODEL}, parameters={"num_ctx": 2048}, stream=False)
    files = shelf.files(machine.engine.servers()[0].models)
    assert docker(machine, "compose", "-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml", "down")[0] == 0
    assert docker(machine, "volume", "create", "--label", "by=test", "spare")[1] == "spare\n"
    copied = int(copy(machine, VOLUME, "spare")[1])
    assert copied == sum(each.size for each in files.values())
    assert int(copy(machine, VOLUME, "spare")[1]) == 0  # it is all there
    assert docker(machine, "volume", "rm", VOLUME)[0] == 0
    assert docker(machine, "compose", "-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml", "up", "-d")[0] == 0
    assert shelf.files(machine.engine.servers()[0].models) == {}
    copy(machine, "spare", VOLUME)
    assert shelf.files(machine.engine.servers()[0].models) == files
    record = json.loads(docker(machine, "volume", "inspect", "spare")[1])[0]
    assert record["Labels"] == {"by": "test"}


def copy(machine: Host, source: str, target: str, *paths: str, image: str = "ollama/ollama:0.13.5") -> tuple[int, str, str]:
    mounts = ("--volume", f"{source}:/from:ro", "--volume", f"{target}:/to")
    head = ("run", "--rm", "--pull", "never", "--network", "none", "--user", "0", *mounts, "--entrypoint", "/bin/sh")
    return docker(machine, *head, image, "-c", "# copy", "copy", *(paths or (".",)))


def test_parts_are_copied_and_a_manifest_without_its_blob_is_a_model_without_weights() -> None:
    machine = made("healthy")
    manifest = MANIFEST.removeprefix("/root/.ollama/")
    assert int(copy(machine, VOLUME, "a", manifest)[1]) < 2000
    store = ModelStore()
    store.restore(next(each for each in machine.state.volumes if each.name == "a").models)
    assert [each.damage for each in store.all()] == [Damage.BLOB_MISSING]
    blob = f"models/blobs/{weights(machine).replace(':', '-')}"
    copy(machine, VOLUME, "b", blob)
    copy(machine, VOLUME, "b", manifest)
    store.restore(next(each for each in machine.state.volumes if each.name == "b").models)
    assert [each.damage for each in store.all()] == [Damage.NONE]


def test_a_copy_needs_room_and_an_image_that_is_there() -> None:
    machine = made("healthy")
    assert copy(machine, VOLUME, "a", image="busybox:latest")[0] == 125
    machine.state.disk_free = 1_000_000
    rc, _, stderr = copy(machine, VOLUME, "a")
    assert rc == 1
    assert "No space left on device" in stderr


def test_compose_removes_stopped_services_and_builds_nothing_without_a_recipe() -> None:
    machine = made("healthy")
    compose = ("compose", "-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml")
    assert docker(machine, *compose, "build")[0] == 0
    assert docker(machine, *compose, "rm", "--stop", "--force", "ollama")[0] == 0
    assert machine.engine.known(OLLAMA) is None
    assert docker(machine, *compose, "create", "ollama")[0] == 0
    assert machine.engine.find(OLLAMA).status == "created"
    assert docker(machine, *compose, "start", "ollama")[0] == 0
    assert docker(machine, *compose, "kill", "ollama")[0] == 0
    assert machine.engine.find(OLLAMA).exit_code == 137
    assert docker(machine, *compose, "pull", "ollama")[0] == 0
    assert docker(machine, *compose, "pull", "api")[0] == 18


def test_stats_are_those_of_running_containers() -> None:
    machine = made("num-gpu-1")
    row = json.loads(docker(machine, "stats", "--no-stream", "--format", "{{json .}}", OLLAMA)[1])
    assert row["Name"] == OLLAMA
    assert row["MemUsage"].endswith(" / 12GiB")
    assert row.keys() == {"BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"}
    assert len(docker(machine, "stats", "--no-stream", "--format", "json")[1].splitlines()) == 2


def test_a_store_on_a_real_disk_says_what_its_files_are(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    model = store.fetch("mistral:7b-instruct", 1.0)
    assert model is not None
    store.put(model)
    blobs = {path.name: path for path in (tmp_path / "blobs").iterdir()}
    assert all(f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}" == name for name, path in blobs.items())
    manifest = json.loads((tmp_path / "manifests/registry.ollama.ai/library/mistral/7b-instruct").read_bytes())
    assert {each["digest"].replace(":", "-"): each["size"] for each in (manifest["config"], *manifest["layers"])} == {
        name: path.stat().st_size for name, path in blobs.items()
    }
    weights = blobs[model.file.digest.replace(":", "-")]
    whole = weights.read_bytes()
    for content, harm in (
        (whole[:20], Damage.BLOB_CUT), (b"", Damage.BLOB_EMPTY), (b"XXXX" + whole[4:], Damage.BLOB_MAGIC), (whole[:-2] + b"!!", Damage.BLOB_DATA),
    ):  # fmt: skip
        weights.write_bytes(content)
        assert [each.damage for each in DiskStore(tmp_path).all()] == [harm]
        assert [each.damage for each in store.all()] == [harm]  # a store that runs notices it as well
    weights.unlink()
    assert [each.damage for each in store.all()] == [Damage.BLOB_MISSING]
    store.put(model)
    assert weights.read_bytes() == whole
    config = blobs[manifest["config"]["digest"].replace(":", "-")]
    kept = config.read_bytes()
    config.unlink()
    assert [each.harm for each in store.all()] == [Damage.CONFIG_MISSING]
    config.write_bytes(kept)
    blobs[manifest["layers"][-1]["digest"].replace(":", "-")].unlink()
    assert [each.harm for each in store.all()] == [Damage.LAYER_MISSING]
    store.put(model)
    assert [each.harm for each in store.all()] == [Damage.NONE]
    assert store.remove("mistral:7b-instruct")
    assert list((tmp_path / "blobs").iterdir()) == []


def test_the_registry_answers_with_the_manifest_that_a_pull_then_stores(tmp_path: Path) -> None:
    server = registry.server()
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_address[1]}/v2/library/mistral/manifests"
        with urllib.request.urlopen(f"{base}/7b-instruct", timeout=3600) as answer:  # http on loopback
            body = answer.read()
        store = DiskStore(tmp_path)
        model = store.fetch("mistral:7b-instruct", 1.0)
        assert model is not None
        assert model.manifest == body
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{base}/nosuch", timeout=3600)  # http on loopback
        assert caught.value.code == 404
        caught.value.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
