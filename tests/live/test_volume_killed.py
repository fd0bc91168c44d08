"""``kill -9`` of the controller at any event of recreate-volume.yml on a real engine: no model is lost."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remediation.engine.journal.history import runs
from tests.steps.on_engine import registry
from tests.support.engine import IMAGE
from tests.support.killed_run import in_words
from tests.support.preloaded_python import python
from tests.support.project import CONTAINER, HEALTHY, MODEL, Project

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
LOCAL = "tuned"
AGREED = ("--yes-destroy", "localhost", "--max-risk", "disruptive", "--json")
VOLUME = "activia1-main_ollama_data"
_LIST = "cd /v && for f in id_ed25519 models/blobs/sha256-* models/manifests/*/*/*/*; do [ -f $f ] && sha256sum $f; done; true"

Files = dict[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and its output."""

    code: int
    events: list[dict[str, Any]]

    @property
    def excerpt(self) -> str:
        kinds = {"task_result", "note", "change_end", "host_end"}
        return json.dumps([event for event in self.events if event["event"] in kinds], indent=1)


@dataclass(frozen=True, slots=True)
class Bed:
    """The guide's project with a model of the registry and a local one, and a running `remediate`."""

    project: Project
    environment: Mapping[str, str]
    folder: Path
    mirror: str

    @property
    def runs(self) -> Path:
        return self.folder / "state" / "remediation" / "runs"

    def start(self, *words: str, module: str = "remediation.cli.main", before: tuple[str, ...] = ()) -> Ended:
        done = subprocess.run(
            [*python(self.environment), "-m", module, *before, *words, *AGREED], cwd=self.folder, capture_output=True, text=True,
            encoding="utf-8", check=False, timeout=110,
            env={**self.environment, "XDG_STATE_HOME": str(self.folder / "state"), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.endswith("}")])

    def play(self, *, dies_at: str = "", when: str = "after") -> Ended:
        """Play the runbook; with `dies_at` its process kills itself at that event, given by its number or its first words."""
        words = ("play", str(ROOT / "playbooks/recreate-volume.yml"), "--inventory", str(ROOT / "inventory/local.yml"))
        given = ("-e", json.dumps({"model": MODEL, "registry": self.mirror}))
        if not dies_at:
            return self.start(*words, *given)
        return self.start(*words, *given, module="tests.support.killed_run", before=(dies_at, when))

    def last_run(self) -> str:
        return runs(self.runs)[0].run

    def last_events(self) -> list[str]:
        """Return what the journal of the last run says, in words."""
        return [in_words(event) for event in runs(self.runs)[0].events]

    def volumes(self) -> dict[str, Files]:
        """Return the files of every volume as their content hashes, read from the engine and not from the run's events."""
        names = self.project.engine.docker("volume", "ls", "-q").stdout.split()
        return {name: self._files(name) for name in names}

    def _files(self, volume: str) -> Files:
        listed = self.project.engine.docker(
            "run", "--rm", "--network", "none", "--volume", f"{volume}:/v:ro", "--entrypoint", "/bin/sh", IMAGE, "-c", _LIST
        ).stdout
        return {path: digest for digest, path in (line.split() for line in listed.splitlines())}

    def forget(self) -> None:
        """Remove saved volumes and the record, so that the next killed run writes down and saves its own."""
        for record in self.project.folder.glob(".remediation-volume-*.json"):
            record.unlink()
        for name in self.volumes():
            if "-saved-" in name:
                self.project.engine.docker("volume", "rm", name)


