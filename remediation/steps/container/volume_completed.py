"""A volume that a run began to make anew, brought to an end: what takes such a run back wherever it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Begun:
    """What a run left behind, None where none is under way."""

    state: VolumeState | None


@step("volume.completed", risk=Risk.DISRUPTIVE, settle=60.0, deadline=PULL_TIMEOUT)
class VolumeCompleted(Step[Begun]):
    """The models' volume is not half made anew: it is the old one and served, or a new one with all that the old one held.

    This takes `volume.recreated` back. Where the old volume is still there its service is brought up on it again, and the record
    goes; where it is gone, what it held is restored from the second volume and the registry, and compared.
    """

    def look(self, host: Reader) -> Begun:
        """Read the record and how far it is."""
        project = known_project(host)
        record = read_record(host, record_path(project))
        if record is None or record.finished is not None:
            return Begun(None)
        return Begun(state_of(host, project, record, since=0.0))

    def met(self, seen: Begun) -> bool:
        """Whether nothing is under way."""
        return seen.state is None

    def plan(self, seen: Begun) -> Iterator[Change]:
        """Bring the service up on the old volume, or fill the new one."""
        state = seen.state
        if state is None or state.record is None or self.met(seen):
            return
        if not self._old(state):
            yield from refill(state, state.record)
            return
        if state.present is None:
            yield Change(
                f"bring {', '.join(state.record.services)} up on volume {state.record.volume} as it was", subject=state.record.service,
                risk=Risk.SAFE, data={"action": "up", "services": list(state.record.services)},
            )  # fmt: skip
        yield Change(
            f"remove the record of volume {state.record.volume}: the volume is the old one", subject=state.path, risk=Risk.SAFE,
            data={"action": "forget"},
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        """Carry one of them out."""
        if change.data["action"] == "forget":
            host.files.remove(change.subject)
        else:
            apply_change(host, change)

    def describe(self, seen: Begun) -> str:
        """Say which of the two it is."""
        state = seen.state
        if state is None or state.record is None:
            return "no volume is half made anew"
        if self._old(state):
            served = "" if state.present is not None else ", and no server answers on it"
            return f"volume {state.record.volume} is still the old one{served}"
        there = [one.name for one in state.record.models if one.name in (state.present or {})]
        return f"volume {state.record.volume} is new and holds {len(there)} of {plural(len(state.record.models), 'model')}"

    def _old(self, state: VolumeState) -> bool:
        return state.volume is not None and not state.fresh
