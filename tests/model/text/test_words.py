"""Counted nouns in sentences, and that no sentence of the package pastes a count in front of a plural."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from remediation.model.text.words import plural, verb

PACKAGE = Path(__file__).parents[3] / "remediation"
NEVER_ONE = {("connections/worker/session.py", "bytes"), ("engine/executors/parcels.py", "bytes")}
"""Sizes."""


def test_one_differs_from_many() -> None:
    assert [plural(count, "change") for count in (0, 1, 3)] == ["0 changes", "1 change", "3 changes"]
    assert [plural(count, "try", "tries") for count in (1, 2)] == ["1 try", "2 tries"]
    assert [verb(count) for count in (0, 1, 2)] == ["are", "is", "are"]
    assert [verb(count, "was", "were") for count in (1, 2)] == ["was", "were"]


def counted(path: Path) -> Iterator[str]:
    """Yield the plurals that stand behind a `len` or a `sum` in the texts of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in pairwise(node.values):
            if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            noun = re.match(r" (?:more |other )?([a-z]+s)\b(?! (?:is|are)\b)", str(text.value))
            if noun and isinstance(value.value, ast.Call) and getattr(value.value.func, "id", "") in {"len", "sum"}:
                yield noun[1]


def test_no_sentence_pastes_a_count_in_front_of_a_plural() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), noun)
        for path in PACKAGE.rglob("*.py")
        if "lab" not in path.relative_to(PACKAGE).parts
        for noun in counted(path)
    }
    assert found == NEVER_ONE
