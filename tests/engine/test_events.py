"""Events reach all who listen in one order, and no secret with them."""

from __future__ import annotations

import threading

from remediation.engine.events import Emitter
from remediation.model.event import Event
from remediation.model.secrets.masking import MASK, Masker


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
    told: list[Event] = []
    data = {"msg": "login hunter22-long failed", "hunter22": [{"deep": ("x hunter22 y", 5, None)}]}
    Emitter([told.append], mask)(Event("note", 1.0, task="with hunter22", data=data))
    assert "hunter22" not in str(told)
    assert told[0].data["msg"] == f"login {MASK} failed"
    assert told[0].data[MASK] == [{"deep": [f"x {MASK} y", 5, None]}]


def test_a_secret_learnt_later_is_masked_from_then_on_and_short_ones_are_left() -> None:
    mask = Masker(["abc"])
    assert mask("abc and swordfish") == "abc and swordfish"
    mask.add("swordfish")
    assert mask("abc and swordfish") == f"abc and {MASK}"
