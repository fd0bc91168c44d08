"""How far a volume of models is on its way to be made anew, and what is left of that way: for whichever step walks it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from remediation.diagnosis.units import human
from remediation.facets.docker.containers import HELPER
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.errors import NO_ANSWER, Blocked, CallFailed, NotApplicable
from remediation.model.facts import ComposeProject, Container, Volume
from remediation.steps.compose.stack import containers_of
from remediation.steps.compose.text import beside
from remediation.steps.container.volume_manifest import Kept, Record
from remediation.steps.model.present import PULL_TIMEOUT
from remediation.steps.resolve import wanted_project

RECORD, PROJECT, FILES, FOLDER = (f"remediation.{name}" for name in ("record", "project", "files", "folder"))
"""Labels of the second volume: while the project's containers are gone, it alone says which project they belong to."""

_NAMING = ("container", "endpoint", "compose_files", "compose_dir", "compose_project")


@dataclass(frozen=True, slots=True)
class VolumeState:
    """How far the volume is: the record of what it held (None: not begun), the volume now, and what the server holds.

    ``present`` is what the server holds whole by name and digest, None while it does not answer; ``planned`` the record that
    is to be written.
    """

    project: ComposeProject
    service: str
    since: float
    volume: Volume | None
    record: Record | None
    path: str
    present: Mapping[str, str] | None
    planned: Record | None = None

    @property
    def known(self) -> Record | None:
        """The record, or the one that is to be written."""
        return self.record or self.planned

    @property
    def fresh(self) -> bool:
        """Whether the volume is not the one that the record was made of."""
        return self.volume is not None and self.record is not None and self.volume.created_at != self.record.created_at

    @property
    def differing(self) -> list[str]:
        """The models that are there under another digest than before."""
        known, present = self.known, self.present or {}
        return [one.name for one in known.models if present.get(one.name, one.digest) != one.digest] if known else []


def record_path(project: ComposeProject) -> str:
    """Return where the record of a project's volume lies."""
    return beside(project.files[0], f".remediation-volume-{project.name}.json")


def read_record(host: Reader, path: str) -> Record | None:
    """Return the record at `path`, None where there is none; raises `CallFailed` where it is damaged."""
    content = host.files.read(path)
    return Record.read(content, path, host.name) if content is not None else None


def note(host: Writer, path: str, **more: Any) -> None:
    """Write into the record what has been done."""
    record = Record.read(host.files.read(path) or b"", path, host.name)
    write_record(host, path, {**record.to_json(), **more})


def write_record(host: Writer, path: str, record: Mapping[str, Any]) -> None:
    """Write the record down."""
    host.files.write(path, json.dumps(record, indent=1, ensure_ascii=False).encode("utf-8"))


def labels_of(project: ComposeProject, path: str, source: str) -> dict[str, str]:
    """Return what the second volume says of itself."""
    said = {RECORD: path, PROJECT: project.name, FILES: ",".join(project.files), FOLDER: project.working_dir}
    return {"remediation.saved-from": source, **said}


def known_project(host: Reader) -> ComposeProject:
    """Return the target's project; where its containers were removed on the way, the one that the second volume names."""
    try:
        left = None if any(host.variables.get(name) for name in _NAMING[1:]) else _interrupted(host)
    except NO_ANSWER:
        wanted_project(host)  # without an engine there is nothing to repair: say so where that is as it should be
        raise
    try:
        found = wanted_project(host)
    except (*NO_ANSWER, NotApplicable):
        left = left or _interrupted(host)
        if left is None:
            raise
        return left
    return found if left is None or host.variables.get("container") else left


def _interrupted(host: Reader) -> ComposeProject | None:
    """Return the one project whose volume is half made anew and whose containers are gone."""
    found: dict[str, ComposeProject] = {}
    for volume in host.engine.volumes():
        path = volume.labels.get(RECORD)
        record = read_record(host, path) if path else None
        if path is None or record is None or record.finished is not None or record.saved_in != volume.name:
            continue
        files = tuple(volume.labels.get(FILES, "").split(","))
        project = ComposeProject(volume.labels.get(PROJECT, ""), files, volume.labels.get(FOLDER, ""))
        if not set(record.services) & set(containers_of(_labelled(host, project), project)):
            found[path] = project
    return next(iter(found.values())) if len(found) == 1 else None


def _labelled(host: Reader, project: ComposeProject) -> list[Container]:
    return [each for each in host.engine.containers() if each.labels.get("com.docker.compose.project") == project.name]


