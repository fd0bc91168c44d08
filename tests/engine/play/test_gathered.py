"""``ansible_facts`` before a fact was read: the first reader gathers all, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from remediation.engine.play.context.gathered import LazyFacts
from remediation.templating.environment import ENVIRONMENT

TEMPLATE = ENVIRONMENT.from_string("{{ facts | tojson }}")
READS: dict[str, tuple[Callable[[LazyFacts], Any], Any]] = {
    "one": (lambda facts: facts["kernel"], "6.1"),
    "get": (lambda facts: facts.get("kernel"), "6.1"),
    "get another": (lambda facts: facts.get("none", "no"), "no"),
    "in": (lambda facts: "kernel" in facts, True),
    "length": (len, 2),
    "names": (list, ["kernel", "ansible_local"]),
    "keys": (lambda facts: list(facts.keys()), ["kernel", "ansible_local"]),
    "values": (lambda facts: list(facts.values()), ["6.1", {}]),
    "items": (lambda facts: dict(facts.items()), {"kernel": "6.1", "ansible_local": {}}),
    "copy": (dict, {"kernel": "6.1", "ansible_local": {}}),
    "JSON": (lambda facts: json.loads(TEMPLATE.render(facts=facts)), {"kernel": "6.1", "ansible_local": {}}),
}


@pytest.mark.parametrize("way", READS)
def test_the_first_read_gathers_and_no_other_one(way: str) -> None:
    gathered = 0

    def gather() -> Mapping[str, Any]:
        nonlocal gathered
        gathered += 1
        return {"ansible_kernel": "6.1", "ansible_local": {}}

    facts = LazyFacts(gather)
    assert gathered == 0
    read, expected = READS[way]
    assert (read(facts), read(facts), gathered) == (expected, expected, 1)
