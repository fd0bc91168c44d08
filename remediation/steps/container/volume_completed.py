"""Completes the recreation of a volume that an earlier run started. This is the undo of ``volume.recreated``."""

from __future__ import annotations

from collections.abc import Iterator

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.text.words import plural
from remediation.steps.container.volume_progress import (
    VolumeState,
    apply_change,
    known_project,
    read_record,
    record_path,
    refill,
    state_of,
)
from remediation.steps.contract import Step, step
from remediation.steps.model.present import PULL_TIMEOUT


@step("volume.completed", risk=Risk.DISRUPTIVE, settle=60.0, deadline=PULL_TIMEOUT, in_container=True)
class VolumeCompleted(Step[VolumeState | None]):
    """The recreation of the models' volume is either undone or complete: the old volume is in use, or a new one holds all its content.

    This step undoes `volume.recreated`. If the old volume still exists, its services are started on it and the record is
    removed. If not, the content is restored from the second volume and the registry, and compared.
    """

    def observe(self, host: Reader) -> VolumeState | None:
        """Return what an unfinished run left, or None."""
        project = known_project(host)
        record = read_record(host, record_path(project))
        if record is None or record.finished is not None:
            return None
        return state_of(host, project, record, since=0.0)

    def is_met(self, state: VolumeState | None) -> bool:
        return state is None

    def plan(self, state: VolumeState | None) -> Iterator[Change]:
        record = state.record if state is not None else None
        if state is None or record is None:
            return
        if not self._is_old(state):
            yield from refill(state, record)
            return
        if state.present is None:
            yield Change(
                f"start {', '.join(record.services)} on the original volume {record.volume}", subject=record.service,
                risk=Risk.SAFE, data={"action": "up", "services": list(record.services)},
            )  # fmt: skip
        yield Change(
            f"remove the record of volume {record.volume}: the volume is the original", subject=state.path, risk=Risk.SAFE,
            data={"action": "forget"},
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        if change.data["action"] == "forget":
            host.files.remove(change.subject)
        else:
            apply_change(host, change)

    def describe(self, state: VolumeState | None) -> str:
        record = state.record if state is not None else None
        if state is None or record is None:
            return "no volume recreation is unfinished"
        if self._is_old(state):
            served = "" if state.present is not None else ", and no server answers on it"
            return f"volume {record.volume} is still the original{served}"
        there = [one.name for one in record.models if one.name in (state.present or {})]
        return f"volume {record.volume} is new and holds {len(there)} of {plural(len(record.models), 'model')}"

    def _is_old(self, state: VolumeState) -> bool:
        return state.volume is not None and not state.fresh
