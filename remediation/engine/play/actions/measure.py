"""``measure``: measures figures and emits them as a ``measurement``."""

from __future__ import annotations

from remediation.engine.card_memory import card_memory
from remediation.engine.context import SNAPSHOT_TTL
from remediation.engine.play.context.host_facts import look_once
from remediation.engine.play.context.results import refused_result
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.step.attempts import outcome_of
from remediation.model.errors import HostError
from remediation.model.event_data import MeasurementData
from remediation.modules.result import ActionResult
from remediation.playbook.actions import Measure
from remediation.templating.templar import Scope

SCALED = "lab_scale"
"""Host variable of a lab: its figures are simulated."""


def measure_action(given: Measure, site: TaskContext, scope: Scope) -> ActionResult:
    """Measure with the loaded model. A figure that cannot be measured has a reason and does not fail the task."""
    try:
        opened = site.opened()
        look_once(site, opened)
        now = site.play.stage.ports.clock.monotonic()
        snapshot = site.host.memory.snapshot(now, max_age=SNAPSHOT_TTL) if opened.name == site.host.name else None
        layers = site.host.layers
        if layers is None:
            snapshot = snapshot or opened.access.reader_for("diagnosis")
            layers = site.play.stage.ports.diagnose(snapshot).offloaded
        reader = opened.access.reader_for("measure", snapshot=snapshot)
        writer = None if site.check() else opened.access.writer()
        memory = card_memory(reader)
        figures = site.play.stage.ports.measure(
            reader, writer, label=given.label, layers=layers, simulated=SCALED in scope, model=given.model
        )
    except HostError as error:
        return refused_result(error, outcome_of(error))
    site.emit("measurement", **MeasurementData(label=given.label, figures={**figures, "memory": memory}))
    return ActionResult(values={**figures, "msg": figures.get("reason") or ""})
