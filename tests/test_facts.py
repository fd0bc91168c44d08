"""The facts that comments refer to stand in ``docs/facts``, under the number that the comment names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NUMBERS = r"\d+(?:\.\d+)*(?:(?:, | and )\d+(?:\.\d+)*)*"
REFERENCE = re.compile(rf"facts/(\w+) ({NUMBERS})|(recordings), surprises? ({NUMBERS})")


def references() -> Iterator[tuple[str, str, str]]:
    for folder in ("remediation", "lab", "tests", "playbooks", "docs"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".ps1", ".sh", ".yml", ".md"} and path.parent != ROOT / "docs/facts":
                for fact, sections, recorded, items in REFERENCE.findall(path.read_text("utf-8")):
                    for number in re.findall(r"\d+(?:\.\d+)*", sections or items):
                        yield fact or recorded, number, str(path.relative_to(ROOT))


def held(page: str) -> set[str]:
    """Return the numbers of a page: headings, first cells of rows, and items of lists."""
    text = (ROOT / f"docs/facts/{page}.md").read_text("utf-8")
    found = re.findall(r"^(?:#+ (\d+(?:\.\d+)*) |\| (\d+\.\d+) \||(\d+)\. )", text, re.MULTILINE)
    return {heading or row or item for heading, row, item in found}


PAGES = ("ollama", "windows", "native", "recordings")


@pytest.mark.parametrize(
    ("page", "some"), [("ollama", {"0", "4.8", "7.10"}), ("windows", {"1.3", "5"}), ("recordings", {"1", "22"})]
)
def test_a_page_is_numbered(page: str, some: set[str]) -> None:
    assert some <= held(page)


@pytest.mark.parametrize("page", PAGES)
def test_every_fact_that_is_referred_to_is_documented(page: str) -> None:
    numbers = held(page)
    assert [(number, where) for name, number, where in references() if name == page and number not in numbers] == []


def test_only_pages_that_exist_are_referred_to() -> None:
    assert {page for page, _, _ in references()} <= set(PAGES)
