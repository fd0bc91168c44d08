"""The guide's table names steps and runbooks that exist, and every step stands in it; the generated page is fresh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remediation.steps.__main__ import page
from remediation.steps.registry import registry

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
ROWS = [line for line in GUIDE.splitlines() if line.startswith("| ") and not line.startswith(("| the guide", "|---"))]
_CODE = re.compile(r"`([^`]+)`")
_STEP = re.compile(r"^([a-z_]+\.[a-z_]+)\b")


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]


def named(text: str) -> set[str]:
    """Return the steps that a cell names."""
    found = {match[1] for code in _CODE.findall(text) if (match := _STEP.match(code))}
    return {name for name in found if not name.endswith((".yml", ".md"))}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: cells(row)[0][:50])
def test_each_row_names_a_step_a_runbook_or_the_reason_of_a_refusal(row: str) -> None:
    _, here, fact = cells(row)
    steps = named(here)
    assert steps <= set(registry())
    books = [code for code in _CODE.findall(here) if code.endswith(".yml")]
    assert all((ROOT / "playbooks" / book).is_file() for book in books)
    assert steps or books or "`remediate " in here or "left alone" in here or "memory model" in here
    if here.startswith("refused"):
        assert "because" in here
        assert fact


def test_every_step_stands_in_the_guide_and_in_the_generated_page() -> None:
    assert set(registry()) - named(GUIDE.replace("\n", " ")) == set()
    generated = (ROOT / "docs/steps.md").read_text(encoding="utf-8")
    assert [name for name in registry() if f"## {name}\n" not in generated] == []


def test_the_generated_page_is_what_the_steps_say() -> None:
    assert (ROOT / "docs/steps.md").read_text(encoding="utf-8") == page(), "python -m remediation.steps > docs/steps.md"


def test_every_runbook_is_named_in_the_guide() -> None:
    books = {path.name for path in (ROOT / "playbooks").glob("*.yml")} - {"fix-offload.yml", "free-vram.yml"}
    assert [book for book in sorted(books) if book not in GUIDE] == []
