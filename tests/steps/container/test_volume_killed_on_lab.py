"""``kill -9`` of the controller at any event of recreate-volume.yml on the lab's Windows host: no model is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remediation.engine.journal.history import runs
from remediation.model.event import Event
from tests.support.killed_run import in_words
from tests.support.preloaded_python import python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")

ROOT = Path(__file__).parents[3]
HOST = "laptop-07"
VOLUME = "activia1_ollama_data"
AGREED = ("--yes-destroy", HOST, "--json")
PREPARE = """\
- hosts: all
  gather_facts: false
  tasks:
    - model.parameter: { set: { num_ctx: 2048 } } # from now on no registry holds it as it is
    - model.present: { model: "phi3:3.8b" }
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """A separate lab, and a running `remediate`."""

    folder: Path
    environment: dict[str, str]

    def start(self, *words: str, module: str = "remediation.cli.main") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*python(self.environment), "-m", module, *words], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            encoding="utf-8", check=False, timeout=110,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def fresh(self) -> dict[str, Any]:
        """Let the host be new, with two models, one of which no registry holds; return what they are."""
        assert self.start("lab.fault", HOST, "healthy").returncode == 0
        book = self.folder / "prepare.yml"
        book.write_text(PREPARE, encoding="utf-8")
        prepared = self.start("play", str(book), "--inventory", "lab")
        assert prepared.returncode == 0, prepared.stdout
        return self.models()[VOLUME]

    def again(self) -> None:
        """Restart the lab: each killed controller leaves a shell open, and a user may have no more than some dozens."""
        self.start("lab.stop")
        assert self.start("lab.start").returncode == 0

    def models(self) -> dict[str, dict[str, Any]]:
        """Return the files of each model in each volume, read from the machine's state and not from the run's events."""
        state = json.loads((self.folder / "state/remediation/lab/hosts" / f"{HOST}.json").read_text(encoding="utf-8"))
        parts = ("file", "parameters", "template", "system", "damage", "gone")
        return {
            volume["name"]: {model["name"]: {part: model[part] for part in parts} for model in volume["models"]}
            for volume in state["volumes"]
        }

    def play(self, dies_at: str = "", when: str = "after") -> int:
        words = ("play", "recreate-volume", "--inventory", "lab", *AGREED)
        if not dies_at:
            return self.start(*words).returncode
        return self.start(dies_at, when, *words, module="tests.support.killed_run").returncode

    def events(self) -> list[Event]:
        """Return the journal of the last run."""
        return list(runs(self.folder / "state/remediation/runs")[0].events)

    def follow(self, word: str) -> subprocess.CompletedProcess[str]:
        """Go on with the last run, or take it back."""
        return self.start(word, runs(self.folder / "state/remediation/runs")[0].run, *AGREED)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "XDG_", "REMEDIATION_"))}
    made = Lab(folder, {**kept, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)})
    assert made.start("lab.start").returncode == 0
    yield made
    made.start("lab.stop")


def killed(lab: Lab, at: str, when: str, then: str) -> str | None:
    """Kill a run at an event and resume or undo it; return what is wrong with the result, None where nothing is."""
    before = lab.fresh()
    assert len(before) == 2
    own = [name for name, model in before.items() if "num_ctx" in model["parameters"]]
    code = lab.play(at, when)
    if code != -signal.SIGKILL:
        return None if code == 0 and at.isdecimal() else f"{at}: the run ended with {code}"
    point, there = f"{at} {when} {in_words(lab.events()[-1])}" if lab.events() else f"{at} {when}", lab.models()
    after = lab.follow(then)
    lost = [name for name in own if not any(models.get(name) == before[name] for models in there.values())]
    equal = lab.models().get(VOLUME) == before
    held = ", ".join(f"{len(models)} in {name}" for name, models in there.items()) or "no volume"
    row = f"{point} | {held} | {then} {after.returncode} | {'equal' if equal else 'DIFFERENT'}{f', LOST {lost}' if lost else ''}"
    print(row, flush=True)
    return None if equal and not lost else f"{row}\n{after.stdout[-3000:]}"


def undisturbed(lab: Lab) -> list[str]:
    """Return the events of a run that nothing disturbs."""
    before = lab.fresh()
    assert lab.play() == 0
    assert lab.models()[VOLUME] == before
    return [in_words(event) for event in lab.events()]


@pytest.mark.timeout(300)
def test_killed_at_some_events_no_model_is_lost(lab: Lab) -> None:
    wrong = killed(lab, "change_end: remove volume", "after", "resume")
    assert wrong is None, wrong


@pytest.mark.every
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("then", ["resume", "undo"])
@pytest.mark.parametrize("when", ["after", "before"])
def test_killed_at_every_event_no_model_is_lost(lab: Lab, when: str, then: str) -> None:
    events = undisturbed(lab)
    points = [number for number, event in enumerate(events, 1) if when == "after" or event.startswith("change_end")]
    wrong = []
    for number, at in enumerate(points):
        if number % 8 == 0:
            lab.again()
        wrong += filter(None, [killed(lab, str(at), when, then)])
    assert not wrong, "\n".join(wrong)
