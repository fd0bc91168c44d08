"""Recreates the models' volume without losing models: those that cannot be fetched again are saved first and compared afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediation.diagnosis.units import human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import Blocked, CallFailed
from remediation.model.facts import ComposeProject, Container
from remediation.model.text.words import plural
from remediation.steps.compose.stack import containers_of
from remediation.steps.container.volume_inventory import unlisted_content
from remediation.steps.container.volume_manifest import Record, manifest_folder, model_records
from remediation.steps.container.volume_progress import (
    VolumeState,
    apply_change,
    corrupt_layers,
    known_project,
    labels_of,
    note,
    present,
    read_record,
    record_path,
    refill,
    refuse_shared_volume,
    state_of,
    write_record,
)
from remediation.steps.contract import Step, param, step
from remediation.steps.file_edit import digest
from remediation.steps.model.model_store import StorePlace, free_disk
from remediation.steps.model.present import PULL_TIMEOUT
from remediation.steps.resolve import resolve_container
from remediation.steps.run_info import run_started

BACK = StepCall("volume.completed")
"""Undoes each part: the old volume cannot be restored, but its content can."""


@step("volume.recreated", risk=Risk.DESTRUCTIVE, settle=60.0, once_per_run=True, deadline=PULL_TIMEOUT, in_container=True)
class VolumeRecreated(Step[VolumeState]):
    """The models' volume was recreated during this run and holds every model of the old one, by digest.

    A last resort for a store that cannot be repaired in place. The step first records the models. It copies files outside the
    store (the server's key) and models that no registry has in this version into a second volume, using the service's own image.
    It then removes containers and volume, starts the service, and restores, pulls and compares the content. The record next to
    the Compose file lets another run continue after an interruption. Record and second volume are kept. Blocked if other
    containers use the volume, or if a model can be neither saved nor fetched again.
    """

    volume: str | None = param(
        "volume name; defaults to the one that holds the models", default=None, example="ai-native_ollama_data"
    )

    def observe(self, host: Reader) -> VolumeState:
        """Read volume, record and models. Raises `Blocked` if data could be lost."""
        project = known_project(host)
        path, since = record_path(project), run_started(host)
        record = read_record(host, path)
        if record is not None and record.finished is not None and record.finished < since:
            record = None  # finished by an earlier run; this run starts over
        if record is not None:
            state = state_of(host, project, record, since)
            if not _is_outdated(state, record):
                return state
        container = host.engine.inspect(resolve_container(None, host))
        if container is None or container.service is None:
            raise CallFailed("no container of the project runs Ollama", host=host.name, next_step="bring the stack up (stack.up)")
        place = manifest_folder(container, self.volume, host.name)
        volume = next((each for each in host.engine.volumes() if each.name == place.volume), None)
        if volume is None:
            raise CallFailed(
                f"volume {place.volume} does not exist",
                host=host.name,
                next_step="docker volume ls lists the volumes; set the parameter volume",
            )
        refuse_shared_volume(host, volume, containers_of(host.engine.containers(), project))
        now = present(host)
        planned = _record(host, container, place, volume.created_at, now)
        return VolumeState(project, container.service, since, volume, None, path, now, planned)

    def is_met(self, state: VolumeState) -> bool:
        return state.record is not None and state.record.finished is not None

    def plan(self, state: VolumeState) -> Iterator[Change]:
        record = state.known
        if self.is_met(state) or record is None:
            return
        if state.record is None:
            yield Change(
                f"record the content of volume {record.volume}: {plural(len(record.models), 'model')}", subject=state.path, risk=Risk.SAFE,
                after={one.name: one.digest for one in record.models}, data={"action": "record", "record": record.to_json()},
            )  # fmt: skip
        if not state.fresh:
            yield from self._removal(state, record)
        yield from refill(state, record)

    def _removal(self, state: VolumeState, record: Record) -> Iterator[Change]:
        if not record.saved:
            what = f"save {human(record.local_size)} of models that no registry holds" if record.local else "save its other files"
            yield Change(
                f"{what} into volume {record.saved_in}" if record.unregistered_paths else f"create volume {record.saved_in}, which names the project",
                subject=record.saved_in, risk=Risk.SAFE, data={"action": "save", "record": record.to_json(), "path": state.path},
            )  # fmt: skip
        if state.volume is not None and state.volume.users:
            yield Change(
                f"remove the containers that use volume {record.volume}: {', '.join(state.volume.users)}",
                subject=",".join(state.volume.users), risk=Risk.DISRUPTIVE, undo=BACK,
                data={"action": "containers", "services": list(record.services)},
            )  # fmt: skip
        if state.volume is not None:
            yield Change(
                f"remove volume {record.volume}; its content can only be restored from the saved copy and the registry",
                subject=record.volume, before=record.created_at, risk=Risk.DESTRUCTIVE, undo=BACK, data={"action": "volume"},
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        action = change.data["action"]
        if action == "record":
            write_record(host, change.subject, change.data["record"])
        elif action == "save":
            self._save(host, Record.from_json(change.data["record"]), change.data["path"])
        elif action in {"containers", "volume"}:
            project = known_project(host)
            _refuse_unsaved(host, project)
            if action == "volume":
                host.engine.remove_volume(change.subject)
            else:
                host.compose.remove(project, change.data["services"])
        else:
            apply_change(host, change)

    def _save(self, host: Writer, record: Record, path: str) -> None:
        damaged = corrupt_layers(host, record)
        host.engine.create_volume(record.saved_in, labels=labels_of(known_project(host), path, record.volume))
        if record.unregistered_paths:
            host.engine.copy_volume(record.volume, record.saved_in, image=record.image, paths=record.unregistered_paths)
        note(host, path, saved=True, damaged=None if damaged is None else list(damaged))

    def describe(self, state: VolumeState) -> str:
        record = state.known
        if self.is_met(state) or record is None:
            return f"volume {state.volume.name if state.volume else '?'} was made in this run and holds its models"
        local = [one.name for one in record.local]
        parts = [
            f"volume {record.volume} held {plural(len(record.models), 'model')}"
            + (f", {', '.join(local)} in no registry" if local else "")
        ]
        if state.volume is None:
            parts.append("it is removed and not yet recreated")
        elif not state.fresh:
            parts.append("it is still the original")
        differing = state.differing if state.fresh else []
        if differing:
            parts.append(f"different from the record: {', '.join(differing)}; the record {state.path} is kept")
        return "; ".join(parts)

    def advice(self, state: VolumeState) -> str:
        """Return what to do where the registry's models are not the recorded ones. Pulling them again changes nothing."""
        names = state.differing if state.fresh else []
        if not names:
            return ""
        return (
            f"compare {', '.join(names)} with what you need: the registry has another version than the volume had. To keep it, remove"
            f" {state.path}; else restore the former version from a backup"
        )

    def values(self, state: VolumeState) -> dict[str, Any]:
        record = state.known
        before = {one.name: one.digest for one in record.models} if record is not None else {}
        return {"before": before, "now": dict(state.present) if state.present is not None else None}


def _refuse_unsaved(host: Writer, project: ComposeProject) -> None:
    """Raise `CallFailed` right before a removal if the record or the copy is no longer what the plan was made from."""
    path = record_path(project)
    record = read_record(host, path)
    state = state_of(host, project, record, since=0.0) if record is not None else None
    if state is None or state.record is None or not state.record.saved or _is_outdated(state, state.record):
        raise CallFailed(
            f"the content named by {path} is not saved in its current state, so nothing is removed", host=host.name,
            next_step="play recreate-volume.yml again: it records and saves the current content",
        )  # fmt: skip


def _is_outdated(state: VolumeState, record: Record) -> bool:
    """Whether the old volume's models differ from the record. The record is then written again."""
    if state.fresh or state.volume is None or state.present is None or record.finished is not None:
        return False
    listed = {one.name: one.digest for one in record.models}
    return any(listed.get(name) != digest for name, digest in state.present.items())


def _record(host: Reader, container: Container, place: StorePlace, created: str, now: Mapping[str, str] | None) -> Record:
    """Return the record to be written. Raises `Blocked` if a model can be neither saved nor fetched again."""
    if now is None:
        raise Blocked(
            "Ollama does not answer, so the models in the volume cannot be recorded", host=host.name,
            next_step="start it, or restart the host; then run again",
        )  # fmt: skip
    found = unlisted_content(host, container.name, place)
    models = model_records(host, place, now, found)
    services = tuple(
        sorted({one.service for one in host.engine.containers() if place.volume in one.volumes and one.service is not None})
    )
    record = Record(
        volume=place.volume, created_at=created, saved_in=f"{place.volume}-saved-{digest(created)[:6]}", image=container.image,
        service=str(container.service), services=services, models=models, saved=False, others=found.others,
    )  # fmt: skip
    free = free_disk(host)
    if free is not None and free < record.local_size:
        raise Blocked(
            f"{human(record.local_size)} of models that no registry holds must be saved, but only {human(free)} of disk space is free",
            host=host.name, next_step="free disk space, or delete models that are not needed",
        )  # fmt: skip
    return record
