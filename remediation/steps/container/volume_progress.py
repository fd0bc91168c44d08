"""The state of a volume recreation and its remaining changes, shared by the steps that perform and undo it."""

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
from remediation.steps.compose.text import sibling_path
from remediation.steps.container.volume_manifest import ModelRecord, Record
from remediation.steps.model.present import PULL_TIMEOUT
from remediation.steps.resolve import resolve_project

RECORD, PROJECT, FILES, FOLDER = (f"remediation.{name}" for name in ("record", "project", "files", "folder"))
"""Labels of the second volume. They identify the project while its containers do not exist."""

_NAMING = ("container", "endpoint", "compose_files", "compose_dir", "compose_project")


@dataclass(frozen=True, slots=True)
class VolumeState:
    """The progress of a recreation: the record (None: not started), the current volume, and the server's models.

    ``present`` maps the complete models to their digests, None while the server does not answer. ``planned`` is the record to
    be written.
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
        """The record, or the one to be written."""
        return self.record or self.planned

    @property
    def fresh(self) -> bool:
        """Whether the volume is a new one rather than the one in the record."""
        return self.volume is not None and self.record is not None and self.volume.created_at != self.record.created_at

    @property
    def differing(self) -> list[str]:
        """The models whose digest differs from the record."""
        known, present = self.known, self.present or {}
        return [one.name for one in known.models if present.get(one.name, one.digest) != one.digest] if known else []


def record_path(project: ComposeProject) -> str:
    """Return the path of the record of a project's volume."""
    return sibling_path(project.files[0], f".remediation-volume-{project.name}.json")


def read_record(host: Reader, path: str) -> Record | None:
    """Return the record at `path`, or None. Raises `CallFailed` if it is damaged."""
    content = host.files.read(path)
    return Record.read(content, path, host.name) if content is not None else None


def note(host: Writer, path: str, **more: Any) -> None:
    """Update fields of the record."""
    record = Record.read(host.files.read(path) or b"", path, host.name)
    write_record(host, path, {**record.to_json(), **more})


def write_record(host: Writer, path: str, record: Mapping[str, Any]) -> None:
    """Write the record."""
    host.files.write(path, json.dumps(record, indent=1, ensure_ascii=False).encode("utf-8"))


def labels_of(project: ComposeProject, path: str, source: str) -> dict[str, str]:
    """Return the labels of the second volume."""
    labels = {RECORD: path, PROJECT: project.name, FILES: ",".join(project.files), FOLDER: project.working_dir}
    return {"remediation.saved-from": source, **labels}


def known_project(host: Reader) -> ComposeProject:
    """Return the target's project or, if its containers were removed on the way, the project named by the second volume."""
    try:
        left = None if any(host.variables.get(name) for name in _NAMING[1:]) else _interrupted_project(host)
    except NO_ANSWER:
        resolve_project(host)  # without an engine, report the failure of the normal lookup
        raise
    try:
        found = resolve_project(host)
    except (*NO_ANSWER, NotApplicable):
        left = left or _interrupted_project(host)
        if left is None:
            raise
        return left
    return found if left is None or host.variables.get("container") else left


def _interrupted_project(host: Reader) -> ComposeProject | None:
    """Return the project of an unfinished recreation whose containers do not exist, if there is exactly one."""
    found: dict[str, ComposeProject] = {}
    for volume in host.engine.volumes():
        path = volume.labels.get(RECORD)
        record = read_record(host, path) if path else None
        if path is None or record is None or record.finished is not None or record.saved_in != volume.name:
            continue
        files = tuple(volume.labels.get(FILES, "").split(","))
        project = ComposeProject(volume.labels.get(PROJECT, ""), files, volume.labels.get(FOLDER, ""))
        if not set(record.services) & set(containers_of(_labelled_containers(host, project), project)):
            found[path] = project
    return next(iter(found.values())) if len(found) == 1 else None


def _labelled_containers(host: Reader, project: ComposeProject) -> list[Container]:
    return [each for each in host.engine.containers() if each.labels.get("com.docker.compose.project") == project.name]