@pytest.fixture
def half(guide_project: Project, project_environment: dict[str, str], tmp_path: Path) -> Iterator[Bed]:
    guide_project.write(HEALTHY)
    guide_project.up()
    own = {"model": LOCAL, "from": MODEL, "parameters": {"num_ctx": 2048}, "system": "Say it in Spanish.", "stream": False}
    guide_project.post("/api/create", own)
    guide_project.engine.docker("exec", CONTAINER, "sh", "-c", "echo a local key > /root/.ollama/id_ed25519")
    with registry(guide_project, MODEL) as mirror:
        made = Bed(guide_project, project_environment, tmp_path, mirror)
        yield made
        made.forget()


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a run that was killed at one event."""

    point: str
    left: str
    after: str
    equal: bool
    lost: tuple[str, ...]

    def __str__(self) -> str:
        lost = f"LOST {', '.join(self.lost)}" if self.lost else "nothing lost"
        return f"{self.point} | {self.left} | {self.after} | {'equal' if self.equal else 'DIFFERENT'}, {lost}"


def own_files(project: Project, whole: Files) -> set[str]:
    """Return the files that no registry holds: the own model's manifest and layers, the server's key."""
    manifest = f"models/manifests/registry.ollama.ai/library/{LOCAL}/latest"
    text = json.loads(project.engine.docker("exec", CONTAINER, "cat", f"/root/.ollama/{manifest}").stdout)
    layers = [each["digest"].replace(":", "-") for each in (text["config"], *text["layers"])]
    own = {manifest, "id_ed25519", *(f"models/blobs/{name}" for name in layers)}
    assert own <= set(whole)
    return own


def missing(volumes: Mapping[str, Files], whole: Files, own: set[str]) -> tuple[str, ...]:
    """Return which of the local files are in no volume any more as they were."""
    there = {(path, digest) for files in volumes.values() for path, digest in files.items()}
    return tuple(sorted(path for path in own if (path, whole[path]) not in there))


def left(volumes: Mapping[str, Files], whole: Files) -> str:
    """Say in a few words which volume holds how many of the files that there were."""
    held = {
        "saved" if "-saved-" in name else "models": sum(files.get(path) == digest for path, digest in whole.items())
        for name, files in sorted(volumes.items())
    }
    return ", ".join(f"{name} {number}/{len(whole)}" for name, number in held.items()) or "no volume"


def killed(half: Bed, at: str, *, when: str, then: str, whole: Files, own: set[str]) -> Row | None:
    """Kill a run at an event, go on or take it back, and compare; None where it ended before."""
    half.forget()
    shutil.rmtree(half.environment["REMEDIATION_LEASE_FOLDER"], ignore_errors=True)  # as if what a dead run holds had expired
    died = half.play(dies_at=at, when=when)
    if died.code != -signal.SIGKILL:
        assert died.code == 0, died.excerpt
        return None
    last_seen, there = half.last_events(), half.volumes()
    after = half.start(then, half.last_run())
    then_there = half.volumes()
    lost = {*missing(there, whole, own), *missing(then_there, whole, own)}
    said = [
        event.get("msg", "")
        for event in after.events
        if event["event"] == "task_result" and event["outcome"] not in {"ok", "changed"}
    ]
    row = Row(
        f"{at} {when} {last_seen[-1] if last_seen else 'nothing'}", left(there, whole),
        f"{then} {after.code}: {left(then_there, whole)}{' ' + said[0] if said else ''}", then_there.get(VOLUME) == whole, tuple(sorted(lost)),
    )  # fmt: skip
    print(row, flush=True)
    if not row.equal:
        again = half.play()
        assert again.code == 0, (str(row), again.excerpt)
        assert half.volumes()[VOLUME] == whole, str(row)
    return row


def start_of(half: Bed) -> tuple[Files, set[str]]:
    """Return the files at the start, and those of no registry."""
    whole = half.volumes()[VOLUME]
    return whole, own_files(half.project, whole)


@pytest.mark.timeout(400)
def test_killed_at_some_events_no_model_is_lost(half: Bed) -> None:
    whole, own = start_of(half)
    for at, when, then in (
        ("change_end: remove volume", "after", "resume"),
        ("change_end: restore", "before", "undo"),
    ):
        row = killed(half, at, when=when, then=then, whole=whole, own=own)
        assert row is not None
        assert (row.equal, row.lost) == (True, ()), str(row)


@pytest.mark.every
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("then", ["resume", "undo"])
@pytest.mark.parametrize("when", ["after", "before"])
def test_killed_at_every_event_no_model_is_lost(half: Bed, when: str, then: str) -> None:
    whole, own = start_of(half)
    calm = half.play()
    assert calm.code == 0, calm.excerpt
    assert half.volumes()[VOLUME] == whole
    points = [
        str(number) for number, event in enumerate(half.last_events(), 1) if when == "after" or event.startswith("change_end")
    ]
    rows = [killed(half, at, when=when, then=then, whole=whole, own=own) for at in points]
    bad = [str(row) for row in rows if row is not None and (row.lost or not row.equal)]
    assert not bad, "\n".join(bad)


@pytest.mark.timeout(300)
def test_a_project_of_one_service_is_found_again_while_it_has_no_container(half: Bed) -> None:
    file = half.project.folder / "docker-compose.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text[: text.index('  api:')]}volumes:\n  ollama_data:\n", encoding="utf-8")
    half.project.compose("up", "-d", "--remove-orphans")
    whole, own = start_of(half)
    row = killed(half, "change_end: remove volume", when="after", then="resume", whole=whole, own=own)
    assert row is not None
    assert (row.equal, row.lost) == (True, ()), str(row)


@pytest.mark.timeout(300)
def test_a_copy_that_a_dead_controller_left_half_way_is_no_hindrance(half: Bed) -> None:
    whole, own = start_of(half)
    assert half.play(dies_at="change_end: record the content").code == -signal.SIGKILL
    engine = half.project.engine
    record = json.loads((half.project.folder / ".remediation-volume-activia1-main.json").read_text(encoding="utf-8"))
    name = f"remediation-copy-{record['saved_in']}"
    mounts = ("--volume", f"{VOLUME}:/from:ro", "--volume", f"{record['saved_in']}:/to")
    engine.docker(
        "run",
        "--detach",
        "--name",
        name,
        "--label",
        "remediation.helper=copy",
        *mounts,
        "--entrypoint",
        "/bin/sh",
        IMAGE,
        "-c",
        "sleep 600",
    )
    assert half.start("resume", half.last_run()).code == 0
    assert half.volumes()[VOLUME] == whole
    assert not missing(half.volumes(), whole, own)
    assert name not in engine.docker("ps", "--all", "--format", "{{.Names}}").stdout.split()
