"""Playbooks walked on hosts in memory, and their results."""

from __future__ import annotations

from typing import Any

from tests.engine.sample_steps import RecordedEvents
from tests.engine.step_runs import Flow


def run(made: Flow, **more: Any) -> tuple[Any, RecordedEvents]:
    recorded = RecordedEvents()
    return made.run(recorded, **more), recorded


def results(recorded: RecordedEvents, host: str) -> list[tuple[str, str]]:
    return [
        (event.task, str(event.data["outcome"]))
        for event in recorded.events
        if event.kind == "task_result" and event.host == host and "item" not in event.data
    ]