def state_of(host: Reader, project: ComposeProject, record: Record, since: float) -> VolumeState:
    """Return the state of an unfinished record. Raises `Blocked` if other containers use the volume."""
    volumes = {each.name: each for each in host.engine.volumes()}
    volume = volumes.get(record.volume)
    if record.saved_in not in volumes:
        record = replace(record, saved=False)  # the copy was removed; it can be repeated while the old volume exists
    refuse_shared_volume(host, volume, containers_of(host.engine.containers(), project))
    state = VolumeState(project, record.service, since, volume, record, record_path(project), present(host))
    if not state.fresh or state.present is None:
        return state
    half = {one.name for one in record.local if one.name in state.present and not _whole(host, one)}
    return replace(state, present={name: digest for name, digest in state.present.items() if name not in half})


def present(host: Reader) -> Mapping[str, str] | None:
    """Return the server's models and their digests, or None while it does not answer."""
    try:
        return {entry.name: entry.digest for entry in host.ollama.models()}
    except NO_ANSWER:
        return None


def _whole(host: Reader, model: ModelRecord) -> bool:
    """Whether each layer of a model has its full size. The server lists models by their manifest alone."""
    try:
        blobs = host.ollama.blobs(model.name) or ()
    except NO_ANSWER:
        return False
    return bool(blobs) and all(blob.present == blob.size for blob in blobs)


def corrupt_layers(host: Reader, record: Record) -> tuple[str, ...] | None:
    """Hash the layers of the local models and return the digests that do not match. Returns None if hashing is not possible."""
    try:
        found = [host.ollama.blobs(one.name, verify=True, timeout=PULL_TIMEOUT / 2) or () for one in record.local]
    except NO_ANSWER:
        return None
    return tuple(blob.digest for blobs in found for blob in blobs if blob.actual != blob.digest)


def refuse_shared_volume(host: Reader, volume: Volume | None, containers: Mapping[str, Container]) -> None:
    """Raise `Blocked` if containers outside the project use the volume. A helper container left by a lost controller is ignored."""
    own = {container.name for container in containers.values()}
    own |= {each.name for each in host.engine.containers() if HELPER in each.labels}
    others = [name for name in (volume.users if volume is not None else ()) if name not in own]
    if volume is not None and others:
        raise Blocked(
            f"volume {volume.name} is also used by {', '.join(others)}, which is not part of this project", host=host.name,
            next_step=f"stop and remove {others[0]} yourself if its data may be deleted",
        )  # fmt: skip


def refill(state: VolumeState, record: Record) -> Iterator[Change]:
    """Yield the remaining changes after the old volume is gone: start, restore, pull, compare."""
    if not state.fresh or state.present is None:
        yield Change(
            f"start {record.service} with a new volume {record.volume}", subject=record.service, risk=Risk.SAFE,
            data={"action": "up", "services": [record.service]},
        )  # fmt: skip
    there = state.present if state.fresh and state.present is not None else {}
    lost = any(one.name not in there for one in record.local)
    if record.unregistered_paths and (lost or not (record.restored and state.fresh)):
        names = ", ".join((*(one.name for one in record.local), *record.others))
        yield Change(
            f"restore {names} from volume {record.saved_in}", subject=record.volume, risk=Risk.SAFE,
            data={"action": "restore", "record": record.to_json(), "path": state.path},
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
    if not state.fresh or not state.differing:
        yield Change(
            f"mark volume {record.volume} complete: every model is present with its digest", subject=state.path, risk=Risk.SAFE,
            data={"action": "done"},
        )  # fmt: skip


def apply_change(host: Writer, change: Change) -> None:
    """Carry out one change of `refill`."""
    action = change.data["action"]
    if action == "up":
        host.compose.up(known_project(host), change.data["services"], deps=False)
    elif action == "restore":
        record = Record.from_json(change.data["record"])
        host.engine.copy_volume(record.saved_in, record.volume, image=record.image, paths=record.unregistered_paths)
        note(host, change.data["path"], restored=True)
    elif action == "pull":
        host.ollama.pull(change.subject, timeout=PULL_TIMEOUT - 60.0)
    else:
        _compare(host, Record.read(host.files.read(change.subject) or b"", change.subject, host.name))
        note(host, change.subject, finished=host.system.facts().now)


def _compare(host: Writer, record: Record) -> None:
    """Raise `CallFailed` if a restored layer differs from the saved one."""
    now = corrupt_layers(host, record) if record.damaged is not None else None
    worse = [digest for digest in now or () if digest not in (record.damaged or ())]
    if worse:
        raise CallFailed(
            f"{worse[0]} in volume {record.volume} differs from what was saved: its hash does not match", host=host.name,
            next_step=f"no data is lost: volume {record.saved_in} has a copy; check the disk, then run again",
        )  # fmt: skip
