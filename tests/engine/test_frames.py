"""The path from a task to the wire is short: its frames and modules are counted on the stacks of real runs against the lab."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import pytest

from remediation.diagnosis.collect import collect
from remediation.diagnosis.diagnose import diagnose
from remediation.engine.context import Policy, Ports
from remediation.engine.play.context.run_request import RunRequest, RunSummary
from remediation.engine.play.runner import run_playbook
from remediation.facets.host_factory import open_host
from remediation.inventory.load import load_inventory
from remediation.model.change import Risk
from remediation.model.event import Event
from remediation.playbook.load import load_playbook
from remediation.steps.contract import Step
from remediation.steps.model.loaded import ModelLoaded
from remediation.steps.registry import registry
from remediation_lab import control
from tests.facets.real_hosts import lab_variables

ROOT = Path(__file__).parents[2]
MODEL = "mistral:7b-instruct-q4_K_M"
MOST_FRAMES = 35
"""Frames from a task of a play to pywinrm's `send_message`, through a ladder and a task of its rung."""
MOST_MODULES = 20

Stack = list[tuple[str, str]]
"""The module and the function of each frame, outermost first."""


def stack(frame: FrameType | None) -> Stack:
    found: Stack = []
    while frame is not None:
        found.append((str(frame.f_globals.get("__name__")), frame.f_code.co_name))
        frame = frame.f_back
    return found[::-1]


TASK = ("remediation.engine.play.host_runner", "task")
SENT = ("winrm.protocol", "send_message")


class Wire(logging.Handler):
    """Keeps the stacks with which urllib3, below pywinrm, reports its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.stacks: set[tuple[tuple[str, str], ...]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if "POST" in record.getMessage():
            self.stacks.add(tuple(stack(sys._getframe())))

    def paths(self) -> list[Stack]:
        """Return the paths from the tasks of a play to pywinrm, the longest one first."""
        of_tasks = [list(each) for each in self.stacks if TASK in each and SENT in each]  # logins are no messages
        return sorted((each[each.index(TASK) : each.index(SENT)] for each in of_tasks), key=len, reverse=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Lab]:
    folder = tmp_path_factory.mktemp("lab")
    yield control.start(folder, hosts=1, scale=100)
    control.stop(folder)


@pytest.fixture
def wire() -> Iterator[Wire]:
    handler, logger = Wire(), logging.getLogger("urllib3.connectionpool")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def run(lab: control.Lab, playbook: Path, steps: dict[str, type[Step[Any]]]) -> tuple[RunSummary, list[Event]]:
    events: list[Event] = []
    request = RunRequest(
        "play", load_playbook(playbook, steps=lambda: steps), load_inventory(["box,"]), run="7f3a", extra=lab_variables(lab),
        policy=Policy(max_risk=Risk.DISRUPTIVE, close_programs=True, warn_seconds=0.0, run_started=time.time()),
    )  # fmt: skip
    ports = Ports(emit=events.append, steps=lambda: steps, diagnose=lambda host: diagnose(collect(host)))
    return run_playbook(request, ports, lambda host, variables, *, check: open_host(host, variables, check=check)), events


def test_few_frames_lie_between_a_task_and_the_wire(lab: control.Lab, wire: Wire) -> None:
    summary, events = run(lab, ROOT / "playbooks/fix-offload.yml", dict(registry()))
    assert summary.exit_code == 0, events
    assert any(event.kind == "rung_end" for event in events)
    longest = wire.paths()[0]
    assert longest.count(TASK) == 2, longest  # the ladder, and a task of its rung
    print(f"{len(longest)} frames:", *(f"{module}.{name}" for module, name in longest), sep="\n")
    assert len(longest) <= MOST_FRAMES


class Watched(ModelLoaded):
    """The step as it is; notes the stack with which it is built."""

    built: ClassVar[list[Stack]] = []

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self.built.append(stack(sys._getframe()))


def test_few_modules_lie_between_a_model_in_yaml_and_the_wire(lab: control.Lab, wire: Wire, tmp_path: Path) -> None:
    """Those that read the name and check it, and those that carry the request with it."""
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        f"- hosts: all\n  tasks:\n    - model.unloaded: {{}}\n    - model.loaded: {{model: '{MODEL}'}}\n", "utf-8"
    )
    summary, events = run(lab, playbook, {**registry(), "model.loaded": Watched})
    assert summary.exit_code == 0, events
    carried = next(path for path in wire.paths() if ("remediation.steps.model.loaded", "apply") in path)
    built = [way[way.index(TASK) :] if TASK in way else way for way in Watched.built]  # by a task, or by the loader
    modules = {module for way in (carried, *built) for module, _function in way if module.startswith("remediation.")}
    print(f"{len(modules)} modules:", *sorted(modules))
    assert {"remediation.playbook.load", "remediation.connections.winrm.channel"} <= modules
    assert len(modules) <= MOST_MODULES
