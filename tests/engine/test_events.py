"""Events reach all who listen in one order, and no secret with them."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import remediation
from remediation.engine.events import Emitter
from remediation.model.event import Event
from remediation.model.event_data import EVENT_DATA
from remediation.model.secrets.masking import MASK, Masker
from tests.engine.event_contract import faults


def test_every_sink_takes_every_event_in_the_same_order() -> None:
    first: list[Event] = []
    second: list[Event] = []
    emit = Emitter([first.append, second.append])
    threads = [
        threading.Thread(target=lambda name=name: [emit(Event("note", float(n), host=name)) for n in range(50)]) for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(first) == 150
    assert first == second


def test_secrets_are_masked_wherever_they_stand() -> None:
    mask = Masker(["hunter22", "hunter22-long"])
    recorded: list[Event] = []
    data = {"msg": "login hunter22-long failed", "hunter22": [{"deep": ("x hunter22 y", 5, None)}]}
    Emitter([recorded.append], mask)(Event("note", 1.0, task="with hunter22", data=data))
    assert "hunter22" not in str(recorded)
    assert recorded[0].data["msg"] == f"login {MASK} failed"
    assert recorded[0].data[MASK] == [{"deep": [f"x {MASK} y", 5, None]}]


def test_a_secret_learnt_later_is_masked_from_then_on_and_short_ones_are_left() -> None:
    mask = Masker(["abc"])
    assert mask("abc and swordfish") == "abc and swordfish"
    mask.add("swordfish")
    assert mask("abc and swordfish") == f"abc and {MASK}"


def test_the_page_on_events_has_each_kind_and_each_of_its_fields() -> None:
    """`samples.RecordedEvents` checks the type of every event that the tests in this folder produce."""
    page = (Path(__file__).parents[2] / "docs/events.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| (`.+?) \| (.*) \|$", page, re.MULTILINE))
    documented = {kind: fields for kinds, fields in rows.items() for kind in re.findall(r"`(\w+)`", re.sub(r"\(.*\)", "", kinds))}
    assert set(documented) == set(EVENT_DATA)
    for kind, data in EVENT_DATA.items():
        names = set(re.findall(r"`(\w+)`", documented[kind]))
        assert set(data.__annotations__) <= names, kind


def test_what_differs_from_the_type_of_its_kind_is_found() -> None:
    good = {"text": "t", "level": "info"}
    assert faults(Event("note", 1.0, data=good)) == []
    assert faults(Event("note", 1.0, data={**good, "more": 1})) == ["note.more is not declared"]
    assert faults(Event("note", 1.0, data={"text": 1})) == ["note.level is missing", "note.text is a number, not a text"]
    assert faults(Event("nothing", 1.0)) == ["unknown kind nothing"]


def test_reports_and_the_engine_read_only_declared_fields() -> None:
    known = {name for data in EVENT_DATA.values() for name in data.__annotations__}
    root = Path(remediation.__file__).parent
    paths = [path for folder in ("report", "engine", "cli") for path in (root / folder).rglob("*.py")]
    read = {name for path in paths for name in fields_read(ast.parse(path.read_text("utf-8")))}
    assert {"figures", "diagnosis", "exit_code"} <= read
    assert read <= known


def fields_read(tree: ast.AST) -> Iterator[str]:
    """Yield NAME of each ``event.data["NAME"]`` and ``event.data.get("NAME")``."""
    for node in ast.walk(tree):
        data, name = None, None
        if isinstance(node, ast.Subscript):
            data, name = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
            data, name = node.func.value, node.args[0]
        if isinstance(data, ast.Attribute) and ast.unparse(data) == "event.data" and isinstance(name, ast.Constant):
            yield str(name.value)
