"""Which values fit an argument specification; the recorded cases ``argspec-*`` compare whole roles with Ansible's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediation.modules.argument_specs import mismatches
from tests.modules.local import run_tasks

NESTED = {"d": {"type": "dict", "options": {"x": {"type": "int", "required": True}, "y": {}}, "required_together": [["x", "y"]]}}


def within(**rules: Any) -> dict[str, Any]:
    """Return a specification whose parameter ``d`` has the options ``a``, ``b`` and ``c``, with relations among them."""
    return {"d": {"type": "dict", "options": {"a": {}, "b": {}, "c": {}}, **rules}}


@pytest.mark.parametrize(
    ("spec", "values", "sentences"),
    [
        ({"n": {"type": "int"}}, {"n": "5"}, []),
        ({"n": {"type": "int"}}, {"n": 5.5}, ["argument 'n' is of type float and we were unable to convert to int"]),
        ({"n": {"type": "list", "elements": "int"}}, {"n": "1,2"}, []),
        ({"n": {"type": "list", "elements": "int"}}, {"n": ["a"]}, ["Elements value for option 'n' is of type list"]),
        ({"n": {"type": "bool"}}, {"n": "maybe"}, ["argument 'n' is of type str and we were unable to convert to bool"]),
        ({"n": {"required": True}}, {}, ["missing required arguments: n"]),
        ({"n": {}}, {"m": 1}, ["m. Supported parameters include: n."]),
        ({"n": {"aliases": ["m"]}}, {"m": "x"}, []),
        (
            {"n": {"type": "list", "choices": ["a"]}},
            {"n": ["a", "b"]},
            ["value of n must be one or more of: a. Got no match for: b"],
        ),
        (NESTED, {"d": {}}, ["missing required arguments: x found in d"]),
        (NESTED, {"d": {"x": 1}}, ["parameters are required together: x, y found in d"]),
        (NESTED, {"d": {"x": 1, "y": "z"}}, []),
        (NESTED, {"d": None}, []),
        (NESTED, {"d": "x=1, y=2"}, []),
        (NESTED, {"d": '{"x": 1, "y": 2}'}, []),
        (NESTED, {"d": "neither"}, ["dictionary requested, could not parse JSON or key=value"]),
        (NESTED, {"d": "{broken"}, ["argument 'd' is of type str and we were unable to convert to dict"]),
        ({"n": {"type": "list"}}, {"n": {}}, ["dict cannot be converted to a list"]),
        ({"n": {"type": "list", "elements": "str"}}, {"n": 5}, []),
        ({"n": {"type": "float"}}, {"n": "1.5"}, []),
        ({"n": {"type": "float"}}, {"n": []}, ["list cannot be converted to a float"]),
        ({"n": {"type": "bool", "choices": [True]}}, {"n": "off"}, ["value of n must be one of: True, got: False"]),
        (within(mutually_exclusive=[["a", "b"]]), {"d": {"a": 1, "b": 2}}, ["parameters are mutually exclusive: a|b found in d"]),
        (within(required_one_of=[["a", "b"]]), {"d": {"c": 1}}, ["one of the following is required: a, b found in d"]),
        (
            within(required_if=[["a", "x", ["b", "c"]]]),
            {"d": {"a": "x", "b": 1}},
            ["a is x but all of the following are missing: c"],
        ),
        (within(required_if=[["a", "x", ["b", "c"], True]]), {"d": {"a": "x", "b": 1}}, []),
        (
            within(required_if=[["a", "x", ["b", "c"], True]]),
            {"d": {"a": "x"}},
            ["a is x but any of the following are missing: b, c"],
        ),
        (within(required_by={"a": "b"}), {"d": {"a": 1}}, ["missing parameter(s) required by 'a': b found in d"]),
        (within(required_by={"a": ["b", "c"]}), {"d": {"b": 1}}, []),
    ],
)
def test_what_does_not_fit(spec: dict[str, Any], values: dict[str, Any], sentences: list[str]) -> None:
    found = list(mismatches(spec, values))
    assert len(found) == len(sentences), found
    assert all(sentence in each for sentence, each in zip(sentences, found, strict=True))


@pytest.mark.parametrize(
    "entry",
    [
        {"aliases": 5},
        {"type": "dict", "options": {"x": {}}, "required_if": [5]},
        {"type": "dict", "options": {"x": {}}, "required_by": [5]},
    ],
)
def test_a_malformed_specification_is_one_sentence(tmp_path: Path, entry: dict[str, Any]) -> None:
    task = {
        "validate_argument_spec": {"argument_spec": {"n": entry}, "provided_arguments": {"n": {"x": 1}}},
        "ignore_errors": True,
    }
    ran = run_tasks(tmp_path, [task])
    assert "the argument specification has a part of the wrong type: " in ran.results["validate_argument_spec"]["msg"]
