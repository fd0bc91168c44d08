"""The volume of models made anew, with nothing lost: what could not be fetched again is saved first and compared afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remediation.diagnosis.units import human
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.errors import Blocked, CallFailed
from remediation.model.facts import ComposeProject, Container, Volume
from remediation.steps.compose_text import beside
from remediation.steps.contract import Step, param, step
from remediation.steps.environment import digest
from remediation.steps.model_stored import PULL_TIMEOUT
from remediation.steps.moments import run_started
from remediation.steps.naming import wanted_container, wanted_project
from remediation.steps.stack import containers_of
from remediation.steps.store import StorePlace, free_disk
from remediation.steps.volume_record import Record, kept_models, place_of


@dataclass(frozen=True, slots=True)
class State:
    """How far the volume is: the record of what it held (None: not begun), the volume now, and what the server holds.

    ``present`` is what the server holds by name and digest, None while it does not answer.
    """

    project: ComposeProject
    service: str
    since: float
    volume: Volume | None
    record: Record | None
    path: str
    saved: Volume | None
    present: Mapping[str, str] | None
    planned: Record | None = None

    @property
    def done(self) -> bool:
        """Whether this run made it anew and everything is there."""
        return self.record is not None and self.record.finished is not None

    @property
    def fresh(self) -> bool:
        """Whether the volume is not the one that the record was made of."""
        return self.volume is not None and self.record is not None and self.volume.created_at != self.record.created_at


@step("volume.recreated", risk=Risk.DESTRUCTIVE, settle=60.0, once_per_run=True, deadline=PULL_TIMEOUT)
class VolumeRecreated(Step[State]):
    """The models' volume was made anew after this run began and holds every model that the old one held, by digest.

    A last resort, against a store that cannot be repaired in place. First it is written down which models there are; those
    that no registry holds as they are are copied into a second volume by the service's own image. Then containers and volume
    are removed, the service is brought up, and everything is restored, pulled and compared. The record beside the Compose
    file lets another run go on wherever this one stopped; record and second volume stay. Other users of the volume stop it at
    once.
    """

    volume: str | None = param(
        "which volume; the one that holds the models by default", default=None, example="ai-native_ollama_data"
    )

    def look(self, host: Reader) -> State:
        """Read volume, record and models; refuse where something could be lost."""
        project = wanted_project(host)
        containers = containers_of(host.engine.containers(), project)
        path = beside(project.files[0], f".remediation-volume-{project.name}.json")
        content = host.files.read(path)
        record = Record.read(content, path, host.name) if content is not None else None
        since = run_started(host)
        if record is not None and record.finished is not None and record.finished < since:
            record = None  # an earlier run made it anew; this one begins again
        volumes = {volume.name: volume for volume in host.engine.volumes()}
        present = _present(host)
        if record is not None:
            _refuse_others(host, volumes.get(record.volume), containers)
            return State(
                project, record.service, since, volumes.get(record.volume), record, path, volumes.get(record.saved_in), present
            )
        container = host.engine.inspect(wanted_container(None, host))
        if container is None or container.service is None:
            raise CallFailed("no container of the project runs Ollama", host=host.name, next_step="bring the stack up (stack.up)")
        place = place_of(container, self.volume, host.name)
        state = State(project, container.service, since, volumes.get(place.volume), None, path, None, present)
        if state.volume is None:
            raise CallFailed(f"there is no volume {place.volume}", host=host.name, next_step="name it with volume")
        _refuse_others(host, state.volume, containers)
        return _with_plan(host, state, state.volume, container, place)

    def met(self, seen: State) -> bool:
        """Whether it is fresh and complete."""
        return seen.done

    def plan(self, seen: State) -> Iterator[Change]:
        """Write down, save, remove, bring up, restore, pull, compare."""
        record = seen.record or seen.planned
        if self.met(seen) or record is None:
            return
        if seen.record is None:
            yield Change(
                f"write down the {len(record.models)} models of volume {record.volume}", subject=seen.path, risk=Risk.SAFE,
                after={one.name: one.digest for one in record.models}, data={"action": "record", "record": record.to_json()},
            )  # fmt: skip
        if not seen.fresh:
            yield from self._removal(seen, record)
        if not seen.fresh or seen.present is None:
            yield Change(
                f"bring {record.service} up, with a new volume {record.volume}", subject=record.service, risk=Risk.SAFE,
                data={"action": "up", "service": record.service},
            )  # fmt: skip
        present = seen.present if seen.fresh and seen.present is not None else {}
        lost = [one for one in record.models if one.local and one.name not in present]
        if lost:
            yield Change(
                f"restore {', '.join(one.name for one in lost)} from volume {record.saved_in}", subject=record.volume, risk=Risk.SAFE,
                data={"action": "restore", "record": record.to_json()},
            )  # fmt: skip
        for one in record.models:
            if not one.local and one.name not in present:
                yield Change(
                    f"pull {one.name} ({human(one.size)})", subject=one.name, risk=Risk.SAFE, after=one.digest,
                    data={"action": "pull"},
                )  # fmt: skip
        if not seen.fresh or not self._differing(seen, record):
            yield Change(
                f"call volume {record.volume} complete: every model is there by its digest", subject=seen.path, risk=Risk.SAFE,
                data={"action": "done"},
            )  # fmt: skip

    def _removal(self, seen: State, record: Record) -> Iterator[Change]:
        if any(one.local for one in record.models) and not record.saved:
            yield Change(
                f"save {human(record.local_size)} of models that no registry holds into volume {record.saved_in}",
                subject=record.saved_in, risk=Risk.SAFE, data={"action": "save", "record": record.to_json(), "path": seen.path},
            )  # fmt: skip
        if seen.volume is not None and seen.volume.users:
            yield Change(
                f"remove the containers that use volume {record.volume}: {', '.join(seen.volume.users)}",
                subject=",".join(seen.volume.users), risk=Risk.DISRUPTIVE,
                data={"action": "containers", "services": list(record.services)},
            )  # fmt: skip
        if seen.volume is not None:
            yield Change(
                f"remove volume {record.volume}; what it holds cannot be taken back but from the saved copy and the registry",
                subject=record.volume, before=record.created_at, risk=Risk.DESTRUCTIVE, data={"action": "volume"},
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        """Carry one of them out."""
        action, project = change.data["action"], wanted_project(host)
        if action == "record":
            host.files.write(change.subject, _written(change.data["record"]))
        elif action == "save":
            record = Record.from_json(change.data["record"])
            host.engine.create_volume(record.saved_in, labels={"remediation.saved-from": record.volume})
            host.engine.copy_volume(record.volume, record.saved_in, image=record.image, paths=record.local_paths)
            host.files.write(change.data["path"], _written({**change.data["record"], "saved": True}))
        elif action == "containers":
            host.compose.remove(project, change.data["services"])
        elif action == "volume":
            host.engine.remove_volume(change.subject)
        elif action == "up":
            host.compose.up(project, [change.data["service"]], deps=False)
        elif action == "restore":
            record = Record.from_json(change.data["record"])
            host.engine.copy_volume(record.saved_in, record.volume, image=record.image, paths=record.local_paths)
        elif action == "pull":
            host.ollama.pull(change.subject, timeout=PULL_TIMEOUT - 60.0)
        else:
            record = Record.read(host.files.read(change.subject) or b"", change.subject, host.name)
            host.files.write(change.subject, _written({**record.to_json(), "finished": host.system.facts().now}))

    def explain(self, seen: State) -> str:
        """Say how far it is."""
        record = seen.record or seen.planned
        if self.met(seen) or record is None:
            return f"volume {seen.volume.name if seen.volume else '?'} was made in this run and holds its models"
        local = [one.name for one in record.models if one.local]
        parts = [
            f"volume {record.volume} held {len(record.models)} models" + (f", {', '.join(local)} in no registry" if local else "")
        ]
        if seen.volume is None:
            parts.append("it is removed and not yet made anew")
        elif not seen.fresh:
            parts.append("it is still the old one")
        differing = self._differing(seen, record) if seen.fresh else []
        if differing:
            parts.append(f"not as before: {', '.join(differing)}; the record {seen.path} stays")
        return "; ".join(parts)

    def values(self, seen: State) -> dict[str, Any]:
        """Register the models by digest, before and now."""
        record = seen.record or seen.planned
        before = {one.name: one.digest for one in record.models} if record is not None else {}
        return {"before": before, "now": dict(seen.present) if seen.present is not None else None}

    def _differing(self, seen: State, record: Record) -> list[str]:
        present = seen.present or {}
        return [one.name for one in record.models if one.name in present and present[one.name] != one.digest]


def _present(host: Reader) -> Mapping[str, str] | None:
    try:
        return {entry.name: entry.digest for entry in host.ollama.models()}
    except CallFailed:
        return None


def _with_plan(host: Reader, state: State, volume: Volume, container: Container, place: StorePlace) -> State:
    """Add what is to be written down; raises where a model could neither be saved nor fetched again."""
    if state.present is None:
        raise Blocked(
            "Ollama does not answer, so it cannot be written down which models the volume holds", host=host.name,
            next_step="start it, or restart the host; then run again",
        )  # fmt: skip
    models = kept_models(host, place, state.present)
    services = tuple(
        sorted({one.service for one in host.engine.containers() if one.name in volume.users and one.service is not None})
    )
    record = Record(
        volume=place.volume, created_at=volume.created_at, saved_in=f"{place.volume}-saved-{digest(volume.created_at)[:6]}", image=container.image,
        service=state.service, services=services, models=models, saved=False,
    )  # fmt: skip
    free = free_disk(host)
    if free is not None and free < record.local_size:
        raise Blocked(
            f"{human(record.local_size)} of models that no registry holds are to be saved, and {human(free)} of disk are free",
            host=host.name, next_step="make room on the disk, or delete models that are not needed",
        )  # fmt: skip
    return State(state.project, state.service, state.since, state.volume, None, state.path, None, state.present, planned=record)


def _refuse_others(host: Reader, volume: Volume | None, containers: Mapping[str, Container]) -> None:
    """Raise where a container of another project, or of none, uses the volume."""
    own = {container.name for container in containers.values()}
    others = [name for name in (volume.users if volume is not None else ()) if name not in own]
    if volume is not None and others:
        raise Blocked(
            f"volume {volume.name} is also used by {', '.join(others)}, which is not of this project", host=host.name,
            next_step=f"stop and remove {others[0]} yourself if its data may go",
        )  # fmt: skip


def _written(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=1, ensure_ascii=False).encode("utf-8")
