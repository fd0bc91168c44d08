"""Which values fit an argument specification; the recorded cases ``argspec-*`` compare whole roles with Ansible's."""

from __future__ import annotations

from typing import Any

import pytest

from remediation.modules.argument_specs import mismatches

NESTED = {"d": {"type": "dict", "options": {"x": {"type": "int", "required": True}, "y": {}}, "required_together": [["x", "y"]]}}


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
    ],
)
def test_what_does_not_fit(spec: dict[str, Any], values: dict[str, Any], sentences: list[str]) -> None:
    found = list(mismatches(spec, values))
    assert len(found) == len(sentences), found
    assert all(sentence in each for sentence, each in zip(sentences, found, strict=True))