def state_of(host: Reader, project: ComposeProject, record: Record, since: float) -> VolumeState:
    """Return how far the volume of an unfinished record is; raises `Blocked` where others use it."""
    volumes = {each.name: each for each in host.engine.volumes()}
    volume = volumes.get(record.volume)
    if record.saved_in not in volumes:
        record = replace(record, saved=False)  # somebody removed the copy: as long as the old volume is there, it is made again
    refuse_others(host, volume, containers_of(host.engine.containers(), project))
    state = VolumeState(project, record.service, since, volume, record, record_path(project), present(host))
    if not state.fresh or state.present is None:
        return state
    half = {one.name for one in record.local if one.name in state.present and not _whole(host, one)}
    return replace(state, present={name: digest for name, digest in state.present.items() if name not in half})


def present(host: Reader) -> Mapping[str, str] | None:
    """Return what the server lists by name and digest, None while it does not answer."""
    try:
        return {entry.name: entry.digest for entry in host.ollama.models()}
    except NO_ANSWER:
        return None


def _whole(host: Reader, model: Kept) -> bool:
    """Whether each layer of a model is there in its size: a manifest alone is listed as well."""
    try:
        blobs = host.ollama.blobs(model.name) or ()
    except NO_ANSWER:
        return False
    return bool(blobs) and all(blob.present == blob.size for blob in blobs)


def harmed(host: Reader, record: Record) -> tuple[str, ...] | None:
    """Return the layers of local models that are not what their name says, by hashing each; None where that cannot be done."""
    try:
        found = [host.ollama.blobs(one.name, verify=True, timeout=PULL_TIMEOUT / 2) or () for one in record.local]
    except NO_ANSWER:
        return None
    return tuple(blob.digest for blobs in found for blob in blobs if blob.actual != blob.digest)


def refuse_others(host: Reader, volume: Volume | None, containers: Mapping[str, Container]) -> None:
    """Raise where a container of another project, or of none, uses the volume; a copy of ours that a lost controller left is none."""
    own = {container.name for container in containers.values()}
    own |= {each.name for each in host.engine.containers() if HELPER in each.labels}
    others = [name for name in (volume.users if volume is not None else ()) if name not in own]
    if volume is not None and others:
        raise Blocked(
            f"volume {volume.name} is also used by {', '.join(others)}, which is not of this project", host=host.name,
            next_step=f"stop and remove {others[0]} yourself if its data may go",
        )  # fmt: skip


def refill(seen: VolumeState, record: Record) -> Iterator[Change]:
    """Yield what is left once the old volume is gone: bring up, restore, pull, compare."""
    if not seen.fresh or seen.present is None:
        yield Change(
            f"bring {record.service} up, with a new volume {record.volume}", subject=record.service, risk=Risk.SAFE,
            data={"action": "up", "services": [record.service]},
        )  # fmt: skip
    there = seen.present if seen.fresh and seen.present is not None else {}
    lost = any(one.name not in there for one in record.local)
    if record.kept_paths and (lost or not (record.restored and seen.fresh)):
        names = ", ".join((*(one.name for one in record.local), *record.others))
        yield Change(
            f"restore {names} from volume {record.saved_in}", subject=record.volume, risk=Risk.SAFE,
            data={"action": "restore", "record": record.to_json(), "path": seen.path},
        )  # fmt: skip
    for one in record.models:
        if not one.local and one.name not in there:
            yield Change(
                f"pull {one.name} ({human(one.size)})",
                subject=one.name,
                risk=Risk.SAFE,
                after=one.digest,
                data={"action": "pull"},
            )
    if not seen.fresh or not seen.differing:
        yield Change(
            f"call volume {record.volume} complete: every model is there by its digest", subject=seen.path, risk=Risk.SAFE,
            data={"action": "done"},
        )  # fmt: skip


def apply_change(host: Writer, change: Change) -> None:
    """Carry one change of `refill` out."""
    action = change.data["action"]
    if action == "up":
        host.compose.up(known_project(host), change.data["services"], deps=False)
    elif action == "restore":
        record = Record.from_json(change.data["record"])
        host.engine.copy_volume(record.saved_in, record.volume, image=record.image, paths=record.kept_paths)
        note(host, change.data["path"], restored=True)
    elif action == "pull":
        host.ollama.pull(change.subject, timeout=PULL_TIMEOUT - 60.0)
    else:
        _compare(host, Record.read(host.files.read(change.subject) or b"", change.subject, host.name))
        note(host, change.subject, finished=host.system.facts().now)


def _compare(host: Writer, record: Record) -> None:
    """Raise `CallFailed` where a restored layer is not what was saved."""
    now = harmed(host, record) if record.damaged is not None else None
    worse = [digest for digest in now or () if digest not in (record.damaged or ())]
    if worse:
        raise CallFailed(
            f"{worse[0]} in volume {record.volume} is not what was saved: its hash differs", host=host.name,
            next_step=f"nothing is lost: volume {record.saved_in} has it; see that the disk is sound, then run again",
        )  # fmt: skip
