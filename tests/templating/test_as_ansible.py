"""Templates and conditions evaluate as in ansible-core: to its recorded results, and to today's where it is installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from remediation.model.errors import RemediationError
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import mark_trusted

HERE = Path(__file__).parent
RECORDED: dict[str, Any] = json.loads((HERE / "recorded.json").read_text(encoding="utf-8"))


def plain(value: Any) -> Any:
    """Return a value as the recording has it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else f"{type(value).__name__}:{value}"


def named(item: dict[str, Any]) -> str:
    return repr(item.get("template", item.get("condition")))


@pytest.mark.parametrize("item", RECORDED["templates"], ids=named)
def test_a_template_comes_to_what_ansible_made_of_it(item: dict[str, Any]) -> None:
    scope = Scope([mark_trusted(RECORDED["variables"])])
    if item.get("fails"):
        with pytest.raises(RemediationError):
            scope.render(mark_trusted(item["template"]))
        return
    value = plain(scope.render(mark_trusted(item["template"])))
    assert value == item["value"]
    assert type(value) is type(item["value"])


@pytest.mark.parametrize("item", RECORDED["conditions"], ids=named)
def test_a_condition_holds_when_it_does_for_ansible(item: dict[str, Any]) -> None:
    scope = Scope([mark_trusted(RECORDED["condition_variables"])])
    if item.get("fails"):
        with pytest.raises(RemediationError):
            scope.condition(mark_trusted(item["condition"]))
        return
    assert scope.condition(mark_trusted(item["condition"])) is item["holds"]


def test_the_recording_is_what_ansible_says_today() -> None:
    if importlib.util.find_spec("ansible") is None:
        pytest.skip("ansible-core is not installed (extra bench)")
    done = subprocess.run(
        [sys.executable, str(HERE / "ansible_renders.py")],
        input=json.dumps(RECORDED),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=110,
    )
    today = json.loads(done.stdout)
    if today["ansible_core"].split(".")[:2] != RECORDED["ansible_core"].split(".")[:2]:
        pytest.skip(f"recorded from ansible-core {RECORDED['ansible_core']}, here is {today['ansible_core']}")
    for kind in ("templates", "conditions"):
        assert today[kind] == RECORDED[kind]


def test_values_that_json_has_no_word_for_keep_their_type() -> None:
    scope = Scope([mark_trusted({"day": date(2024, 5, 6), "big": 10**30})])
    assert scope.render(mark_trusted("{{ day }}")) == date(2024, 5, 6)
    assert scope.render(mark_trusted("{{ big }}")) == 10**30
