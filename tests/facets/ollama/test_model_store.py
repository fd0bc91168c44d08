"""A store of models as it lies on a native host: what is whole, what is missing, what is damaged; moved aside and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from remediation.connections.calls import Call, Completed, FileContent, Probe, ProbeReply, ReadFile, Reply, Run
from remediation.connections.posix.local import LocalConnection
from remediation.facets.ollama.model_store import BlobStore, ModelStore, Name, OnHost, layers_of, sizes_of
from remediation.facets.ollama.windows_store import OnWindows, folder
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed

CONTENTS = {"model": b"GGUF weights", "params": b'{"stop": []}', "config": b"{}"}
WHERE = "C:\\Users\\ana\\.ollama\\models"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest() -> bytes:
    layers = [
        {"digest": digest(CONTENTS[kind]), "size": len(CONTENTS[kind]), "mediaType": f"x.{kind}"} for kind in ("model", "params")
    ]
    return json.dumps(
        {"config": {"digest": digest(CONTENTS["config"]), "size": len(CONTENTS["config"])}, "layers": layers}
    ).encode()


def fill(root: Path) -> Path:
    (root / "blobs").mkdir()
    for content in CONTENTS.values():
        (root / "blobs" / digest(content).replace(":", "-")).write_bytes(content)
    place = root / "manifests" / "registry.ollama.ai" / "library" / "mistral" / "latest"
    place.parent.mkdir(parents=True)
    place.write_bytes(manifest())
    return place


class WindowsFolder:
    """A Windows host whose store is a folder of this machine: the probes and programs that the store is handled by."""

    host, platform = "laptop", "windows"

    def __init__(self, root: Path) -> None:
        self.round_trips = 0
        self._root = root

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        self.round_trips += 1
        return [self._one(call) for call in calls]

    def close(self) -> None:
        """Nothing is open."""

    def _here(self, path: object) -> Path:
        assert str(path).startswith(WHERE)
        return self._root / str(path)[len(WHERE) + 1 :].replace("\\", "/")

    def _one(self, call: Call) -> Reply:
        if isinstance(call, ReadFile):
            path = self._here(call.path)
            return FileContent(path.read_bytes() if path.exists() else b"", missing=not path.exists())
        if isinstance(call, Run) and call.argv[0] == "certutil.exe":
            found = hashlib.sha256(self._here(call.argv[2]).read_bytes()).hexdigest()
            return Completed(
                0, f"SHA256-Hash von {call.argv[2]}:\r\n{found}\r\nCertUtil: -hashfile ausgef\u00fchrt.\r\n".encode(), b""
            )
        assert isinstance(call, Probe)
        return ProbeReply(self._probe(call))

    def _probe(self, call: Probe) -> object:
        if call.name == "desktop":
            return {"WslConfigPath": "C:\\Users\\ana\\.wslconfig"}
        path = self._here(call.data["path"])
        if call.name == "folder":
            there = (
                [
                    {"Name": each.name, "Length": each.stat().st_size, "LastWriteTime": 0, "Folder": each.is_dir()}
                    for each in path.iterdir()
                ]
                if path.exists()
                else None
            )
            return {"Entries": there, "Total": None, "Free": None}
        if call.data["action"] == "make":
            path.mkdir(parents=True, exist_ok=True)
        elif call.data["action"] == "remove":
            path.unlink(missing_ok=True)
        else:
            assert not self._here(call.data["to"]).exists()
            path.rename(self._here(call.data["to"]))
        return {"Done": True, "Problem": None}


@pytest.fixture(params=["linux", "windows"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "windows":
        snapshot = Snapshot(lambda: WindowsFolder(tmp_path), changing=True)
        assert folder(snapshot) == WHERE
        return OnWindows(snapshot, WHERE)
    return OnHost(Snapshot(lambda: LocalConnection("here"), changing=True), str(tmp_path))


def test_a_whole_store_is_sound_by_size_and_by_hash(shelf: BlobStore, tmp_path: Path) -> None:
    fill(tmp_path)
    store = ModelStore(shelf)
    by_size, by_hash = store.blobs("mistral", verify=False, timeout=9), store.blobs("mistral:latest", verify=True, timeout=9)
    assert by_size is not None
    assert by_hash is not None
    assert [each.sound for each in by_size] == [None] * 3
    assert [each.sound for each in by_hash] == [True] * 3
    assert store.blobs("phi3", verify=False, timeout=9) is None


def test_missing_cut_and_changed_blobs_are_distinguished(shelf: BlobStore, tmp_path: Path) -> None:
    fill(tmp_path)
    blobs = {kind: tmp_path / "blobs" / digest(content).replace(":", "-") for kind, content in CONTENTS.items()}
    blobs["model"].write_bytes(b"GGUF weighty")
    blobs["params"].write_bytes(b"{")
    blobs["config"].unlink()
    config, model, params = ModelStore(shelf).blobs("mistral", verify=True, timeout=9) or ()
    assert (config.present, config.sound) == (None, False)
    assert (model.present, model.sound, model.actual) == (model.size, False, digest(b"GGUF weighty"))
    assert (params.present, params.sound) == (1, False)


def test_a_blob_is_set_aside_put_back_over_a_new_one_and_discarded(shelf: BlobStore, tmp_path: Path) -> None:
    fill(tmp_path)
    store, name = ModelStore(shelf), digest(CONTENTS["model"])
    blob = tmp_path / "blobs" / name.replace(":", "-")
    store.quarantine(name)
    assert (blob.exists(), store.quarantined_blobs()) == (False, (name,))
    store.quarantine(name)
    blob.write_bytes(b"fetched again")
    store.restore(name)
    assert (blob.read_bytes(), store.quarantined_blobs()) == (CONTENTS["model"], ())
    store.quarantine(name)
    store.discard(name)
    assert store.quarantined_blobs() == ()
    with pytest.raises(CallFailed, match="was not moved aside"):
        store.restore(name)
    with pytest.raises(CallFailed, match="the store has no blob"):
        store.quarantine(name)
    with pytest.raises(CallFailed, match="not a digest"):
        store.quarantine("sha256:../../etc")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"config": 1, "layers": []}', b'{"config": {"digest": "x", "size": 1}, "layers": []}']
)
def test_a_damaged_manifest_is_an_error_and_not_an_empty_model(shelf: BlobStore, tmp_path: Path, content: bytes) -> None:
    fill(tmp_path).write_bytes(content)
    with pytest.raises(CallFailed, match="damaged") as raised:
        ModelStore(shelf).blobs("mistral", verify=False, timeout=9)
    assert "pull" in raised.value.next_step


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("mistral", "registry.ollama.ai/library/mistral/latest"),
        ("mistral:7b-instruct-q4_K_M", "registry.ollama.ai/library/mistral/7b-instruct-q4_K_M"),
        ("ana/mistral:1", "registry.ollama.ai/ana/mistral/1"),
        ("hf.co/org/model-GGUF:Q4", "hf.co/org/model-GGUF/Q4"),
        ("localhost:5000/org/m:1", "localhost:5000/org/m/1"),
    ],
)
def test_a_name_is_read_as_ollama_reads_it(text: str, path: str) -> None:
    assert Name.parse(text).path == path


@pytest.mark.parametrize("text", ["../etc/passwd", "a/../b", "a:..", "", "a b", "a/b/c/d", "-x", "a;b"])
def test_what_would_lead_out_of_the_store_is_no_name(text: str) -> None:
    with pytest.raises(CallFailed, match="not a valid model name"):
        Name.parse(text)


def test_listings_are_read_for_plain_files_alone() -> None:
    text = "total 4\ndrwxr-xr-x 2 0 0 4096 Jan  1 00:00 sub\n-rw-r--r-- 1 0 0 12 Jan  1 00:00 a b\nlrwxrwxrwx 1 0 0 1 Jan  1 00:00 l -> x\n"
    assert sizes_of(text) == {"a b": 12}
    assert len(layers_of(manifest(), "it")) == 3
